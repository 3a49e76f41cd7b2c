//! `batch retry`: the requests of a batch that have no answer, as a new batch.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use clap::Args;
use hooks_operate::batch::{
    Family, RetryFile, RetryPlan, WorkFolder, family, parent, plan_retry, resolve, retry_lease,
};
use serde_json::{Value, json};

use super::submit::{Submitted, Wanted, default_due, submit};
use super::{check_id, sources};
use crate::context::Context;
use crate::error::{CliError, Exit, Result};
use crate::output::{ConfirmArgs, Decision, counted, table};
use crate::timestamp::{self, Timestamp};

/// Submit the requests of a batch that failed, expired or have no answer, as a new batch
///
/// A request is repeated if it has no successful answer in the batch or in any retry of it. The new batch has the batch's
/// metadata and names it as its parent; `batch results` puts all answers together.
#[derive(Args, Debug)]
#[command(after_help = "Example: openai-webhooks batch retry batch_123 --only rate_limit_exceeded --dry-run")]
pub(crate) struct RetryArgs {
    /// Id of the batch, such as `batch_123`, or its beginning
    id: String,
    /// Repeat only requests that failed with this error code, or `missing` ones; may be repeated
    #[arg(long, value_name = "CODE", value_parser = code)]
    only: Vec<String>,
    /// File for the requests [default: none is kept]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Time by which the new batch must have ended: a span (30m, 26h, 7d), or a time in UTC [default: 26h]
    #[arg(long, value_name = "TIME", value_parser = timestamp::future, conflicts_with = "no_stack")]
    expect_by: Option<Timestamp>,
    /// Use no stack: read the answers at OpenAI, and record no expectation
    #[arg(long)]
    no_stack: bool,
    #[command(flatten)]
    confirm: ConfirmArgs,
}

pub(crate) async fn run(args: &RetryArgs, context: &Context) -> Result {
    check_id(&args.id)?;
    let due = args.expect_by.unwrap_or_else(default_due);
    if due <= Timestamp::now() {
        return Err(CliError::usage(format!("--expect-by {} is in the past", due.text())));
    }
    let sources = sources(context, args.no_stack).await?;
    let spinner = context.out.spinner("Looking for the batch and its retries");
    let root = resolve(&sources.openai, &args.id).await?;
    let id = root.id.clone();
    let ledger = if args.no_stack { None } else { Some(context.ledger().await?) };
    let lease = match &ledger {
        Some(ledger) if !args.confirm.dry_run => Some(retry_lease(ledger, &id).await?),
        _ => None,
    };
    let family = family(&sources.openai, root).await?;
    let result = retry(args, &family, &sources, due, &spinner, context).await;
    if let (Some(ledger), Some(lease)) = (&ledger, &lease) {
        // It ends by itself.
        let _ = ledger.end_lease(lease).await;
    }
    result
}

