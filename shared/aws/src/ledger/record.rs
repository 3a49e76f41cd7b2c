//! The idempotency record: the only lock. Its rules are those of [`hooks_protocol`].

use hooks_protocol::{Decision, Kind, Record, Status, decide};

use super::change::{Change, Item, WriteResult};
use super::value::{map, number, read_map, read_number, read_text, text, texts};
use super::{AttemptEnd, Ledger, bounded, now, random_token};
use crate::AwsError;

const SK: &str = "record";

/// Number of times that a claim is decided anew because somebody else wrote in between.
const RACES: usize = 8;

/// A claim on an idempotency key. Every later write names its token, and is refused once the record has another one.
#[derive(Clone, Debug)]
pub struct Claim {
    key: String,
    pub(super) event: String,
    pub(super) token: String,
    /// Time of the claim in milliseconds since the Unix epoch.
    pub claimed_at: i64,
    /// Number of claims of the key, this one included.
    pub claims: u32,
    /// Whether it is a replay's claim on what was completed before.
    pub replaying: bool,
    /// Whether a request that cannot be taken back may have been sent before.
    pub acted: bool,
    /// The record before this claim.
    pub before: Option<IdempotencyRecord>,
}

/// Result of asking for a claim.
#[derive(Debug)]
pub enum ClaimResult {
    /// The record is ours until its lease ends.
    Granted(Claim),
    /// Somebody else holds it.
    Busy {
        /// End of their lease, in milliseconds since the Unix epoch.
        until: i64,
    },
    /// There is nothing to do. The record says why.
    Ended(IdempotencyRecord),
}

/// Result of a holder's write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum RecordResult {
    /// It is written.
    Written,
    /// Somebody else has claimed the record meanwhile, and theirs is the word that counts.
    Superseded,
}

/// An idempotency record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyRecord {
    /// State.
    pub status: Status,
    /// Token of the latest claim.
    pub token: String,
    /// Event of the latest claim that was not a replay's, or of the replay that completed it: endpoint and webhook id,
    /// joined by `#`.
    pub event: String,
    /// End of the lease in milliseconds since the Unix epoch; 0 when it was ended.
    pub lease_until: i64,
    /// Time of the latest claim in milliseconds since the Unix epoch.
    pub claimed_at: i64,
    /// Number of claims.
    pub claims: u32,
    /// Time of the end in milliseconds since the Unix epoch.
    pub ended_at: Option<i64>,
    /// Number of the claim that ended it. A replay that is kept claims it later and leaves this.
    pub ended_by: u32,
    /// Whether a request that cannot be taken back may have been sent.
    pub acting: bool,
    /// Outcome: the object's status, the artifacts, and why nothing was done, if nothing was.
    pub outcome: Option<(String, Vec<String>, Option<String>)>,
    /// Failure: a short code, and the reason in words.
    pub error: Option<(String, String)>,
}

impl Claim {
    /// A claim that is to be made, on this key for the event of this delivery.
    #[must_use]
    pub fn new(key: impl Into<String>, endpoint: &str, webhook_id: &str) -> Self {
        Self {
            key: key.into(),
            event: format!("{endpoint}#{webhook_id}"),
            token: random_token(),
            claimed_at: now(),
            claims: 1,
            replaying: false,
            acted: false,
            before: None,
        }
    }

    /// The event of the claim: endpoint and webhook id, joined by `#`.
    #[must_use]
    pub fn event(&self) -> &str {
        &self.event
    }

    /// The idempotency key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    fn granted(self, before: Option<IdempotencyRecord>, status: Status) -> ClaimResult {
        ClaimResult::Granted(Self {
            acted: before.as_ref().is_some_and(|before| before.acting && before.status != Status::Completed),
            claims: claims(before.as_ref()),
            replaying: status == Status::Replaying,
            before,
            ..self
        })
    }
}

