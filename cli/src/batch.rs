//! `batch`: submits batches whose lines were checked before, watches them to their end, cancels them.

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
use crate::failure::{Exit, Failure};

/// Submit batches, watch them, cancel them
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

pub(crate) async fn run(args: &BatchArgs, context: &Context) -> Result<Exit, Failure> {
    match &args.command {
        Command::Submit(args) => submit::run(args, context).await,
        Command::Watch(args) => watch::run(args, context).await,
        Command::Cancel(args) => cancel::run(args, context).await,
    }
}

/// Refuses what cannot be the id of a batch: it becomes a part of a path, here and at OpenAI.
fn check_id(id: &str) -> Result<(), Failure> {
    match Key::new(&[id]) {
        Ok(_) => Ok(()),
        Err(_) => Err(Failure::usage(format!("{id} is no id of a batch, like batch_123"))),
    }
}

/// `40 requests, 35 completed, 5 failed`, as far as OpenAI has counted.
fn counts_text(batch: &Batch) -> String {
    batch.request_counts.map_or_else(
        || "requests not counted yet".to_owned(),
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
