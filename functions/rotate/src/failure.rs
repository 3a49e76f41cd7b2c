//! Why a step failed.

use hooks_aws::ledger::LedgerError;
use hooks_aws::secrets::{ReadError, WriteError};
use hooks_webhook::SecretError;
use lambda_runtime::Diagnostic;
use thiserror::Error;

/// A step failed, and with it this try of the rotation. The secret in use stays in use.
///
/// The text goes to whoever looks into the log, and holds no secret.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    #[error(
        "the event is no step of a rotation: it needs Step (createSecret, setSecret, testSecret or finishSecret), \
         SecretId and ClientRequestToken. Secrets Manager sends such events; start a rotation with: \
         aws secretsmanager rotate-secret"
    )]
    UnusableEvent,
    #[error(
        "rotation is not turned on for this secret; deploy with RotateSecretDays above 0, or turn it on with: \
         aws secretsmanager rotate-secret --rotation-lambda-arn ..."
    )]
    RotationOff,
    #[error("the secret has no version of this id; start a rotation with: aws secretsmanager rotate-secret")]
    UnknownVersion,
    #[error(
        "the version is not AWSPENDING, so it belongs to no rotation that is under way; start one with: \
         aws secretsmanager rotate-secret"
    )]
    NotPending,
    #[error("another try of this rotation is at work; this one left everything to it")]
    Busy,
    #[error("there is no usable OpenAI API key: {0}")]
    ApiKey(String),
    #[error(
        "OpenAI has no endpoint {0} in the project of this API key: it was deleted there, or the key is another \
         project's; deploy with another EndpointName, which creates it anew"
    )]
    NoEndpoint(String),
    #[error("{0}")]
    OpenAi(#[from] hooks_openai::OpenAiError),
    #[error("the secret could not be read: {0}")]
    Read(#[from] ReadError),
    #[error(
        "nothing can be stored in the secret, so OpenAI was not asked for a new one: {0}. A secret under a \
         customer-managed key needs a grant of kms:GenerateDataKey and kms:Decrypt to the function's role"
    )]
    NotWritable(WriteError),
    #[error(
        "OpenAI has made a new secret, which could not be stored and is lost: {0}. The old one is good for 24 hours; \
         the next try asks for another"
    )]
    NotStored(WriteError),
    #[error(
        "another try had stored its secret, which is not OpenAI's newest. The newest is stored as a version of its own, \
         which is AWSPENDING now; go on with it: aws secretsmanager rotate-secret"
    )]
    Superseded,
    #[error("the version has no value; createSecret comes first")]
    NoValue,
    #[error("the pending secret cannot be used: {0}")]
    Unusable(SecretError),
    #[error(
        "a delivery signed with the pending secret was not answered with 200 by {url}: {last}. The old secret stays in \
         use, and the verifier accepts both while the new one is pending"
    )]
    NotAccepted { url: String, last: String },
    #[error(
        "the secret in use was stored after the pending one was made, so OpenAI may sign with neither soon. Start anew \
         within 24 hours: take AWSPENDING from this version with aws secretsmanager update-secret-version-stage, then \
         aws secretsmanager rotate-secret"
    )]
    Overtaken,
    #[error("the version could not be put into use: {0}")]
    NotInUse(WriteError),
    #[error("{0}")]
    Ledger(#[from] LedgerError),
}

impl Failure {
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

/// What Lambda answers: the reason is the error's type.
impl From<Failure> for Diagnostic {
    fn from(failure: Failure) -> Self {
        Self { error_type: failure.reason().to_owned(), error_message: failure.to_string() }
    }
}
