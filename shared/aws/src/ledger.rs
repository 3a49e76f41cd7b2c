//! Which events, effects and jobs are where (`DynamoDB`).
//!
//! One table with the keys `pk` and `sk`, a time-to-live attribute `expires_at`, and two indexes: `by-day` over the
//! events' `day` and `received_at`, and `by-due` over the `waiting` and `due_at` of the expectations that wait:
//!
//! | item | `pk` | says |
//! |---|---|---|
//! | event | `event#{endpoint}#{webhook-id}` | what a delivery said and what became of it |
//! | effect | `effect#{effect key}` | which event acts, or has acted, for everything that means the same |
//! | job | `job#{category}#{object id}` | what an object is now |
//! | lease | `lease#{name}` | who does something that only one may do at a time |
//! | expectation | `expected#{category}#{object id}`, `sk` = `expected` | that an object will end, by when, and what its outcome shall carry |
//! | bookmark | `reconcile#{kind}`, `sk` = `bookmark` | how far reconciliation got in a list of OpenAI's |
//!
//! # One write decides
//!
//! Whoever wants to handle an event writes its item under a condition and learns from `DynamoDB` alone whether it may.
//! Reading first and writing then would let two deliveries that arrive together both read "nobody is on it". When the
//! condition fails, `DynamoDB` returns the item that stood in the way with the refusal, so the loser knows why without
//! a read either.
//!
//! The condition has three branches. Somebody may take an event up when
//!
//! 1. **nobody has seen it**: there is no item,
//! 2. **nobody is on it any more**: it is in progress, but its lease is over,
//! 3. **somebody asked for it again**: it has ended, and this message was put into the queue after that, by a redrive
//!    from the dead-letter queue (for a failed event) or by a replay (for any).
//!
//! ```text
//! time ─────────────────────────────────────────────────────────────────────────────────────────────────────▶
//!
//! delivery A   claims (1)  works ─────────── done
//! delivery B        refused: busy until the lease ends          refused: done, acknowledged
//!
//! delivery A   claims (1)  works ── the process dies            ┆ lease ends
//! its retry                    refused: busy until the lease ends ┆ claims (2)  works ───── done
//!
//! delivery A   claims (1)  works ── fails for now, releases
//! its retry                            claims (2) at once: a released lease is over
//!
//! delivery A   claims (1)  works ── can never work: dead letter, failed
//! its retry                                        refused: failed, acknowledged
//! its redrive                                                  claims (3)  works ───── done
//! redrive's retry                                                              refused: done, acknowledged
//! a replay                                                                            claims (3)  works ── done
//! ```
//!
//! A lease lasts until the invocation that took it is over, so a living holder never loses it. Should one write late
//! all the same (its clock was wrong, or it was frozen), every later write names the claim it was made under and is
//! refused when the event has another holder by then: a late answer changes nothing.
//!
//! The third branch compares with the moment the message was queued, not just with its being a redrive: the same
//! message may be handed out twice, and its second copy finds the event ended after the redrive, not before it.
//!
//! The SDK repeats a write whose answer got lost. The repeated claim then finds the item that its first try wrote, and
//! recognises it by the claim's random token: it is granted, not refused as busy with itself.
//!
//! # Bounds
//!
//! An item holds 400 KB. A verified body has at most 256 KiB, and a little more once characters that SQS refuses are
//! escaped; up to 300 KiB of it are kept (a larger one is left out, and `body_omitted` says how large it was). Messages
//! are cut at 1 KiB. That leaves 90 KB for an outcome, so a caller bounds outcomes and jobs at 32 KiB of JSON, which
//! is no more than twice that in `DynamoDB`'s measure.
//!
//! Everything but the bookmarks expires after 35 days, an expectation 35 days after its time: longer than OpenAI retries (72 hours) and queues keep (14 days, twice with a
//! redrive), so that no late copy of an event ever finds its item gone.
//!
//! # Expectations
//!
//! An expectation waits while it has the attribute `waiting`, and only then it is in the index `by-due`. One write takes
//! it away: of whoever handles the object's end ([`Ledger::meet`]), or of whoever told people that it is overdue
//! ([`Ledger::overdue`], which is refused once it was met). What it carries stays until it expires: an end that comes
//! late, or is replayed, is announced with it, too.
//!
//! # Permissions
//!
//! `dynamodb:UpdateItem` on the table; `dynamodb:GetItem`, `dynamodb:PutItem` and `dynamodb:Query` where a function says
//! so.

mod bookmark;
mod change;
mod error;
mod event;
mod expectation;
mod idempotency;
mod job;
mod lease;
pub mod value;

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;

use crate::Config;
use crate::clock::now_ms as now;

pub use bookmark::Bookmark;
pub use change::Item;
pub use error::LedgerError;
pub use event::{Claim, ClaimResult, Completion, Delivery, Reclaim, RecordResult};
pub use expectation::{ExpectError, Expectation, Expected, MAX_CONTEXT, Waiting, WaitingPage, check_context};
pub use idempotency::KeyClaim;
pub use job::{Job, JobRecord};
pub use lease::Lease;

/// How long anything stays in the table after it was last claimed or written.
const LIFETIME: Duration = Duration::from_hours(35 * 24);

/// The longest message that is kept of an error, in bytes.
const MAX_MESSAGE: usize = 1024;

/// How long one try of a write may take. They take milliseconds; a connection that hangs is given up and the write
/// tried again on another.
const TRY_TIMEOUT: Duration = Duration::from_secs(3);

/// The ledger: a table and the writes made to it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Ledger {
    client: Client,
    table: String,
}

impl Ledger {
    /// The ledger in the table of this name.
    #[must_use]
    pub fn new(config: &Config, table: impl Into<String>) -> Self {
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(TRY_TIMEOUT).build();
        let config = aws_sdk_dynamodb::config::Builder::from(config.sdk()).timeout_config(timeouts).build();
        Self { client: Client::from_conf(config), table: table.into() }
    }

    /// The client, for queries that only one program makes.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The table's name.
    #[must_use]
    pub fn table(&self) -> &str {
        &self.table
    }
}

/// When something written now expires, in Unix seconds as the table's time to live wants it.
fn expires_at() -> i64 {
    now() / 1000 + LIFETIME.as_secs().cast_signed()
}

/// The beginning of a message, cut between characters.
fn bounded(message: &str) -> &str {
    &message[..message.floor_char_boundary(MAX_MESSAGE)]
}
