//! Errors of operations.

use std::error::Error;
use std::{env, fmt};

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
                call_failed(format!($message, error), Some($hint))
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
    hooks_aws::parameters::ParameterError: "{}",
        "Your AWS identity needs ssm:GetParametersByPath, ssm:GetParameter, ssm:GetParameterHistory and, to change a model, ssm:PutParameter on the stack's parameters.";
    hooks_aws::artifacts::ArtifactError: "{}",
        "Your AWS identity needs s3:GetObject and s3:ListBucket on the stack's bucket.";
}

/// A call that failed after the SDK's own retries. `action` follows "could not"; `permission` is the next step if AWS
/// refused it for want of one.
pub(crate) fn failed<E, R>(action: &str, error: &SdkError<E, R>, permission: &str) -> OperateError
where
    E: ProvideErrorMetadata + Error + 'static,
    R: fmt::Debug + 'static,
{
    call_failed(format!("could not {action}: {}", hooks_aws::cause(error)), Some(permission))
}

/// A failed call whose text has AWS's error code or the cause of a missing answer. `permission` is the next step if AWS
/// refused it for want of a permission.
pub(crate) fn call_failed(message: String, permission: Option<&str>) -> OperateError {
    let has = |words: &[&str]| words.iter().any(|word| message.contains(word));
    let hint = if has(&["dispatch failure", "client error (Connect)", "timeout"]) {
        let endpoint = env::var("AWS_ENDPOINT_URL").ok().filter(|url| !url.is_empty());
        Some(unreachable_hint(&message, endpoint.as_deref()))
    } else if has(&["ExpiredToken", "TokenRefreshRequired"]) {
        Some("The session has expired. Sign in again: aws sso login".to_owned())
    } else if has(&["RequestTimeTooSkewed", "RequestExpired", "Signature expired", "Signature not yet current"]) {
        Some("This machine's clock is wrong. Set it.".to_owned())
    } else if has(&["InvalidClientTokenId", "UnrecognizedClient", "InvalidAccessKeyId", "SignatureDoesNotMatch"]) {
        Some(
            "AWS does not know this access key, or its secret is another one. Choose a --profile, or sign in."
                .to_owned(),
        )
    } else if has(&["AccessDenied", "NotAuthorized", "UnauthorizedOperation", "AuthorizationError"]) {
        permission.map(str::to_owned)
    } else if has(&["Throttl", "TooManyRequests", "SlowDown"]) {
        Some("Try again in a moment.".to_owned())
    } else {
        None
    };
    let error = OperateError::service(message);
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// Next step where nothing answered.
fn unreachable_hint(message: &str, endpoint: Option<&str>) -> String {
    if message.contains("through the proxy") {
        return "Check the proxy in HTTPS_PROXY (NO_PROXY names hosts that need none).".to_owned();
    }
    match endpoint {
        Some(url) => format!(
            "AWS_ENDPOINT_URL is {url}: start what answers there (`make run` prints its address), or unset the variable."
        ),
        None if message.contains("dns error") => {
            "Check the region's name (--region, AWS_REGION, the profile's), and the network.".to_owned()
        }
        None => "Check the network. A proxy is taken from HTTPS_PROXY.".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_step_of_a_failed_call_goes_by_what_happened() {
        let cases = [
            ("could not look up the stack x: AccessDenied: no", "needs x:Y"),
            ("could not look up the stack x: ExpiredToken: The security token is expired", "Sign in again"),
            ("could not x: InvalidClientTokenId: The security token included in the request is invalid", "access key"),
            ("could not x: RequestTimeTooSkewed: no", "clock"),
            ("could not x: dispatch failure: through the proxy p:3128: tunnel error", "HTTPS_PROXY"),
            ("could not x: ThrottlingException: Rate exceeded", "in a moment"),
        ];
        for (message, expected) in cases {
            let hint = call_failed(message.to_owned(), Some("needs x:Y")).hint.unwrap_or_default();
            assert!(hint.contains(expected), "{message}: {hint}");
        }
        let unknown_host = "could not x: dispatch failure: io error: client error (Connect): dns error";
        assert!(unreachable_hint(unknown_host, None).contains("region's name"));
        assert!(
            unreachable_hint(unknown_host, Some("http://127.0.0.1:1"))
                .contains("AWS_ENDPOINT_URL is http://127.0.0.1:1")
        );
        assert_eq!(call_failed("could not x: ValidationError: no".to_owned(), Some("needs x:Y")).hint, None);
    }
}
