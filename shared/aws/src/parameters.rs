//! Parameters in Systems Manager's Parameter Store: settings that outlive a deployment.
//!
//! The store keeps the last 100 values of every parameter, each with its description and time
//! (`aws ssm get-parameter-history`).
//!
//! # Permissions
//!
//! On the parameters used: `ssm:GetParameter` for [`Parameters::get`], `ssm:GetParameterHistory` for
//! [`Parameters::history`], `ssm:PutParameter` for [`Parameters::put`]; on the path `ssm:GetParametersByPath` for
//! [`Parameters::below`].

use std::fmt;
use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_sdk_ssm::Client;
use aws_sdk_ssm::operation::get_parameter::GetParameterError;
use aws_sdk_ssm::operation::get_parameter_history::GetParameterHistoryError;
use aws_sdk_ssm::types::ParameterType;

use crate::Config;
use crate::cause::cause;

/// Time limit of one attempt.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);

/// Current value of a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterValue {
    /// The value.
    pub value: String,
    /// Version of the value: 1 for the first, incremented with each change.
    pub version: i64,
}

/// A current or former value of a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// The value.
    pub value: String,
    /// Version of the value: 1 for the first, incremented with each change.
    pub version: i64,
    /// Description given with this value, or with an earlier one if none was given.
    pub description: String,
}

/// A failure to read or write a parameter, after the SDK's retries. Retryable.
#[derive(Debug, thiserror::Error)]
#[error("could not {action} the parameter {name}: {cause}")]
pub struct ParameterError {
    action: &'static str,
    name: String,
    cause: String,
}

/// Parameter Store of the account and region. Cheap to clone.
#[derive(Clone)]
pub struct Parameters {
    client: Client,
}

impl Parameters {
    /// The Parameter Store in the account and region of `config`.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_TIMEOUT).build();
        let ssm = aws_sdk_ssm::config::Builder::from(config.sdk()).timeout_config(timeouts).build();
        Self { client: Client::from_conf(ssm) }
    }

    /// Value of the parameter; `None` when it does not exist.
    pub async fn get(&self, name: &str) -> Result<Option<ParameterValue>, ParameterError> {
        match self.client.get_parameter().name(name).send().await {
            Ok(output) => Ok(output.parameter.map(|parameter| ParameterValue {
                value: parameter.value.unwrap_or_default(),
                version: parameter.version,
            })),
            Err(error) if error.as_service_error().is_some_and(GetParameterError::is_parameter_not_found) => Ok(None),
            Err(error) => Err(ParameterError { action: "read", name: name.to_owned(), cause: cause(&error) }),
        }
    }

    /// Names and values of the parameters below a path such as `/my-stack/models`.
    pub async fn below(&self, path: &str) -> Result<Vec<(String, String)>, ParameterError> {
        let pages = self.client.get_parameters_by_path().path(path).into_paginator().send();
        let found = pages.collect::<Result<Vec<_>, _>>().await;
        let found =
            found.map_err(|error| ParameterError { action: "list", name: path.to_owned(), cause: cause(&error) })?;
        let found = found.into_iter().flat_map(|page| page.parameters.unwrap_or_default());
        Ok(found.filter_map(|parameter| Some((parameter.name?, parameter.value?))).collect())
    }

    /// Values of the parameter from the oldest kept to the current one; empty when it does not exist.
    pub async fn history(&self, name: &str) -> Result<Vec<Parameter>, ParameterError> {
        let pages = self.client.get_parameter_history().name(name).into_paginator().send();
        let mut values: Vec<Parameter> = match pages.collect::<Result<Vec<_>, _>>().await {
            Ok(pages) => {
                pages.into_iter().flat_map(|page| page.parameters.unwrap_or_default()).map(Parameter::from).collect()
            }
            Err(error) if error.as_service_error().is_some_and(GetParameterHistoryError::is_parameter_not_found) => {
                Vec::new()
            }
            Err(error) => {
                return Err(ParameterError { action: "read", name: name.to_owned(), cause: cause(&error) });
            }
        };
        // The API does not guarantee an order.
        values.sort_by_key(|parameter| parameter.version);
        Ok(values)
    }

    /// Sets the parameter's value, creating it if needed. Returns the version of the value.
    pub async fn put(&self, name: &str, value: &str, description: &str) -> Result<i64, ParameterError> {
        let call = self
            .client
            .put_parameter()
            .name(name)
            .value(value)
            .description(description)
            .r#type(ParameterType::String)
            .overwrite(true);
        match call.send().await {
            Ok(output) => Ok(output.version),
            Err(error) => Err(ParameterError { action: "write", name: name.to_owned(), cause: cause(&error) }),
        }
    }
}

impl From<aws_sdk_ssm::types::ParameterHistory> for Parameter {
    fn from(found: aws_sdk_ssm::types::ParameterHistory) -> Self {
        Self {
            value: found.value.unwrap_or_default(),
            version: found.version,
            description: found.description.unwrap_or_default(),
        }
    }
}

impl fmt::Debug for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parameters").finish_non_exhaustive()
    }
}
