//! How a command ends: its exit code, or an error.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

use hooks_function::ApiKeySecretError;
use hooks_openai::ErrorClass;

/// Permissions of the commands that read or write the ledger.
pub(crate) const LEDGER_PERMISSIONS: &str = "Your AWS identity needs dynamodb:GetItem, dynamodb:UpdateItem, dynamodb:Query and dynamodb:Scan on the stack's table and its indexes.";

/// Permissions of the commands that use queues.
pub(crate) const QUEUE_PERMISSIONS: &str = "Your AWS identity needs sqs:SendMessage on the stack's queues, and on its dead-letter queues sqs:ReceiveMessage, \
     sqs:ChangeMessageVisibility, sqs:DeleteMessage and sqs:GetQueueAttributes.";

/// Next step where the API key is of no use.
pub(crate) const KEY_FIX: &str = "Store it with `openai-webhooks secret set api-key`, or set OPENAI_API_KEY.";

/// A command's result: the exit code of a command that ran, or any other value of a step.
pub(crate) type Result<T = Exit> = std::result::Result<T, CliError>;

/// Exit code of a command that ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 0: done; the answer is yes.
    Success,
    /// 1: done; the answer is no, because a check failed or a person declined.
    Failure,
}

impl Exit {
    /// `Success` if the condition holds.
    pub(crate) const fn success_if(condition: bool) -> Self {
        if condition { Self::Success } else { Self::Failure }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(u8::from(exit == Exit::Failure))
    }
}

/// Why a command stopped, with the next step. Neither text contains a secret.
#[derive(Debug)]
pub(crate) struct CliError {
    code: u8,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl CliError {
    /// Exit code 1: something is missing, or is not in the expected state.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self { code: 1, message: message.into(), hint: None }
    }

    /// Exit code 2: arguments or input are not usable.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { code: 2, ..Self::failed(message) }
    }

    /// Exit code 3: AWS or OpenAI did not answer, or refused.
    pub(crate) fn service(message: impl Into<String>) -> Self {
        Self { code: 3, ..Self::failed(message) }
    }

    /// Adds the next step.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The process's exit code.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "\n  {hint}"))
    }
}

impl Error for CliError {}

impl From<hooks_openai::OpenAiError> for CliError {
    fn from(error: hooks_openai::OpenAiError) -> Self {
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

impl From<ApiKeySecretError> for CliError {
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
        $(impl From<$error> for CliError {
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
