//! Who works on which event, what became of it, and what objects are now (`DynamoDB`).
//!
//! One table with the keys `pk` and `sk`, a time-to-live attribute `expires_at`, and two indexes: `by-day` over the
//! events' `day` and `received_at`, and `by-due` over the `waiting` and `due_at` of the jobs that are expected to end,
//! of the alerts that wait, and of the live sessions that have not ended.
//!
//! | item | `pk` | `sk` | says |
//! |---|---|---|---|
//! | idempotency record | `idempotency#{key}` | `record` | who works, or has worked, on everything that means the same: the only lock |
//! | event | `event#{endpoint}#{webhook-id}` | `event` | what a delivery said, and the history of its attempts |
//! | body | that of its event | `body` | the whole body of an event of which the item above has a masked one, for a day |
//! | job | `job#{category}#{object id}` | `job` | what an object is now, by when it is expected to end, and what its outcome shall carry |
//! | lease | `lease#{name}` | `lease` | who does something that only one may do at a time |
//! | alerts | `alerts#{category}#{reason}#{severity}` | `alerts` | how many alerts of a kind nobody was told of yet |
//! | bookmark | `reconcile#{kind}` | `bookmark` | how far reconciliation got in a list of OpenAI's |
//! | session | `session#{api}#{id}` | `session` | who supervises a live session, and what is known of it |
//! | tool call | `session#{api}#{id}` | `tool#{call id}` | who runs a tool, and its result |
//! | control | `session#{api}#{id}` | `control#{id}` | what people ask of a session, and the answer |
//! | views | `console#views` | `views` | the console's saved views, which never expire |
//! | line | `session#{api}#{id}` | `line#{time}#{order}` | a line of its transcript |
//!
//! # One lock
//!
//! [`hooks_protocol`] has the rules. A claim is one conditional write: the record is still what was decided upon. When
//! the condition fails, `DynamoDB` returns the record with the refusal, and the decision is made anew from that. So the
//! rules exist once, in [`hooks_protocol::decide`], and no condition repeats them.
//!
//! A lease lasts until the invocation that took it is over, so a living holder never loses it. Should one write late
//! all the same (its clock was wrong, or it was frozen), its token is not the record's any more, and the write is
//! refused. The SDK repeats a write whose answer got lost; the token shows that the first try was made.
//!
//! # Bounds
//!
//! An event that goes well costs five write units, if no item of it is larger than 1 KB: the claim, the job, the end of
//! the record, the event's history, and that in the index `by-day`, which has sixteen keys for each day
//! (`2026-11-21#7`).
//!
//! An item holds 400 KB. Of a body up to 300 KiB are kept (a larger one is left out, and `body_omitted` says how large
//! it was), of a message 1 KiB, of attempts the last twenty at least. A caller bounds outcomes at 32 KiB of JSON, which
//! is at most twice that in `DynamoDB`'s measure.
//!
//! Everything but the bookmarks expires after 35 days, or as many as [`Ledger::keeping`] says (alerts after 14), a job that
//! has not ended after twice as long, or as long
//! after the time by which it is expected: longer than OpenAI retries (72 hours) and queues keep (14 days, twice with a
//! redrive), so that no late copy of an event ever finds its record gone.
//!
//! # Permissions
//!
//! `dynamodb:UpdateItem` on the table; `dynamodb:GetItem` and `dynamodb:Query` where a function says so.

mod alerts;
mod bookmark;
mod change;
mod control;
mod expectation;
mod history;
mod job;
mod lease;
mod open_sessions;
mod record;
mod session;
mod told;
mod tool_call;
mod transcript;
pub mod value;

use std::borrow::Cow;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;

use hooks_webhook::masked;

use crate::clock::now_ms as now;
use crate::{Config, Environment};

pub(crate) use alerts::AlertGroup;
pub use bookmark::Bookmark;
pub use change::Item;
pub use control::{Control, ControlAnswer};
pub use expectation::{ExpectError, Expectation, MAX_CONTEXT, Waiting, WaitingPage, check_context};
pub use history::{AttemptEnd, SHARDS, day_of};
pub use job::{JobRecord, JobResult};
pub use lease::Lease;
pub use open_sessions::OpenSessions;
pub use record::{Claim, ClaimResult, IdempotencyRecord, RecordResult};
pub use session::{HoldResult, NewSession, SessionHold, SessionRecord, SessionState, TakeResult};
pub use tool_call::{ToolCall, ToolClaim, ToolClaimResult, ToolResult};
pub use transcript::TranscriptLine;

