//! The event's item: what a delivery said, and a log of the attempts. It decides nothing.
//!
//! It is written once at the end of each attempt, under the claim's token: written twice it is there once, and what a
//! late holder writes never covers what a later one wrote. When the process dies before it is written, the next receive
//! of the message writes it, from what the idempotency record says.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use hooks_protocol::Status;
use serde_json::{Map, Value};

use super::change::{Change, WriteResult};
use super::record::{Claim, IdempotencyRecord};
use super::value::{number, object, text, texts};
use super::{Ledger, LedgerError, bounded, expires_at, now};

/// The sort key of an event's item.
const SK: &str = "event";

/// The longest body that is kept, in bytes; the module's documentation has the sum.
const MAX_BODY: usize = 300 * 1024;

/// How many attempts are kept at least. With twice as many the older half is forgotten.
const ATTEMPTS: usize = 20;

/// Over how many keys of the index a day's events are spread, so that no day is one hot partition.
pub const SHARDS: usize = 16;

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
    /// Who asked for it, if somebody did.
    pub asked_by: Option<&'a str>,
    /// The verified body.
    pub body: &'a str,
    /// When we received it, in milliseconds since the Unix epoch.
    pub received_at: i64,
}

/// What was found of the event's object.
#[derive(Clone, Copy, Debug)]
pub struct Completion<'a> {
    /// Its status.
    pub status: &'a str,
    /// Where its results are.
    pub artifacts: &'a [String],
    /// What is worth knowing.
    pub summary: &'a Map<String, Value>,
    /// Why nothing was done, when nothing was.
    pub note: Option<&'a str>,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug)]
