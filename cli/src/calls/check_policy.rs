//! `calls check-policy`: whether a policy is valid, and what it decides for a call.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use hooks_policy::{Action, Decision, MAX_POLICY, Policy, RuleVerdict, Verdict};
use hooks_webhook::SipInvite;
use serde_json::{Value, json};

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
    let headers: Vec<(String, String)> = [("From", &args.from), ("To", &args.to)]
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), address(value.as_deref()?))))
        .chain(args.headers.iter().cloned())
        .collect();
    if headers.is_empty() {
        let document = json!({ "valid": true, "warnings": policy.warnings });
        return context.out.result(&document, || warnings(&policy) + "The policy is valid.");
    }
    let invite = SipInvite::of(headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let at = args.at.unwrap_or_else(Timestamp::now).seconds();
    let (rules, decision) = (policy.explain(&invite, at), policy.decide(&invite, at));
    let document = json!({
        "valid": true,
        "warnings": policy.warnings,
        "answer_as": policy.answer_as.as_str(),
        "rules": rules.iter().map(rule_json).collect::<Vec<_>>(),
        "decision": decision_json(&decision),
    });
    context.out.result(&document, || warnings(&policy) + &explanation(&rules, &decision))
}

/// The answer for a policy with mistakes.
pub(super) fn refused(errors: &[String], context: &Context) -> Result {
    context.out.result(&json!({ "valid": false, "errors": errors }), || {
        format!("The policy is not valid, so it would not be used:\n  {}", errors.join("\n  "))
    })?;
    Ok(Exit::Failure)
}

/// A whole header, or one made of a number.
fn address(value: &str) -> String {
    if value.contains([':', '<', '"']) { value.to_owned() } else { format!("<sip:{value}@caller.invalid>") }
}

fn header(text: &str) -> std::result::Result<(String, String), String> {
    match text.split_once(':') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.to_owned(), value.trim_start().to_owned())),
        _ => Err("must be `Name: value`".to_owned()),
    }
}

/// The warnings, one a line.
pub(super) fn warnings(policy: &Policy) -> String {
    policy.warnings.iter().fold(String::new(), |text, warning| text + "warning: " + warning + "\n")
}

fn rule_json(rule: &RuleVerdict<'_>) -> Value {
    let conditions = rule.conditions.iter().map(|condition| {
        json!({
            "condition": condition.condition,
            "value": condition.value,
            "verdict": word(condition.verdict),
            "why": why(condition.verdict),
        })
    });
    json!({
        "name": rule.name,
        "action": rule.action.as_str(),
        "decides": rule.decides,
        "conditions": conditions.collect::<Vec<_>>(),
    })
}

fn decision_json(decision: &Decision<'_>) -> Value {
    let detail = match decision.action {
        Action::Accept { model, .. } => json!({ "model": model }),
        Action::Reject { status_code } => json!({ "status_code": status_code }),
        Action::Refer { target_uri } => json!({ "target_uri": target_uri }),
    };
    json!({
        "rule": decision.place(),
        "name": decision.name,
        "action": decision.action.as_str(),
        "detail": detail,
        "unreadable": decision.unreadable,
    })
}

fn explanation(rules: &[RuleVerdict<'_>], decision: &Decision<'_>) -> String {
    let mut text = String::new();
    for (index, rule) in rules.iter().enumerate() {
        let verdict = match decision.rule {
            Some(decides) if decides == index => "decides",
            Some(decides) if decides < index => "comes too late",
            _ => "does not match",
        };
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
    let why = match (decision.rule, decision.unreadable) {
        (None, _) => "because no rule matches",
        (Some(_), true) => "because a header cannot be read, and a rule that rejects takes that for a match",
        (Some(_), false) => "because all its conditions match",
    };
    let answer = match decision.action {
        Action::Accept { model, .. } => format!("accepts the call with {model}"),
        Action::Reject { status_code } => format!("rejects the call with {status_code}"),
        Action::Refer { target_uri } => format!("refers the call to {target_uri}"),
    };
    let _ = write!(text, "{} {}, {why}.", decision.place(), printable(&answer));
    text
}

const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Matches => "matches",
        Verdict::Differs => "differs",
        Verdict::Unreadable(_) => "unreadable",
    }
}

const fn why(verdict: Verdict) -> Option<&'static str> {
    match verdict {
        Verdict::Unreadable(why) => Some(why.0),
        Verdict::Matches | Verdict::Differs => None,
    }
}
