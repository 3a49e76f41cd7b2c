//! The item of a job: what an object is now.

use serde_json::{Map, Value};

use super::change::{Change, WriteResult};
use super::value::{number, object, read_number, read_text, text, texts};
use super::{Claim, Ledger, LedgerError, bounded, expires_at};

/// The sort key of a job's item.
const SK: &str = "job";

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

impl Ledger {
    /// Records what an object is now, unless something newer is recorded already. Says whether it was written.
    ///
    /// Events arrive in any order, so the order they were looked at decides, not the order they came in: a final
    /// status stays, whatever comes later, unless that is final too and was seen later. A progress update that was
    /// held up on its way never turns a finished job back.
    pub async fn record_job(&self, job: &Job<'_>, claim: &Claim) -> Result<bool, LedgerError> {
        let pk = format!("job#{}#{}", job.category, job.object_id);
        let change = Change::default()
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
            .set("event", text(&claim.pk))
            .set("expires_at", number(expires_at()));
        let condition = "attribute_not_exists(pk) \
                         OR #terminal < :terminal \
                         OR (#terminal = :terminal AND #as_of <= :as_of)";
        match self.change("record the job", &pk, SK, change, condition).await? {
            WriteResult::Yes(_) => Ok(true),
            WriteResult::No(_) => Ok(false),
        }
    }

    /// What is recorded of an object, if anything. Needs `dynamodb:GetItem`.
    pub async fn job(&self, category: &str, object_id: &str) -> Result<Option<JobRecord>, LedgerError> {
        let item = self.item("read the job", &format!("job#{category}#{object_id}"), SK).await?;
        Ok(item.map(|item| JobRecord {
            status: read_text(&item, "status").unwrap_or_default().to_owned(),
            terminal: read_number(&item, "terminal") == Some(1),
            as_of: read_number(&item, "as_of").unwrap_or_default(),
        }))
    }
}
