//! Errors of the artifact store.

use std::fmt;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::RequestId;

use crate::cause::cause;

/// A failure to store or read an artifact, after the SDK's retries. Always retryable: a missing bucket or permission can
/// be fixed, and the artifact must not be lost until then.
#[derive(Debug, thiserror::Error)]
#[error("could not {action} {key}: {cause}")]
pub struct ArtifactError {
    action: &'static str,
    key: String,
    cause: String,
}

impl ArtifactError {
    pub(super) fn new<E, R>(action: &'static str, key: &impl fmt::Display, error: &SdkError<E, R>) -> Self
    where
        SdkError<E, R>: RequestId,
        E: ProvideErrorMetadata + std::error::Error + 'static,
        R: fmt::Debug + 'static,
    {
        let mut cause = cause(error);
        if let Some(id) = error.request_id() {
            cause.push_str(" (request ");
            cause.push_str(id);
            cause.push(')');
        }
        Self::because(action, key, cause)
    }

    pub(super) fn because(action: &'static str, key: &impl fmt::Display, cause: impl Into<String>) -> Self {
        Self { action, key: key.to_string(), cause: cause.into() }
    }
}
