//! Why a write to the table did not happen.

use std::error::Error;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

/// The table could not be written to, after the SDK's own retries. It may work later.
#[derive(Debug, thiserror::Error)]
#[error("could not {action}: {cause}")]
pub struct LedgerError {
    action: &'static str,
    cause: String,
}

impl LedgerError {
    pub(super) fn new<E, R>(action: &'static str, error: &SdkError<E, R>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
        R: std::fmt::Debug + 'static,
    {
        let cause = match (error.code(), error.message()) {
            (Some(code), Some(message)) => format!("{code}: {message}"),
            (Some(code), None) => code.to_owned(),
            (None, _) => chain(error),
        };
        Self { action, cause }
    }

    pub(super) fn unreadable(action: &'static str) -> Self {
        Self { action, cause: "the item in the way has no state".to_owned() }
    }
}

/// The error and everything beneath it, since an SDK error that never reached AWS says only "dispatch failure" itself.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text.push_str(": ");
        text.push_str(&error.to_string());
        next = error.source();
    }
    text
}
