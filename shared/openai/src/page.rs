//! Lists in pages.

use bytes::Bytes;
use hooks_webhook::Json;
use tokio::time::Instant;

use crate::agents::{AgentSession, BETA};
use crate::client::{Call, Client, MAX_LIST_BYTES};
use crate::error::{ErrorClass, OpenAiError};
use crate::fine_tuning::FineTuningJob;
use crate::objects::{Batch, text};

/// Most entries of a page that are read.
const MAX_ENTRIES: usize = 100;

/// A page of a list, in OpenAI's order: newest first.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Page<T> {
    /// Its objects. Unreadable entries are left out.
    pub items: Vec<T>,
    /// Number of unreadable entries.
    pub unreadable: usize,
    /// The `after` of the next page; `None` on the last page.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// `None` if it is not a list. The next page begins after the last entry with an id, readable or not.
    pub(crate) fn from_json(json: &Bytes, read: impl Fn(Bytes) -> Option<T>) -> Option<Self> {
        let [data, has_more] = Json::of(json).pick(["data", "has_more"]);
        let mut data = data.filter(|data| data.is_list())?.items();
        let (mut items, mut unreadable, mut last) = (Vec::new(), 0, None);
        for entry in data.by_ref().take(MAX_ENTRIES) {
            last = text(entry, "id").or(last);
            match read(json.slice_ref(entry.bytes())) {
                Some(item) => items.push(item),
                None => unreadable += 1,
            }
        }
        let has_more = has_more.and_then(Json::flag).unwrap_or_default() || data.next().is_some();
        Some(Self { items, unreadable, next: last.filter(|_| has_more) })
    }
}

impl Client {
    /// Lists batches: `GET /batches`, at most `limit` (1 to 100) of those after `after`.
    pub async fn batches(&self, after: Option<&str>, limit: u8, deadline: Instant) -> Result<Page<Batch>, OpenAiError> {
        let page = self.page(Call::new("list batches", &["batches"]), after, limit, deadline);
        page.await?.read("a list of batches", |json| Page::from_json(&json, Batch::from_json))
    }

    /// Lists fine-tuning jobs: `GET /fine_tuning/jobs`, at most `limit` (1 to 100) of those after `after`.
    pub async fn fine_tuning_jobs(
        &self,
        after: Option<&str>,
        limit: u8,
        deadline: Instant,
    ) -> Result<Page<FineTuningJob>, OpenAiError> {
        let call = Call::new("list fine-tuning jobs", &["fine_tuning", "jobs"]);
        let page = self.page(call, after, limit, deadline).await?;
        page.read("a list of fine-tuning jobs", |json| Page::from_json(&json, FineTuningJob::from_json))
    }

    /// Lists sessions of agents: `GET /agents/sessions`, at most `limit` (1 to 100) of those after `after`.
    pub async fn agent_sessions(
        &self,
        after: Option<&str>,
        limit: u8,
        deadline: Instant,
    ) -> Result<Page<AgentSession>, OpenAiError> {
        let call = Call { beta: Some(BETA), ..Call::new("list agent sessions", &["agents", "sessions"]) };
        let page = self.page(call, after, limit, deadline).await?;
        page.read("a list of agent sessions", |json| Page::from_json(&json, AgentSession::from_json))
    }

    /// Gets one page of the call's list, a shorter one when it is too large.
    pub(crate) async fn page(
        &self,
        call: Call<'_>,
        after: Option<&str>,
        limit: u8,
        deadline: Instant,
    ) -> Result<crate::client::Answer, OpenAiError> {
        let mut entries = limit;
        loop {
            let limit = entries.to_string();
            let mut query = vec![("limit", limit.as_str())];
            query.extend(after.map(|id| ("after", id)));
            match self.get(Call { query: &query, limit: MAX_LIST_BYTES, ..call }, deadline).await {
                Err(error) if error.class() == ErrorClass::TooLarge && entries > 1 => entries = (entries / 10).max(1),
                answer => return answer,
            }
        }
    }
}
