//! What the command line asks of AWS beyond what the functions do: a person's access, the stack, metrics, the events of the
//! ledger, dead letters.

mod dead_letters;
mod event_log;
mod metrics;
mod profile;
mod stack;

use std::error::Error;
use std::fmt;

use aws_sdk_sqs::error::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::failure::Failure;

pub(crate) use dead_letters::{DeadLetters, Deed, Depth, Done, Letter};
pub(crate) use event_log::{Entry, EventLog, Wanted};
pub(crate) use metrics::Metrics;
pub(crate) use profile::config;
pub(crate) use stack::Stack;

/// A call that failed after the SDK's own retries. `action` follows "could not".
fn failed<E, R>(action: &str, error: &SdkError<E, R>) -> Failure
where
    E: ProvideErrorMetadata + Error + 'static,
    R: fmt::Debug + 'static,
{
    Failure::remote(format!("could not {action}: {}", hooks_aws::cause(error)))
}
