//! Evals and their runs, reduced to what is used.

use bytes::Bytes;
use serde_json::Value;
use tokio::time::Instant;

use crate::client::{Call, Client};
use crate::error::OpenAiError;
use crate::objects::{text, time};

/// A page of the list of evals.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EvalPage {
    /// The evals' ids (`eval_...`), in the order of the list.
    pub ids: Vec<String>,
    /// Whether there are more behind the last one.
    pub has_more: bool,
}

/// A run of an eval.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EvalRun {
    /// `evalrun_...`
    pub id: String,
    /// Where it stands, as OpenAI writes it: `queued`, `in_progress`, `completed`, `failed` or `canceled`.
    pub status: String,
    /// What it is called.
    pub name: Option<String>,
    /// The model that was evaluated.
    pub model: Option<String>,
    /// Where people see its report.
    pub report_url: Option<String>,
    /// What went wrong: a short name, and a sentence.
    pub error: Option<(Option<String>, Option<String>)>,
    /// When it was created, in seconds since the epoch.
    pub created_at: Option<i64>,
    /// The whole object as OpenAI sent it.
    pub raw: Value,
    /// The same, byte for byte.
    pub json: Bytes,
}

impl Client {
    /// Lists evals, the last updated ones first: `GET /evals`, at most `limit` (1 to 100) of those behind `after`.
    pub async fn evals(&self, after: Option<&str>, limit: u8, deadline: Instant) -> Result<EvalPage, OpenAiError> {
        let limit = limit.to_string();
        let mut query = vec![("order_by", "updated_at"), ("order", "desc"), ("limit", limit.as_str())];
        query.extend(after.map(|id| ("after", id)));
        let answer = self.get(Call { query: &query, ..Call::new("list evals", &["evals"]) }, deadline).await?;
        answer.read("a list of evals", |raw| EvalPage::from_value(&raw))
    }

    /// Retrieves a run of an eval: `GET /evals/{eval_id}/runs/{run_id}`.
    pub async fn eval_run(&self, eval_id: &str, run_id: &str, deadline: Instant) -> Result<EvalRun, OpenAiError> {
        let path = ["evals", eval_id, "runs", run_id];
        let answer = self.get(Call::new("retrieve eval run", &path), deadline).await?;
        let json = answer.bytes.clone();
        answer.read("an eval run", |raw| EvalRun::from_json(raw, json))
    }
}

impl EvalPage {
    /// `None` when it is no list.
    fn from_value(raw: &Value) -> Option<Self> {
        let data = raw.get("data")?.as_array()?;
        Some(Self {
            ids: data.iter().filter_map(|eval| text(eval, "id")).collect(),
            has_more: raw.get("has_more").and_then(Value::as_bool).unwrap_or_default(),
        })
    }
}

impl EvalRun {
    /// `None` when it is no run: an object without an id or a status.
    fn from_json(raw: Value, json: Bytes) -> Option<Self> {
        let error = raw.get("error").filter(|error| error.is_object());
        Some(Self {
            id: text(&raw, "id")?,
            status: text(&raw, "status")?,
            name: text(&raw, "name"),
            model: text(&raw, "model"),
            report_url: text(&raw, "report_url"),
            error: error.map(|error| (text(error, "code"), text(error, "message"))),
            created_at: time(&raw, "created_at"),
            raw,
            json,
        })
    }

    /// Whether there is still something to come. Of an unknown status neither this nor its opposite can be said.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        matches!(self.status.as_str(), "queued" | "in_progress")
    }

    /// Whether the run has reached its end.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        matches!(self.status.as_str(), "completed" | "failed" | "canceled")
    }
}
