//! Errors of AWS calls, and their texts for logs.

use std::error::Error;

use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

/// A call that AWS did not do, after the SDK's own retries. It may work later.
#[derive(Debug, thiserror::Error)]
#[error("could not {action}: {cause}")]
pub struct AwsError {
    action: &'static str,
    cause: String,
}

impl AwsError {
    /// `action` follows "could not".
    pub(crate) fn new(action: &'static str, cause: impl Into<String>) -> Self {
        Self { action, cause: cause.into() }
    }

    /// Maps the SDK's error of a call.
    pub(crate) fn of<E, R>(action: &'static str) -> impl FnOnce(SdkError<E, R>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
        R: std::fmt::Debug + 'static,
    {
        move |error| Self::new(action, cause(&error))
    }
}

/// AWS's error code and message. For a call without a response, the error with its sources, because the SDK's own text is
/// only "dispatch failure".
pub fn cause<E, R>(error: &SdkError<E, R>) -> String
where
    E: ProvideErrorMetadata + Error + 'static,
    R: std::fmt::Debug + 'static,
{
    let metadata = error.as_service_error().map(ProvideErrorMetadata::meta);
    match metadata.map(|metadata| (metadata.code(), metadata.message())) {
        Some((Some(code), Some(message))) => format!("{code}: {message}"),
        Some((Some(code), None)) => code.to_owned(),
        _ => chain(error),
    }
}

/// The error with its sources. A source that its error's own text ends with is not repeated.
#[must_use]
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let source = error.to_string();
        if !text.ends_with(&source) {
            text.push_str(": ");
            text.push_str(&source);
        }
        next = error.source();
    }
    text
}
