//! The policy for phone calls: where the stack has it, and what it decides for a call.

use hooks_aws::Config;
use hooks_aws::artifacts::{Artifacts, GetResult};
use hooks_aws::parameters::Parameters;
use hooks_policy::{Action, Decision, Location, MAX_POLICY, Policy, RuleVerdict, UNSET, Verdict};
use hooks_webhook::SipInvite;
use serde_json::{Value, json};

use crate::stack::Stack;
use crate::{OperateError, Result};

/// Permissions that reading or writing the policy needs.
pub const POLICY_PERMISSIONS: &str = "Your AWS identity needs ssm:GetParameter and ssm:PutParameter on the stack's \
     parameter call-policy, or s3:GetObject, s3:ListBucket and s3:PutObject on the object of CallPolicyS3Uri.";

/// Where the stack stores its policy, and the policy's text; `None` when there is none.
#[derive(Debug)]
pub struct Stored {
    /// Where.
    pub location: Location,
    /// Text.
    pub policy: Option<Vec<u8>>,
}

/// Where the stack stores its policy.
pub fn location(stack: &Stack) -> Result<Location> {
    match stack.parameters.get("CallPolicyS3Uri") {
        Some(uri) if !uri.is_empty() => uri
            .parse()
            .map_err(|error: String| OperateError::failed(format!("the stack's parameter CallPolicyS3Uri {error}"))),
        _ => Ok(Location::Parameter(format!("/{}/call-policy", stack.name))),
    }
}

/// Reads the stored policy.
pub async fn stored(aws: &Config, stack: &Stack) -> Result<Stored> {
    let location = location(stack)?;
    let failed = |error: String| OperateError::service(error).hint(POLICY_PERMISSIONS);
    let policy = match &location {
        Location::Parameter(name) => {
            let parameter = Parameters::new(aws).get(name).await.map_err(|error| failed(error.to_string()))?;
            parameter
                .map(|parameter| parameter.value.into_bytes())
                .filter(|value| value.trim_ascii() != UNSET.as_bytes())
        }
        Location::Object { bucket, key } => {
            let found = Artifacts::new(aws, bucket).get(key, None, MAX_POLICY).await;
            match found.map_err(|error| failed(error.to_string()))? {
                GetResult::Object { bytes, .. } => Some(bytes.to_vec()),
                GetResult::Absent | GetResult::Unchanged => None,
                GetResult::TooLarge => {
                    return Err(OperateError::failed(format!("{location} has more than {MAX_POLICY} bytes"))
                        .hint("The function does not use it. Store a shorter policy."));
                }
            }
        }
    };
    Ok(Stored { location, policy })
}

/// The SIP headers of a call that is tried. `from` and `to` are numbers or whole headers.
#[must_use]
pub fn headers(from: Option<&str>, to: Option<&str>, others: &[(String, String)]) -> Vec<(String, String)> {
    let numbers = [("From", from), ("To", to)].into_iter();
    let numbers = numbers.filter_map(|(name, value)| Some((name.to_owned(), address(value?))));
    numbers.chain(others.iter().cloned()).collect()
}

/// A whole header, or one made of a number.
fn address(value: &str) -> String {
    if value.contains([':', '<', '"']) { value.to_owned() } else { format!("<sip:{value}@caller.invalid>") }
}

/// A header as it is written, `Name: value`.
///
/// # Errors
///
/// The reason, to follow the name of the value.
pub fn header(text: &str) -> std::result::Result<(String, String), String> {
    match text.split_once(':') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.to_owned(), value.trim_start().to_owned())),
        _ => Err("must be `Name: value`".to_owned()),
    }
}

/// The call of these headers.
#[must_use]
pub fn invite(headers: &[(String, String)]) -> SipInvite {
    SipInvite::of(headers.iter().map(|(name, value)| (name.as_str(), value.as_str())))
}

/// The verdict of every rule, and the decision, as JSON.
#[must_use]
pub fn document(policy: &Policy, rules: &[RuleVerdict<'_>], decision: &Decision<'_>) -> Value {
    json!({
        "valid": true,
        "warnings": policy.warnings,
        "answer_as": policy.answer_as.as_str(),
        "rules": rules.iter().map(rule_json).collect::<Vec<_>>(),
        "decision": decision_json(decision),
    })
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

/// What becomes of a rule, the `index`th of the policy, beside the decision.
#[must_use]
pub fn verdict_of_rule(index: usize, decision: &Decision<'_>) -> &'static str {
    match decision.rule {
        Some(decides) if decides == index => "decides",
        Some(decides) if decides < index => "comes too late",
        _ => "does not match",
    }
}

/// The decision in words: `rules[2] accepts the call with gpt-live-1, because all its conditions match`.
#[must_use]
pub fn sentence(decision: &Decision<'_>) -> String {
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
    format!("{} {answer}, {why}", decision.place())
}

/// A verdict as a word.
#[must_use]
pub const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Matches => "matches",
        Verdict::Differs => "differs",
        Verdict::Unreadable(_) => "unreadable",
    }
}

/// Why a header cannot be read.
#[must_use]
pub const fn why(verdict: Verdict) -> Option<&'static str> {
    match verdict {
        Verdict::Unreadable(why) => Some(why.0),
        Verdict::Matches | Verdict::Differs => None,
    }
}
