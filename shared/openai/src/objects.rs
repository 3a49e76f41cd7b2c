//! Batches and files, reduced to the fields that are used.
//!
//! Fields are read from the JSON one by one, so that a field of an unexpected type is a missing field and never makes the
//! object unreadable. OpenAI writes an absent id as `null`, as an empty string or not at all.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use hooks_webhook::Json;
use tokio::time::Instant;

use crate::client::{Call, Client, MAX_LIST_BYTES};
use crate::error::OpenAiError;

/// Number of a failed batch's errors that are kept. The others are counted.
const MAX_ERRORS: usize = 100;

/// The status of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum BatchStatus {
    /// The input file is being checked.
    Validating,
    /// The input file is invalid; no request was run. [`Batch::errors`] has the reasons.
    Failed,
    /// The requests are running.
    InProgress,
    /// The results are being written.
    Finalizing,
    /// All requests were run, with success or not.
    Completed,
    /// The completion window ended first. The finished requests are billed, and their results are in the files.
    Expired,
    /// It is being cancelled, which takes up to ten minutes.
    Cancelling,
    /// It was cancelled. The finished requests are billed, and their results are in the files.
    Cancelled,
    /// An unknown status, as OpenAI wrote it.
    Other(String),
}

impl BatchStatus {
    /// All known statuses as OpenAI writes them.
    pub const NAMES: [&'static str; 8] =
        ["validating", "failed", "in_progress", "finalizing", "completed", "expired", "cancelling", "cancelled"];

    /// The status as OpenAI writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Validating => "validating",
            Self::Failed => "failed",
            Self::InProgress => "in_progress",
            Self::Finalizing => "finalizing",
            Self::Completed => "completed",
            Self::Expired => "expired",
            Self::Cancelling => "cancelling",
            Self::Cancelled => "cancelled",
            Self::Other(status) => status,
        }
    }

    /// Whether the batch is still in progress. False for an unknown status.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        matches!(self, Self::Validating | Self::InProgress | Self::Finalizing | Self::Cancelling)
    }

    /// Whether the status is final. False for an unknown status.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::Failed | Self::Completed | Self::Expired | Self::Cancelled)
    }
}

impl From<&str> for BatchStatus {
    fn from(status: &str) -> Self {
        match status {
            "validating" => Self::Validating,
            "failed" => Self::Failed,
            "in_progress" => Self::InProgress,
            "finalizing" => Self::Finalizing,
            "completed" => Self::Completed,
            "expired" => Self::Expired,
            "cancelling" => Self::Cancelling,
            "cancelled" => Self::Cancelled,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl fmt::Display for BatchStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The numbers of a batch's requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestCounts {
    /// All requests.
    pub total: u64,
    /// Requests that succeeded.
    pub completed: u64,
    /// Requests that failed.
    pub failed: u64,
}

/// Why a batch as a whole failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchError {
    /// A short name, such as `invalid_json_line`.
    pub code: Option<String>,
    /// A sentence.
    pub message: Option<String>,
    /// The parameter at fault.
    pub param: Option<String>,
    /// The line of the input file at fault.
    pub line: Option<u64>,
}

/// A batch.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Batch {
    /// `batch_...`
    pub id: String,
    /// Its status.
    pub status: BatchStatus,
    /// The path of its requests, such as `/v1/responses`.
    pub endpoint: Option<String>,
    /// The model, if the whole batch has one.
    pub model: Option<String>,
    /// The file with the requests.
    pub input_file_id: Option<String>,
    /// The file with the results. Absent when no request succeeded.
    pub output_file_id: Option<String>,
    /// The file with the requests that failed or were not run.
    pub error_file_id: Option<String>,
    /// The numbers of its requests.
    pub request_counts: Option<RequestCounts>,
    /// Why the batch as a whole failed: the first hundred errors.
    pub errors: Vec<BatchError>,
    /// Number of all its errors.
    pub error_count: usize,
    /// Its times in seconds since the epoch, by OpenAI's names (`created_at`, `in_progress_at`, ...) and in their order.
    /// Times that OpenAI has not set are left out.
    pub times: Vec<(&'static str, i64)>,
    /// The whole object, byte for byte.
    pub json: Bytes,
}

impl Client {
    /// Retrieves a batch: `GET /batches/{id}`.
    pub async fn batch(&self, id: &str, deadline: Instant) -> Result<Batch, OpenAiError> {
        let path = ["batches", id];
        let call = Call { limit: MAX_LIST_BYTES, ..Call::new("retrieve batch", &path) };
        self.get(call, deadline).await?.read("a batch", Batch::from_json)
    }

    /// Retrieves a file's metadata: `GET /files/{id}`.
    pub async fn file(&self, id: &str, deadline: Instant) -> Result<File, OpenAiError> {
        let answer = self.get(Call::new("retrieve file", &["files", id]), deadline).await?;
        answer.read("a file", File::from_json)
    }