impl Ledger {
    /// Claims the record until `lease_until` (milliseconds since the Unix epoch), if [`decide`] says so.
    ///
    /// Each try is one write under the condition that the record is still the one that was decided upon, of which
    /// nothing but the first guess (there is none) costs more than that write. After an error the claim may have been
    /// made: [`end`](Self::end) as [`AttemptEnd::Later`] releases it.
    pub async fn claim(&self, claim: Claim, kind: &Kind<String>, lease_until: i64) -> Result<ClaimResult, AwsError> {
        const ACTION: &str = "claim the idempotency record";
        let mut found: Option<IdempotencyRecord> = None;
        for _ in 0..RACES {
            let lock = found.as_ref().map(|record| record.lock(now()));
            let status = match (decide(lock.as_ref(), &claim.event, kind), &found) {
                (Decision::Take(status), _) => status,
                (Decision::Busy, Some(record)) => return Ok(ClaimResult::Busy { until: record.lease_until }),
                (Decision::Acknowledge, Some(record)) => return Ok(ClaimResult::Ended(record.clone())),
                // Without a record everybody may take it.
                (_, None) => break,
            };
            match self.write_claim(ACTION, &claim, found.as_ref(), status, lease_until).await? {
                WriteResult::Yes(_) => return Ok(claim.granted(found, status)),
                // The SDK tried twice: the first try was made, but its answer got lost.
                WriteResult::No(item) if read_text(&item, "token") == Some(&claim.token) => {
                    return Ok(claim.granted(found, status));
                }
                WriteResult::No(item) => {
                    let record = IdempotencyRecord::read(&item);
                    found = Some(record.ok_or_else(|| AwsError::new(ACTION, "the item has no status"))?);
                }
            }
        }
        Err(AwsError::new(ACTION, "others kept writing the same item"))
    }

    async fn write_claim(
        &self,
        action: &'static str,
        claim: &Claim,
        found: Option<&IdempotencyRecord>,
        status: Status,
        lease_until: i64,
    ) -> Result<WriteResult, AwsError> {
        let mut change = Change::default()
            .set("status", text(status.as_str()))
            .set("token", text(&claim.token))
            .set("lease_until", number(lease_until))
            .set("claimed_at", number(claim.claimed_at))
            .set("claims", number(claims(found).into()))
            .set("expires_at", number(self.expires_at()));
        if status == Status::InProgress {
            change = change.set("event", text(&claim.event)).remove("ended_at").remove("outcome").remove("error");
            change = change.remove("ended_by");
        }
        let mut condition = "attribute_not_exists(pk)";
        if let Some(found) = found {
            if found.status == Status::Completed {
                change = change.remove("acting");
            }
            change = change
                .value("found_token", text(&found.token))
                .value("found_status", text(found.status.as_str()))
                .value("found_lease", number(found.lease_until));
            condition = "#token = :found_token AND #status = :found_status AND #lease_until = :found_lease";
        }
        self.change(action, &pk(&claim.key), SK, change, condition).await
    }

    /// Remembers that a request that cannot be taken back may have been sent (to be written before it is), or that none
    /// was.
    pub async fn acting(&self, claim: &Claim, acting: bool) -> Result<RecordResult, AwsError> {
        let change = Change::default().set_or_remove("acting", acting.then(|| number(1)));
        self.as_holder(claim, change, None, "note the request").await
    }

    /// Ends the claim. A failed one only once the dead letter is sent: whoever finds a record failed relies on that.
    /// A replay that is kept leaves the record as it was, completed. One that is tried again later is free at once.
    pub async fn end(&self, claim: &Claim, end: &AttemptEnd<'_>) -> Result<RecordResult, AwsError> {
        let (change, status, action) = match *end {
            AttemptEnd::Found(status, outcome) => {
                let entries = [
                    Some(("status", text(&outcome.status))),
                    Some(("artifacts", texts(&outcome.artifacts))),
                    outcome.note.as_deref().map(|note| ("note", text(bounded(note)))),
                ];
                let change = ended(claim).set("event", text(&claim.event)).set("outcome", map(entries)).remove("error");
                (change, Some(status), "complete the idempotency record")
            }
            AttemptEnd::Failed(reason, message) => {
                let error = map([Some(("reason", text(reason))), Some(("message", text(bounded(message))))]);
                (ended(claim).set("error", error), Some(Status::Failed), "mark the idempotency record as failed")
            }
            AttemptEnd::Kept(..) => (Change::default(), Some(Status::Completed), "restore the idempotency record"),
            AttemptEnd::Later(_) => (Change::default(), None, "release the idempotency record"),
        };
        self.as_holder(claim, change.set("lease_until", number(0)), status, action).await
    }

