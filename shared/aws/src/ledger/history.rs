//! The event's item: what a delivery said, and a log of the attempts. It decides nothing.
//!
//! It is written once at the end of each attempt, under the claim's token: written twice it is there once, and what a
//! late holder writes never covers what a later one wrote. When the process dies before it is written, the next receive
//! of the message writes it, from what the idempotency record says.

use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use hooks_protocol::Status;
use hooks_webhook::{PERSONAL, masked};

use super::change::{Change, WriteResult};
use super::record::{Claim, IdempotencyRecord};
use super::value::{map, number, object, read_number, read_text, text, texts};
use super::{Ledger, bounded, now};
use crate::AwsError;
use crate::outcomes::Outcome;
use crate::queue::Delivered;

const SK: &str = "event";

/// Sort key of the whole body of an event whose item has a masked one.
const BODY_SK: &str = "body";

/// Time for which a whole body is kept, in seconds: a replay needs it.
const WHOLE_BODY_SECONDS: i64 = 24 * 60 * 60;

/// Maximum length of a body that is kept, in bytes; the module's documentation has the sum.
const MAX_BODY: usize = 300 * 1024;

/// Number of attempts that are kept at least. With twice as many the older half is forgotten.
const ATTEMPTS: usize = 20;

/// Number of keys of the index over which a day's events are spread, so that no day is one hot partition.
pub const SHARDS: usize = 16;

/// The condition of a write that no later claim has made, nor this one before. The record counts its claims in the order
/// in which they were granted.
const NEWER: &str = "attribute_not_exists(pk) OR (#token <> :token AND #claims < :claims)";

/// The condition of telling an end: nobody has. The claim's own log and the repair may both do it, and in any order.
const UNTOLD: &str = "(attribute_not_exists(#end_told) OR #end_told <> :end_told)";

