//! A deployed stack, as CloudFormation describes it. Needs `cloudformation:DescribeStacks`.

use std::collections::BTreeMap;

use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use hooks_aws::Config;

use super::call_failed;
use crate::error::{CliError, Result};

/// A stack.
#[derive(Clone, Debug)]
pub(crate) struct Stack {
    pub(crate) name: String,
    /// CloudFormation's status, such as `UPDATE_COMPLETE`.
    pub(crate) status: String,
    /// Parameters with their values; those of `NoEcho` parameters are asterisks.
    pub(crate) parameters: BTreeMap<String, String>,
    pub(crate) outputs: BTreeMap<String, String>,
}

impl Stack {
    /// Describes the stack; `None` if the account has none of that name in the region.
    pub(crate) async fn describe(config: &Config, name: &str) -> Result<Option<Self>> {
        let client = aws_sdk_cloudformation::Client::new(config.sdk());
        match client.describe_stacks().stack_name(name).send().await {
            Ok(output) => Ok(output.stacks.unwrap_or_default().into_iter().next().map(Self::from)),
            // CloudFormation has no error code of its own for a missing stack.
            Err(error)
                if error.as_service_error().is_some_and(|error| {
                    error.code() == Some("ValidationError")
                        && error.message().is_some_and(|message| message.contains("does not exist"))
                }) =>
            {
                Ok(None)
            }
            Err(error) => Err(call_failed(
                format!("could not look up the stack {name}: {}", hooks_aws::cause(&error)),
                Some("Your AWS identity needs cloudformation:DescribeStacks on the stack."),
            )),
        }
    }

    /// An output.
    pub(crate) fn output(&self, name: &str) -> Result<&str> {
        self.outputs.get(name).map(String::as_str).ok_or_else(|| {
            CliError::failed(format!("the stack {} has no output {name}", self.name))
                .hint("If it is a stack of this project, update it with `make deploy`.")
        })
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
