//! Replacing a secret by the next one, version by version.
//!
//! A function needs `secretsmanager:DescribeSecret`, `GetSecretValue`, `PutSecretValue` and `UpdateSecretVersionStage`
//! on the secret that it rotates.

use super::store::{ReadError, Stage, Version, WriteError};
use crate::cause::cause;
use crate::config::Config;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;
use aws_sdk_secretsmanager::operation::put_secret_value::PutSecretValueError;
use std::collections::HashMap;
use std::time::Duration;

/// One attempt gets no answer after this.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(3);

/// A secret that was made for us and cannot be stored is lost, so storing is tried for about half a minute.
const ATTEMPTS: u32 = 6;

/// The label of the value that [`Rotation::try_writing`] stores.
const WRITE_TEST: &str = "WRITE_TEST";

/// Versions of a secret.
#[derive(Clone, Debug)]
pub struct Versions {
    /// Whether Secrets Manager is to rotate the secret.
    pub rotated: bool,
    /// The stages of each version, by its id.
    stages: HashMap<String, Vec<String>>,
}

impl Versions {
    /// Whether there is a version of this id.
    #[must_use]
    pub fn has(&self, version: &str) -> bool {
        self.stages.contains_key(version)
    }

    /// Whether the version is at the stage.
    #[must_use]
    pub fn is_at(&self, version: &str, stage: Stage) -> bool {
        self.stages.get(version).is_some_and(|stages| stages.iter().any(|name| name == stage.as_str()))
    }

    /// The version that is in use.
    #[must_use]
    pub fn current(&self) -> Option<&str> {
        self.stages.keys().map(String::as_str).find(|version| self.is_at(version, Stage::Current))
    }
}

/// Result of storing a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is stored.
    Stored,
    /// The version has another value, and versions never change.
    Taken,
}

/// Secrets Manager, for a function that rotates secrets.
#[derive(Clone, Debug)]
pub struct Rotation {
    client: Client,
}

impl Rotation {
    /// Secrets Manager in the account and region of `config`.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let config = aws_sdk_secretsmanager::config::Builder::from(config.sdk())
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
            .timeout_config(TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_TIMEOUT).build())
            .build();
        Self { client: Client::from_conf(config) }
    }

    /// The versions of the secret `id` (its name or ARN).
    pub async fn versions(&self, id: &str) -> Result<Versions, ReadError> {
        let answer = self.client.describe_secret().secret_id(id).send().await;
        let answer = answer.map_err(|error| ReadError(cause(&error)))?;
        Ok(Versions {
            rotated: answer.rotation_enabled.unwrap_or_default(),
            stages: answer.version_ids_to_stages.unwrap_or_default(),
        })
    }

    /// When the secret `id` was created (Unix seconds), if nobody has stored another value since. Needs
    /// `secretsmanager:DescribeSecret` alone.
    pub async fn untouched_since(&self, id: &str) -> Result<Option<i64>, ReadError> {
        let answer = self.client.describe_secret().secret_id(id).send().await;
        let answer = answer.map_err(|error| ReadError(cause(&error)))?;
        let versions = answer.version_ids_to_stages.unwrap_or_default().len();
        Ok(answer.created_date.map(|created| created.secs()).filter(|_| versions < 2))
    }

    /// The value of a version; `None` while it has none.
    pub async fn value(&self, id: &str, version: &str) -> Result<Option<Version>, ReadError> {
        match self.client.get_secret_value().secret_id(id).version_id(version).send().await {
            Ok(answer) => Version::from_answer(answer),
            Err(error)
                if error.as_service_error().is_some_and(GetSecretValueError::is_resource_not_found_exception) =>
            {
                Ok(None)
            }
            Err(error) => Err(ReadError(cause(&error))),
        }
    }

    /// Finds out whether a value could be stored now, by storing one that nobody reads: as a version of its own, which
    /// has a label of its own.
    pub async fn try_writing(&self, id: &str) -> Result<(), WriteError> {
        let call = self.client.put_secret_value().secret_id(id).secret_string(WRITE_TEST).version_stages(WRITE_TEST);
        call.send().await.map(drop).map_err(|error| WriteError(cause(&error)))
    }

    /// Stores a value as `AWSPENDING`: as the value of this version, or of one of its own. Storing the same again
    /// changes nothing.
    pub async fn put_pending(&self, id: &str, version: Option<&str>, text: &str) -> Result<Put, WriteError> {
        let call = self.client.put_secret_value().secret_id(id).secret_string(text);
        let call = call.version_stages(Stage::Pending.as_str()).set_client_request_token(version.map(str::to_owned));
        match call.send().await {
            Ok(_) => Ok(Put::Stored),
            Err(error) if error.as_service_error().is_some_and(PutSecretValueError::is_resource_exists_exception) => {
                Ok(Put::Taken)
            }
            Err(error) => Err(WriteError(cause(&error))),
        }
    }

    /// Puts a version into use instead of the one that is: `AWSCURRENT` goes over to it in one step, and what was in
    /// use becomes `AWSPREVIOUS`.
    pub async fn put_into_use(&self, id: &str, version: &str, instead_of: Option<&str>) -> Result<(), WriteError> {
        let call = self.client.update_secret_version_stage().secret_id(id).version_stage(Stage::Current.as_str());
        let call = call.move_to_version_id(version).set_remove_from_version_id(instead_of.map(str::to_owned));
        call.send().await.map(drop).map_err(|error| WriteError(cause(&error)))
    }
}