/// End of an attempt. A reason is a short code, with the reason in words.
#[derive(Clone, Copy, Debug)]
pub enum AttemptEnd<'a> {
    /// The event is completed, or its object does not exist.
    Found(Status, &'a Outcome),
    /// It is given up.
    Failed(&'a str, &'a str),
    /// It is tried again later, for this reason in words.
    Later(&'a str),
    /// A replay failed, or found less than before: the event stays as it was.
    Kept(&'a str, &'a str),
}

impl Ledger {
    /// Writes an attempt into the history of its event.
    ///
    /// `false`: it or a later attempt was written before, and a later one stays the last word.
    pub async fn log(&self, delivered: &Delivered, claim: &Claim, end: &AttemptEnd<'_>) -> Result<bool, AwsError> {
        let change = self.described(delivered).set("claims", number(claim.claims.into()));
        let told = |change: Change| change.set("end_told", number(claim.claims.into()));
        let ended = |change, status| told(state(change, status)).set("handled_at", number(now()));
        let (change, result, reason) = match *end {
            AttemptEnd::Found(status, outcome) => (found(ended(change, status), outcome), &*outcome.status, None),
            AttemptEnd::Failed(reason, message) => {
                let reason = Some((reason, message));
                (error(ended(change, Status::Failed), reason), "failed", reason)
            }
            AttemptEnd::Later(message) => {
                let reason = Some(("retry", message));
                let later = |change| error(state(change, Status::InProgress), reason).remove("handled_at");
                (if claim.replaying { change } else { later(change) }, "retry", reason)
            }
            AttemptEnd::Kept(reason, message) => {
                // Its own end may not be in the history yet, and with this claim's token nothing would repair it.
                let own = claim.before.as_ref().filter(|before| before.event == claim.event);
                let change = match own.and_then(|before| before.outcome.as_ref()) {
                    Some((status, artifacts, _)) => {
                        state(change, Status::Completed).set("result", text(status)).set("artifacts", texts(artifacts))
                    }
                    None => change,
                };
                (change, "kept", Some((reason, message)))
            }
        };
        // The process of a claim that ended by itself died.
        let died = |before: &&IdempotencyRecord| {
            before.event == claim.event && before.status == Status::InProgress && before.lease_until > 0
        };
        let interrupted = claim.before.as_ref().filter(died);
        let interrupted = interrupted.map(|before| attempt(delivered, before.claimed_at, None, "interrupted", None));
        let this = attempt(delivered, claim.claimed_at, Some(now()), result, reason);
        let attempts: Vec<_> = interrupted.into_iter().chain([this]).collect();
        match self.write(delivered, change, &claim.token, attempts.clone(), NEWER).await? {
            WriteResult::Yes(_) => Ok(true),
            WriteResult::No(item) if read_text(&item, "token") == Some(&claim.token) => Ok(false),
            WriteResult::No(_) => {
                let change = Change::default().append("attempts", attempts);
                let (change, condition) = match end {
                    AttemptEnd::Found(..) | AttemptEnd::Failed(..) => {
                        (told(change), format!("attribute_exists(pk) AND {UNTOLD}"))
                    }
                    AttemptEnd::Later(_) | AttemptEnd::Kept(..) => (change, "attribute_exists(pk)".to_owned()),
                };
                let action = "add to the event's history";
                self.change(action, &pk(delivered), SK, change, &condition).await.map(|_| false)
            }
        }
    }

    /// Writes into the history of an event that has ended what its record says, unless it is there.
    pub async fn repair_log(&self, delivered: &Delivered, record: &IdempotencyRecord) -> Result<(), AwsError> {
        let is_own = record.event == format!("{}#{}", delivered.message.endpoint, delivered.message.webhook_id);
        if is_own && record.status == Status::Replaying {
            return Ok(());
        }
        let change = self
            .described(delivered)
            .set("claims", number(record.claims.into()))
            .set("handled_at", number(record.ended_at.unwrap_or_else(now)));
        let told = |change: Change| change.set("end_told", number(record.ended_by.into()));
        let untold = format!("attribute_not_exists(pk) OR (#token <> :token AND #claims < :claims AND {UNTOLD})");
        let (change, result, reason, condition) = match &record.outcome {
            _ if !is_own => {
                let change = change.set("state", text(Status::Completed.as_str()));
                let change = error(change.set("duplicate_of", text(&record.event)), None);
                (change, "duplicate", None, "attribute_not_exists(pk) OR #state <> :state")
            }
            Some((status, artifacts, note)) => {
                let (artifacts, note) = (artifacts.clone(), note.clone());
                let outcome = Outcome { artifacts, note, ..Outcome::new(status, record.claimed_at) };
                (found(told(state(change, record.status)), &outcome), status.as_str(), None, &*untold)
            }
            None => {
                let reason = record.error.as_ref().map(|(reason, message)| (reason.as_str(), message.as_str()));
                (error(told(state(change, record.status)), reason), "failed", reason, &*untold)
            }
        };
        let attempts = vec![attempt(delivered, record.claimed_at, record.ended_at, result, reason)];
        self.write(delivered, change, &record.token, attempts, condition).await.map(drop)
    }

    /// The body with the data of callers and users masked; `None` when it has none, or when nothing is masked.
    fn masked(&self, Delivered { message, .. }: &Delivered) -> Option<String> {
        if self.masks { masked(&message.body, &PERSONAL) } else { None }
    }

    /// The delivery's part of the item. The first delivery's arrival stays.
    fn described(&self, delivered: &Delivered) -> Change {
        let Delivered { category, message, event } = delivered;
        let received_at = message.received_at.cast_signed();
        let change = Change::default()
            .keep_or_set("day", text(day_of(received_at, shard(&message.webhook_id))))
            .keep_or_set("received_at", number(received_at))
            .keep_or_set("source", text(message.source.as_str()))
            .set("webhook_timestamp", text(&message.webhook_timestamp))
            .set("event_id", text(&event.id))
            .set("event_type", text(&event.event_type))
            .set("category", text(category.as_str()))
            .set_or_remove("object_id", event.object_id().map(text))
            .set("expires_at", number(self.expires_at()));
        let masked = self.masked(delivered);
        let change = change.set_or_remove("masked", masked.as_ref().map(|_| AttributeValue::Bool(true)));
        let body = masked.as_deref().unwrap_or(&message.body);
        if body.len() <= MAX_BODY {
            change.set("body", text(body)).remove("body_omitted")
        } else {
            change.remove("body").set("body_omitted", number(body.len().try_into().unwrap_or(i64::MAX)))
        }
    }

    /// The whole body of an event whose item has a masked one; `None` when its day is over. Needs `dynamodb:GetItem`.
    pub async fn whole_body(&self, key: &str) -> Result<Option<String>, AwsError> {
        let item = self.item("read the event's body", &format!("event#{key}"), BODY_SK).await?;
        // The table may keep an expired item for days.
        let item = item.filter(|item| read_number(item, "expires_at").is_some_and(|end| end > now() / 1000));
        Ok(item.and_then(|item| read_text(&item, "body").map(str::to_owned)))
    }

    async fn write(
        &self,
        delivered: &Delivered,
        change: Change,
        token: &str,
        attempts: Vec<AttributeValue>,
        condition: &str,
    ) -> Result<WriteResult, AwsError> {
        let pk = pk(delivered);
        if self.masked(delivered).is_some() && delivered.message.body.len() <= MAX_BODY {
            let whole = Change::default()
                .set("body", text(&delivered.message.body))
                .set("expires_at", number(now() / 1000 + WHOLE_BODY_SECONDS));
            self.change("keep the event's body for a day", &pk, BODY_SK, whole, "attribute_not_exists(pk)").await?;
        }
        let change = change.set("token", text(token)).append("attempts", attempts);
        let result = self.change("write the event's history", &pk, SK, change, condition).await?;
        if let WriteResult::Yes(item) = &result {
            let kept = item.get("attempts").and_then(|attempts| attempts.as_l().ok()).map_or(0, Vec::len);
            if kept >= 2 * ATTEMPTS {
                let change = Change::default().remove_first("attempts", kept - ATTEMPTS);
                self.change("shorten the event's history", &pk, SK, change, "attribute_exists(pk)").await?;
            }
        }
        Ok(result)
    }
}

fn pk(Delivered { message, .. }: &Delivered) -> String {
    format!("event#{}#{}", message.endpoint, message.webhook_id)
}

fn state(change: Change, status: Status) -> Change {
    change.set("state", text(status.as_str())).remove("duplicate_of")
}

fn found(change: Change, outcome: &Outcome) -> Change {
    let change = change
        .set("result", text(&outcome.status))
        .set("artifacts", texts(&outcome.artifacts))
        .set("summary", object(&outcome.summary))
        .set_or_remove("note", outcome.note.as_deref().map(|note| text(bounded(note))));
    error(change, None)
}

fn error(change: Change, reason: Option<(&str, &str)>) -> Change {
    change
        .set_or_remove("reason", reason.map(|(reason, _)| text(reason)))
        .set_or_remove("message", reason.map(|(_, message)| text(bounded(message))))
}

/// An entry of the list of attempts.
fn attempt(
    Delivered { message, .. }: &Delivered,
    begun: i64,
    ended: Option<i64>,
    result: &str,
    reason: Option<(&str, &str)>,
) -> AttributeValue {
    map([
        Some(("source", text(message.source.as_str()))),
        message.asked_by.as_ref().map(|who| ("asked_by", text(who))),
        Some(("begun", number(begun))),
        ended.map(|ended| ("ended", number(ended))),
        Some(("result", text(result))),
        reason.map(|(reason, _)| ("reason", text(reason))),
        reason.map(|(_, message)| ("message", text(bounded(message)))),
    ])
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
