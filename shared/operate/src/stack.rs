//! A deployed stack, as CloudFormation describes it. Needs `cloudformation:DescribeStacks`.

use std::collections::BTreeMap;

use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use hooks_aws::Config;
use hooks_webhook::Category;

use crate::error::{OperateError, Result, call_failed};

/// A stack.
#[derive(Clone, Debug)]
pub struct Stack {
    /// ARN.
    pub id: String,
    /// Name.
    pub name: String,
    /// CloudFormation's status, such as `UPDATE_COMPLETE`.
    pub status: String,
    /// Parameters with their values; those of `NoEcho` parameters are asterisks.
    pub parameters: BTreeMap<String, String>,
    /// Outputs with their values.
    pub outputs: BTreeMap<String, String>,
}

impl Stack {
    /// Describes the stack; `None` if the account has none of that name in the region.
    pub async fn describe(config: &Config, name: &str) -> Result<Option<Self>> {
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

    /// ARN of an alias of a function of this stack; `None` if the stack's own ARN has no region and account.
    #[must_use]
    pub fn alias_arn(&self, function: &str, alias: &str) -> Option<String> {
        let mut parts = self.id.split(':');
        let (Some("arn"), Some(partition), Some(_), Some(region), Some(account)) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return None;
        };
        Some(format!("arn:{partition}:lambda:{region}:{account}:function:{function}:{alias}"))
    }

    /// An output.
    pub fn output(&self, name: &str) -> Result<&str> {
        self.outputs.get(name).map(String::as_str).ok_or_else(|| {
            OperateError::failed(format!("the stack {} has no output {name}", self.name))
                .hint("If it is a stack of this project, update it with `make deploy`.")
        })
    }
}

impl From<aws_sdk_cloudformation::types::Stack> for Stack {
    fn from(found: aws_sdk_cloudformation::types::Stack) -> Self {
        let parameters = found.parameters.unwrap_or_default().into_iter();
        let outputs = found.outputs.unwrap_or_default().into_iter();
        Self {
            id: found.stack_id.unwrap_or_default(),
            name: found.stack_name.unwrap_or_default(),
            status: found.stack_status.map(|status| status.as_str().to_owned()).unwrap_or_default(),
            parameters: parameters.filter_map(|one| Some((one.parameter_key?, one.parameter_value?))).collect(),
            outputs: outputs.filter_map(|one| Some((one.output_key?, one.output_value?))).collect(),
        }
    }
}

/// Prefix of a category's names in the template, such as `FineTuning`.
#[must_use]
pub fn logical_id(category: Category) -> String {
    let capitalised = |word: &str| match word.split_at_checked(1) {
        Some((first, rest)) => first.to_ascii_uppercase() + rest,
        None => String::new(),
    };
    category.as_str().split('-').map(capitalised).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outputs_of_a_category_have_its_name_in_capitals() {
        assert_eq!(
            Category::ALL.map(logical_id).join(" "),
            "Batch Response FineTuning Realtime Agent Safety File Archive"
        );
    }
}
