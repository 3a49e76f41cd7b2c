//! `batch list`: batches with their progress.

use clap::Args;
use clap::builder::PossibleValuesParser;
use hooks_openai::{Batch, BatchStatus, RequestCounts};
use hooks_operate::batch::parent;
use serde::Serialize;
use serde_json::{Value, json};

use super::counts_document;
use crate::context::{Context, deadline};
use crate::error::Result;
use crate::output::{or_dash, table};
use crate::timestamp::Timestamp;

/// Batches of a page of OpenAI's list.
const PAGE: u8 = 100;

/// List the project's batches at OpenAI, newest first, with their progress
#[derive(Args, Debug)]
#[command(after_help = "Example: openai-webhooks batch list --status in_progress")]
pub(crate) struct ListArgs {
    /// Show at most N
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=5000))]
    limit: u16,
    /// Status
    #[arg(long, value_name = "STATUS", value_parser = PossibleValuesParser::new(BatchStatus::NAMES))]
    status: Option<String>,
}

/// A batch of the list.
#[derive(Serialize)]
struct Line {
    batch_id: String,
    status: String,
    created_at: Option<Timestamp>,
    endpoint: Option<String>,
    model: Option<String>,
    request_counts: Value,
    /// Part of the requests that were run, from 0 to 1.
    progress: Option<f64>,
    retry_of: Option<String>,
    metadata: Value,
}

pub(crate) async fn run(args: &ListArgs, context: &Context) -> Result {
    let openai = context.openai().await?;
    let spinner = context.out.spinner("Reading the batches");
    let wanted = args.status.as_deref();
    let (mut found, mut after) = (Vec::new(), None);
    let limit = usize::from(args.limit);
    let mut more = false;
    loop {
        let page = openai.batches(after.as_deref(), PAGE.min(u8::try_from(limit).unwrap_or(PAGE)), deadline()).await?;
        for batch in page.items {
            if wanted.is_none_or(|wanted| wanted == batch.status.as_str()) {
                more = found.len() >= limit;
                if more {
                    break;
                }
                found.push(batch);
            }
        }
        after = page.next.filter(|_| !more);
        if after.is_none() {
            break;
        }
    }
    drop(spinner);
    let lines: Vec<_> = found.iter().map(Line::new).collect();
    context.out.lines(&lines, || match found.as_slice() {
        [] => "There is no such batch.".to_owned(),
        found => {
            let rows: Vec<_> = found.iter().map(row).collect();
            table(["CREATED (UTC)", "STATUS", "PROGRESS", "FAILED", "MODEL", "RETRY OF", "ID"], &rows)
        }
    })?;
    if more {
        context.out.more("raise --limit, or give a --status.");
    }
    Ok(crate::error::Exit::Success)
}

fn row(batch: &Batch) -> [String; 7] {
    let created = batch.time("created_at").map(|at| Timestamp::from_seconds(at).text());
    let failed = batch.request_counts.map(|counts| counts.failed.to_string());
    [
        or_dash(created.as_deref()),
        batch.status.to_string(),
        progress_text(batch),
        or_dash(failed.as_deref()),
        or_dash(batch.model.as_deref()),
        or_dash(parent(batch).as_deref()),
        batch.id.clone(),
    ]
}

/// `45/100 (45 %)`
fn progress_text(batch: &Batch) -> String {
    match batch.request_counts {
        Some(RequestCounts { total, completed, failed }) if total > 0 => {
            let run = completed.saturating_add(failed);
            format!("{run}/{total} ({} %)", u128::from(run) * 100 / u128::from(total))
        }
        _ => "not yet counted".to_owned(),
    }
}

impl Line {
    fn new(batch: &Batch) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "a batch has some ten thousand requests")]
        let progress = |counts: RequestCounts| (counts.completed + counts.failed) as f64 / counts.total as f64;
        Self {
            batch_id: batch.id.clone(),
            status: batch.status.to_string(),
            created_at: batch.time("created_at").map(Timestamp::from_seconds),
            endpoint: batch.endpoint.clone(),
            model: batch.model.clone(),
            request_counts: counts_document(batch),
            progress: batch.request_counts.filter(|counts| counts.total > 0).map(progress),
            retry_of: parent(batch),
            metadata: batch.raw().get("metadata").and_then(hooks_openai::Json::value).unwrap_or(json!(null)),
        }
    }
}
