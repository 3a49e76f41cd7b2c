//! `calls check-policy`: whether a policy is valid, and what it decides for a call.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use hooks_operate::call_policy::{self, header, sentence, verdict_of_rule, why, word};
use hooks_policy::{Decision, MAX_POLICY, Policy, RuleVerdict};
use serde_json::json;

use super::stored;
use crate::context::Context;
use crate::error::{CliError, Exit, Result};
use crate::input;
use crate::output::{printable, table};
use crate::timestamp::{self, Timestamp};

/// Check a policy for phone calls, and show what it decides for a call
///
/// With a header the answer says which rule decides and why, with the verdict of every condition.
#[derive(Args, Debug)]
pub(crate) struct CheckPolicyArgs {
    /// The policy, or - for stdin [default: the stack's]
    file: Option<PathBuf>,
    /// The caller: a number such as +4930123456, or a whole From header
    #[arg(long, value_name = "NUMBER|HEADER")]
    from: Option<String>,
    /// The called number, or a whole To header
    #[arg(long, value_name = "NUMBER|HEADER")]
    to: Option<String>,
    /// Another SIP header of the call; may be repeated
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(String, String)>,
    /// Time of the call: a span before now (2h), or a time in UTC [default: now]
    #[arg(long, value_name = "TIME", value_parser = timestamp::past)]
    at: Option<Timestamp>,
}

pub(super) async fn run(args: &CheckPolicyArgs, context: &Context) -> Result {
    let json = if let Some(file) = &args.file {
        input::bytes(file, MAX_POLICY as u64)?
    } else {
        let stored = stored::read(context).await?;
        stored.policy.ok_or_else(|| {
            CliError::failed(format!("no policy is stored in {}", stored.location))
                .hint("Store one: openai-webhooks calls set-policy FILE")
        })?
    };
    let policy = match Policy::parse(&json) {
        Ok(policy) => policy,
        Err(errors) => return refused(&errors, context),
    };
    let headers = call_policy::headers(args.from.as_deref(), args.to.as_deref(), &args.headers);
    if headers.is_empty() {
        let document = json!({ "valid": true, "warnings": policy.warnings });
        return context.out.result(&document, || warnings(&policy) + "The policy is valid.");
    }
    let invite = call_policy::invite(&headers);
    let at = args.at.unwrap_or_else(Timestamp::now).seconds();
    let (rules, decision) = (policy.explain(&invite, at), policy.decide(&invite, at));
    let document = call_policy::document(&policy, &rules, &decision);
    context.out.result(&document, || warnings(&policy) + &explanation(&rules, &decision))
}

/// The answer for a policy with mistakes.
pub(super) fn refused(errors: &[String], context: &Context) -> Result {
    context.out.result(&json!({ "valid": false, "errors": errors }), || {
        format!("The policy is not valid, so it would not be used:\n  {}", errors.join("\n  "))
    })?;
    Ok(Exit::Failure)
}

/// The warnings, one a line.
pub(super) fn warnings(policy: &Policy) -> String {
    policy.warnings.iter().fold(String::new(), |text, warning| text + "warning: " + warning + "\n")
}

fn explanation(rules: &[RuleVerdict<'_>], decision: &Decision<'_>) -> String {
    let mut text = String::new();
    for (index, rule) in rules.iter().enumerate() {
        let verdict = verdict_of_rule(index, decision);
        let (name, action) = (rule.name.map_or_else(String::new, |name| format!(" {name:?}")), rule.action.as_str());
        let _ = writeln!(text, "rules[{index}]{}: {action}, {verdict}", printable(&name));
        let rows = rule.conditions.iter().map(|condition| {
            let value = condition.value.clone().unwrap_or_else(|| "-".to_owned());
            let verdict = match why(condition.verdict) {
                Some(why) => format!("{}: {why}", word(condition.verdict)),
                None => word(condition.verdict).to_owned(),
            };
            [format!("  {}", condition.condition), value, verdict]
        });
        text += &table(["  CONDITION", "OF THE CALL", "VERDICT"], &rows.collect::<Vec<_>>());
    }
    let _ = write!(text, "{}.", printable(&sentence(decision)));
    text
}
