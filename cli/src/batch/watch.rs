//! `batch watch`: wait for a batch to end, and download its results.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, stderr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use hooks_openai::{Batch, BatchStatus, Client, ErrorClass};
use hooks_operate::ErrorKind;
use hooks_operate::batch::resolve;
use serde_json::{Value, json};
use tokio::signal::ctrl_c;
use tokio::time::sleep;

use super::results::{Counts, Fetched, Results};
use super::{check_id, counts_document, counts_text};
use crate::context::{Context, deadline};
use crate::error::{CliError, Exit, Result};
use crate::output::{key_values, printable};

/// The first and the longest interval of requests.
const INTERVALS: (Duration, Duration) = (Duration::from_secs(2), Duration::from_mins(1));

/// Maximum number of failed requests in a row. Watching takes hours, and disturbances pass.
const MAX_FAILURES: u32 = 10;

/// Maximum number of a failed batch's errors that are shown.
const MAX_ERRORS: usize = 20;

/// Wait for a batch to end and download its results
///
/// Exits with 0 if it has completed and every request has a result that did not fail. Ctrl-C stops watching, not the batch.
#[derive(Args, Debug)]
pub(crate) struct WatchArgs {
    /// Id of the batch, such as `batch_123`, or its beginning
    id: String,
    /// Folder for output.jsonl, errors.jsonl and summary.json [default: the batch's id]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Seconds between two requests [default: 2, growing to 60]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    interval: Option<u64>,
    /// Use no stack: download the results from OpenAI
    #[arg(long)]
    no_stack: bool,
}

impl WatchArgs {
    pub(super) const fn new(id: String, out: Option<PathBuf>, no_stack: bool) -> Self {
        Self { id, out, interval: None, no_stack }
    }
}

pub(crate) async fn run(args: &WatchArgs, context: &Context) -> Result {
    check_id(&args.id)?;
    let openai = context.openai().await?;
    let id = match resolve(openai, &args.id).await {
        Ok(batch) => batch.id,
        // What passes is waited for below.
        Err(error) if error.kind == ErrorKind::Service => args.id.clone(),
        Err(error) => return Err(error.into()),
    };
    let results = Results::new(id.clone(), args.out.clone().unwrap_or_else(|| PathBuf::from(&id)));
    let watched = async {
        // Find the bucket before waiting for hours.
        let bucket = if args.no_stack { None } else { Some(context.output("BucketName").await?) };
        let batch = follow(openai, &id, args.interval, context).await?;
        let fetched = match bucket {
            Some(bucket) => results.fetch_from_stack(bucket, context).await?,
            None => results.fetch_from_openai(openai, &batch, context).await?,
        };
        report(&batch, &results, &fetched, context)
    };
    tokio::select! {
        exit = watched => exit,
        _ = ctrl_c() => Err(CliError::failed(format!("stopped watching {id}, which continues at OpenAI"))
            .hint(format!(
                "Watch it again: openai-webhooks batch watch {id}{}",
                if args.no_stack { " --no-stack" } else { "" }
            ))),
    }
}

/// Requests the batch until it has ended.
async fn follow(openai: &Client, id: &str, interval: Option<u64>, context: &Context) -> Result<Batch> {
    let (first, longest) = interval.map_or(INTERVALS, |seconds| (Duration::from_secs(seconds), Duration::ZERO));
    let (mut pause, mut failures, mut seen) = (first, 0, None);
    let bar = context.out.bar(id, 0);
    loop {
        match openai.batch(id, deadline()).await {
            Ok(batch) if batch.status.is_terminal() => return Ok(batch),
            Ok(batch) => {
                failures = 0;
                bar.set_message(printable(&format!("{id} {}", batch.status)));
                if let Some(counts) = batch.request_counts {
                    bar.set_length(counts.total);
                    bar.set_position(counts.completed + counts.failed);
                }
                if seen.as_ref() != Some(&batch.status) {
                    if !stderr().is_terminal() {
                        context.out.note(&format!("{id} is {}: {}", batch.status, counts_text(&batch)));
                    }
                    seen = Some(batch.status);
                    pause = first;
                }
            }
            Err(error) if error.class() == ErrorClass::Retry && failures < MAX_FAILURES => {
                failures += 1;
                bar.set_message(format!("{id} (failed requests: {failures} of at most {MAX_FAILURES})"));
            }
            Err(error) => return Err(error.into()),
        }
        sleep(pause).await;
        pause = (pause * 3 / 2).min(longest).max(first);
    }
}

fn report(batch: &Batch, results: &Results, fetched: &Fetched, context: &Context) -> Result {
    let Fetched { files, counts } = fetched;
    let Counts { total, succeeded, failed, unreadable, missing } = *counts;
    let errors: Vec<Value> = batch
        .errors
        .iter()
        .map(|error| json!({"line": error.line, "code": error.code, "message": error.message, "param": error.param}))
        .collect();
    let document = json!({
        "batch_id": batch.id,
        "status": batch.status.as_str(),
        "request_counts": counts_document(batch),
        "counts": {"total": total, "succeeded": succeeded, "failed": failed, "unreadable": unreadable, "missing": missing},
        "errors": errors,
        "error_count": batch.error_count,
        "folder": results.folder(),
        "files": files,
    });
    context.out.result(&document, || {
        let mut text = key_values(&[
            ("batch", batch.id.clone()),
            ("status", batch.status.to_string()),
            ("requests", lines_text(*counts)),
            ("results", format!("{}: {}", results.folder().display(), files.join(", "))),
        ]);
        for error in batch.errors.iter().take(MAX_ERRORS) {
            let place = error.line.map_or_else(String::new, |line| format!("line {line}: "));
            let [code, message] = [&error.code, &error.message].map(|text| text.as_deref().unwrap_or_default());
            let _ =
                writeln!(text, "  {place}{} ({})", hooks_openai::for_display(message), hooks_openai::for_display(code));
        }
        if batch.error_count > MAX_ERRORS {
            let _ = writeln!(text, "  and {} more", batch.error_count - MAX_ERRORS);
        }
        text
    })?;
    Ok(Exit::success_if(batch.status == BatchStatus::Completed && counts.is_complete()))
}

/// The numbers by the lines, which are what was fetched: `40 requests, 35 completed, 3 failed, 2 missing`.
fn lines_text(counts: Counts) -> String {
    let Counts { total, succeeded, failed, unreadable, missing } = counts;
    let mut text = format!("{total} requests, {succeeded} completed, {failed} failed");
    for (count, are) in [(unreadable, "unreadable"), (missing, "missing")].into_iter().filter(|(count, _)| *count > 0) {
        let _ = write!(text, ", {count} {are}");
    }
    text
}
