//! The item of an event: taken up once at a time, and marked with how it ended.

use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use serde_json::{Map, Value};

use super::change::{Change, Item, WriteResult};
use super::value::{number, object, read_number, read_text, text};
use super::{Ledger, LedgerError, bounded, expires_at, now};

/// The sort key of an event's item.
const SK: &str = "event";

pub(super) const IN_PROGRESS: &str = "in_progress";
pub(super) const DONE: &str = "done";
const FAILED: &str = "failed";

/// The longest body that is kept, in bytes; the module's documentation has the sum.
const MAX_BODY: usize = 300 * 1024;

/// An event as it was delivered.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// Which of our endpoints received it.
    pub endpoint: &'a str,
    /// The `webhook-id` header: the same for every delivery of one event to one endpoint.
    pub webhook_id: &'a str,
    /// The `webhook-timestamp` header, as received.
    pub webhook_timestamp: &'a str,
    /// The body's `id`.
    pub event_id: &'a str,
    /// The body's `type`.
    pub event_type: &'a str,
    /// Which function handles it.
    pub category: &'a str,
    /// What it is about.
    pub object_id: Option<&'a str>,
    /// How it came: `openai`, `reconcile` or `replay`.
    pub source: &'a str,
    /// The verified body.
    pub body: &'a str,
    /// When we received it, in milliseconds since the Unix epoch.
    pub received_at: i64,
}

/// Whether a message may bring back an event that has ended. The times are when SQS accepted the message, in
/// milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reclaim {
    /// An ordinary message: whatever has ended stays so.
    No,
    /// It was moved back from the dead-letter queue: an event that failed before that is taken up again.
    Redriven {
        /// When it was moved.
        sent_at: i64,
    },
    /// Somebody replays the event: it is taken up again, however it ended before that.
    Replayed {
        /// When it was asked for.
        sent_at: i64,
    },
}

impl Reclaim {
    /// Events that failed before this may be taken up.
    fn failed_before(self) -> i64 {
        match self {
            Self::No => 0,
            Self::Redriven { sent_at } | Self::Replayed { sent_at } => sent_at,
        }
    }

    /// Events and effects that were done before this may be taken up.
    pub(super) fn done_before(self) -> i64 {
        match self {
            Self::No | Self::Redriven { .. } => 0,
            Self::Replayed { sent_at } => sent_at,
        }
    }
}

/// What became of the wish to handle an event.
#[derive(Debug)]
pub enum ClaimResult {
    /// It is ours until the lease ends.
    Granted(Claim),
    /// Somebody else is on it.
    Busy {
        /// When their lease ends, in milliseconds since the Unix epoch.
        until: i64,
    },
    /// It was handled before.
    Done,
    /// It failed for good before; its dead letter was sent before that was written.
    Failed,
}

/// A claimed event. Every later write about it names this claim, and is refused once the event has another holder.
#[derive(Clone, Debug)]
pub struct Claim {
    pub(super) pk: String,
    token: String,
    attempt: u32,
}

impl Claim {
    /// How many times the event has been taken up, this time included.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }
}

/// How an event ended well.
#[derive(Clone, Copy, Debug)]
pub struct Completion<'a> {
    /// The status of what it is about.
    pub status: &'a str,
    /// Where its results are.
    pub artifacts: &'a [String],
    /// What is worth knowing.
    pub summary: &'a Map<String, Value>,
    /// Why nothing was done, when nothing was.
    pub note: Option<&'a str>,
}

/// Whether a write about a claimed event counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum RecordResult {
    /// It is written.
    Yes,
    /// Somebody else holds the event by now, and theirs is the word that counts.
    Superseded,
}

impl Ledger {
    /// Takes an event up until `lease_until` (milliseconds since the Unix epoch), unless the ledger says otherwise.
    pub async fn claim(
        &self,
        delivery: &Delivery<'_>,
        again: Reclaim,
        lease_until: i64,
    ) -> Result<ClaimResult, LedgerError> {
        const ACTION: &str = "claim the event";
        let pk = format!("event#{}#{}", delivery.endpoint, delivery.webhook_id);
        let token = format!("{:032x}", fastrand::u128(..));
        let change = description(delivery)
            .set("state", text(IN_PROGRESS))
            .count("attempts")
            .set("holder", text(&token))
            .set("lease_until", number(lease_until))
            .set("expires_at", number(expires_at()))
            .remove("handled_at")
            .remove("outcome")
            .remove("duplicate_of")
            .value("now", number(now()))
            .value("failed", text(FAILED))
            .value("failed_before", number(again.failed_before()))
            .value("done", text(DONE))
            .value("done_before", number(again.done_before()));
        let condition = "attribute_not_exists(pk) \
                         OR (#state = :state AND #lease_until < :now) \
                         OR (#state = :failed AND #handled_at < :failed_before) \
                         OR (#state = :done AND #handled_at < :done_before)";
        let item = match self.change(ACTION, &pk, SK, change, condition).await? {
            WriteResult::Yes(old) => {
                let attempt = count(read_number(&old, "attempts").unwrap_or(0) + 1);
                return Ok(ClaimResult::Granted(Claim { pk, token, attempt }));
            }
            WriteResult::No(item) => item,
        };
        // The SDK tried twice: the first try was made, but its answer got lost.
        if read_text(&item, "holder") == Some(&token) {
            let attempt = count(read_number(&item, "attempts").unwrap_or(1));
            return Ok(ClaimResult::Granted(Claim { pk, token, attempt }));
        }
        match read_text(&item, "state") {
            Some(IN_PROGRESS) => Ok(ClaimResult::Busy { until: read_number(&item, "lease_until").unwrap_or_default() }),
            Some(DONE) => Ok(ClaimResult::Done),
            Some(FAILED) => Ok(ClaimResult::Failed),
            _ => Err(LedgerError::unreadable(ACTION)),
        }
    }

