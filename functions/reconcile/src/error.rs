//! Errors of reconciliation.

use hooks_aws::AwsError;
use hooks_aws::parameters::ParameterError;
use hooks_function::ApiKeySecretError;

/// Why a list or an expectation could not be processed, in words that may be logged.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReconcileError {
    #[error("{0}")]
    ApiKey(#[from] ApiKeySecretError),
    #[error("{0}")]
    OpenAi(#[from] hooks_openai::OpenAiError),
    #[error("{0}")]
    Aws(#[from] AwsError),
    #[error("{0}")]
    Parameter(#[from] ParameterError),
    #[cfg(test)]
    #[error("{0}")]
    Test(&'static str),
}

impl ReconcileError {
    /// Whether the cause is the stack's setup: no API key yet, a key that may not read a list, an account that does not
    /// have it. That may be intended and no retry changes it, so it is a warning; anything else fails the invocation.
    pub(crate) fn is_setup(&self) -> bool {
        match self {
            Self::ApiKey(error) => matches!(error, ApiKeySecretError::Unset(_)),
            Self::OpenAi(error) => matches!(error.status(), Some(403 | 404)),
            Self::Aws(_) | Self::Parameter(_) => false,
            #[cfg(test)]
            Self::Test(_) => false,
        }
    }
}