    /// Deletes a file: `DELETE /files/{id}`.
    pub async fn delete_file(&self, id: &str, deadline: Instant) -> Result<(), OpenAiError> {
        self.delete(Call::new("delete file", &["files", id]), deadline).await.map(drop)
    }
}

impl Batch {
    /// The names of OpenAI's times, in their usual order.
    const TIMES: [&str; 9] = [
        "created_at",
        "in_progress_at",
        "finalizing_at",
        "completed_at",
        "failed_at",
        "expired_at",
        "cancelling_at",
        "cancelled_at",
        "expires_at",
    ];

    /// One of [`Batch::times`].
    #[must_use]
    pub fn time(&self, name: &str) -> Option<i64> {
        self.times.iter().find(|(known, _)| *known == name).map(|(_, at)| *at)
    }

    /// The whole object.
    #[must_use]
    pub fn raw(&self) -> Json<'_> {
        Json::of(&self.json)
    }

    /// `None` without an id or a status.
    pub(crate) fn from_json(json: Bytes) -> Option<Self> {
        let raw = Json::of(&json);
        let [id, status, endpoint, model, input_file_id, output_file_id, error_file_id] =
            raw.pick(["id", "status", "endpoint", "model", "input_file_id", "output_file_id", "error_file_id"]);
        let [counts, errors] = raw.pick(["request_counts", "errors"]);
        let times = Self::TIMES.into_iter().zip(raw.pick(Self::TIMES));
        let (errors, error_count) = batch_errors(errors);
        Some(Self {
            id: owned(id)?,
            status: BatchStatus::from(status?.text()?.as_ref()),
            endpoint: owned(endpoint),
            model: owned(model),
            input_file_id: owned(input_file_id),
            output_file_id: owned(output_file_id),
            error_file_id: owned(error_file_id),
            request_counts: counts.filter(|counts| counts.is_object()).map(|counts| RequestCounts {
                total: count(counts, "total").unwrap_or_default(),
                completed: count(counts, "completed").unwrap_or_default(),
                failed: count(counts, "failed").unwrap_or_default(),
            }),
            errors,
            error_count,
            times: times.filter_map(|(name, at)| Some((name, at?.seconds()?))).collect(),
            json,
        })
    }
}

/// The first errors, and the number of all.
fn batch_errors(errors: Option<Json<'_>>) -> (Vec<BatchError>, usize) {
    let data = errors.and_then(|errors| errors.get("data"));
    let errors = || data.into_iter().flat_map(Json::items).filter(|error| !error.is_empty());
    let error = |error: Json<'_>| BatchError {
        code: text(error, "code"),
        message: text(error, "message"),
        param: text(error, "param"),
        line: count(error, "line"),
    };
    (errors().take(MAX_ERRORS).map(error).collect(), errors().count())
}

/// A file's metadata.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct File {
    /// `file-...`
    pub id: String,
    /// Its length in bytes.
    pub bytes: Option<u64>,
    /// When it was created, in seconds since the epoch.
    pub created_at: Option<i64>,
    /// When it expires, in seconds since the epoch.
    pub expires_at: Option<i64>,
    /// The whole object, byte for byte.
    pub json: Bytes,
}

impl File {
    /// The whole object.
    #[must_use]
    pub fn raw(&self) -> Json<'_> {
        Json::of(&self.json)
    }

    /// `None` without an id.
    pub(crate) fn from_json(json: Bytes) -> Option<Self> {
        let raw = Json::of(&json);
        Some(Self {
            id: text(raw, "id")?,
            bytes: count(raw, "bytes"),
            created_at: time(raw, "created_at"),
            expires_at: time(raw, "expires_at"),
            json,
        })
    }
}

pub(crate) fn owned(json: Option<Json<'_>>) -> Option<String> {
    json?.text().map(Cow::into_owned)
}

pub(crate) fn text(object: Json<'_>, name: &str) -> Option<String> {
    owned(object.get(name))
}

pub(crate) fn count(object: Json<'_>, name: &str) -> Option<u64> {
    object.get(name)?.count()
}

pub(crate) fn time(object: Json<'_>, name: &str) -> Option<i64> {
    object.get(name)?.seconds()
}

