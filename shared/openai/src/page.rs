//! Lists in pages.

use bytes::Bytes;
use serde_json::Value;
use tokio::time::Instant;

use crate::agents::{AgentSession, BETA};
use crate::client::{Call, Client};
use crate::error::OpenAiError;
use crate::fine_tuning::FineTuningJob;
use crate::objects::{Batch, text};

/// A page of a list, in OpenAI's order: newest first.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Page<T> {
    /// Its objects. Unreadable entries are left out.
    pub items: Vec<T>,
    /// The `after` of the next page; `None` on the last page.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// `None` if it is not a list. The next page begins after the last entry, readable or not.
    pub(crate) fn from_json(raw: &Value, read: impl Fn(Value) -> Option<T>) -> Option<Self> {
        let data = raw.get("data")?.as_array()?;
        let has_more = raw.get("has_more").and_then(Value::as_bool).unwrap_or_default();
        let next = data.last().and_then(|last| text(last, "id")).filter(|_| has_more);
        Some(Self { items: data.iter().cloned().filter_map(read).collect(), next })
    }
}

impl Client {
    /// Lists batches: `GET /batches`, at most `limit` (1 to 100) of those after `after`.
    pub async fn batches(&self, after: Option<&str>, limit: u8, deadline: Instant) -> Result<Page<Batch>, OpenAiError> {
        let page = self.page(Call::new("list batches", &["batches"]), after, limit, deadline);
        page.await?.read("a list of batches", |raw| Page::from_json(&raw, Batch::from_value))
    }

    /// Lists fine-tuning jobs: `GET /fine_tuning/jobs`, at most `limit` (1 to 100) of those after `after`.
    pub async fn fine_tuning_jobs(
        &self,
        after: Option<&str>,
        limit: u8,
        deadline: Instant,
    ) -> Result<Page<FineTuningJob>, OpenAiError> {
        let call = Call::new("list fine-tuning jobs", &["fine_tuning", "jobs"]);
        let read = |raw: Value| {
            let json = Bytes::from(raw.to_string());
            FineTuningJob::from_json(raw, json)
        };
        let page = self.page(call, after, limit, deadline).await?;
        page.read("a list of fine-tuning jobs", |raw| Page::from_json(&raw, read))
    }

    /// Lists sessions of agents: `GET /agents/sessions`, at most `limit` (1 to 100) of those after `after`.
    pub async fn agent_sessions(
        &self,
        after: Option<&str>,
        limit: u8,
        deadline: Instant,
    ) -> Result<Page<AgentSession>, OpenAiError> {
        let call = Call { beta: Some(BETA), ..Call::new("list agent sessions", &["agents", "sessions"]) };
        let read = |raw: Value| {
            let json = Bytes::from(raw.to_string());
            AgentSession::from_json(raw, json)
        };
        let page = self.page(call, after, limit, deadline).await?;
        page.read("a list of agent sessions", |raw| Page::from_json(&raw, read))
    }

    /// Gets one page of the call's list.
    pub(crate) async fn page(
        &self,
        call: Call<'_>,
        after: Option<&str>,
        limit: u8,
        deadline: Instant,
    ) -> Result<crate::client::Answer, OpenAiError> {
        let limit = limit.to_string();
        let mut query = vec![("limit", limit.as_str())];
        query.extend(after.map(|id| ("after", id)));
        self.get(Call { query: &query, ..call }, deadline).await
    }
}
