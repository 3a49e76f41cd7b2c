//! A deployed stack, as CloudFormation describes it. Needs `cloudformation:DescribeStacks`.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::config::Builder;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use hooks_aws::Config;

use super::failed;
use crate::failure::Failure;

/// One attempt gets no answer after this.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);

/// A stack: its state, what it was deployed with, and where its parts are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stack {
    /// Its name.
    pub(crate) name: String,
    /// CloudFormation's word for its state, such as `UPDATE_COMPLETE`.
    pub(crate) status: String,
    /// Its parameters with their values; those of `NoEcho` parameters are asterisks.
    pub(crate) parameters: BTreeMap<String, String>,
    /// Its outputs.
    pub(crate) outputs: BTreeMap<String, String>,
}

impl Stack {
    /// Looks the stack up; `None` when the account has none of that name in the region.
    pub(crate) async fn describe(config: &Config, name: &str) -> Result<Option<Self>, Failure> {
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_TIMEOUT).build();
        let client = Client::from_conf(Builder::from(config.sdk()).timeout_config(timeouts).build());
        match client.describe_stacks().stack_name(name).send().await {
            Ok(output) => Ok(output.stacks.unwrap_or_default().into_iter().next().map(Self::from)),
            // CloudFormation has no code of its own for this.
            Err(error)
                if error.as_service_error().is_some_and(|error| {
                    error.code() == Some("ValidationError")
                        && error.message().is_some_and(|message| message.contains("does not exist"))
                }) =>
            {
                Ok(None)
            }
            Err(error) => Err(failed(&format!("look up the stack {name}"), &error)
                .hint("Your AWS identity needs cloudformation:DescribeStacks on the stack.")),
        }
    }
}

impl From<aws_sdk_cloudformation::types::Stack> for Stack {
    fn from(found: aws_sdk_cloudformation::types::Stack) -> Self {
        let parameters = found.parameters.unwrap_or_default().into_iter();
        let outputs = found.outputs.unwrap_or_default().into_iter();
        Self {
            name: found.stack_name.unwrap_or_default(),
            status: found.stack_status.map(|status| status.as_str().to_owned()).unwrap_or_default(),
            parameters: parameters.filter_map(|one| Some((one.parameter_key?, one.parameter_value?))).collect(),
            outputs: outputs.filter_map(|one| Some((one.output_key?, one.output_value?))).collect(),
        }
    }
}