    /// Marks an event as handled.
    pub async fn done(&self, claim: &Claim, ending: &Completion<'_>) -> Result<RecordResult, LedgerError> {
        let mut outcome = Map::new();
        outcome.insert("status".to_owned(), ending.status.into());
        outcome.insert("artifacts".to_owned(), ending.artifacts.into());
        outcome.insert("summary".to_owned(), Value::Object(ending.summary.clone()));
        if let Some(note) = ending.note {
            outcome.insert("note".to_owned(), bounded(note).into());
        }
        let change = Change::default().set("outcome", object(&outcome)).remove("error");
        self.end(claim, DONE, change, "mark the event as done").await
    }

    /// Marks an event as handled by another one that means the same; `other` is what
    /// [`KeyClaim::Done`](super::KeyClaim::Done) says.
    pub async fn duplicate(&self, claim: &Claim, other: &str) -> Result<RecordResult, LedgerError> {
        let change = Change::default().set("duplicate_of", text(other)).remove("error");
        self.end(claim, DONE, change, "mark the event as a duplicate").await
    }

    /// Marks an event as failed for good.
    ///
    /// Only once its dead letter is sent: whoever finds an event failed relies on that and drops their copy.
    pub async fn failed(&self, claim: &Claim, reason: &str, message: &str) -> Result<RecordResult, LedgerError> {
        let change = Change::default().set("error", error(reason, message));
        self.end(claim, FAILED, change, "mark the event as failed").await
    }

    /// Gives an event back, so that its next delivery may take it up at once.
    pub async fn release(&self, claim: &Claim, reason: &str, message: &str) -> Result<RecordResult, LedgerError> {
        let change = Change::default().set("error", error(reason, message));
        self.finish(claim, IN_PROGRESS, change, "release the event").await
    }

    async fn end(
        &self,
        claim: &Claim,
        state: &'static str,
        change: Change,
        action: &'static str,
    ) -> Result<RecordResult, LedgerError> {
        self.finish(claim, state, change.set("handled_at", number(now())), action).await
    }

    /// Writes the last word of a holder.
    async fn finish(
        &self,
        claim: &Claim,
        state: &'static str,
        change: Change,
        action: &'static str,
    ) -> Result<RecordResult, LedgerError> {
        let change = change
            .set("state", text(state))
            .set("lease_until", number(0))
            .compare("holder")
            .value("holder", text(&claim.token))
            .value("in_progress", text(IN_PROGRESS));
        let condition = "#holder = :holder AND #state = :in_progress";
        match self.change(action, &claim.pk, SK, change, condition).await? {
            WriteResult::Yes(_) => Ok(RecordResult::Yes),
            // The SDK tried twice: the first try was made, but its answer got lost.
            WriteResult::No(item) if is_ours(&item, claim) && read_text(&item, "state") == Some(state) => {
                Ok(RecordResult::Yes)
            }
            WriteResult::No(_) => Ok(RecordResult::Superseded),
        }
    }
}

fn is_ours(item: &Item, claim: &Claim) -> bool {
    read_text(item, "holder") == Some(&claim.token)
}

/// What a delivery says of its event. What the first delivery said of its arrival stays.
fn description(delivery: &Delivery<'_>) -> Change {
    let change = Change::default()
        .keep_or_set("day", text(day(delivery.received_at)))
        .keep_or_set("received_at", number(delivery.received_at))
        .keep_or_set("source", text(delivery.source))
        .set("endpoint", text(delivery.endpoint))
        .set("webhook_timestamp", text(delivery.webhook_timestamp))
        .set("event_id", text(delivery.event_id))
        .set("event_type", text(delivery.event_type))
        .set("category", text(delivery.category))
        .set_or_remove("object_id", delivery.object_id.map(text));
    let body = delivery.body;
    if body.len() <= MAX_BODY {
        change.set("body", text(body)).remove("body_omitted")
    } else {
        change.remove("body").set("body_omitted", number(body.len().try_into().unwrap_or(i64::MAX)))
    }
}

/// The day of a moment, in UTC: `2026-11-21`.
pub(super) fn day(millis: i64) -> String {
    let date = DateTime::from_millis(millis).fmt(Format::DateTime).unwrap_or_default();
    date.split('T').next().unwrap_or_default().to_owned()
}

fn error(reason: &str, message: &str) -> AttributeValue {
    AttributeValue::M(
        [("reason", text(reason)), ("message", text(bounded(message)))].map(|(k, v)| (k.to_owned(), v)).into(),
    )
}

fn count(attempts: i64) -> u32 {
    attempts.try_into().unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_a_day_in_utc() {
        assert_eq!(day(0), "1970-01-01");
        assert_eq!(day(1_795_305_599_999), "2026-11-21");
        assert_eq!(day(1_795_305_600_000), "2026-11-22");
    }

    #[test]
    fn only_what_was_asked_for_after_the_end_brings_an_event_back() {
        assert_eq!((Reclaim::No.failed_before(), Reclaim::No.done_before()), (0, 0));
        let redriven = Reclaim::Redriven { sent_at: 7 };
        assert_eq!((redriven.failed_before(), redriven.done_before()), (7, 0));
        let replayed = Reclaim::Replayed { sent_at: 7 };
        assert_eq!((replayed.failed_before(), replayed.done_before()), (7, 7));
    }
}
