//! `batch`: check and submit batches, watch them and fetch their results, list and cancel them, retry what has no answer, and
//! export requests with their answers.

mod export;
mod list;
mod results;
mod retry;
mod submit;
mod watch;

use clap::{Args, Subcommand};
use hooks_aws::artifacts::{Artifacts, Key};
use hooks_openai::{Batch, BatchStatus, RequestCounts};
use hooks_operate::batch::{Sources, resolve};
use serde_json::{Value, json};

use crate::context::{Context, deadline};
use crate::error::{CliError, Exit, Result};
use crate::output::{ConfirmArgs, Decision};

/// Submit, watch, list and cancel batches, retry what has no answer, and export the results
#[derive(Subcommand, Debug)]
pub(crate) enum BatchCommand {
    Submit(submit::SubmitArgs),
    Watch(watch::WatchArgs),
    Cancel(CancelArgs),
    List(list::ListArgs),
    Retry(retry::RetryArgs),
    Results(export::ExportArgs),
}

/// Cancel a batch
///
/// OpenAI takes up to ten minutes. Requests that are completed by then are billed, and their results kept.
#[derive(Args, Debug)]
pub(crate) struct CancelArgs {
    /// Id of the batch, such as `batch_123`, or its beginning
    id: String,
    #[command(flatten)]
    confirm: ConfirmArgs,
}

pub(crate) async fn run(command: &BatchCommand, context: &Context) -> Result {
    match command {
        BatchCommand::Submit(args) => submit::run(args, context).await,
        BatchCommand::Watch(args) => watch::run(args, context).await,
        BatchCommand::Cancel(args) => cancel(args, context).await,
        BatchCommand::List(args) => list::run(args, context).await,
        BatchCommand::Retry(args) => retry::run(args, context).await,
        BatchCommand::Results(args) => export::run(args, context).await,
    }
}

async fn cancel(args: &CancelArgs, context: &Context) -> Result {
    check_id(&args.id)?;
    let openai = context.openai().await?;
    let batch = resolve(openai, &args.id).await?;
    if batch.status.is_terminal() {
        return Err(CliError::failed(format!("{} is {} and cannot be cancelled", batch.id, batch.status))
            .hint(format!("Fetch its results: openai-webhooks batch watch {}", batch.id)));
    }
    let dry_run = args.confirm.dry_run;
    let report = |batch: &Batch| {
        let document = json!({
            "dry_run": dry_run,
            "batch_id": batch.id,
            "status": batch.status.as_str(),
            "request_counts": counts_document(batch),
        });
        context.out.result(&document, || {
            if dry_run {
                return format!("{} would be cancelled: {}, {}.", batch.id, batch.status, counts_text(batch));
            }
            format!(
                "{} is {}, which takes up to ten minutes. Requests that are completed by then are billed, and their \
                 results kept.",
                batch.id, batch.status
            )
        })
    };
    if batch.status == BatchStatus::Cancelling {
        return report(&batch);
    }
    let question = format!("Cancel {} ({}, {})?", batch.id, batch.status, counts_text(&batch));
    match context.out.confirm(args.confirm, &question)? {
        Decision::Proceed => report(&openai.cancel_batch(&batch.id, deadline()).await?),
        Decision::DryRun => report(&batch),
        Decision::Declined => Ok(Exit::Failure),
    }
}

/// Checks an id, which becomes part of a path here and at OpenAI.
fn check_id(id: &str) -> Result<()> {
    Key::new(&[id]).map(drop).map_err(|_| CliError::usage(format!("{id} is not a batch id (batch_...)")))
}

/// Where the lines of batches are read.
async fn sources(context: &Context, no_stack: bool) -> Result<Sources> {
    let openai = context.openai().await?.clone();
    if no_stack {
        return Ok(Sources { openai, artifacts: None });
    }
    let bucket = context.output("BucketName").await?;
    Ok(Sources { openai, artifacts: Some(Artifacts::new(context.aws().await?, bucket)) })
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
