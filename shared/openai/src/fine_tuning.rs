//! Fine-tuning jobs, reduced to the fields that are used.

use bytes::Bytes;
use hooks_webhook::Json;
use tokio::time::Instant;

use crate::client::{Call, Client};
use crate::error::OpenAiError;
use crate::objects::{count, read_error, text, time};

/// The longest page of OpenAI.
const ONE_PAGE: [(&str, &str); 1] = [("limit", "100")];

/// A fine-tuning job.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FineTuningJob {
    /// `ftjob-...`
    pub id: String,
    /// Its status, as OpenAI writes it: `validating_files`, `queued`, `running`, `succeeded`, `failed`...
    pub status: String,
    /// The base model.
    pub model: Option<String>,
    /// The new model, such as `ft:gpt-4.1-mini:acme:support:B1`.
    pub fine_tuned_model: Option<String>,
    /// The suffix that was requested for the new model's name.
    pub suffix: Option<String>,
    /// The error's code, such as `invalid_training_file`, and its message.
    pub error: Option<(Option<String>, Option<String>)>,
    /// The number of trained tokens, which are billed.
    pub trained_tokens: Option<u64>,
    /// When it was created, in seconds since the epoch.
    pub created_at: Option<i64>,
    /// When it finished, in seconds since the epoch.
    pub finished_at: Option<i64>,
    /// The whole object, byte for byte.
    pub json: Bytes,
}

/// One page of a job's checkpoints or events.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FineTuningList {
    /// The number of entries, at most 100.
    pub count: usize,
    /// The page as OpenAI sent it, byte for byte.
    pub json: Bytes,
}

impl Client {
    /// Retrieves a fine-tuning job: `GET /fine_tuning/jobs/{id}`.
    pub async fn fine_tuning_job(&self, id: &str, deadline: Instant) -> Result<FineTuningJob, OpenAiError> {
        let path = ["fine_tuning", "jobs", id];
        let answer = self.get(Call::new("retrieve fine-tuning job", &path), deadline).await?;
        answer.read("a fine-tuning job", FineTuningJob::from_json)
    }

    /// Lists a job's checkpoints, the last 100: `GET /fine_tuning/jobs/{id}/checkpoints`.
    pub async fn fine_tuning_checkpoints(&self, id: &str, deadline: Instant) -> Result<FineTuningList, OpenAiError> {
        let path = ["fine_tuning", "jobs", id, "checkpoints"];
        self.fine_tuning_list(Call::new("list fine-tuning checkpoints", &path), deadline).await
    }

    /// Lists a job's events, the last 100: `GET /fine_tuning/jobs/{id}/events`.
    pub async fn fine_tuning_events(&self, id: &str, deadline: Instant) -> Result<FineTuningList, OpenAiError> {
        let path = ["fine_tuning", "jobs", id, "events"];
        self.fine_tuning_list(Call::new("list fine-tuning events", &path), deadline).await
    }

    async fn fine_tuning_list(&self, call: Call<'_>, deadline: Instant) -> Result<FineTuningList, OpenAiError> {
        let answer = self.get(Call { query: &ONE_PAGE, ..call }, deadline).await?;
        answer.read("a list", |json| {
            let count = Json::of(&json).get("data").filter(|data| data.is_list())?.items().count();
            Some(FineTuningList { count, json })
        })
    }
}

impl FineTuningJob {
    /// The status of a job with a new model.
    pub const SUCCEEDED: &'static str = "succeeded";
    /// The status of a job that failed; [`error`](Self::error) has the reason.
    pub const FAILED: &'static str = "failed";
    /// The status of a job that was cancelled.
    pub const CANCELLED: &'static str = "cancelled";

    /// The whole object.
    #[must_use]
    pub fn raw(&self) -> Json<'_> {
        Json::of(&self.json)
    }

    /// `None` without an id or a status.
    pub(crate) fn from_json(json: Bytes) -> Option<Self> {
        let raw = Json::of(&json);
        Some(Self {
            id: text(raw, "id")?,
            status: text(raw, "status")?,
            model: text(raw, "model"),
            fine_tuned_model: text(raw, "fine_tuned_model"),
            suffix: text(raw, "user_provided_suffix"),
            error: read_error(raw.get("error")),
            trained_tokens: count(raw, "trained_tokens"),
            created_at: time(raw, "created_at"),
            finished_at: time(raw, "finished_at"),
            json,
        })
    }

    /// Whether the job is still in progress. False for an unknown status.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        matches!(self.status.as_str(), "validating_files" | "queued" | "running" | "paused")
    }

    /// Whether the status is final. False for an unknown status.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        [Self::SUCCEEDED, Self::FAILED, Self::CANCELLED].contains(&self.status.as_str())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "shorter at every call")]
    fn job(raw: Value) -> Option<FineTuningJob> {
        FineTuningJob::from_json(raw.to_string().into())
    }

    #[test]
    fn a_job_is_read() {
        let read = job(json!({
            "id": "ftjob-1", "status": "succeeded", "model": "gpt-4.1-mini", "user_provided_suffix": "support",
            "fine_tuned_model": "ft:gpt-4.1-mini:acme:support:B1", "error": {"code": null, "message": null},
            "trained_tokens": 7, "created_at": 1_700_000_000, "finished_at": 1_700_000_060, "shiny": [1],
        }))
        .unwrap();
        assert_eq!((read.status.as_str(), read.suffix.as_deref()), (FineTuningJob::SUCCEEDED, Some("support")));
        assert_eq!((read.trained_tokens, read.finished_at), (Some(7), Some(1_700_000_060)));
        assert_eq!((&read.error, read.raw().get("shiny").unwrap().bytes()), (&None, &b"[1]"[..]));
    }

    #[test]
    fn an_error_is_read() {
        let error = json!({"code": "invalid_training_file", "message": "Line 3.", "param": "training_file"});
        let failed = job(json!({"id": "ftjob-1", "status": "failed", "error": error})).unwrap();
        assert_eq!(failed.error, Some((Some("invalid_training_file".to_owned()), Some("Line 3.".to_owned()))));
    }

    #[test]
    fn a_field_of_an_unexpected_type_is_a_missing_field() {
        let odd = json!({"id": "ftjob-1", "status": "x", "model": 4, "fine_tuned_model": "", "error": "no",
            "trained_tokens": "many", "created_at": "yesterday", "finished_at": -1, "user_provided_suffix": []});
        let odd = job(odd).unwrap();
        assert_eq!((odd.model, odd.fine_tuned_model, odd.suffix, odd.error), (None, None, None, None));
        assert_eq!((odd.trained_tokens, odd.created_at, odd.finished_at), (None, None, None));
    }

    #[test]
    fn each_known_status_is_in_progress_or_final_and_an_unknown_one_neither() {
        let of = |status: &str| job(json!({"id": "ftjob-1", "status": status})).unwrap();
        for status in ["validating_files", "queued", "running", "paused", "succeeded", "failed", "cancelled"] {
            assert_ne!(of(status).is_under_way(), of(status).is_terminal(), "{status}");
        }
        assert!(!of("unheard_of").is_under_way() && !of("unheard_of").is_terminal());
    }

    #[test]
    fn a_job_needs_an_id_and_a_status() {
        for other in [json!(null), json!([]), json!({"status": "failed"}), json!({"id": "ftjob-1"})] {
            assert!(job(other.clone()).is_none(), "{other}");
        }
    }
}
