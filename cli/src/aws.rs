//! Calls to AWS that only the command line makes: a person's access, the stack, metrics, the event log, dead letters.

mod dead_letters;
mod event_log;
mod metrics;
mod profile;
mod quota;
mod stack;

use std::error::Error;
use std::fmt;

use aws_sdk_sqs::error::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::error::CliError;

pub(crate) use dead_letters::{DeadLetter, DeadLetterQueue, DlqAction, DlqResult, QueueDepth};
pub(crate) use event_log::{Entries, Entry, EventFilter, EventLog, LedgerItem};
pub(crate) use metrics::Metrics;
pub(crate) use profile::config;
pub(crate) use quota::concurrency_quota;
pub(crate) use stack::Stack;

/// A call that failed after the SDK's own retries. `action` follows "could not".
fn failed<E, R>(action: &str, error: &SdkError<E, R>) -> CliError
where
    E: ProvideErrorMetadata + Error + 'static,
    R: fmt::Debug + 'static,
{
    CliError::service(format!("could not {action}: {}", hooks_aws::cause(error)))
}
