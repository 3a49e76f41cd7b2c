//! Why a write to the table did not happen.

use std::error::Error;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

use crate::cause::cause;

/// The table could not be written to, or read, after the SDK's own retries. It may work later.
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
        Self { action, cause: cause(error) }
    }

    pub(super) fn unreadable(action: &'static str) -> Self {
        Self { action, cause: "the item has no status".to_owned() }
    }

    pub(super) fn contended(action: &'static str) -> Self {
        Self { action, cause: "others kept writing the same item".to_owned() }
    }
}
