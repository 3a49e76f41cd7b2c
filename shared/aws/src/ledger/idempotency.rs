//! The item of an effect: which event acts for all that mean the same.

use super::change::{Change, WriteResult};
use super::event::{DONE, IN_PROGRESS};
use super::value::{number, read_number, read_text, text};
use super::{Claim, Ledger, LedgerError, Reclaim, expires_at, now};

/// The sort key of an effect's item.
const SK: &str = "effect";

/// What became of the wish to act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyClaim {
    /// The event may act. It may have acted before, if it was taken up again.
    Granted,
    /// Another event is acting.
    Busy {
        /// When its lease ends, in milliseconds since the Unix epoch.
        until: i64,
    },
    /// Another event has acted.
    Done {
        /// The key of that event's item.
        by: String,
    },
}

impl Ledger {
    /// Lets the claimed event act for everything that has this effect key, until `lease_until` (milliseconds since the
    /// Unix epoch).
    ///
    /// One event can arrive under two webhook ids, at two endpoints say, and two events can mean the same. Each of
    /// them is claimed, but only one gets the effect. An event that holds the effect gets it again whatever its state,
    /// so that a retry can finish what it began.
    pub async fn claim_key(
        &self,
        key: &str,
        claim: &Claim,
        again: Reclaim,
        lease_until: i64,
    ) -> Result<KeyClaim, LedgerError> {
        const ACTION: &str = "claim the effect";
        let change = Change::default()
            .set("event", text(&claim.pk))
            .set("state", text(IN_PROGRESS))
            .set("lease_until", number(lease_until))
            .set("expires_at", number(expires_at()))
            .remove("handled_at")
            .value("now", number(now()))
            .value("done", text(DONE))
            .value("done_before", number(again.done_before()));
        let condition = "attribute_not_exists(pk) \
                         OR #event = :event \
                         OR (#state = :state AND #lease_until < :now) \
                         OR (#state = :done AND #handled_at < :done_before)";
        let item = match self.change(ACTION, &pk(key), SK, change, condition).await? {
            WriteResult::Yes(_) => return Ok(KeyClaim::Granted),
            WriteResult::No(item) => item,
        };
        match (read_text(&item, "state"), read_text(&item, "event")) {
            (Some(IN_PROGRESS), _) => Ok(KeyClaim::Busy { until: read_number(&item, "lease_until").unwrap_or(0) }),
            (Some(DONE), Some(event)) => Ok(KeyClaim::Done { by: event.to_owned() }),
            _ => Err(LedgerError::unreadable(ACTION)),
        }
    }

    /// Whether any event has ever been allowed to act for this effect key, however that ended. Needs
    /// `dynamodb:GetItem`.
    pub async fn is_key_known(&self, key: &str) -> Result<bool, LedgerError> {
        Ok(self.item("look up the effect", &pk(key), SK).await?.is_some())
    }

    /// Remembers that the event has acted.
    pub async fn complete_key(&self, key: &str, claim: &Claim) -> Result<(), LedgerError> {
        let change = Change::default().set("state", text(DONE)).set("handled_at", number(now()));
        self.as_actor(key, claim, change, "mark the effect as done").await
    }

    /// Gives the effect back, so that whoever comes next may act at once.
    pub async fn release_key(&self, key: &str, claim: &Claim) -> Result<(), LedgerError> {
        self.as_actor(key, claim, Change::default().set("state", text(IN_PROGRESS)), "release the effect").await
    }

    /// Writes to the effect if the event still has it. If not, its lease ended and another event acts: that one's
    /// word counts.
    async fn as_actor(
        &self,
        key: &str,
        claim: &Claim,
        change: Change,
        action: &'static str,
    ) -> Result<(), LedgerError> {
        let change = change.set("lease_until", number(0)).compare("event").value("event", text(&claim.pk));
        self.change(action, &pk(key), SK, change, "#event = :event").await.map(|_| ())
    }
}

fn pk(key: &str) -> String {
    format!("effect#{key}")
}
