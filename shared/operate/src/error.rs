//! Errors of operations.

use std::error::Error;
use std::fmt;

use aws_sdk_sqs::error::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

/// Permissions of the operations that read or write the ledger.
pub const LEDGER_PERMISSIONS: &str = "Your AWS identity needs dynamodb:GetItem, dynamodb:UpdateItem, dynamodb:Query and dynamodb:Scan on the stack's table and its indexes.";

/// Permissions of the operations that use queues.
pub const QUEUE_PERMISSIONS: &str = "Your AWS identity needs sqs:SendMessage on the stack's queues, and on its dead-letter queues sqs:ReceiveMessage, \
     sqs:ChangeMessageVisibility, sqs:DeleteMessage and sqs:GetQueueAttributes.";

/// Result of an operation.
pub type Result<T> = std::result::Result<T, OperateError>;

/// Kind of an [`OperateError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// Something is missing, or is not in the expected state.
    Failed,
    /// The input is not usable.
    Usage,
    /// AWS or OpenAI did not answer, or refused.
    Service,
}

/// Why an operation stopped, with the next step. Neither text contains a secret or a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperateError {
    /// Kind.
    pub kind: ErrorKind,
    /// What happened, and why.
    pub message: String,
    /// Next step.
    pub hint: Option<String>,
}

impl OperateError {
    /// Something is missing, or is not in the expected state.
    #[must_use]
    pub fn failed(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Failed, message: message.into(), hint: None }
    }

    /// The input is not usable.
    #[must_use]
    pub fn usage(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Usage, ..Self::failed(message) }
    }

    /// AWS or OpenAI did not answer, or refused.
    #[must_use]
    pub fn service(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Service, ..Self::failed(message) }
    }

    /// Adds the next step.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for OperateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "\n  {hint}"))
    }
}

impl Error for OperateError {}

impl From<hooks_aws::AwsError> for OperateError {
    /// Of the ledger, unless the call says otherwise.
    fn from(error: hooks_aws::AwsError) -> Self {
        Self::service(error.to_string()).hint(LEDGER_PERMISSIONS)
    }
}

impl From<hooks_aws::artifacts::ArtifactError> for OperateError {
    fn from(error: hooks_aws::artifacts::ArtifactError) -> Self {
        Self::service(error.to_string())
            .hint("Your AWS identity needs s3:GetObject and s3:ListBucket on the stack's bucket.")
    }
}

/// A call that failed after the SDK's own retries. `action` follows "could not".
pub(crate) fn failed<E, R>(action: &str, error: &SdkError<E, R>) -> OperateError
where
    E: ProvideErrorMetadata + Error + 'static,
    R: fmt::Debug + 'static,
{
    OperateError::service(format!("could not {action}: {}", hooks_aws::cause(error)))
}
