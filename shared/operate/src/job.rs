//! Replay or redrive of many events, as a job.
//!
//! A job has a name, its filter as it was when it began, and the list of what it acts on. All of that is in the ledger, so
//! a job that was stopped, or whose process died, is resumed by its name, by the same host or another one.
//!
//! | item | `pk` | `sk` | says |
//! |---|---|---|---|
//! | job | `operation#{name}` | `operation` | kind, filter, who asked, state, counts |
//! | step | `operation#{name}` | `step#{key}` | one event or dead letter, and whether it was sent |
//!
//! # Exactly once
//!
//! | the process dies | what happens |
//! |---|---|
//! | while the list is written | there is no job: its item comes last. The steps expire |
//! | before a step is sent | it is sent when the job is resumed |
//! | after it was sent, before that is noted | it is sent again, and recognised: a replay carries the token that the idempotency record had when the step began, which the first copy has changed; a redriven copy of an event that is completed is acknowledged |
//! | a second process runs the same job | each step is begun by one of them; a step that both send is recognised in the same way |
//!
//! A step is acted on once. Only an event that *fails* again may be attempted by both copies.
//!
//! # Permissions
//!
//! `dynamodb:BatchWriteItem`, `dynamodb:UpdateItem`, `dynamodb:GetItem` and `dynamodb:Query` on the table,
//! `dynamodb:Query` on the index `by-due`, and those of the queues.

mod redrive;
mod replay;
mod store;

use serde::Serialize;
use serde_json::Value;

use crate::dead_letters::DlqResult;
use crate::error::{OperateError, Result};
use crate::timestamp::Timestamp;

pub use redrive::{RedriveFilter, run_redrive};
pub use replay::{ReplayQueues, body_not_stored, run_replay};
pub use store::Jobs;

/// Longest name of a job.
const MAX_NAME: usize = 64;

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    /// Sends stored events to their queues again, which handles them even if they are completed.
    Replay,
    /// Moves dead letters back into their queues.
    Redrive,
}

impl JobKind {
    /// The kind as it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Replay => "replay",
            Self::Redrive => "redrive",
        }
    }
}

/// A job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Job {
    /// Name.
    pub name: String,
    /// Kind.
    pub kind: JobKind,
    /// Filter as it was when the job began.
    pub filter: Value,
    /// Who asked for it.
    pub asked_by: Option<String>,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last worked on.
    pub updated_at: Timestamp,
    /// Whether nothing is left to do.
    pub is_done: bool,
    /// Number of events or dead letters.
    pub total: u64,
    /// Number of those that were sent.
    pub sent: u64,
    /// Number of those that were not there any more, or could not be sent for good.
    pub left_out: u64,
}

impl Job {
    /// Number of steps that are left.
    #[must_use]
    pub const fn open(&self) -> u64 {
        self.total.saturating_sub(self.sent + self.left_out)
    }
}

/// A job that begins.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// Name, unique.
    pub name: String,
    /// Kind.
    pub kind: JobKind,
    /// Filter, with absolute times.
    pub filter: Value,
    /// Who asks for it.
    pub asked_by: Option<String>,
    /// Keys of the events (endpoint and webhook id, joined by `#`) or of the dead letters (category and message id, joined by
    /// `/`), in the order in which they are sent.
    pub steps: Vec<String>,
}

/// State of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StepState {
    /// Nothing was done.
    Open,
    /// It was begun: a message may have been sent.
    Sending,
    /// It was sent.
    Sent,
    /// It was not there any more, or cannot be sent.
    LeftOut,
}

impl StepState {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::LeftOut => "left_out",
        }
    }
}

/// A step that is not done.
#[derive(Clone, Debug)]
struct Step {
    key: String,
    /// Whether a message may have been sent.
    is_begun: bool,
    /// Token of the idempotency record when the step was begun, if there was a record.
    token: Option<String>,
}

/// Result of running a job.
#[derive(Clone, Debug)]
pub struct JobReport {
    /// The job as it is now.
    pub job: Job,
    /// Whether it was stopped before its end.
    pub is_stopped: bool,
    /// Why steps were left out, with their keys; the first few.
    pub left_out: Vec<(String, String)>,
    /// Of a redrive: what became of the dead letters in this run.
    pub letters: DlqResult,
}

/// Checks the name of a job: lower-case letters, digits and hyphens.
pub fn check_name(name: &str) -> Result<()> {
    let fits = (1..=MAX_NAME).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if fits {
        return Ok(());
    }
    Err(OperateError::usage("the name of a job has 1 to 64 lower-case letters, digits and hyphens"))
}

/// A new name: `replay-20261121-0315-9f3a`.
#[must_use]
pub fn new_name(kind: JobKind) -> String {
    let now: String = Timestamp::now().text().chars().filter(char::is_ascii_digit).collect();
    let (day, time) = now.split_at_checked(8).unwrap_or((&now, ""));
    format!("{}-{day}-{}-{:04x}", kind.as_str(), time.get(..4).unwrap_or_default(), fastrand::u16(..))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_and_plain() {
        for name in ["a", "night-shift-7", &new_name(JobKind::Replay), &"x".repeat(64)] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", "A", "a b", "a#b", "ä", "a/b", &"x".repeat(65)] {
            assert_eq!(check_name(name).unwrap_err().kind, crate::ErrorKind::Usage, "{name}");
        }
    }
}
