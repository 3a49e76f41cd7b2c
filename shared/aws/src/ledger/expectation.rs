//! What is expected of an object: that it ends by a certain time, and what its outcome shall carry. It is a part of the
//! job's item, so that one write records the end and meets the expectation.
//!
//! Whoever creates an object may write it, in any language: docs/expectations.md describes the attributes. So nothing
//! in them is taken for granted here.

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Map, Value};

use super::change::{Change, Item, WriteResult};
use super::job::{SK, pk};
use super::value::{number, read_text, text};
use super::{Ledger, now};
use crate::AwsError;

const INDEX: &str = "by-due";

/// The longest context, in bytes of JSON. It goes onto the bus with the outcome.
pub const MAX_CONTEXT: usize = 4 * 1024;

/// Expectation of an object's end.
#[derive(Clone, Copy, Debug)]
pub struct Expectation<'a> {
    /// Category of the object's events: `response`, `batch` or `fine-tuning`.
    pub category: &'a str,
    /// Id of the object.
    pub object_id: &'a str,
    /// Time at which people are told that it has not ended, in Unix seconds.
    pub due_at: i64,
    /// Context that its outcome shall carry: a JSON object of [`MAX_CONTEXT`] bytes at most.
    pub context: Option<&'a str>,
}

/// An expectation was not written.
#[derive(Debug, thiserror::Error)]
pub enum ExpectError {
    /// Its context cannot be carried.
    #[error("the context {0}")]
    Context(&'static str),
    /// The table could not be written to.
    #[error(transparent)]
    Ledger(#[from] AwsError),
}

/// An expectation that nothing has met yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Id of the object; the whole `pk` of a group of alerts.
    pub object_id: String,
    /// Time by which it should have ended, in Unix seconds.
    pub due_at: i64,
    /// Time at which the expectation was written, in Unix seconds, if it says so.
    pub created_at: Option<i64>,
    pk: String,
    sk: String,
    /// The number as it was written, which may have a fraction.
    due: String,
}

/// Some of the expectations that wait.
#[derive(Clone, Debug, Default)]
pub struct WaitingPage {
    /// The expectations, the one due first at first.
    pub items: Vec<Waiting>,
    /// Place where the next page begins; `None` when this is the last one.
    pub next: Option<Waiting>,
}

impl Ledger {
    /// Records what is expected of an object, over whatever was expected of it before.
    ///
    /// It is kept for as long after its time as everything else after its end, so that a late end still finds it. An
    /// object that has ended is expected no more, but its context stays for events that come again.
    pub async fn expect(&self, expectation: &Expectation<'_>) -> Result<(), ExpectError> {
        const ACTION: &str = "record what is expected";
        let Expectation { category, object_id, due_at, context } = *expectation;
        context.map_or(Ok(()), check_context).map_err(ExpectError::Context)?;
        let expected = || {
            Change::default()
                .set("category", text(category))
                .set("object_id", text(object_id))
                .set("due_at", number(due_at))
                .set("created_at", number(now() / 1000))
                .set_or_remove("context", context.map(text))
        };
        let waiting = expected()
            .set("waiting", text(category))
            .set("expires_at", number(self.expires_at().saturating_add((due_at - now() / 1000).max(0))))
            .remove("overdue_at")
            .remove("queue_again_at")
            .compare("terminal")
            .value("no", number(0));
        let (pk, condition) = (pk(category, object_id), "attribute_not_exists(#terminal) OR #terminal = :no");
        if let WriteResult::No(_) = self.change(ACTION, &pk, SK, waiting, condition).await? {
            self.change(ACTION, &pk, SK, expected(), "attribute_exists(pk)").await?;
        }
        Ok(())
    }

    /// Expects the end of an object no more. Its context stays for its outcome. `false`: nothing was expected.
    pub async fn expect_no_more(&self, category: &str, object_id: &str) -> Result<bool, AwsError> {
        let change = Change::default().remove("waiting").remove("due_at").remove("queue_again_at");
        let written = self
            .change("delete the expectation", &pk(category, object_id), SK, change, "attribute_exists(#waiting)")
            .await?;
        Ok(matches!(written, WriteResult::Yes(_)))
    }

    /// The expectations of a category that wait and are due before a moment (Unix seconds), behind those that were
    /// looked at before. Needs `dynamodb:Query` on the index `by-due`, which lags behind the table by some seconds.
    pub async fn waiting(
        &self,
        category: &str,
        due_before: i64,
        after: Option<&Waiting>,
        limit: u16,
    ) -> Result<WaitingPage, AwsError> {
        let start = after.map(|last| {
            let due = AttributeValue::N(last.due.clone());
            let key = [("pk", text(&last.pk)), ("sk", text(&last.sk)), ("due_at", due), ("waiting", text(category))];
            key.map(|(name, value)| (name.to_owned(), value)).into()
        });
        let request = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(INDEX)
            .key_condition_expression("#waiting = :waiting AND #due_at < :due_before")
            .expression_attribute_names("#waiting", "waiting")
            .expression_attribute_names("#due_at", "due_at")
            .expression_attribute_values(":waiting", text(category))
            .expression_attribute_values(":due_before", number(due_before))
            .filter_expression("attribute_not_exists(#terminal) OR #terminal = :no")
            .expression_attribute_names("#terminal", "terminal")
            .expression_attribute_values(":no", number(0))
            .set_exclusive_start_key(start)
            .limit(limit.into());
        // Not another program's item of the table: nobody here may write to it, nor could what it waits for end.
        let ours = [pk(category, ""), super::alerts::PREFIX.to_owned()];
        let is_ours = |waiting: &Waiting| ours.iter().any(|prefix| waiting.pk.starts_with(prefix));
        let found = request.send().await.map_err(AwsError::of("list what is expected"))?;
        Ok(WaitingPage {
            items: found.items().iter().filter_map(|item| Waiting::of(category, item)).filter(is_ours).collect(),
            next: found.last_evaluated_key().and_then(|key| Waiting::of(category, key)),
        })
    }

