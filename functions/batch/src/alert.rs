//! The alert about a batch that failed, expired or has many failed requests.

use std::fmt::Write as _;

use hooks_consumer::artifacts::Key;
use hooks_consumer::{Alert, Severity, text};
use hooks_openai::{BatchError, BatchStatus};

use crate::summary::{Results, ended_at};

/// Maximum number of causes in the alert. The summary has all.
const MAX_CAUSES: usize = 5;

/// Maximum number of metadata entries in the alert. People recognise their batches by them.
const MAX_METADATA: usize = 8;

/// OpenAI's page with the batches of a project.
const DASHBOARD: &str = "https://platform.openai.com/batches";

/// The alert for a batch that failed or expired, or in which more than `failed_share` of the requests failed; `None` for
/// any other.
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
            "Results of requests that were run are stored and billed. Put the requests in the error file into a new batch.",
        ),
        BatchStatus::Completed if exceeds_share(results, failed_share) => (
            Severity::Warning,
            "completed, but many of its requests failed",
            "Find the common cause of the errors, and put the failed requests into a new batch.",
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
    for file in [results.output, results.errors].into_iter().flatten() {
        let _ = writeln!(message, "       s3://{bucket}/{} ({} lines)", file.key, file.tally.lines);
    }
    let _ = writeln!(message, "       {DASHBOARD}/{}", batch.id);
    let subject = match batch.status {
        BatchStatus::Completed => format!("Batch {} completed with many failures", batch.id),
        _ => format!("Batch {} {}", batch.id, batch.status),
    };
    Some(Alert { severity, subject, message })
}

/// The numbers of failed and of all requests: the greater of OpenAI's counts and the lines.
fn failures(results: &Results<'_>) -> (u64, u64) {
    let counts = results.batch.request_counts.unwrap_or_default();
    let lines = results.total;
    (counts.failed.max(lines.failed), counts.total.max(lines.lines))
}

#[expect(clippy::cast_precision_loss, reason = "a batch has some ten thousand requests")]
fn exceeds_share(results: &Results<'_>, share: f64) -> bool {
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
    let batch = results.batch;
    let (created, ended) = (batch.time("created_at"), ended_at(batch));
    let later = created.zip(ended).map(|(from, to)| format!(" ({} later)", text::duration(to.saturating_sub(from))));
    let later = later.unwrap_or_default();
    let created = created.map(|at| format!("created {}", text::moment(at)));
    let ended = ended.map(|at| format!("{} {}{later}", batch.status, text::moment(at)));
    created.into_iter().chain(ended).collect::<Vec<_>>().join(", ")
}

/// The causes: OpenAI's errors about the input file, or else the most frequent error codes.
fn why(results: &Results<'_>) -> String {
    let mut codes: Vec<_> = results.total.errors.iter().map(|(code, errors)| (errors.count, code)).collect();
    codes.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
    let causes: Vec<String> = if results.batch.errors.is_empty() {
        codes.iter().map(|(count, code)| format!("{count} times {}", hooks_openai::for_display(code))).collect()
    } else {
        results.batch.errors.iter().map(error_line).collect()
    };
    let mut text = causes[..causes.len().min(MAX_CAUSES)].join("\n       ");
    if causes.len() > MAX_CAUSES {
        let _ = write!(text, "\n       and {} more", causes.len() - MAX_CAUSES);
    }
    text
}

/// An error about the input file, in one line.
pub(crate) fn error_line(error: &BatchError) -> String {
    let mut text = hooks_openai::for_display(error.code.as_deref().unwrap_or("unknown"));
    if let Some(line) = error.line {
        let _ = write!(text, " in line {line}");
    }
    if let Some(message) = &error.message {
        let _ = write!(text, ": {}", hooks_openai::for_display(message));
    }
    text
}
