//! Settings that outlive a deployment, in Systems Manager's Parameter Store.
//!
//! The function needs `ssm:GetParameter`, `ssm:GetParameterHistory` and `ssm:PutParameter` on the parameters it names, as
//! far as it reads their values, looks back or writes. The store keeps the last 100 values of every parameter by itself,
//! each with its description and time (`aws ssm get-parameter-history`).

use std::fmt;
use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_sdk_ssm::Client;
use aws_sdk_ssm::operation::get_parameter::GetParameterError;
use aws_sdk_ssm::operation::get_parameter_history::GetParameterHistoryError;
use aws_sdk_ssm::types::ParameterType;

use crate::Config;
use crate::cause::cause;

/// One attempt gets no answer after this.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);

/// The present value of a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterValue {
    /// The value.
    pub value: String,
    /// 1 for the first value, one more for each that followed.
    pub version: i64,
}

/// One of the values that a parameter has had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// The value.
    pub value: String,
    /// 1 for the first value, one more for each that followed.
    pub version: i64,
    /// What whoever set it had to say about it, or of an earlier value where they said nothing.
    pub description: String,
}

/// A parameter could not be read or written, after the SDK's own retries. It may work later.
#[derive(Debug, thiserror::Error)]
#[error("could not {action} the parameter {name}: {cause}")]
pub struct ParameterError {
    action: &'static str,
    name: String,
    cause: String,
}

/// The parameters of the account and region. Cheap to clone.
#[derive(Clone)]
pub struct Parameters {
    client: Client,
}

impl Parameters {
    /// The store in the account and region of `config`.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_TIMEOUT).build();
        let ssm = aws_sdk_ssm::config::Builder::from(config.sdk()).timeout_config(timeouts).build();
        Self { client: Client::from_conf(ssm) }
    }

    /// The parameter's value; `None` when there is no such parameter.
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

    /// The parameter's values from the oldest that is kept to the present one; none when there is no such parameter.
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
        // The order is not promised.
        values.sort_by_key(|parameter| parameter.version);
        Ok(values)
    }

    /// Gives the parameter a value, and makes it if it does not exist. Answers the version that the value got.
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
