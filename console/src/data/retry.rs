//! Retry of the requests of a batch that have no answer, by the code of `openai-webhooks batch retry`.

use std::fs::{File, OpenOptions};
use std::io::BufWriter;

use hooks_openai::Batch;
use hooks_operate::batch::{
    Family, RetryFile, RetryPlan, Sources, WorkFolder, create, family, plan_retry, retry_lease, upload,
};
use serde_json::Value;

use super::submit::expect;
use crate::console::Console;
use crate::{Failure, Result};

/// Most requests of a batch that is retried here: a page waits while all its files are read.
const MAX_REQUESTS: u64 = 10_000;

/// What would be submitted again.
pub(crate) struct Planned {
    pub(crate) plan: RetryPlan,
    family: Family,
    file: File,
    length: u64,
    _folder: WorkFolder,
}

/// Writes the requests without an answer into a file, those that failed with `only` these codes or all. Nothing is sent.
pub(crate) async fn plan(console: &Console, id: &str, only: Vec<String>) -> Result<Planned> {
    let sources = Sources { openai: console.openai().await?, artifacts: Some(console.artifacts.clone()) };
    let root = sources.openai.batch(id, Console::deadline()).await?;
    if root.request_counts.is_some_and(|counts| counts.total > MAX_REQUESTS) {
        return Err(Failure::usage(format!("a batch of more than {MAX_REQUESTS} requests is not retried here"))
            .hint(console.command(format_args!("batch retry {id} --dry-run"))));
    }
    let family = family(&sources.openai, root).await?;
    let folder = WorkFolder::new()?;
    let unusable =
        |error: std::io::Error| Failure::service(format!("cannot use the folder for temporary files: {error}"));
    let path = folder.path().join("requests.jsonl");
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path).map_err(unusable)?;
    let mut to = RetryFile { file: BufWriter::new(file), only };
    let plan = plan_retry(&sources, &family, &mut to, |_| ()).await?;
    let file = to.file.into_inner().map_err(|error| unusable(error.into_error()))?;
    let length = file.metadata().map_err(unusable)?.len();
    Ok(Planned { plan, family, file, length, _folder: folder })
}

/// Submits the requests without an answer as a new batch, and expects its end. Two people at a time do not.
///
/// Returns the batch, and why its end is not expected if that failed.
pub(crate) async fn submit(console: &Console, id: &str, only: Vec<String>) -> Result<(Batch, Option<Failure>)> {
    let lease = retry_lease(&console.ledger, id).await?;
    let submitted = submit_planned(console, id, only).await;
    // It ends by itself.
    let _ = console.ledger.end_lease(&lease).await;
    submitted
}

async fn submit_planned(console: &Console, id: &str, only: Vec<String>) -> Result<(Batch, Option<Failure>)> {
    let Planned { plan, family, file, length, _folder } = plan(console, id, only).await?;
    if plan.retried == 0 {
        return Err(Failure::failed(format!("no request of {id} is without an answer any more")));
    }
    let endpoint = family.root.endpoint.as_deref().unwrap_or_default();
    let openai = console.openai().await?;
    let job = console.log.job_record("batch", id).await?;
    let context = job.as_ref().and_then(|job| job.get("context")).and_then(Value::as_str);
    let file_id = upload(&openai, format!("{id}-retry.jsonl"), file, length, |_| ()).await?;
    let batch = create(&openai, endpoint, &file_id, &plan.metadata).await?;
    let failure = expect(console, &batch, context).await;
    console.forget(&batch.id).await;
    Ok((batch, failure))
}
