//! What a stack is and has, read with the caller's own access: the stack, its events, dead letters and metrics.

mod dead_letters;
pub mod endpoints;
mod event_log;
mod metrics;
mod stack;

use std::error::Error;
use std::fmt;

use aws_sdk_sqs::error::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::error::Failure;

pub use dead_letters::{DeadLetter, DeadLetterQueue, DlqAction, DlqResult, QueueDepth};
pub use event_log::{Entries, Entry, EntryError, EventFilter, EventKey, EventLog, EventPage, LedgerItem};
pub use metrics::{buckets, oldest_ages, sums};
pub use stack::{Stack, logical_id};

/// A call that failed after the SDK's own retries. `action` follows "could not".
fn failed<E, R>(action: &str, error: &SdkError<E, R>) -> Failure
where
    E: ProvideErrorMetadata + Error + 'static,
    R: fmt::Debug + 'static,
{
    Failure::service(format!("could not {action}: {}", hooks_aws::cause(error)))
}
