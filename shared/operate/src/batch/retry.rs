//! The requests of a batch that have no answer, as the input file of a new batch.

use std::io::Write;

use hooks_aws::clock::now_ms;
use hooks_aws::ledger::{Lease, Ledger};
use hooks_openai::BatchStatus;

use super::answers::custom_id;
use super::lines::Line;
use super::submit::MAX_METADATA;
use super::{Answers, CodeCounts, Family, RETRY_OF, Sources};
use crate::error::{OperateError, Result};

/// Time for which one person retries a batch and others wait, in milliseconds.
const LEASE: i64 = 10 * 60 * 1000;

/// What a retry would do.
#[derive(Clone, Debug, Default)]
pub struct RetryPlan {
    /// Number of requests of the batch.
    pub total: u64,
    /// Number of requests that are repeated.
    pub retried: u64,
    /// Requests without an answer, by error code, whether they are repeated or not.
    pub codes: CodeCounts,
    /// Number of lines in the result files that are not results.
    pub unreadable: u64,
    /// Metadata of the new batch.
    pub metadata: Vec<(String, String)>,
    /// Entries of the batch's metadata that the new one has no room for.
    pub left_out: Vec<String>,
}

/// Where the requests are written.
pub struct RetryFile<W> {
    /// The file.
    pub file: W,
    /// Error codes to repeat, [`MISSING`](super::MISSING) among them; all of them if empty.
    pub only: Vec<String>,
}

/// Takes the lease under which a batch is retried: two retries at a time would repeat the same requests twice. Others wait
/// for ten minutes at most.
///
/// # Errors
///
/// Somebody else has it.
pub async fn retry_lease(ledger: &Ledger, id: &str) -> Result<Lease> {
    let lease = ledger.lease(&format!("batch-retry/{id}"), now_ms() + LEASE).await?;
    lease.ok_or_else(|| {
        OperateError::failed(format!("somebody else is retrying {id}")).hint("Try again in a few minutes.")
    })
}

/// Writes the requests that have no answer, in the order of the input file and byte for byte.
///
/// # Errors
///
/// The batch or a retry of it has not ended; or it failed as a whole, so that its input is to be corrected.
pub async fn plan_retry<W: Write>(
    sources: &Sources,
    family: &Family,
    to: &mut RetryFile<W>,
    progress: impl FnMut(u64),
) -> Result<RetryPlan> {
    let root = &family.root;
    if let Some(batch) = family.under_way().next() {
        return Err(OperateError::failed(format!(
            "{} is {}: its requests may still get an answer",
            batch.id, batch.status
        ))
        .hint(format!("Wait for it: openai-webhooks batch watch {}", batch.id)));
    }
    if root.status == BatchStatus::Failed {
        return Err(OperateError::failed(format!("{} failed as a whole: OpenAI refused its input", root.id))
            .hint("Correct the input file and submit it: openai-webhooks batch submit FILE"));
    }
    let answers = Answers::read(sources, family, progress).await?;
    let mut plan = RetryPlan { unreadable: answers.unreadable, ..RetryPlan::default() };
    let mut input = sources.input(root).await?;
    while let Some(line) = input.next().await? {
        let Line::Text(mut line) = line else {
            return Err(OperateError::failed("the input file has a line of more than 16 MiB"));
        };
        plan.total += 1;
        let Some(code) = answers.failure(&custom_id(&line)?).map(str::to_owned) else { continue };
        if to.only.is_empty() || to.only.contains(&code) {
            plan.retried += 1;
            while line.last().is_some_and(u8::is_ascii_whitespace) {
                line.pop();
            }
            line.push(b'\n');
            let written = to.file.write_all(&line);
            written.map_err(|error| OperateError::failed(format!("cannot write the requests: {error}")))?;
        }
        *plan.codes.entry(code).or_default() += 1;
    }
    to.file.flush().map_err(|error| OperateError::failed(format!("cannot write the requests: {error}")))?;
    (plan.metadata, plan.left_out) = metadata(family);
    Ok(plan)
}

/// The metadata of a retry: those of the batch, and its parent.
fn metadata(family: &Family) -> (Vec<(String, String)>, Vec<String>) {
    let root = &family.root;
    let of_root = root.raw().get("metadata").into_iter().flat_map(hooks_openai::Json::members);
    let of_root = of_root.filter_map(|(name, value)| Some((name.string()?.into_owned(), value.string()?.into_owned())));
    let mut entries: Vec<_> = of_root.filter(|(name, _)| name != RETRY_OF).collect();
    let left_out = entries.split_off(entries.len().min(MAX_METADATA.0 - 1));
    entries.push((RETRY_OF.to_owned(), root.id.clone()));
    (entries, left_out.into_iter().map(|(name, _)| name).collect())
}