/// Days that anything stays in the table after it was last claimed or written, unless the stack says otherwise.
pub const RETENTION_DAYS: u64 = 35;

/// Fewest days. A dead letter lies in its queue for 14, and waits for another 14 once it is redriven; OpenAI repeats a
/// delivery for three. A record that were forgotten before would let such a copy act a second time.
pub const MIN_RETENTION_DAYS: u64 = 32;

/// Most days: ten years.
pub const MAX_RETENTION_DAYS: u64 = 3650;

/// Hours of a day.
const DAY_HOURS: u64 = 24;

/// The longest message that is kept of an error, in bytes.
const MAX_MESSAGE: usize = 1024;

/// Time limit of one attempt. A connection that hangs is given up and the write tried again on another.
const TRY_TIMEOUT: Duration = Duration::from_secs(3);

/// The ledger: a table and the writes made to it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Ledger {
    client: Client,
    table: String,
    /// Time that anything stays after it was last claimed or written.
    lifetime: Duration,
    /// Whether data of callers and users is masked.
    masks: bool,
}

impl Ledger {
    /// The ledger in the table of this name.
    #[must_use]
    pub fn new(config: &Config, table: impl Into<String>) -> Self {
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(TRY_TIMEOUT).build();
        let config = aws_sdk_dynamodb::config::Builder::from(config.sdk()).timeout_config(timeouts).build();
        let lifetime = Duration::from_hours(RETENTION_DAYS * DAY_HOURS);
        Self { client: Client::from_conf(config), table: table.into(), lifetime, masks: true }
    }

    /// The ledger of a function: its table is `TABLE_NAME`, and what it writes is kept for `EVENT_RETENTION_DAYS`.
    pub fn from_env(environment: &mut Environment, config: Option<&Config>) -> Option<Self> {
        let table = environment.required("TABLE_NAME");
        let days = match environment.optional("EVENT_RETENTION_DAYS") {
            None => Some(RETENTION_DAYS),
            Some(days) => {
                let days = days.parse().ok().filter(|days| (MIN_RETENTION_DAYS..=MAX_RETENTION_DAYS).contains(days));
                if days.is_none() {
                    let problem = format!("is not a number from {MIN_RETENTION_DAYS} to {MAX_RETENTION_DAYS}");
                    environment.fault("EVENT_RETENTION_DAYS", &problem);
                }
                days
            }
        };
        Some(Self::new(config?, table?).keeping(days?))
    }

    /// The same ledger, in which what is written is kept for this number of days.
    #[must_use]
    pub fn keeping(self, days: u64) -> Self {
        let days = days.clamp(MIN_RETENTION_DAYS, MAX_RETENTION_DAYS);
        Self { lifetime: Duration::from_hours(days * DAY_HOURS), ..self }
    }

    /// Time at which something written now expires, in Unix seconds as the table's time to live wants it.
    fn expires_at(&self) -> i64 {
        now() / 1000 + self.lifetime.as_secs().cast_signed()
    }

    /// The same ledger, which masks data of callers and users in what it keeps, or does not. It does unless told.
    #[must_use]
    pub fn masking(self, masks: bool) -> Self {
        Self { masks, ..self }
    }

    /// The body of a dead letter: without the SIP headers of a call, which nobody can answer any more, and without the
    /// URL of an environment, which whoever connects it retrieves from OpenAI. The identifier of a user stays, because a
    /// redriven safety notice has to name it.
    #[must_use]
    pub fn body_of_dead_letter<'a>(&self, body: &'a str) -> Cow<'a, str> {
        let masked = self.masks.then(|| masked(body, &["sip_headers", "remote_url"])).flatten();
        masked.map_or(Cow::Borrowed(body), Cow::Owned)
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

/// A token that nobody else has.
fn random_token() -> String {
    format!("{:032x}", fastrand::u128(..))
}

/// The beginning of a message, cut between characters.
fn bounded(message: &str) -> &str {
    &message[..message.floor_char_boundary(MAX_MESSAGE)]
}