/// An error's code, or else its type, and its message. An object that says nothing stands for no error.
#[must_use]
pub fn read_error(json: Option<Json<'_>>) -> Option<(Option<String>, Option<String>)> {
    let error = json.filter(|error| error.is_object() && !error.is_empty())?;
    let [code, kind, message] = error.pick(["code", "type", "message"]).map(owned);
    Some((code.or(kind), message))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "shorter at every call")]
    fn batch(json: serde_json::Value) -> Option<Batch> {
        Batch::from_json(json.to_string().into())
    }

    #[test]
    fn a_batch_is_read() {
        let batch = batch(json!({
            "id": "batch_1", "object": "batch", "endpoint": "/v1/responses", "status": "completed",
            "input_file_id": "file-in", "output_file_id": "file-out", "error_file_id": null,
            "created_at": 1_700_000_000, "completed_at": 1_700_000_060, "failed_at": null,
            "request_counts": {"total": 3, "completed": 2, "failed": 1},
        }))
        .unwrap();
        assert_eq!(batch.status, BatchStatus::Completed);
        assert_eq!(batch.output_file_id.as_deref(), Some("file-out"));
        assert_eq!(batch.error_file_id, None);
        assert_eq!(batch.request_counts, Some(RequestCounts { total: 3, completed: 2, failed: 1 }));
        assert_eq!(batch.times, [("created_at", 1_700_000_000), ("completed_at", 1_700_000_060)]);
        assert_eq!(batch.time("completed_at"), Some(1_700_000_060));
    }

    #[test]
    fn an_empty_file_id_is_not_a_file_id() {
        let batch = json!({"id": "batch_1", "status": "expired", "output_file_id": "", "error_file_id": ""});
        let batch = self::batch(batch).unwrap();
        assert_eq!((batch.output_file_id, batch.error_file_id), (None, None));
    }

    #[test]
    fn unknown_fields_and_statuses_are_kept() {
        let batch = json!({"id": "batch_1", "status": "paused", "shiny": {"new": true}});
        let batch = self::batch(batch).unwrap();
        assert_eq!(batch.status, BatchStatus::Other("paused".to_owned()));
        assert_eq!(batch.status.to_string(), "paused");
        assert!(!batch.status.is_terminal() && !batch.status.is_under_way());
        assert_eq!(batch.raw().at("/shiny/new").and_then(Json::flag), Some(true));
    }

    #[test]
    fn a_field_of_an_unexpected_type_is_a_missing_field() {
        let batch = json!({"id": "batch_1", "status": "failed", "request_counts": 3, "created_at": "yesterday",
            "model": 5, "errors": {"data": ["text", {"code": "c", "line": "x"}]}});
        let batch = self::batch(batch).unwrap();
        assert_eq!(batch.request_counts, None);
        assert_eq!(batch.times, []);
        assert_eq!(batch.model, None);
        assert_eq!(batch.errors.len(), 2);
        assert_eq!(batch.errors[1], BatchError { code: Some("c".to_owned()), ..BatchError::default() });
    }

    #[test]
    fn a_batch_needs_an_id_and_a_status() {
        for other in [json!(null), json!([]), json!({"status": "completed"}), json!({"id": "batch_1"})] {
            assert!(batch(other.clone()).is_none(), "{other}");
        }
        assert!(File::from_json(Bytes::from_static(b"{\"bytes\": 1}")).is_none());
    }

    #[test]
    fn of_many_errors_the_first_are_kept_and_all_are_counted() {
        let errors: Vec<_> =
            (1..=50_000).map(|line| json!({"code": "c", "message": "m".repeat(200), "line": line})).collect();
        let read = batch(json!({"id": "batch_1", "status": "failed", "errors": {"data": errors}})).unwrap();
        assert_eq!((read.errors.len(), read.error_count, read.errors[99].line), (100, 50_000, Some(100)));
        let empty =
            json!({"id": "batch_1", "status": "failed", "errors": {"data": [{}, {"code": null, "message": null}]}});
        assert_eq!(batch(empty).unwrap().error_count, 0);
    }

    #[test]
    fn an_error_that_says_nothing_is_none() {
        let read = |text: &'static str| read_error(Some(Json::of(text.as_bytes())));
        for nothing in ["null", "{}", r#"{"code": null, "message": null}"#, r#""text""#, "[]"] {
            assert_eq!(read(nothing), None, "{nothing}");
        }
        let some =
            |code: Option<&str>, message: Option<&str>| Some((code.map(str::to_owned), message.map(str::to_owned)));
        assert_eq!(read(r#"{"code": "c", "message": "m\ud83d"}"#), some(Some("c"), Some("m\u{fffd}")));
        assert_eq!(read(r#"{"code": null, "type": "t"}"#), some(Some("t"), None));
        assert_eq!(read(r#"{"code": null, "param": "p"}"#), some(None, None));
    }

    #[test]
    fn each_known_status_keeps_its_name() {
        let known = "validating failed in_progress finalizing completed expired cancelling cancelled";
        for name in known.split(' ') {
            let status = BatchStatus::from(name);
            assert!(!matches!(status, BatchStatus::Other(_)), "{name}");
            assert_eq!(status.as_str(), name);
            assert_ne!(status.is_terminal(), status.is_under_way(), "{name}");
        }
    }
}
