//! The item of a job: what an object is now, and what is expected of it.

use aws_sdk_dynamodb::types::ReturnValue;
use serde_json::{Map, Value};

use super::change::{Change, WriteResult};
use super::expectation::of_attribute;
use super::record::Claim;
use super::value::{number, object, read_number, read_text, text, texts};
use super::{LIFETIME, Ledger, LedgerError, bounded, expires_at};

/// The sort key of a job's item.
pub(super) const SK: &str = "job";

/// What an object was when it was last looked at.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// Which function looked.
    pub category: &'a str,
    /// The object's id.
    pub object_id: &'a str,
    /// Its status, in OpenAI's words.
    pub status: &'a str,
    /// Whether that is final.
    pub terminal: bool,
    /// When it was looked at, in milliseconds since the Unix epoch.
    pub as_of: i64,
    /// Numbers by name.
    pub counts: &'a Map<String, Value>,
    /// Moments in its life by name.
    pub times: &'a Map<String, Value>,
    /// What else is worth knowing.
    pub summary: &'a Map<String, Value>,
    /// Where its results are.
    pub artifacts: &'a [String],
    /// What went wrong with it.
    pub error: Option<&'a str>,
}

/// What is recorded of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRecord {
    /// Its status, in OpenAI's words.
    pub status: String,
    /// Whether that is final.
    pub terminal: bool,
    /// When it was looked at, in milliseconds since the Unix epoch.
    pub as_of: i64,
}

/// What came of recording a job.
#[derive(Clone, Debug, PartialEq)]
pub struct JobResult {
    /// Whether it was written: nothing newer was recorded before.
    pub written: bool,
    /// What whoever expects the object's end wants its outcome to carry, or why that cannot be (`is not a JSON object`,
    /// say). `None` when nothing was recorded. Also an end that comes late, or again, has it.
    pub context: Option<Result<Map<String, Value>, &'static str>>,
}

impl Ledger {
    /// Records what an object is now, unless something newer is recorded already. A final status meets what is expected
    /// of it, in the same write.
    ///
    /// Events arrive in any order, so the order they were looked at decides, not the order they came in: a final
    /// status stays, whatever comes later, unless that is final too and was seen later. A progress update that was
    /// held up on its way never turns a finished job back.
    pub async fn record_job(&self, job: &Job<'_>, claim: &Claim) -> Result<JobResult, LedgerError> {
        let pk = pk(job.category, job.object_id);
        let mut change = Change::default()
            .set("category", text(job.category))
            .set("object_id", text(job.object_id))
            .set("status", text(job.status))
            .set("terminal", number(job.terminal.into()))
            .set("as_of", number(job.as_of))
            .set("counts", object(job.counts))
            .set("times", object(job.times))
            .set("summary", object(job.summary))
            .set("artifacts", texts(job.artifacts))
            .set_or_remove("error", job.error.map(|error| text(bounded(error))))
            .set("event", text(&claim.event));
        // What is expected later may wait as long again as everything is kept.
        let expires_at = expires_at() + if job.terminal { 0 } else { LIFETIME.as_secs().cast_signed() };
        change = change.set("expires_at", number(expires_at));
        if job.terminal {
            change = change.remove("waiting");
        }
        let condition = "attribute_not_exists(#as_of) \
                         OR #terminal < :terminal \
                         OR (#terminal = :terminal AND #as_of <= :as_of)";
        let all = ReturnValue::AllNew;
        let result = self.change_returning("record the job", &pk, SK, change, condition, all).await?;
        let (written, item) = match result {
            WriteResult::Yes(item) => (true, item),
            WriteResult::No(item) => (false, item),
        };
        Ok(JobResult { written, context: item.get("context").map(of_attribute) })
    }

    /// What is recorded of an object, if anything. Needs `dynamodb:GetItem`.
    pub async fn job(&self, category: &str, object_id: &str) -> Result<Option<JobRecord>, LedgerError> {
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