    /// Writes to the record if the claim still holds it. A new status ends the claim.
    async fn as_holder(
        &self,
        claim: &Claim,
        change: Change,
        status: Option<Status>,
        action: &'static str,
    ) -> Result<RecordResult, AwsError> {
        let change = match status {
            Some(status) => change.set("status", text(status.as_str())),
            None => change.compare("status"),
        };
        let change = change
            .compare("token")
            .value("holder", text(&claim.token))
            .value("in_progress", text(Status::InProgress.as_str()))
            .value("replaying", text(Status::Replaying.as_str()));
        let condition = "#token = :holder AND #status IN (:in_progress, :replaying)";
        Ok(match self.change(action, &pk(&claim.key), SK, change, condition).await? {
            WriteResult::Yes(_) => RecordResult::Written,
            // The SDK tried twice: the first try was made, but its answer got lost.
            WriteResult::No(item)
                if read_text(&item, "token") == Some(&claim.token)
                    && read_text(&item, "status") == status.map(Status::as_str) =>
            {
                RecordResult::Written
            }
            WriteResult::No(_) => RecordResult::Superseded,
        })
    }

    /// The record of a key. Needs `dynamodb:GetItem`.
    pub async fn idempotency_record(&self, key: &str) -> Result<Option<IdempotencyRecord>, AwsError> {
        let item = self.item("read the idempotency record", &pk(key), SK).await?;
        Ok(item.as_ref().and_then(IdempotencyRecord::read))
    }
}

impl IdempotencyRecord {
    /// Reads a record's item. `None` when it has no status, token or event.
    #[must_use]
    pub fn read(item: &Item) -> Option<Self> {
        let said = |item: &Item, name| read_text(item, name).map(str::to_owned);
        Some(Self {
            status: read_text(item, "status").and_then(Status::parse)?,
            token: said(item, "token")?,
            event: said(item, "event")?,
            lease_until: read_number(item, "lease_until").unwrap_or_default(),
            claimed_at: read_number(item, "claimed_at").unwrap_or_default(),
            claims: read_number(item, "claims").and_then(|claims| claims.try_into().ok()).unwrap_or(1),
            ended_at: read_number(item, "ended_at"),
            ended_by: read_number(item, "ended_by").and_then(|claim| claim.try_into().ok()).unwrap_or_default(),
            acting: item.contains_key("acting"),
            outcome: read_map(item, "outcome").map(|outcome| {
                let artifacts = outcome.get("artifacts").and_then(|artifacts| artifacts.as_l().ok());
                let artifacts = artifacts.into_iter().flatten().filter_map(|key| key.as_s().ok().cloned()).collect();
                (said(outcome, "status").unwrap_or_default(), artifacts, said(outcome, "note"))
            }),
            error: read_map(item, "error")
                .map(|error| (said(error, "reason").unwrap_or_default(), said(error, "message").unwrap_or_default())),
        })
    }

    /// The part of it that decides, at a moment (milliseconds since the Unix epoch).
    #[must_use]
    pub fn lock(&self, now: i64) -> Record<String> {
        let leased = self.lease_until >= now;
        Record { status: self.status, token: self.token.clone(), event: self.event.clone(), leased }
    }
}

fn pk(key: &str) -> String {
    format!("idempotency#{key}")
}

fn ended(claim: &Claim) -> Change {
    Change::default().set("ended_at", number(now())).set("ended_by", number(claim.claims.into()))
}

fn claims(before: Option<&IdempotencyRecord>) -> u32 {
    before.map_or(1, |before| before.claims.saturating_add(1))
}
