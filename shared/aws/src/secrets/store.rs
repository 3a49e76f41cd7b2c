//! Reading from Secrets Manager.

use crate::cause::cause;
use crate::config::Config;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_secretsmanager::operation::get_secret_value::{GetSecretValueError, GetSecretValueOutput};
use std::fmt;
use std::future::Future;
use std::time::Duration;

/// One attempt gets no answer after this. A connection that died while Lambda had frozen the process says nothing.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(800);

/// A read gives up after this, all attempts included: somebody waits for the delivery's answer.
const READ_TIMEOUT: Duration = Duration::from_secs(2);

/// Connection timeout for a person: connecting to another continent alone takes longer than a function may.
const PATIENT_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);

/// All attempts of a person's call.
const PATIENT_TIMEOUT: Duration = Duration::from_secs(30);

/// Which of a secret's values is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// `AWSCURRENT`: the value in use.
    Current,
    /// `AWSPENDING`: the value that a rotation is about to put into use.
    Pending,
    /// `AWSPREVIOUS`: the value that was in use before.
    Previous,
}

impl Stage {
    /// The staging label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Current => "AWSCURRENT",
            Self::Pending => "AWSPENDING",
            Self::Previous => "AWSPREVIOUS",
        }
    }
}

/// One value of a secret.
#[derive(Clone)]
pub struct Version {
    /// The id of the value, which several stages can share.
    pub id: String,
    /// The value.
    pub text: String,
    /// When the value was made, in seconds since the epoch.
    pub created_at: u64,
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Version").field("id", &self.id).field("created_at", &self.created_at).finish_non_exhaustive()
    }
}

/// A secret could not be read. Says why, never what it holds.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct ReadError(pub String);

/// A secret could not be written. Says why, never what was to be stored.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WriteError(pub String);

/// Where values of secrets come from.
pub trait Source {
    /// The value of secret `id` at `stage`; `None` where the secret has none at that stage.
    fn read(&self, id: &str, stage: Stage) -> impl Future<Output = Result<Option<Version>, ReadError>> + Send;
}

/// AWS Secrets Manager.
#[derive(Clone, Debug)]
pub struct Store {
    client: aws_sdk_secretsmanager::Client,
}

impl Store {
    /// A store in the account and region of `config`.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self::with_timeouts(config, ATTEMPT_TIMEOUT, READ_TIMEOUT)
    }

    /// A store for a person, who may be far from the region and has time.
    #[must_use]
    pub fn patient(config: &Config) -> Self {
        Self::with_timeouts(config, PATIENT_ATTEMPT_TIMEOUT, PATIENT_TIMEOUT)
    }

    fn with_timeouts(config: &Config, attempt: Duration, whole: Duration) -> Self {
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(attempt).operation_timeout(whole).build();
        let config = aws_sdk_secretsmanager::config::Builder::from(config.sdk())
            .retry_config(RetryConfig::standard())
            .timeout_config(timeouts)
            .build();
        Self { client: aws_sdk_secretsmanager::Client::from_conf(config) }
    }

    /// The text in use of the secret `id` (its name or ARN).
    pub async fn text(&self, id: &str) -> Result<String, ReadError> {
        let version = self.read(id, Stage::Current).await?;
        version.map(|version| version.text).ok_or_else(|| ReadError("there is no such secret".to_owned()))
    }
}

impl Store {
    /// Puts a value into use: it becomes `AWSCURRENT`, and what was in use `AWSPREVIOUS`. Needs
    /// `secretsmanager:PutSecretValue`.
    pub async fn put(&self, id: &str, text: &str) -> Result<(), WriteError> {
        let result = self.client.put_secret_value().secret_id(id).secret_string(text).send().await;
        result.map(drop).map_err(|error| WriteError(cause(&error)))
    }
}

impl Source for Store {
    async fn read(&self, id: &str, stage: Stage) -> Result<Option<Version>, ReadError> {
        let call = self.client.get_secret_value().secret_id(id).version_stage(stage.as_str()).send();
        // The SDK's future is tens of kilobytes large. Within another it would be moved about with every delivery.
        let result = Box::pin(call).await;
        let output = match result {
            Ok(output) => output,
            Err(error)
                if error.as_service_error().is_some_and(GetSecretValueError::is_resource_not_found_exception) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(ReadError(cause(&error))),
        };
        Version::from_answer(output)
    }
}

impl Version {
    /// `None` for a version that a rotation has begun and nobody has filled yet.
    pub(super) fn from_answer(answer: GetSecretValueOutput) -> Result<Option<Self>, ReadError> {
        let text = match (answer.secret_string, answer.secret_binary) {
            (Some(text), _) => text,
            (None, Some(_)) => return Err(ReadError("the secret is binary, not text".to_owned())),
            (None, None) => return Ok(None),
        };
        let created_at = answer.created_date.map_or(0, |date| date.secs());
        Ok(Some(Self {
            id: answer.version_id.unwrap_or_default(),
            text,
            created_at: u64::try_from(created_at).unwrap_or_default(),
        }))
    }
}