pub enum AttemptEnd<'a> {
    /// The event is completed, or its object does not exist.
    Found(Status, Completion<'a>),
    /// It is given up: a short code, and the reason in words.
    Failed(&'a str, &'a str),
    /// It is tried again later, for this reason.
    Later(&'a str),
    /// A replay failed, or found less than before: the event stays as it was. A short code, and the reason in words.
    Kept(&'a str, &'a str),
}

impl Ledger {
    /// Writes an attempt into the history of its event.
    ///
    /// `false`: a later attempt was written before, so this one is only added to the list.
    pub async fn log(&self, delivery: &Delivery<'_>, claim: &Claim, end: &AttemptEnd<'_>) -> Result<bool, LedgerError> {
        let (state, result, reason) = match *end {
            AttemptEnd::Found(status, completion) => (Some(status), completion.status, None),
            AttemptEnd::Failed(reason, message) => (Some(Status::Failed), "failed", Some((reason, message))),
            AttemptEnd::Later(message) => {
                ((!claim.replaying).then_some(Status::InProgress), "retry", Some(("retry", message)))
            }
            AttemptEnd::Kept(reason, message) => (None, "kept", Some((reason, message))),
        };
        let mut attempts = Vec::new();
        if let Some(before) = claim.before.as_ref().filter(|before| before.was_interrupted(claim)) {
            attempts.push(attempt(delivery, before.claimed_at, None, "interrupted", None));
        }
        attempts.push(attempt(delivery, claim.claimed_at, Some(now()), result, reason));
        let mut change = described(delivery).set("claims", number(claim.claims.into()));
        if let Some(state) = state {
            change = change.set("state", text(state.as_str())).remove("duplicate_of");
            change = match end {
                AttemptEnd::Found(_, completion) => found(change, completion).set("handled_at", number(now())),
                AttemptEnd::Failed(..) => error(change, reason).set("handled_at", number(now())),
                _ => error(change, reason).remove("handled_at"),
            };
        }
        let condition = "attribute_not_exists(pk) OR (#token <> :token AND #begun <= :begun)";
        let written =
            self.write_history(delivery, change, &claim.token, claim.claimed_at, &attempts, condition).await?;
        if written == Some(true) {
            return Ok(true);
        }
        if written.is_none() {
            let change = Change::default().append("attempts", attempts);
            let pk = pk(delivery);
            self.change("add to the event's history", &pk, SK, change, "attribute_exists(pk)").await?;
        }
        Ok(false)
    }

    /// Writes into the history of an event that has ended what its record says, unless it is there.
    pub async fn repair_log(&self, delivery: &Delivery<'_>, record: &IdempotencyRecord) -> Result<(), LedgerError> {
        let event = format!("{}#{}", delivery.endpoint, delivery.webhook_id);
        let is_own = record.event == event;
        if is_own && record.status == Status::Replaying {
            return Ok(());
        }
        let ended_at = record.ended_at.unwrap_or_else(now);
        let change =
            described(delivery).set("claims", number(record.claims.into())).set("handled_at", number(ended_at));
        let (change, result, reason, condition) = if is_own {
            let reason = record.error.as_ref().map(|(reason, message)| (reason.as_str(), message.as_str()));
            let state = change.set("state", text(record.status.as_str())).remove("duplicate_of");
            let (change, result) = match &record.outcome {
                Some((status, artifacts, note)) => {
                    let summary = Map::new();
                    let completion = Completion { status, artifacts, summary: &summary, note: note.as_deref() };
                    (found(state, &completion), status.as_str())
                }
                None => (error(state, reason), "failed"),
            };
            (change, result, reason, "attribute_not_exists(pk) OR (#token <> :token AND #begun <= :begun)")
        } else {
            let completed = text(Status::Completed.as_str());
            let change = change.set("state", completed).set("duplicate_of", text(&record.event));
            let change = change.remove("reason").remove("message");
            (change, "duplicate", None, "attribute_not_exists(pk) OR #state <> :state")
        };
        let begun = record.claimed_at;
        let attempts = [attempt(delivery, begun, record.ended_at, result, reason)];
        self.write_history(delivery, change, &record.token, begun, &attempts, condition).await.map(drop)
    }

    /// `None`: the condition does not hold, and another claim has written. `Some(false)`: it was written before.
    async fn write_history(
        &self,
        delivery: &Delivery<'_>,
        change: Change,
        token: &str,
        begun: i64,
        attempts: &[AttributeValue],
        condition: &str,
    ) -> Result<Option<bool>, LedgerError> {
        const ACTION: &str = "write the event's history";
        let pk = pk(delivery);
        let change = change.set("token", text(token)).set("begun", number(begun)).append("attempts", attempts.to_vec());
        match self.change_returning(ACTION, &pk, SK, change, condition, ReturnValue::UpdatedNew).await? {
            WriteResult::No(item) => Ok((super::value::read_text(&item, "token") == Some(token)).then_some(false)),
            WriteResult::Yes(item) => {
                let kept = item.get("attempts").and_then(|attempts| attempts.as_l().ok()).map_or(0, Vec::len);
                if kept >= 2 * ATTEMPTS {
                    let change = Change::default().remove_first("attempts", kept - ATTEMPTS);
                    self.change("shorten the event's history", &pk, SK, change, "attribute_exists(pk)").await?;
                }
                Ok(Some(true))
            }
        }
    }
}

impl IdempotencyRecord {
    /// Whether a claim of the same event ended by itself before this one: its process died.
    fn was_interrupted(&self, claim: &Claim) -> bool {
        self.event == claim.event && self.status == Status::InProgress && self.lease_until > 0
    }
}

fn pk(delivery: &Delivery<'_>) -> String {
    format!("event#{}#{}", delivery.endpoint, delivery.webhook_id)
}

/// What a delivery says of its event. What the first delivery said of its arrival stays.
fn described(delivery: &Delivery<'_>) -> Change {
    let change = Change::default()
        .keep_or_set("day", text(day_of(delivery.received_at, shard(delivery.webhook_id))))
        .keep_or_set("received_at", number(delivery.received_at))
        .keep_or_set("source", text(delivery.source))
        .set("webhook_timestamp", text(delivery.webhook_timestamp))
        .set("event_id", text(delivery.event_id))
        .set("event_type", text(delivery.event_type))
        .set("category", text(delivery.category))
        .set_or_remove("object_id", delivery.object_id.map(text))
        .set("expires_at", number(expires_at()));
    let body = delivery.body;
    if body.len() <= MAX_BODY {
        change.set("body", text(body)).remove("body_omitted")
    } else {
        change.remove("body").set("body_omitted", number(body.len().try_into().unwrap_or(i64::MAX)))
    }
}

fn found(change: Change, completion: &Completion<'_>) -> Change {
    change
        .set("result", text(completion.status))
        .set("artifacts", texts(completion.artifacts))
        .set("summary", object(completion.summary))
        .set_or_remove("note", completion.note.map(|note| text(bounded(note))))
        .remove("reason")
        .remove("message")
}

fn error(change: Change, reason: Option<(&str, &str)>) -> Change {
    change
        .set_or_remove("reason", reason.map(|(reason, _)| text(reason)))
        .set_or_remove("message", reason.map(|(_, message)| text(bounded(message))))
}

/// An entry of the list of attempts.
fn attempt(
    delivery: &Delivery<'_>,
    begun: i64,
    ended: Option<i64>,
    result: &str,
    reason: Option<(&str, &str)>,
) -> AttributeValue {
    let entries = [
        Some(("source", text(delivery.source))),
        delivery.asked_by.map(|who| ("asked_by", text(who))),
        Some(("begun", number(begun))),
        ended.map(|ended| ("ended", number(ended))),
        Some(("result", text(result))),
        reason.map(|(reason, _)| ("reason", text(reason))),
        reason.map(|(_, message)| ("message", text(bounded(message)))),
    ];
    let entries = entries.into_iter().flatten().map(|(name, value)| (name.to_owned(), value));
    AttributeValue::M(entries.collect::<HashMap<_, _>>())
}

/// The key of the index for a moment's day (UTC) and a shard: `2026-11-21#7`.
#[must_use]
pub fn day_of(millis: i64, shard: usize) -> String {
    let date = DateTime::from_millis(millis).fmt(Format::DateTime).unwrap_or_default();
    format!("{}#{shard}", date.split('T').next().unwrap_or_default())
}

/// FNV-1a of 32 bits, so that an event always has the same shard.
fn shard(webhook_id: &str) -> usize {
    let hash =
        webhook_id.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    (hash >> 8) as usize % SHARDS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_a_day_in_utc() {
        assert_eq!(day_of(0, 0), "1970-01-01#0");
        assert_eq!(day_of(1_795_305_599_999, 7), "2026-11-21#7");
        assert_eq!(day_of(1_795_305_600_000, 15), "2026-11-22#15");
    }

    #[test]
    fn events_are_spread_evenly() {
        let mut counts = [0; 16];
        for number in 0..16_000 {
            counts[shard(&format!("wh_{number}"))] += 1;
        }
        assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
    }
}
