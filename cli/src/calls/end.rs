//! `calls hangup` and `calls transfer`: calls to OpenAI, which need no supervisor.

use clap::Args;
use hooks_aws::ledger::Ledger;
use hooks_operate::calls::{self, EndAction, check_target};
use hooks_webhook::CallApi;
use serde_json::json;

use super::show::{find, id};
use crate::context::{Context, deadline};
use crate::error::{CliError, Exit, Result};
use crate::events::asked_by;
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

fn target(text: &str) -> std::result::Result<String, &'static str> {
    check_target(text).map(|()| text.to_owned())
}

pub(super) async fn hang_up(args: &HangupArgs, context: &Context) -> Result {
    let call = call(&args.id, context).await?;
    match context.out.confirm(args.confirm, &format!("Hang up the call {}?", call.id))? {
        Decision::Declined => return Ok(Exit::Failure),
        Decision::DryRun => {}
        Decision::Proceed => {
            end(&call, EndAction::HangUp, context).await?;
        }
    }
    let dry_run = args.confirm.dry_run;
    let document = json!({"id": call.id, "api": call.api.as_str(), "dry_run": dry_run});
    let done = if dry_run { "Would hang up" } else { "Hung up" };
    context.out.result(&document, || format!("{done} the call {}.", call.id))
}

pub(super) async fn transfer(args: &TransferArgs, context: &Context) -> Result {
    let call = call(&args.id, context).await?;
    let (TransferArgs { target, confirm, .. }, id) = (args, &call.id);
    match context.out.confirm(*confirm, &format!("Transfer the caller of {id} to {target}?"))? {
        Decision::Declined => return Ok(Exit::Failure),
        Decision::DryRun => {}
        Decision::Proceed => {
            end(&call, EndAction::Transfer(target), context).await?;
        }
    }
    let document = json!({"id": id, "api": call.api.as_str(), "target_uri": target, "dry_run": confirm.dry_run});
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

/// A call that goes on, as far as the stack knows.
struct Going {
    /// Its whole id.
    id: String,
    api: CallApi,
    /// The stack's ledger, if there is a stack.
    ledger: Option<Ledger>,
}

async fn call(id: &str, context: &Context) -> Result<Going> {
    // A call of OpenAI's needs no stack, and one that nobody supervises is not in its ledger.
    let ledger = match context.find_stack().await {
        Ok(Some(_)) => Some(context.ledger().await?),
        _ => None,
    };
    let known = match &ledger {
        Some(_) => find(id, context).await?,
        None => None,
    };
    let id = known.as_ref().map_or_else(|| id.to_owned(), |session| session.id.clone());
    let api = match known {
        Some(session) if !calls::is_open(&session) => {
            let reason = session.reason.as_deref().unwrap_or("for an unknown reason");
            return Err(CliError::failed(format!("the call {id} has ended: {reason}")));
        }
        Some(session) if session.api == CallApi::Realtime.as_str() => CallApi::Realtime,
        Some(_) => CallApi::Live,
        None => calls::api_of(&id),
    };
    Ok(Going { id, api, ledger })
}

async fn end(call: &Going, action: EndAction<'_>, context: &Context) -> Result<()> {
    let who = asked_by().unwrap_or_else(|| "somebody".to_owned());
    let openai = context.openai().await?;
    Ok(calls::end((call.ledger.as_ref(), &who), openai, (call.api, &call.id), action, deadline()).await?)
}