    /// Reserves the queueing of an event of an expected object at `now`, so that only one is under way: the next one may be
    /// queued at `again_at` (both in Unix seconds). `false` when one is under way, or when the expectation has been met or
    /// written anew meanwhile. To be called before the event is queued.
    pub async fn queueing(&self, waiting: &Waiting, now: i64, again_at: i64) -> Result<bool, AwsError> {
        let change = Change::default()
            .set("queue_again_at", number(again_at))
            .compare("waiting")
            .compare("due_at")
            .value("due_at", AttributeValue::N(waiting.due.clone()))
            .value("now", number(now));
        let condition = "attribute_exists(#waiting) AND #due_at = :due_at \
                         AND (attribute_not_exists(#queue_again_at) OR #queue_again_at <= :now)";
        let written = self.change("note what is queued", &waiting.pk, &waiting.sk, change, condition).await?;
        Ok(matches!(written, WriteResult::Yes(_)))
    }

    /// Remembers that people were told of an expectation that was not met in time. `false` when it has been met or
    /// written anew meanwhile.
    pub async fn overdue(&self, waiting: &Waiting) -> Result<bool, AwsError> {
        let change = Change::default()
            .set("overdue_at", number(now() / 1000))
            .remove("waiting")
            .compare("due_at")
            .value("due_at", AttributeValue::N(waiting.due.clone()));
        let condition = "attribute_exists(#waiting) AND #due_at = :due_at";
        let written = self.change("mark what is overdue", &waiting.pk, &waiting.sk, change, condition).await?;
        Ok(matches!(written, WriteResult::Yes(_)))
    }
}

impl Waiting {
    /// `None` when it has no keys, which no item of the index lacks.
    fn of(category: &str, item: &Item) -> Option<Self> {
        let (pk, sk) = (read_text(item, "pk")?.to_owned(), read_text(item, "sk")?.to_owned());
        let due = item.get("due_at")?.as_n().ok()?.clone();
        Some(Self {
            object_id: pk.strip_prefix(&super::job::pk(category, "")).unwrap_or(&pk).to_owned(),
            due_at: seconds(&due),
            created_at: item.get("created_at").and_then(|at| at.as_n().ok()).map(|at| seconds(at)),
            pk,
            sk,
            due,
        })
    }
}

/// A number of seconds, whose fraction does not matter.
#[expect(clippy::cast_possible_truncation, reason = "a float beyond it becomes the greatest whole number")]
fn seconds(number: &str) -> i64 {
    number.parse().unwrap_or_else(|_| number.parse::<f64>().unwrap_or_default() as i64)
}

pub(super) fn of_attribute(context: &AttributeValue) -> Result<Map<String, Value>, &'static str> {
    read_context(context.as_s().map_err(|_| "is not a text with JSON in it")?)
}

/// Says what keeps a context from being carried, if something does.
pub fn check_context(context: &str) -> Result<(), &'static str> {
    read_context(context).map(drop)
}

fn read_context(context: &str) -> Result<Map<String, Value>, &'static str> {
    if context.len() > MAX_CONTEXT {
        return Err("is larger than 4096 bytes");
    }
    serde_json::from_str(context).map_err(|_| "is not a JSON object")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_is_a_json_object_of_four_kibibytes_at_most() {
        let largest = format!(r#"{{"a":"{}"}}"#, "x".repeat(MAX_CONTEXT - 8));
        assert_eq!(read_context(&largest).unwrap().len(), 1);
        assert_eq!(read_context(&format!("{largest} ")), Err("is larger than 4096 bytes"));
        for other in ["", "[]", "null", "7", r#""text""#, "{", "{}{}", &"[".repeat(4000)] {
            assert_eq!(read_context(other), Err("is not a JSON object"), "{other}");
        }
        let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(1000), "]".repeat(1000));
        assert_eq!(read_context(&deep), Err("is not a JSON object"), "too deep to be read");
        assert_eq!(of_attribute(&number(7)), Err("is not a text with JSON in it"));
    }

    #[test]
    fn seconds_may_have_a_fraction_and_any_size() {
        assert_eq!(
            ["1795300000", "1795300000.75", "-3", "1e40"].map(seconds),
            [1_795_300_000, 1_795_300_000, -3, i64::MAX]
        );
    }
}
