//! The handler of `batch.*` events.

use hooks_consumer::artifacts::{JSON, Key};
use hooks_consumer::object::{announces_end, present, under_way};
use hooks_consumer::{Context, Event, Handler, HandlerError, OpenAi, Outcome, Setup, clock, found, object_id};
use hooks_openai::{Batch, BatchStatus, Client};
use tokio::time::Instant;

use crate::alert::{alert, error_line};
use crate::counts::{self, Counts};
use crate::lines::Tally;
use crate::summary::{self, Results};
use crate::transfer::{StoredFile, transfer};

/// Retrieves batches and keeps their results.
pub struct BatchHandler {
    openai: OpenAi,
    /// The share of failed requests above which a completed batch makes an alert.
    alert_failed_share: f64,
    /// Whether files are deleted at OpenAI once they are kept.
    deletes_files: bool,
}

impl BatchHandler {
    /// From the function's environment.
    pub fn from_setup(setup: &mut Setup<'_>) -> Option<Self> {
        let alert_failed_share = setup.environment().parsed("ALERT_FAILED_SHARE", |text| {
            text.parse()
                .ok()
                .filter(|share| (0.0..=1.0).contains(share))
                .ok_or_else(|| "is not a number from 0 to 1".to_owned())
        });
        let deletes_files = setup.environment().optional("DELETE_FILES").is_some_and(|value| value == "true");
        Some(Self { openai: setup.openai()?, alert_failed_share: alert_failed_share?, deletes_files })
    }
}

impl Handler for BatchHandler {
    async fn handle(&self, event: &Event, context: &Context) -> Result<Outcome, HandlerError> {
        let id = object_id(event, "batch")?;
        let summary_key = key(id, "summary.json")?;
        let openai = self.openai.client().await?;
        let as_of = clock::now_ms();
        let Some(batch) = found(openai.batch(id, context.deadline).await)? else {
            return Ok(Outcome::not_found(id, as_of));
        };
        let seen = Outcome {
            object_id: Some(id.to_owned()),
            terminal: batch.status.is_terminal() || announces_end(event),
            counts: counts::of_openai(&batch),
            times: present(batch.times.iter().map(|(name, at)| (*name, Some(*at)))),
            ..Outcome::new(batch.status.as_str(), as_of)
        };
        if batch.status.is_under_way() {
            let summary = summary::description(&batch);
            return under_way(event, "batch", &batch.status, Outcome { summary, ..seen });
        }
        self.store(&openai, &batch, &summary_key, seen, event, context).await
    }

    /// Deletes the files that are kept, if that is asked for. Not before the event is completed: an attempt that is repeated
    /// needs them again. A file that cannot be deleted stays for the 30 days that OpenAI keeps it.
    async fn completed(&self, event: &Event, outcome: &Outcome, deadline: Instant) {
        if !self.deletes_files || !outcome.terminal {
            return;
        }
        let Ok(id) = object_id(event, "batch") else { return };
        if let Err(error) = self.delete_files(id, outcome, deadline).await {
            tracing::warn!("could not delete the files of {id} at OpenAI, which are kept: {error}");
        }
    }
}

impl BatchHandler {
    async fn delete_files(&self, id: &str, outcome: &Outcome, deadline: Instant) -> Result<(), HandlerError> {
        let openai = self.openai.client().await?;
        let Some(batch) = found(openai.batch(id, deadline).await)? else { return Ok(()) };
        for (file_id, name) in [(&batch.output_file_id, "output.jsonl"), (&batch.error_file_id, "errors.jsonl")] {
            let Some(file_id) = file_id else { continue };
            if outcome.artifacts.contains(&key(id, name)?.to_string()) {
                found(openai.delete_file(file_id, deadline).await)?;
            }
        }
        Ok(())
    }

