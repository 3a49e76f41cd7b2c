//! Hanging up and transferring: requests to OpenAI, which need no supervisor. The ledger has who asked for them.

use hooks_aws::ledger::{ControlAnswer, Ledger};
use hooks_openai::{Client, ErrorClass};
use hooks_policy::masked_address;
use hooks_webhook::CallApi;
use serde_json::json;
use tokio::time::Instant;

use crate::{OperateError, Result};

/// Longest address that a caller is transferred to.
const MAX_TARGET: usize = 512;

/// How a call leaves the session.
#[derive(Clone, Copy)]
pub enum EndAction<'a> {
    /// It is hung up.
    HangUp,
    /// It is transferred to this URI. OpenAI answers before the caller has left; whether that works is not told.
    Transfer(&'a str),
}

/// Whether a caller can be transferred to this address.
///
/// # Errors
///
/// The reason, to follow the name of the value.
pub fn check_target(target: &str) -> std::result::Result<(), &'static str> {
    let rest = ["tel:", "sip:", "sips:"].into_iter().find_map(|scheme| target.strip_prefix(scheme));
    let is_plain = target.len() <= MAX_TARGET && target.bytes().all(|byte| byte.is_ascii_graphic());
    match rest {
        Some(rest) if !rest.is_empty() && is_plain => Ok(()),
        _ => Err("must be a tel: or sip: URI, such as tel:+4930123456"),
    }
}

/// Has a call leave its session, and records who asked. Without a ledger nothing is recorded: the call is of no stack.
///
/// Needs `dynamodb:UpdateItem`.
pub async fn end(
    (ledger, asked_by): (Option<&Ledger>, &str),
    openai: &Client,
    (api, id): (CallApi, &str),
    action: EndAction<'_>,
    deadline: Instant,
) -> Result<()> {
    let key = (api.as_str(), id);
    let recorded = match (ledger, action) {
        (None, _) => None,
        (Some(ledger), EndAction::HangUp) => {
            Some((ledger, ledger.record_control(key, "hang_up", &json!({}), asked_by).await?))
        }
        (Some(ledger), EndAction::Transfer(target)) => {
            let argument = json!({"target": masked_address(target)});
            Some((ledger, ledger.record_control(key, "transfer", &argument, asked_by).await?))
        }
    };
    let result = match action {
        EndAction::HangUp => openai.hangup_call(api, id, deadline).await,
        EndAction::Transfer(target) => openai.refer_call(api, id, target, deadline).await,
    };
    if let Some((ledger, control)) = recorded {
        // OpenAI's message may quote the number.
        let reason = result.as_ref().err().map(|error| match error.status() {
            Some(status) => format!("OpenAI answered with status {status}"),
            None => "OpenAI did not answer: it may have been done".to_owned(),
        });
        let answer = ControlAnswer { confirmed: result.is_ok(), reason };
        ledger.answer_control(key, &control, &answer).await?;
    }
    result.map_err(|error| match error.class() {
        ErrorClass::NotFound => {
            OperateError::failed(format!("OpenAI has no call {id}: it has ended, or is another project's"))
                .hint(format!("What is known of it: `openai-webhooks calls show {id}`."))
        }
        _ => error.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_uri_of_a_telephone() {
        for target in ["tel:+4930123456", "sip:desk@example.com", "sips:desk@example.com"] {
            assert_eq!(check_target(target), Ok(()), "{target}");
        }
        let long = format!("tel:{}", "1".repeat(MAX_TARGET));
        for target in ["", "tel:", "https://example.com", "tel:1 2", "tel:\u{e4}", &long] {
            assert!(check_target(target).is_err(), "{target}");
        }
    }
}
