//! The item of a job: what an object is now.

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Map, Value};

use super::value::{number, object, text, texts};
use super::{Hold, Ledger, LedgerError, bounded, expires_at};

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

impl Ledger {
    /// Records what an object is now, unless something newer is recorded already. Says whether it was written.
    ///
    /// Events arrive in any order, so the order they were looked at decides, not the order they came in: a final
    /// status stays, whatever comes later, unless that is final too and was seen later. A progress update that was
    /// held up on its way never turns a finished job back.
    pub async fn record_job(&self, job: &Job<'_>, hold: &Hold) -> Result<bool, LedgerError> {
        const CONDITION: &str = "attribute_not_exists(pk) \
                                 OR #terminal < :terminal \
                                 OR (#terminal = :terminal AND #as_of <= :as_of)";
        let result = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item(job, hold).into_iter().map(|(name, value)| (name.to_owned(), value)).collect()))
            .condition_expression(CONDITION)
            .expression_attribute_names("#terminal", "terminal")
            .expression_attribute_names("#as_of", "as_of")
            .expression_attribute_values(":terminal", number(job.terminal.into()))
            .expression_attribute_values(":as_of", number(job.as_of))
            .send()
            .await;
        match result {
            Ok(_) => Ok(true),
            Err(error) if error.as_service_error().is_some_and(PutItemError::is_conditional_check_failed_exception) => {
                Ok(false)
            }
            Err(error) => Err(LedgerError::new("record the job", &error)),
        }
    }
}

fn item(job: &Job<'_>, hold: &Hold) -> Vec<(&'static str, AttributeValue)> {
    let mut item = vec![
        ("pk", text(format!("job#{}#{}", job.category, job.object_id))),
        ("sk", text(SK)),
        ("category", text(job.category)),
        ("object_id", text(job.object_id)),
        ("status", text(job.status)),
        ("terminal", number(job.terminal.into())),
        ("as_of", number(job.as_of)),
        ("counts", object(job.counts)),
        ("times", object(job.times)),
        ("summary", object(job.summary)),
        ("artifacts", texts(job.artifacts)),
        ("event", text(&hold.pk)),
        ("expires_at", number(expires_at())),
    ];
    if let Some(error) = job.error {
        item.push(("error", text(bounded(error))));
    }
    item
}
