//! `calls say` and `calls update`: something asked of a call, which its supervisor does and answers.

use std::path::PathBuf;

use clap::Args;
use hooks_operate::calls::{self, ANSWER_TIME, Asked};
use serde_json::{Value, json};

use super::show::{id, session};
use crate::context::Context;
use crate::error::{CliError, Exit, Result};
use crate::events::asked_by;
use crate::input;

/// Longest text to say, in bytes: about the 500 tokens that OpenAI takes.
const MAX_TEXT: usize = 2_000;

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

pub(super) async fn update(args: &UpdateArgs, context: &Context) -> Result {
    let json = input::bytes(&args.file, MAX_CHANGE)?;
    let change: Value = serde_json::from_slice(&json)
        .map_err(|error| CliError::usage(format!("{} is not JSON: {error}", args.file.display())))?;
    if !change.is_object() {
        return Err(CliError::usage(format!("{} is not a JSON object", args.file.display()))
            .hint("Write what to change, such as {\"instructions\": \"Be brief.\"}."));
    }
    ask(&args.id, "update", &json!({"session": change}), context).await
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
