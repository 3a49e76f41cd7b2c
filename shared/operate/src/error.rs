//! Errors of operations.

use std::error::Error;
use std::fmt;

use aws_sdk_sqs::error::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use hooks_function::ApiKeySecretError;
use hooks_openai::{ErrorClass, OpenAiError};

/// Permissions of the operations that read or write the ledger.
pub const LEDGER_PERMISSIONS: &str = "Your AWS identity needs dynamodb:GetItem, dynamodb:UpdateItem, dynamodb:Query and dynamodb:Scan on the stack's table and its indexes.";

/// Permissions of the operations that use queues.
pub const QUEUE_PERMISSIONS: &str = "Your AWS identity needs sqs:SendMessage on the stack's queues, and on its dead-letter queues sqs:ReceiveMessage, \
     sqs:ChangeMessageVisibility, sqs:DeleteMessage and sqs:GetQueueAttributes.";

/// Next step where the API key is of no use.
pub const KEY_FIX: &str = "Store it with `openai-webhooks secret set api-key`, or set OPENAI_API_KEY.";

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

impl From<OpenAiError> for OperateError {
    fn from(error: OpenAiError) -> Self {
        let message = error.to_string();
        match (error.class(), error.status()) {
            (ErrorClass::NotFound, _) => {
                Self::failed(message).hint("The object does not exist, or belongs to another project than the API key.")
            }
            (ErrorClass::Unauthorized, Some(401)) => {
                Self::service(message).hint("Check the API key: openai-webhooks doctor")
            }
            (ErrorClass::Unauthorized, _) => Self::service(message)
                .hint("Give the key this permission, or use another key: https://platform.openai.com/api-keys"),
            (ErrorClass::Retry, _) => Self::service(message).hint("Try again in a moment."),
            (ErrorClass::QuotaExhausted, _) => Self::service(message).hint("The account has no credit left."),
            // The id is malformed, so no request was made.
            (ErrorClass::Permanent, None) => Self::usage(message),
            (ErrorClass::Permanent, Some(_)) | (ErrorClass::TooLarge, _) => Self::service(message),
        }
    }
}

impl From<ApiKeySecretError> for OperateError {
    fn from(error: ApiKeySecretError) -> Self {
        match error {
            ApiKeySecretError::Unset(_) => Self::failed("the stack's OpenAI API key was never set").hint(KEY_FIX),
            ApiKeySecretError::Unusable(_, error) => Self::usage(error.to_string()).hint(KEY_FIX),
            ApiKeySecretError::Unreadable(_, error) => error.into(),
            ApiKeySecretError::Identity(_) | ApiKeySecretError::Exchange(_) => Self::service(error.to_string()),
        }
    }
}

/// Errors of AWS, with the permissions that the calls need.
macro_rules! of_aws {
    ($($error:ty: $message:literal, $hint:expr;)+) => {
        $(impl From<$error> for OperateError {
            fn from(error: $error) -> Self {
                Self::service(format!($message, error)).hint($hint)
            }
        })+
    };
}

of_aws! {
    hooks_aws::secrets::ReadError: "cannot read the secret: {}",
        "Your AWS identity needs secretsmanager:GetSecretValue on the stack's secrets.";
    hooks_aws::secrets::WriteError: "cannot store the secret: {}",
        "Your AWS identity needs secretsmanager:PutSecretValue on the stack's secrets.";
    // Of the ledger, unless the call says otherwise.
    hooks_aws::AwsError: "{}", LEDGER_PERMISSIONS;
    hooks_aws::artifacts::ArtifactError: "{}",
        "Your AWS identity needs s3:GetObject and s3:ListBucket on the stack's bucket.";
}

/// A call that failed after the SDK's own retries. `action` follows "could not".
pub(crate) fn failed<E, R>(action: &str, error: &SdkError<E, R>) -> OperateError
where
    E: ProvideErrorMetadata + Error + 'static,
    R: fmt::Debug + 'static,
{
    OperateError::service(format!("could not {action}: {}", hooks_aws::cause(error)))
}
