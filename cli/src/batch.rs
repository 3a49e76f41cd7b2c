//! `batch`: check and submit batches, watch them and fetch their results, cancel them.

mod cancel;
mod check;
mod results;
mod submit;
mod watch;

use clap::{Args, Subcommand};
use hooks_aws::artifacts::Key;
use hooks_openai::{Batch, RequestCounts};
use serde_json::{Value, json};

use crate::context::Context;
use crate::error::{CliError, Result};

/// Submit, watch and cancel batches
#[derive(Args, Debug)]
pub(crate) struct BatchArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Submit(submit::SubmitArgs),
    Watch(watch::WatchArgs),
    Cancel(cancel::CancelArgs),
}

pub(crate) async fn run(args: &BatchArgs, context: &Context) -> Result {
    match &args.command {
        Command::Submit(args) => submit::run(args, context).await,
        Command::Watch(args) => watch::run(args, context).await,
        Command::Cancel(args) => cancel::run(args, context).await,
    }
}

/// Checks an id, which becomes part of a path here and at OpenAI.
fn check_id(id: &str) -> Result<()> {
    Key::new(&[id]).map(drop).map_err(|_| CliError::usage(format!("{id} is not a batch id (batch_...)")))
}

/// OpenAI's counts: `40 requests, 35 completed, 5 failed`.
fn counts_text(batch: &Batch) -> String {
    batch.request_counts.map_or_else(
        || "requests not yet counted".to_owned(),
        |RequestCounts { total, completed, failed }| {
            format!("{total} requests, {completed} completed, {failed} failed")
        },
    )
}

fn counts_document(batch: &Batch) -> Value {
    batch.request_counts.map_or(
        Value::Null,
        |RequestCounts { total, completed, failed }| json!({"total": total, "completed": completed, "failed": failed}),
    )
}
