//! What a person is told about a batch that went wrong.

use std::fmt::Write as _;

use hooks_consumer::artifacts::Key;
use hooks_consumer::{Alert, Severity, when};
use hooks_openai::{BatchError, BatchStatus};

use crate::summary::{Results, ended_at};

/// How many causes are named. Whoever wants more opens the summary.
const MAX_CAUSES: usize = 5;

/// How many of the batch's metadata are shown, by which people know their batches.
const MAX_METADATA: usize = 8;

/// Where people see their batches.
const DASHBOARD: &str = "https://platform.openai.com/batches";

/// An alert for a batch that failed or expired, and for one of which more than this share of the requests failed.
pub(crate) fn alert(results: &Results<'_>, failed_share: f64, bucket: &str, summary: &Key) -> Option<Alert> {
    let batch = results.batch;
    let (severity, headline, advice) = match batch.status {
        BatchStatus::Failed => (
            Severity::Critical,
            "failed: OpenAI rejected its input, and none of its requests was run",
            "Correct the input file, upload it again and create a new batch.",
        ),
        BatchStatus::Expired => (
            Severity::Warning,
            "expired: not all of its requests were run in time",
            "What was run is kept and billed. Put the requests listed in the error file into a new batch.",
        ),
        BatchStatus::Completed if failed_beyond(results, failed_share) => (
            Severity::Warning,
            "completed, but many of its requests failed",
            "See what the errors have in common, and put the failed requests into a new batch.",
        ),
        _ => return None,
    };
    let mut message = format!("Batch {} {headline}.\n\n", batch.id);
    for (name, text) in
        [("What", what(results)), ("When", when(results)), ("Why", why(results)), ("To do", advice.to_owned())]
    {
        if !text.is_empty() {
            // Writing to a String cannot fail.
            let _ = writeln!(message, "{name:6} {text}");
        }
    }
    let _ = writeln!(message, "Where  s3://{bucket}/{summary}");
    for kept in [results.output, results.errors].into_iter().flatten() {
        let _ = writeln!(message, "       s3://{bucket}/{} ({} lines)", kept.key, kept.tally.lines);
    }
    let _ = writeln!(message, "       {DASHBOARD}/{}", batch.id);
    let subject = match batch.status {
        BatchStatus::Completed => format!("Batch {} completed with many failures", batch.id),
        _ => format!("Batch {} {}", batch.id, batch.status),
    };
    Some(Alert { severity, subject, message })
}

/// How many requests there were and how many failed: by OpenAI's counts, or by the lines where those say more.
fn failures(results: &Results<'_>) -> (u64, u64) {
    let counts = results.batch.request_counts.unwrap_or_default();
    let lines = results.total;
    (counts.failed.max(lines.failed), counts.total.max(lines.lines))
}

#[expect(clippy::cast_precision_loss, reason = "a batch has some ten thousand requests")]
fn failed_beyond(results: &Results<'_>, share: f64) -> bool {
    let (failed, total) = failures(results);
    failed as f64 > share * total as f64
}

fn what(results: &Results<'_>) -> String {
    let batch = results.batch;
    let mut text = batch.endpoint.clone().unwrap_or_else(|| "requests".to_owned());
    if let Some(model) = &batch.model {
        let _ = write!(text, " with {model}");
    }
    let (failed, total) = failures(results);
    if total > 0 {
        let completed = batch.request_counts.unwrap_or_default().completed.max(results.total.succeeded);
        let _ = write!(text, ": {total} requests, {completed} succeeded, {failed} failed");
    }
    if let Some(file) = &batch.input_file_id {
        let _ = write!(text, "; input file {file}");
    }
    let metadata = batch.raw.get("metadata").and_then(serde_json::Value::as_object);
    for (name, value) in metadata.into_iter().flatten().take(MAX_METADATA) {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let _ = write!(text, "\n       {}: {}", hooks_openai::for_display(name), hooks_openai::for_display(&value));
    }
    text
}

fn when(results: &Results<'_>) -> String {
    let (created, ended) = (results.batch.time("created_at"), ended_at(results.batch));
    match (created, ended) {
        (Some(created), Some(ended)) => format!(
            "created {}, {} {} ({} later)",
            when::moment(created),
            results.batch.status,
            when::moment(ended),
            when::duration(ended.saturating_sub(created))
        ),
        (Some(created), None) => format!("created {}", when::moment(created)),
        (None, Some(ended)) => format!("{} {}", results.batch.status, when::moment(ended)),
        (None, None) => String::new(),
    }
}

/// The causes: the most frequent error codes, or what OpenAI found wrong with the input file.
fn why(results: &Results<'_>) -> String {
    let mut codes: Vec<_> = results.total.errors.iter().map(|(code, errors)| (errors.count, code)).collect();
    codes.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
    let causes: Vec<String> = if results.batch.errors.is_empty() {
        codes.iter().map(|(count, code)| format!("{count} times {}", hooks_openai::for_display(code))).collect()
    } else {
        results.batch.errors.iter().map(cause).collect()
    };
    let mut text = causes.iter().take(MAX_CAUSES).cloned().collect::<Vec<_>>().join("\n       ");
    if causes.len() > MAX_CAUSES {
        let _ = write!(text, "\n       and {} more", causes.len() - MAX_CAUSES);
    }
    text
}

/// One fault of the input file, in a line.
pub(crate) fn cause(error: &BatchError) -> String {
    let mut text = hooks_openai::for_display(error.code.as_deref().unwrap_or("unknown"));
    if let Some(line) = error.line {
        let _ = write!(text, " in line {line}");
    }
    if let Some(message) = &error.message {
        let _ = write!(text, ": {}", hooks_openai::for_display(message));
    }
    text
}