async fn retry(
    args: &RetryArgs,
    family: &Family,
    sources: &hooks_operate::batch::Sources,
    due: Timestamp,
    spinner: &indicatif::ProgressBar,
    context: &Context,
) -> Result {
    let id = &family.root.id;
    let folder = WorkFolder::new()?;
    let path = args.output.clone().unwrap_or_else(|| folder.path().join(format!("{id}-retry.jsonl")));
    let part = with_part(&path);
    let file = create(&part)?;
    let mut to = RetryFile { file: BufWriter::new(file), only: args.only.clone() };
    let plan =
        plan_retry(sources, family, &mut to, |lines| spinner.set_message(format!("Reading {lines} answers"))).await;
    spinner.finish_and_clear();
    drop(to);
    let plan = plan.inspect_err(|_| drop(fs::remove_file(&part)))?;
    if plan.retried == 0 {
        drop(fs::remove_file(&part));
        let document = document(&plan, family, args, None);
        let text = || {
            if plan.codes.is_empty() {
                format!("Every one of the {} has an answer.", counted(plan.total, "request"))
            } else {
                format!("{}\nNo request failed with one of these codes.", codes_text(&plan))
            }
        };
        context.out.result(&document, text)?;
        return Ok(Exit::success_if(plan.codes.is_empty()));
    }
    fs::rename(&part, &path).map_err(|error| CliError::usage(format!("cannot write {}: {error}", path.display())))?;
    if !context.out.json {
        context.out.note(&codes_text(&plan));
        for name in &plan.left_out {
            context.out.note(&format!("The metadata entry {name} has no room in the new batch."));
        }
        if plan.unreadable > 0 {
            context.out.note(&format!(
                "{} of the results cannot be read; their requests count as missing.",
                counted(plan.unreadable, "line")
            ));
        }
        if let Some(parent) = parent(&family.root) {
            context
                .out
                .note(&format!("{id} is itself a retry. To retry the whole: openai-webhooks batch retry {parent}"));
        }
    }
    let requests = counted(plan.retried, "request");
    match context
        .out
        .confirm(args.confirm, &format!("Submit {requests} of {id} again, as a new batch that is billed?"))?
    {
        Decision::Proceed => {}
        Decision::DryRun => {
            let kept = args.output.as_ref().map(|path| format!(" They are in {}.", path.display())).unwrap_or_default();
            let text = || format!("{requests} of {} would be submitted again.{kept}", plan.total);
            return context.out.result(&document(&plan, family, args, None), text);
        }
        Decision::Declined => return Ok(Exit::Failure),
    }
    let outcome_context = carried_context(id, args.no_stack, context).await?;
    let wanted = Wanted {
        file: &path,
        endpoint: family.root.endpoint.as_deref(),
        metadata: &plan.metadata,
        due,
        outcome_context: outcome_context.as_deref(),
        no_stack: args.no_stack,
    };
    let submitted = submit(&wanted, context).await?;
    context.out.note(&format!("Watch it: openai-webhooks batch watch {}", submitted.batch.id));
    context.out.note(&format!("All answers together, once it has ended: openai-webhooks batch results {id}"));
    context.out.result(&document(&plan, family, args, Some(&submitted)), || submitted.batch.id.clone())?;
    Ok(Exit::success_if(submitted.expected))
}

/// The context that the batch's outcome carries, for that of its retry.
async fn carried_context(id: &str, no_stack: bool, context: &Context) -> Result<Option<String>> {
    if no_stack {
        return Ok(None);
    }
    let job = context.event_log().await?.job_record("batch", id).await?;
    Ok(job.and_then(|job| job.get("context").and_then(Value::as_str).map(str::to_owned)))
}

fn document(plan: &RetryPlan, family: &Family, args: &RetryArgs, submitted: Option<&Submitted>) -> Value {
    json!({
        "dry_run": args.confirm.dry_run,
        "batch_id": family.root.id,
        "retries": family.retries.iter().map(|batch| &batch.id).collect::<Vec<_>>(),
        "requests": plan.total,
        "retried": plan.retried,
        "codes": plan.codes,
        "unreadable": plan.unreadable,
        "output": args.output,
        "new_batch_id": submitted.map(|submitted| &submitted.batch.id),
    })
}

/// Requests without an answer by error code.
fn codes_text(plan: &RetryPlan) -> String {
    let rows: Vec<_> = plan.codes.iter().map(|(code, count)| [code.clone(), count.to_string()]).collect();
    let mut text = table(["ERROR", "REQUESTS"], &rows);
    let _ = write!(text, "{} of {} have no answer.", plan.codes.values().sum::<u64>(), counted(plan.total, "request"));
    text
}

/// Creates a file that only this user can read: requests are nobody else's business.
fn create(path: &Path) -> Result<fs::File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(|error| CliError::usage(format!("cannot write {}: {error}", path.display())))
}

/// The name that a file has until it is complete.
fn with_part(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

fn code(text: &str) -> std::result::Result<String, String> {
    let fits = (1..=100).contains(&text.len()) && text.chars().all(|character| !character.is_control());
    if fits {
        Ok(text.to_owned())
    } else {
        Err("an error code has 1 to 100 bytes and no control characters".to_owned())
    }
}
