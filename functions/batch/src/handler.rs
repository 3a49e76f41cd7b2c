//! What a batch event means.

use hooks_consumer::artifacts::{JSON, Key};
use hooks_consumer::{Context, Event, Handler, HandlerError, OpenAi, Outcome, Setup, found, object_id, when};
use hooks_openai::{Batch, BatchStatus, Client};

use crate::alert::{alert, cause};
use crate::lines::Tally;
use crate::summary::{self, Results};
use crate::transfer::{Kept, NotKept, keep};

/// How long a finished batch may lack its files before they are taken for absent, in seconds. The status and the file
/// ids are not said to change in one step, and what is missed here is missed for good.
const FILES_MAY_LAG: i64 = 3600;

/// The names of a batch's artifacts, after `batch/{id}/`.
const OUTPUT: &str = "output.jsonl";
const ERRORS: &str = "errors.jsonl";
const SUMMARY: &str = "summary.json";

/// Handles batch events.
pub(crate) struct Batches {
    openai: OpenAi,
    /// A completed batch of which more than this share of the requests failed is worth an alert.
    alert_failed_share: f64,
}

impl Batches {
    pub(crate) fn from_setup(setup: &mut Setup<'_>) -> Option<Self> {
        let alert_failed_share = setup.environment().parsed("ALERT_FAILED_SHARE", |text| {
            text.parse()
                .ok()
                .filter(|share| (0.0..=1.0).contains(share))
                .ok_or_else(|| "is not a number from 0 to 1".to_owned())
        });
        Some(Self::new(setup.openai()?, alert_failed_share?))
    }

    pub(crate) fn new(openai: OpenAi, alert_failed_share: f64) -> Self {
        Self { openai, alert_failed_share }
    }
}

impl Handler for Batches {
    async fn handle(&self, event: &Event, context: &Context) -> Result<Outcome, HandlerError> {
        let id = object_id(event, "batch")?;
        let keys = Keys::of(id)?;
        let openai = self.openai.client().await?;
        let as_of = when::now();
        let Some(batch) = found(openai.batch(id, context.deadline).await)? else {
            return Ok(Outcome::not_found(id, as_of));
        };
        let seen = Outcome {
            object_id: Some(id.to_owned()),
            terminal: batch.status.is_terminal() || ends(event),
            counts: summary::counts(&batch),
            times: batch.times.iter().map(|(name, at)| ((*name).to_owned(), (*at).into())).collect(),
            ..Outcome::new(batch.status.as_str(), as_of)
        };
        if !batch.status.is_under_way() {
            return self.keep(&openai, &batch, &keys, seen, context).await;
        }
        if ends(event) {
            let (kind, status) = (&event.event_type, &batch.status);
            return Err(HandlerError::retry(format!("{kind} was announced, but the batch is still {status}")));
        }
        Ok(Outcome { summary: summary::about(&batch), ..seen })
    }
}

impl Batches {
    /// Keeps what came of a batch: its files first, and its summary last, so that whoever sees the summary finds all.
    async fn keep(
        &self,
        openai: &Client,
        batch: &Batch,
        keys: &Keys,
        seen: Outcome,
        context: &Context,
    ) -> Result<Outcome, HandlerError> {
        let artifacts = &context.artifacts;
        let note = missing_output(batch, seen.as_of / 1000)?;
        let (output, errors) = keep_files(openai, batch, keys, context).await?;
        let mut total = Tally::default();
        for kept in [&output, &errors].into_iter().flatten() {
            total.add(&kept.tally);
        }
        let (output, errors) = (output.as_ref(), errors.as_ref());
        let results = Results { batch, output, errors, total: &total, note: note.as_deref() };
        let document = results.document().map_err(|error| HandlerError::retry(format!("no summary: {error}")))?;
        let artifact_bytes = total.bytes + document.len() as u64;
        artifacts.put(&keys.summary, JSON, document).await.map_err(|error| HandlerError::retry(error.to_string()))?;
        let kept = [output, errors].into_iter().flatten().map(|kept| kept.key.to_string());
        Ok(Outcome {
            summary: results.short(),
            artifacts: kept.chain([keys.summary.to_string()]).collect(),
            artifact_bytes,
            error: what_went_wrong(batch),
            alert: alert(&results, self.alert_failed_share, artifacts.bucket(), &keys.summary),
            note,
            ..seen
        })
    }
}

/// Where a batch's artifacts go.
struct Keys {
    output: Key,
    errors: Key,
    summary: Key,
}

impl Keys {
    fn of(id: &str) -> Result<Self, HandlerError> {
        let key = |name| {
            Key::new(&["batch", id, name])
                .map_err(|error| HandlerError::permanent("unusable_id", format!("the event names {error}")))
        };
        Ok(Self { output: key(OUTPUT)?, errors: key(ERRORS)?, summary: key(SUMMARY)? })
    }
}

/// Whether the event says that its batch has come to an end.
fn ends(event: &Event) -> bool {
    matches!(event.event_type.as_str(), "batch.completed" | "batch.failed" | "batch.expired" | "batch.cancelled")
}

/// A batch with successful requests has an output file. For a while its absence is worth another look; after that it is
/// worth a note.
fn missing_output(batch: &Batch, now: i64) -> Result<Option<String>, HandlerError> {
    let succeeded = batch.request_counts.unwrap_or_default().completed;
    if succeeded == 0 || batch.output_file_id.is_some() {
        return Ok(None);
    }
    let message = format!("{succeeded} requests succeeded, but the batch names no output file");
    match summary::ended_at(batch) {
        Some(ended) if now - ended < FILES_MAY_LAG => Err(HandlerError::retry(message)),
        _ => Ok(Some(message)),
    }
}

/// Brings both files into the bucket. A file that is gone keeps the other one from nothing.
async fn keep_files(
    openai: &Client,
    batch: &Batch,
    keys: &Keys,
    context: &Context,
) -> Result<(Option<Kept>, Option<Kept>), HandlerError> {
    let mut kept = [None, None];
    let mut gone = Vec::new();
    let files = [(&batch.output_file_id, &keys.output), (&batch.error_file_id, &keys.errors)];
    for ((file_id, key), kept) in files.into_iter().zip(&mut kept) {
        let Some(file_id) = file_id else { continue };
        match keep(openai, &context.artifacts, file_id, key.clone(), context.deadline).await {
            Ok(file) => *kept = Some(file),
            Err(NotKept::Gone) => gone.push((file_id, key)),
            Err(NotKept::Failed(failure)) => return Err(failure),
        }
    }
    if gone.is_empty() {
        let [output, errors] = kept;
        return Ok((output, errors));
    }
    let gone: Vec<String> = gone.iter().map(|(file_id, key)| format!("{file_id} (for {key})")).collect();
    Err(HandlerError::permanent(
        "file_gone",
        format!(
            "the batch is {}, but OpenAI has no file {} any more: files of batches expire after 30 days unless the batch \
             says otherwise, and can be deleted. What an earlier delivery stored is still there",
            batch.status,
            gone.join(" and ")
        ),
    ))
}

/// The batch's own failure, in a sentence.
fn what_went_wrong(batch: &Batch) -> Option<String> {
    match batch.status {
        BatchStatus::Failed => Some(match batch.errors.as_slice() {
            [] => "the batch failed, and OpenAI does not say why".to_owned(),
            [only] => cause(only),
            [first, others @ ..] => format!("{} (and {} more)", cause(first), others.len()),
        }),
        BatchStatus::Expired => Some("time ran out before all requests were run".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
