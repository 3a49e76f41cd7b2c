//! Errors of a rotation.

use hooks_aws::AwsError;
use hooks_aws::secrets::{ReadError, WriteError};
use hooks_function::ApiKeySecretError;
use hooks_webhook::SecretError;
use lambda_runtime::Diagnostic;
use thiserror::Error;

/// Why a step failed, and with it this attempt of the rotation. The secret in use stays in use.
///
/// The text is for the log, and holds no secret.
#[derive(Debug, Error)]
pub(crate) enum RotationError {
    #[error(
        "the event is not a step of a rotation: it needs Step (createSecret, setSecret, testSecret or finishSecret), \
         SecretId and ClientRequestToken. Secrets Manager sends such events; start a rotation with: \
         aws secretsmanager rotate-secret"
    )]
    UnusableEvent,
    #[error(
        "rotation is not turned on for this secret; deploy with RotateSecretDays above 0, or turn it on with: \
         aws secretsmanager rotate-secret --rotation-lambda-arn ..."
    )]
    RotationOff,
    #[error("the secret has no version with this id; start a rotation with: aws secretsmanager rotate-secret")]
    UnknownVersion,
    #[error(
        "the version is not AWSPENDING, so it belongs to no rotation in progress; start one with: \
         aws secretsmanager rotate-secret"
    )]
    NotPending,
    #[error("another attempt of this rotation is in progress; this one changed nothing")]
    Busy,
    #[error("{0}")]
    ApiKey(#[from] ApiKeySecretError),
    #[error(
        "OpenAI has no endpoint {0} in the project of this API key: it was deleted there, or the key belongs to another \
         project; deploy with another EndpointName, which creates a new endpoint"
    )]
    NoEndpoint(String),
    #[error("{0}")]
    OpenAi(#[from] hooks_openai::OpenAiError),
    #[error("the secret could not be read: {0}")]
    Read(#[from] ReadError),
    #[error(
        "the secret is not writable, so OpenAI was not asked for a new value: {0}. A secret under a customer-managed key \
         needs a grant of kms:GenerateDataKey and kms:Decrypt to the function's role"
    )]
    NotWritable(WriteError),
    #[error(
        "OpenAI made a new signing secret, but it could not be stored and is lost: {0}. The old one stays valid for 24 \
         hours; the next attempt requests another"
    )]
    NotStored(WriteError),
    #[error(
        "another attempt stored a signing secret that is not OpenAI's newest. The newest is stored as a version of its \
         own, which is AWSPENDING now; continue with it: aws secretsmanager rotate-secret"
    )]
    Superseded,
    #[error("the version has no value; createSecret comes first")]
    NoValue,
    #[error("the pending secret is unusable: {0}")]
    Unusable(SecretError),
    #[error(
        "a delivery signed with the pending secret was not answered with 200 by {url}: {last}. The old secret stays in \
         use, and the verifier accepts both while the new one is pending"
    )]
    NotAccepted { url: String, last: String },
    #[error(
        "the secret in use was stored after the pending one was made, so OpenAI may soon sign with neither. Start over \
         within 24 hours: remove AWSPENDING from this version with aws secretsmanager update-secret-version-stage, then \
         run aws secretsmanager rotate-secret"
    )]
    Overtaken,
    #[error("AWSCURRENT could not be moved to the version: {0}")]
    NotInUse(WriteError),
    #[error("{0}")]
    Ledger(#[from] AwsError),
}

impl RotationError {
    /// A short, stable name.
    pub(crate) const fn reason(&self) -> &'static str {
        match self {
            Self::UnusableEvent => "unusable_event",
            Self::RotationOff => "rotation_off",
            Self::UnknownVersion => "unknown_version",
            Self::NotPending => "not_pending",
            Self::Busy => "busy",
            Self::ApiKey(_) => "no_api_key",
            Self::NoEndpoint(_) => "no_endpoint",
            Self::OpenAi(_) => "openai",
            Self::Read(_) => "secret_unreadable",
            Self::NotWritable(_) => "secret_not_writable",
            Self::NotStored(_) => "secret_lost",
            Self::Superseded => "superseded",
            Self::NoValue => "no_value",
            Self::Unusable(_) => "unusable_secret",
            Self::NotAccepted { .. } => "not_accepted",
            Self::Overtaken => "overtaken",
            Self::NotInUse(_) => "not_in_use",
            Self::Ledger(_) => "ledger",
        }
    }
}

/// Lambda's answer: the reason is the error's type.
impl From<RotationError> for Diagnostic {
    fn from(error: RotationError) -> Self {
        Self { error_type: error.reason().to_owned(), error_message: error.to_string() }
    }
}
