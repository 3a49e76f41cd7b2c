//! `calls hangup` and `calls transfer`: calls to OpenAI, which need no supervisor.

use clap::Args;
use hooks_openai::{ErrorClass, OpenAiError};
use hooks_operate::calls;
use hooks_webhook::CallApi;
use serde_json::json;

use super::show::{find, id};
use crate::context::{Context, deadline};
use crate::error::{CliError, Exit, Result};
use crate::output::{ConfirmArgs, Decision};

/// Hang up a call
#[derive(Args, Debug)]
#[command(after_help = "Example: openai-webhooks calls hangup live_123")]
pub(crate) struct HangupArgs {
    /// Id of the call, `live_...` or `rtc_...`, or its beginning
    #[arg(value_parser = id)]
    id: String,
    #[command(flatten)]
    confirm: ConfirmArgs,
}

/// Transfer a caller to another number or address
///
/// OpenAI answers before the caller has left; whether the other side takes the call is not told.
#[derive(Args, Debug)]
#[command(after_help = "Example: openai-webhooks calls transfer live_123 tel:+4930123456")]
pub(crate) struct TransferArgs {
    /// Id of the call, `live_...` or `rtc_...`, or its beginning
    #[arg(value_parser = id)]
    id: String,
    /// Where to: `tel:+4930123456` or `sip:desk@example.com`
    #[arg(value_name = "URI", value_parser = target)]
    target: String,
    #[command(flatten)]
    confirm: ConfirmArgs,
}

fn target(text: &str) -> std::result::Result<String, String> {
    let rest = text.strip_prefix("tel:").or_else(|| text.strip_prefix("sip:")).or_else(|| text.strip_prefix("sips:"));
    match rest {
        Some(rest) if !rest.is_empty() && text.len() <= 512 && text.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Ok(text.to_owned())
        }
        _ => Err("must be a tel: or sip: URI, such as tel:+4930123456".to_owned()),
    }
}

pub(super) async fn hang_up(args: &HangupArgs, context: &Context) -> Result {
    let (id, api) = call(&args.id, context).await?;
    match context.out.confirm(args.confirm, &format!("Hang up the call {id}?"))? {
        Decision::Declined => return Ok(Exit::Failure),
        Decision::DryRun => {}
        Decision::Proceed => {
            let hung_up = context.openai().await?.hangup_call(api, &id, deadline()).await;
            hung_up.map_err(|error| refused(&id, error))?;
        }
    }
    let dry_run = args.confirm.dry_run;
    let document = json!({"id": id, "api": api.as_str(), "dry_run": dry_run});
    let done = if dry_run { "Would hang up" } else { "Hung up" };
    context.out.result(&document, || format!("{done} the call {id}."))
}

pub(super) async fn transfer(args: &TransferArgs, context: &Context) -> Result {
    let (id, api) = call(&args.id, context).await?;
    let TransferArgs { target, confirm, .. } = args;
    match context.out.confirm(*confirm, &format!("Transfer the caller of {id} to {target}?"))? {
        Decision::Declined => return Ok(Exit::Failure),
        Decision::DryRun => {}
        Decision::Proceed => {
            let referred = context.openai().await?.refer_call(api, &id, target, deadline()).await;
            referred.map_err(|error| refused(&id, error))?;
        }
    }
    let document = json!({"id": id, "api": api.as_str(), "target_uri": target, "dry_run": confirm.dry_run});
    context.out.result(&document, || {
        if confirm.dry_run {
            return format!("Would transfer the caller of {id} to {target}.");
        }
        format!(
            "OpenAI transfers the caller to {target}. It does not tell whether the caller has left: `openai-webhooks \
             calls show {id}` does."
        )
    })
}

/// The whole id of a call, and its API. It goes on as far as the stack knows.
async fn call(id: &str, context: &Context) -> Result<(String, CallApi)> {
    // A call of OpenAI's needs no stack, and one that nobody supervises is not in its ledger.
    let known = match context.find_stack().await {
        Ok(Some(_)) => find(id, context).await?,
        _ => None,
    };
    match known {
        Some(session) if !calls::is_open(&session) => {
            let reason = session.reason.as_deref().unwrap_or("for an unknown reason");
            Err(CliError::failed(format!("the call {} has ended: {reason}", session.id)))
        }
        Some(session) if session.api == CallApi::Realtime.as_str() => Ok((session.id, CallApi::Realtime)),
        Some(session) => Ok((session.id, CallApi::Live)),
        None => Ok((id.to_owned(), calls::api_of(id))),
    }
}

fn refused(id: &str, error: OpenAiError) -> CliError {
    match error.class() {
        ErrorClass::NotFound => {
            CliError::failed(format!("OpenAI has no call {id}: it has ended, or is another project's"))
                .hint(format!("What is known of it: `openai-webhooks calls show {id}`."))
        }
        _ => error.into(),
    }
}
