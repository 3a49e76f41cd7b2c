//! The item of a job: what an object is now, and what is expected of it.

use serde_json::{Map, Value};

use super::change::{Change, WriteResult};
use super::expectation::of_attribute;
use super::record::Claim;
use super::value::{number, object, read_number, read_text, text, texts};
use super::{Ledger, bounded};
use crate::AwsError;
use crate::outcomes::Outcome;

pub(super) const SK: &str = "job";

/// Record of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRecord {
    /// Status, in OpenAI's words.
    pub status: String,
    /// Whether that is final.
    pub terminal: bool,
    /// Time of retrieval in milliseconds since the Unix epoch.
    pub as_of: i64,
}

/// Result of recording a job.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JobResult {
    /// Whether it was written: nothing newer was recorded before.
    pub written: bool,
    /// Context that the outcome shall carry, or why it cannot (`is not a JSON object`, say). `None` when none was
    /// recorded. Also an end that comes late, or again, has it.
    pub context: Option<Result<Map<String, Value>, &'static str>>,
}

impl Ledger {
    /// Records what an object is now, if the outcome names one, unless something newer is recorded already. A final
    /// status meets what is expected of it, in the same write.
    ///
    /// Events arrive in any order, so the order they were looked at decides, not the order they came in: a final
    /// status stays, whatever comes later, unless that is final too and was seen later. A progress update that was
    /// held up on its way never turns a finished job back.
    pub async fn record_job(&self, category: &str, outcome: &Outcome, claim: &Claim) -> Result<JobResult, AwsError> {
        self.record_job_of(category, outcome, &claim.event).await
    }

    /// The same for an event of which one has no claim: endpoint and webhook id, joined by `#`.
    pub async fn record_job_of(&self, category: &str, outcome: &Outcome, event: &str) -> Result<JobResult, AwsError> {
        let Some(object_id) = &outcome.object_id else { return Ok(JobResult::default()) };
        // What is expected later may wait as long again as everything is kept.
        let expires_at = self.expires_at() + if outcome.terminal { 0 } else { self.lifetime.as_secs().cast_signed() };
        let mut change = Change::default()
            .set("category", text(category))
            .set("object_id", text(object_id))
            .set("status", text(&outcome.status))
            .set("terminal", number(outcome.terminal.into()))
            .set("as_of", number(outcome.as_of))
            .set("counts", object(&outcome.counts))
            .set("times", object(&outcome.times))
            .set("summary", object(&outcome.summary))
            .set("artifacts", texts(&outcome.artifacts))
            .set_or_remove("error", outcome.error.as_deref().map(|error| text(bounded(error))))
            .set("event", text(event))
            .set("expires_at", number(expires_at))
            .returns_all();
        if outcome.terminal {
            change = change.remove("waiting");
        }
        let condition = "attribute_not_exists(#as_of) \
                         OR #terminal < :terminal \
                         OR (#terminal = :terminal AND #as_of <= :as_of)";
        let (written, item) =
            match self.change("record the job", &pk(category, object_id), SK, change, condition).await? {
                WriteResult::Yes(item) => (true, item),
                WriteResult::No(item) => (false, item),
            };
        Ok(JobResult { written, context: item.get("context").map(of_attribute) })
    }

    /// The record of an object, if there is one. Needs `dynamodb:GetItem`.
    pub async fn job(&self, category: &str, object_id: &str) -> Result<Option<JobRecord>, AwsError> {
        let item = self.item("read the job", &pk(category, object_id), SK).await?;
        // An object that is only expected has no status yet.
        Ok(item.and_then(|item| {
            Some(JobRecord {
                status: read_text(&item, "status")?.to_owned(),
                terminal: read_number(&item, "terminal") == Some(1),
                as_of: read_number(&item, "as_of").unwrap_or_default(),
            })
        }))
    }
}

pub(super) fn pk(category: &str, object_id: &str) -> String {
    format!("job#{category}#{object_id}")
}