    /// Stores a batch's files and then its summary, so that a summary always has its files.
    async fn store(
        &self,
        openai: &Client,
        batch: &Batch,
        summary_key: &Key,
        seen: Outcome,
        event: &Event,
        context: &Context,
    ) -> Result<Outcome, HandlerError> {
        let artifacts = &context.artifacts;
        let (missing, is_young) = (missing_files(batch), is_young(batch, event.created_at, seen.as_of / 1000));
        if let Some(missing) = missing.as_ref().filter(|_| is_young) {
            return Err(HandlerError::retry(missing));
        }
        let [output, errors] = &store_files(openai, batch, is_young, context).await?;
        let (output, errors) = (output.as_ref(), errors.as_ref());
        let mut total = Tally::default();
        for file in [output, errors].into_iter().flatten() {
            total.add(&file.tally);
        }
        let counts = Counts::of(batch, &total);
        let disagreement = counts.disagreement(batch);
        let note = missing.into_iter().chain(disagreement).collect::<Vec<_>>().join("; ");
        let note = Some(note).filter(|note| !note.is_empty());
        let results = Results { batch, output, errors, total: &total, counts, note: note.as_deref() };
        let document = results.document().map_err(|error| HandlerError::retry(format!("no summary: {error}")))?;
        let artifact_bytes = total.bytes + document.len() as u64;
        artifacts.put(summary_key, JSON, document).await?;
        let stored = [output, errors].into_iter().flatten().map(|file| file.key.clone());
        Ok(Outcome {
            counts: counts.by_name(),
            summary: results.short(),
            artifacts: stored.chain([summary_key.to_string()]).collect(),
            artifact_bytes,
            error: batch_error(batch),
            alert: alert(&results, self.alert_failed_share, artifacts.bucket(), summary_key),
            note,
            ..seen
        })
    }
}

/// The key of a batch's artifact.
fn key(id: &str, name: &str) -> Result<Key, HandlerError> {
    Ok(Key::new(&["batch", id, name])?)
}

/// Whether the batch may still get its files: OpenAI does not promise to set the status and the file ids in one step, nor
/// that a file can be read at once, and a file that is missed here is missed for good. Times in Unix seconds.
fn is_young(batch: &Batch, created_at: i64, now: i64) -> bool {
    let since = summary::ended_at(batch).map_or(created_at, |ended| ended.min(created_at));
    now - since < BatchHandler::PATIENCE.as_secs().cast_signed()
}

/// The files that the batch should have and does not name, in one sentence.
fn missing_files(batch: &Batch) -> Option<String> {
    let counts = batch.request_counts.unwrap_or_default();
    let (output, errors) = (batch.output_file_id.is_some(), batch.error_file_id.is_some());
    // Requests of a batch that failed as a whole were not run, and one may be cancelled before any was.
    let has_run = matches!(batch.status, BatchStatus::Completed | BatchStatus::Expired);
    let may_have_errors = batch.status != BatchStatus::Failed;
    let missing = [
        (counts.completed > 0 && !output)
            .then(|| format!("{} requests succeeded, but the batch has no output file", counts.completed)),
        (counts.failed > 0 && !errors && may_have_errors)
            .then(|| format!("{} requests failed, but the batch has no error file", counts.failed)),
        (counts.completed + counts.failed == 0 && has_run && !output && !errors)
            .then(|| format!("the batch is {}, but has neither an output file nor an error file", batch.status)),
    ];
    missing.into_iter().flatten().reduce(|all, next| format!("{all}; {next}"))
}

/// Stores the output file and the error file. If OpenAI does not have one of them, the other is still stored.
///
/// # Errors
///
/// A retry while the file of a young batch is missing.
async fn store_files(
    openai: &Client,
    batch: &Batch,
    is_young: bool,
    context: &Context,
) -> Result<[Option<StoredFile>; 2], HandlerError> {
    let mut stored = [None, None];
    let mut gone = Vec::new();
    let files = [(&batch.output_file_id, "output.jsonl"), (&batch.error_file_id, "errors.jsonl")];
    for ((file_id, name), stored) in files.into_iter().zip(&mut stored) {
        let Some(file_id) = file_id else { continue };
        let key = key(&batch.id, name)?;
        *stored = transfer(openai, &context.artifacts, file_id, &key, context.deadline).await?;
        if stored.is_none() {
            gone.push(format!("{file_id} (for {key})"));
        }
    }
    if gone.is_empty() {
        return Ok(stored);
    }
    let (status, files) = (&batch.status, gone.join(" and "));
    if is_young {
        return Err(HandlerError::retry(format!("the batch is {status}, but OpenAI has no file {files} yet")));
    }
    Err(HandlerError::permanent(
        "file_gone",
        format!(
            "the batch is {status}, but OpenAI has no file {files} any more: a batch's files expire after 30 days unless \
             the batch says otherwise, and can be deleted. Files that an earlier delivery stored are still there"
        ),
    ))
}

/// Why the batch as a whole failed, in one sentence.
fn batch_error(batch: &Batch) -> Option<String> {
    match batch.status {
        BatchStatus::Failed => Some(match batch.errors.as_slice() {
            [] => "the batch failed, and OpenAI gives no reason".to_owned(),
            [only] => error_line(only),
            [first, ..] => format!("{} (and {} more)", error_line(first), batch.error_count - 1),
        }),
        BatchStatus::Expired => Some("the batch expired before all its requests were run".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
