//! `calls say` and `calls update`: something asked of a call, which its supervisor does and answers.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use hooks_operate::calls::{self, ANSWER_TIME, Asked};
use serde_json::{Value, json};

use super::show::{id, session};
use crate::context::Context;
use crate::error::{CliError, Exit, Result};
use crate::events::asked_by;
use crate::input;
use crate::output::{ConfirmArgs, Decision, counted, table};

/// Longest text to say, in bytes: about the 500 tokens that OpenAI takes.
const MAX_TEXT: usize = 2_000;

/// Longest result of a tool, in bytes.
const MAX_OUTPUT: usize = 32 * 1024;

/// Longest change of a session, in bytes.
const MAX_CHANGE: u64 = 128 * 1024;

/// Have the model say something to the caller
#[derive(Args, Debug)]
#[command(after_help = "Example: openai-webhooks calls say live_123 'A colleague takes over in a minute.'")]
pub(crate) struct SayArgs {
    /// Id of the call, `live_...` or `rtc_...`, or its beginning
    #[arg(value_parser = id)]
    id: String,
    /// What to say, up to 2000 bytes
    #[arg(value_parser = text)]
    text: String,
    /// As if the caller had said it: the model answers
    #[arg(long, conflicts_with = "instruction")]
    message: bool,
    /// As an instruction to the model: nothing is said for it
    #[arg(long)]
    instruction: bool,
}

/// Ask something without words of a live call
#[derive(Args, Debug)]
#[command(after_help = "Example: openai-webhooks calls control live_123 mute")]
pub(crate) struct ControlArgs {
    /// Id of the call: `live_...` or `rtc_...`
    #[arg(value_parser = id)]
    id: String,
    /// What to ask. Live has `mute` and `unmute`, Realtime the others
    #[arg(value_enum)]
    what: Control,
}

/// Something without words.
#[derive(ValueEnum, Clone, Copy, Debug)]
enum Control {
    /// End what the model is saying
    Cancel,
    /// Make a message of the caller's audio so far
    CommitAudio,
    /// Drop the caller's audio so far
    ClearAudio,
    /// Give the model silence instead of the caller
    Mute,
    /// End `mute`
    Unmute,
}

/// Give the result of a tool that the policy does not have
#[derive(Args, Debug)]
#[command(after_help = "Example: openai-webhooks calls result live_123 call_456 '{\"state\": \"sent\"}'")]
pub(crate) struct ResultArgs {
    /// Id of the call: `live_...` or `rtc_...`
    #[arg(value_parser = id)]
    id: String,
    /// Id of the tool call, as `calls show` prints it
    call_id: String,
    /// The result, text or JSON, up to 32 KiB
    #[arg(value_parser = output)]
    output: String,
}

/// Change all live calls
///
/// The file has `instructions`, `voice` and `tools`, or some of them. A Live call keeps its voice, and adds instructions to
/// those that it has.
#[derive(Args, Debug)]
#[command(
    after_help = "Example: echo '{\"instructions\": \"We close in ten minutes.\"}' | openai-webhooks calls broadcast -"
)]
pub(crate) struct BroadcastArgs {
    /// What to change, a JSON object, or - for stdin
    file: PathBuf,
    #[command(flatten)]
    confirm: ConfirmArgs,
}

/// Change the configuration of a live call
///
/// A Realtime call takes what its session has, such as instructions, tools, and a voice before the first word. A Live call
/// takes `delegation` (with instructions and tools) and `triggers` only.
#[derive(Args, Debug)]
#[command(after_help = "Example: echo '{\"instructions\": \"Be brief.\"}' | openai-webhooks calls update rtc_123 -")]
pub(crate) struct UpdateArgs {
    /// Id of the call, `live_...` or `rtc_...`, or its beginning
    #[arg(value_parser = id)]
    id: String,
    /// What to change, a JSON object, or - for stdin
    file: PathBuf,
}

fn text(text: &str) -> std::result::Result<String, String> {
    match text.trim() {
        "" => Err("is empty".to_owned()),
        said if said.len() > MAX_TEXT => Err(format!("has {} bytes; at most {MAX_TEXT} can be said", said.len())),
        said => Ok(said.to_owned()),
    }
}

pub(super) async fn say(args: &SayArgs, context: &Context) -> Result {
    let kind = match (args.message, args.instruction) {
        (true, _) => "message",
        (_, true) => "instruct",
        _ => "say",
    };
    ask(&args.id, kind, &json!({"text": args.text}), context).await
}

