//! The alert about a batch that failed, expired or has many failed requests.

use std::fmt::Write as _;

use hooks_consumer::artifacts::Key;
use hooks_consumer::{Alert, Severity, text};
use hooks_openai::{BatchError, BatchStatus, Json};

use crate::counts::Counts;
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
    let note = results.note.unwrap_or_default().to_owned();
    for (name, text) in [
        ("What", what(results)),
        ("When", when(results)),
        ("Why", why(results)),
        ("Note", note),
        ("To do", advice.to_owned()),
    ] {
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

#[expect(clippy::cast_precision_loss, reason = "a batch has some ten thousand requests")]
fn exceeds_share(results: &Results<'_>, share: f64) -> bool {
    results.counts.unsuccessful() as f64 > share * results.counts.total as f64
}

fn what(results: &Results<'_>) -> String {
    let batch = results.batch;
    let mut text = batch.endpoint.clone().unwrap_or_else(|| "requests".to_owned());
    if let Some(model) = &batch.model {
        let _ = write!(text, " with {model}");
    }
    let Counts { total, succeeded, failed, unreadable, missing } = results.counts;
    if total > 0 {
        let _ = write!(text, ": {total} requests, {succeeded} succeeded, {failed} failed");
    }
    for (count, is) in [(unreadable, "unreadable"), (missing, "missing")].into_iter().filter(|(count, _)| *count > 0) {
        let _ = write!(text, ", {count} {is}");
    }
    if let Some(file) = &batch.input_file_id {
        let _ = write!(text, "; input file {file}");
    }
    let metadata = batch.raw().get("metadata").into_iter().flat_map(Json::members);
    for pair in metadata.take(MAX_METADATA) {
        let [name, value] = [pair.0, pair.1]
            .map(|part| part.string().unwrap_or_else(|| String::from_utf8_lossy(part.bytes())))
            .map(|text| hooks_openai::for_display(&text));
        let _ = write!(text, "\n       {name}: {value}");
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
    let all = causes.len().max(results.batch.error_count);
    if all > MAX_CAUSES {
        let _ = write!(text, "\n       and {} more", all - MAX_CAUSES);
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
