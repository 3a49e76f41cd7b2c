//! Checks of workload identity: whether the functions of a stack without an API key get tokens from OpenAI.
//!
//! Only a function can ask with its own role. `reconcile` is asked to; of the others the log tells.

use aws_sdk_lambda::Client as Lambda;
use aws_sdk_lambda::primitives::Blob;
use hooks_aws::clock::now_ms;
use hooks_operate::log_lines::FunctionLog;
use serde_json::{Value, json};

use super::Findings;
use crate::aws::Stack;
use crate::context::Context;
use crate::error::{CliError, Result};

/// Time in which a function that has work tries at least once more, in milliseconds.
const LATELY: i64 = 3_600_000;

/// Pages of an hour of a log that are read at most.
const PAGES: usize = 100;

/// Beginning of what a function says that has no access.
const NO_ACCESS: &str = "there is no access to OpenAI";

/// Ends of the functions' names that have no access to OpenAI, or are asked in another way.
const OTHERS: [&str; 3] = ["-verifier", "-archive", "-reconcile"];

/// Checks the identity. `false`: the stack has an API key.
pub(super) async fn check(context: &Context, findings: &mut Findings) -> bool {
    let stack = match context.stack().await {
        Ok(stack) if parameter(stack, "OpenAIIdentityProviderId").is_empty() => return false,
        Ok(stack) => stack,
        Err(_) => return false,
    };
    match reconcile(context, stack).await {
        Ok(None) => {
            findings.ok("identity", "reconcile gets tokens from OpenAI; without a key the endpoint is not checked");
        }
        Ok(Some(problem)) => findings.error("identity of reconcile", &problem, fix(&problem, stack, "reconcile")),
        Err(error) => findings.failed("identity of reconcile", error),
    }
    let functions = stack
        .outputs
        .iter()
        .filter(|(output, name)| output.ends_with("FunctionName") && !OTHERS.iter().any(|other| name.ends_with(other)));
    for (_, name) in functions {
        let function = name.strip_prefix(&format!("{}-", stack.name)).unwrap_or(name);
        match last_problem(context, stack, function).await {
            Ok(None) => {}
            Ok(Some(problem)) => {
                findings.error(format!("identity of {function}"), &problem, fix(&problem, stack, function));
            }
            Err(error) => findings.failed(format!("identity of {function}"), error),
        }
    }
    true
}

fn parameter<'a>(stack: &'a Stack, name: &str) -> &'a str {
    stack.parameters.get(name).map(String::as_str).unwrap_or_default()
}

/// What is in the way of the function `reconcile`, which tries now.
async fn reconcile(context: &Context, stack: &Stack) -> Result<Option<String>> {
    let request =
        Lambda::new(context.aws().await?.sdk()).invoke().function_name(stack.output("ReconcileFunctionName")?);
    let answer = request.payload(Blob::new(json!({"task": "identity"}).to_string())).send().await.map_err(|error| {
        CliError::service(format!("could not invoke reconcile: {}", hooks_aws::cause(&error)))
            .hint("Your AWS identity needs lambda:InvokeFunction on it.")
    })?;
    let said: Value = answer.payload.and_then(|bytes| serde_json::from_slice(bytes.as_ref()).ok()).unwrap_or_default();
    if answer.function_error.is_some() || said["task"] != "identity" {
        return Err(CliError::failed("reconcile failed").hint("See why: openai-webhooks logs reconcile"));
    }
    Ok(said["problem"].as_str().map(str::to_owned))
}

/// What was last in the way of a function.
async fn last_problem(context: &Context, stack: &Stack, function: &str) -> Result<Option<String>> {
    let log = FunctionLog::new(context.aws().await?, &stack.name, function).saying(NO_ACCESS);
    let lines = log.lines(now_ms() - LATELY, None, PAGES).await?;
    Ok(lines.iter().rev().find_map(|line| problem(&line.text)))
}

/// The problem in a line of the log: a JSON object, one of whose texts has it.
fn problem(line: &str) -> Option<String> {
    let line: Value = serde_json::from_str(line).ok()?;
    let text = line.as_object()?.values().filter_map(Value::as_str).find_map(|text| text.split_once(NO_ACCESS));
    text.map(|(_, rest)| format!("{NO_ACCESS}{rest}"))
}

fn fix(problem: &str, stack: &Stack, function: &str) -> String {
    let role = stack.outputs.iter().find(|(_, name)| **name == format!("{}-{function}", stack.name));
    let role = role.and_then(|(output, _)| stack.outputs.get(&output.replace("FunctionName", "RoleArn")));
    let role = role.map_or("the function's role", String::as_str);
    let account = parameter(stack, "OpenAIServiceAccountId");
    let is = |code: &str| problem.contains(code);
    if is("enable-outbound-web-identity-federation") {
        "aws iam enable-outbound-web-identity-federation".to_owned()
    } else if is("sts:GetWebIdentityToken") {
        format!(
            "A permissions boundary or a policy of your organization denies it: allow sts:GetWebIdentityToken for {role}."
        )
    } else if is("(invalid_grant)") {
        format!(
            "At OpenAI, Settings, Organization, Workload identity: let {account} take tokens of the subject {role}, from this \
             account's issuer, for the audience https://api.openai.com/v1."
        )
    } else if is("(invalid_client)") || is("(invalid_target)") || is("(invalid_request)") {
        let provider = parameter(stack, "OpenAIIdentityProviderId");
        format!(
            "Compare with OpenAI, Settings, Organization, Workload identity, and deploy with the right ids: \
             OpenAIIdentityProviderId is {provider}, OpenAIServiceAccountId is {account}."
        )
    } else if is("(invalid_scope)") {
        format!("Give {account} the permissions that docs/workload-identity.md lists for {function}.")
    } else {
        "Nothing to set up: the next attempt asks again. See https://status.openai.com.".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_found_in_any_text_of_a_line() {
        let line = |text: &str| json!({"level": "WARN", "error": text}).to_string();
        let said = "there is no access to OpenAI: STS did not answer in time";
        assert_eq!(problem(&line(said)).as_deref(), Some(said));
        assert_eq!(problem(&line(&format!("try again: {said}"))).as_deref(), Some(said));
        assert_eq!(problem(&line("all is well")), None);
        assert_eq!(problem(said), None);
    }
}