fn output(text: &str) -> std::result::Result<String, String> {
    if text.len() > MAX_OUTPUT {
        return Err(format!("has {} bytes; at most {MAX_OUTPUT} are given to the model", text.len()));
    }
    Ok(text.to_owned())
}

fn change(file: &Path) -> Result<Value> {
    let json = input::bytes(file, MAX_CHANGE)?;
    let change: Value = serde_json::from_slice(&json)
        .map_err(|error| CliError::usage(format!("{} is not JSON: {error}", file.display())))?;
    if !change.is_object() {
        return Err(CliError::usage(format!("{} is not a JSON object", file.display()))
            .hint("Write what to change, such as {\"instructions\": \"Be brief.\"}."));
    }
    Ok(change)
}

pub(super) async fn update(args: &UpdateArgs, context: &Context) -> Result {
    ask(&args.id, "update", &json!({"session": change(&args.file)?}), context).await
}

pub(super) async fn control(args: &ControlArgs, context: &Context) -> Result {
    let kind = match args.what {
        Control::Cancel => "cancel",
        Control::CommitAudio => "commit_audio",
        Control::ClearAudio => "clear_audio",
        Control::Mute => "mute",
        Control::Unmute => "unmute",
    };
    ask(&args.id, kind, &json!({}), context).await
}

pub(super) async fn result(args: &ResultArgs, context: &Context) -> Result {
    ask(&args.id, "function_result", &json!({"call_id": args.call_id, "output": args.output}), context).await
}

pub(super) async fn broadcast(args: &BroadcastArgs, context: &Context) -> Result {
    let change = change(&args.file)?;
    let ledger = context.ledger().await?;
    let open = calls::open(&ledger).await?;
    let number = counted(open.len() as u64, "live call");
    match context.out.confirm(args.confirm, &format!("Change {number}?"))? {
        Decision::Declined => return Ok(Exit::Failure),
        Decision::DryRun => {
            let ids: Vec<_> = open.iter().map(|call| &call.id).collect();
            return context.out.result(&json!({"dry_run": true, "calls": ids}), || format!("Would change {number}."));
        }
        Decision::Proceed => {}
    }
    let who = asked_by().unwrap_or_else(|| "somebody".to_owned());
    let asked = calls::broadcast(&ledger, "update", &change, &who).await?;
    let row = |(id, asked): &(String, Asked)| match asked {
        Asked::Confirmed => [id.clone(), "confirmed".to_owned()],
        Asked::Refused(reason) => [id.clone(), format!("refused: {reason}")],
        Asked::Unanswered => [id.clone(), "not answered; it may still be done".to_owned()],
    };
    let rows: Vec<_> = asked.iter().map(row).collect();
    let document: Vec<_> = rows.iter().map(|[id, answer]| json!({"id": id, "answer": answer})).collect();
    context.out.result(&json!({"dry_run": false, "calls": document}), || match rows.as_slice() {
        [] => "There is no live call.".to_owned(),
        rows => table(["ID", "ANSWER"], rows),
    })?;
    Ok(Exit::success_if(asked.iter().all(|(_, asked)| *asked == Asked::Confirmed)))
}

async fn ask(id: &str, kind: &str, argument: &Value, context: &Context) -> Result {
    let (ledger, session) = session(id, context).await?;
    let id = session.id.as_str();
    if !calls::is_open(&session) {
        let reason = session.reason.as_deref().unwrap_or("for an unknown reason");
        return Err(CliError::failed(format!("the call {id} has ended: {reason}"))
            .hint("What was said is in `openai-webhooks calls show ID`.".replace("ID", id)));
    }
    let who = asked_by().unwrap_or_else(|| "somebody".to_owned());
    let asked = calls::ask(&ledger, &session, kind, argument, &who).await?;
    let document = |confirmed: bool, reason: Option<&str>| json!({"id": id, "asked": kind, "confirmed": confirmed, "reason": reason});
    match asked {
        Asked::Confirmed => context.out.result(&document(true, None), || "Confirmed.".to_owned()),
        Asked::Refused(reason) => {
            context.out.result(&document(false, Some(&reason)), || format!("Refused: {reason}"))?;
            Ok(Exit::Failure)
        }
        Asked::Unanswered => {
            Err(CliError::service(format!("nobody answered within {} s; it may still be done", ANSWER_TIME.as_secs()))
                .hint(format!("`openai-webhooks calls show {id}` tells what was asked, and whether it was done.")))
        }
    }
}
