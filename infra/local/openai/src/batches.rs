//! `/v1/batches`: create, retrieve, list, cancel; and the command that advances a batch.

mod advance;
mod output;
mod replies;

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::errors::ApiError;
use crate::files::{BATCH_FILE_LIFETIME_SECONDS, Files, LIFETIME_SECONDS, input_file};
use crate::ids::{hex_id, name, now};
use crate::request::RequestBody;
use crate::store::{ListQuery, Object, Page, Store, USUAL_PAGE};
use crate::webhooks::Webhooks;

const ENDPOINTS: [&str; 8] = [
    "/v1/responses",
    "/v1/chat/completions",
    "/v1/embeddings",
    "/v1/completions",
    "/v1/moderations",
    "/v1/images/generations",
    "/v1/images/edits",
    "/v1/videos",
];

/// The only completion window, and its seconds.
const WINDOW: (&str, i64) = ("24h", 24 * 3600);

#[derive(Clone)]
pub(crate) struct Batches {
    store: Arc<Store<BatchState>>,
    files: Files,
    webhooks: Arc<Webhooks>,
}

type Batch = Object<BatchState>;

#[derive(Debug, Clone)]
struct BatchState {
    status: Status,
    /// The lifetime of its output and error files, seconds.
    output_lifetime: i64,
}

/// The statuses in the order of a batch's life: a later one is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Validating,
    InProgress,
    Finalizing,
    Cancelling,
    Completed,
    Failed,
    Expired,
    Cancelled,
}

impl Status {
    fn is_terminal(self) -> bool {
        self >= Self::Completed
    }
}

impl Batch {
    /// Sets the status, and the times of the statuses that lead to it and were not reached before.
    fn reach(&mut self, status: Status, at: i64) {
        let times: &[&str] = match status {
            Status::Validating => &[],
            Status::InProgress => &["in_progress_at"],
            Status::Finalizing => &["in_progress_at", "finalizing_at"],
            Status::Completed => &["in_progress_at", "finalizing_at", "completed_at"],
            Status::Expired => &["in_progress_at", "finalizing_at", "expired_at"],
            Status::Failed => &["failed_at"],
            Status::Cancelling => &["cancelling_at"],
            Status::Cancelled => &["in_progress_at", "cancelling_at", "cancelled_at"],
        };
        for time in times {
            if self.shown[time].is_null() {
                self.set(time, at);
            }
        }
        self.state.status = status;
        self.set("status", name(status));
    }
}

impl Batches {
    pub(crate) fn new(files: &Files, webhooks: &Arc<Webhooks>) -> Self {
        let store = Store::new(|id| ApiError::not_found(format!("No batch found with id '{id}'.")));
        Self { store, files: Arc::clone(files), webhooks: Arc::clone(webhooks) }
    }

    pub(crate) fn api(&self) -> Router {
        Router::new()
            .route("/v1/batches", get(list).post(create))
            .route("/v1/batches/{id}", self.store.retrieve())
            .route("/v1/batches/{id}/cancel", post(cancel))
            .with_state(self.clone())
    }

    pub(crate) fn control(&self) -> Router {
        Router::new().route("/batches/{id}/advance", post(advance::advance)).with_state(self.clone())
    }
}

async fn create(State(batches): State<Batches>, request: RequestBody) -> Result<Json<Batch>, ApiError> {
    let endpoint = request.required_text("endpoint")?;
    if !ENDPOINTS.contains(&endpoint) {
        return Err(ApiError::unsupported_value("endpoint", endpoint, &ENDPOINTS));
    }
    let window = request.required_text("completion_window")?;
    if window != WINDOW.0 {
        return Err(ApiError::unsupported_value("completion_window", window, &[WINDOW.0]));
    }
    let input = input_file(&batches.files, request.required_text("input_file_id")?, "input_file_id", "batch")?;
    let output_lifetime = output_lifetime(&request)?;
    let created_at = now();
    let shown = json!({
        "id": hex_id("batch_"), "object": "batch",
        "endpoint": endpoint, "model": null, "errors": null,
        "input_file_id": input.id, "output_file_id": null, "error_file_id": null,
        "completion_window": WINDOW.0,
        "status": Status::Validating,
        "created_at": created_at, "expires_at": created_at + WINDOW.1,
        "in_progress_at": null, "finalizing_at": null, "completed_at": null, "failed_at": null, "expired_at": null,
        "cancelling_at": null, "cancelled_at": null,
        "request_counts": { "total": 0, "completed": 0, "failed": 0 },
        "metadata": request.metadata()?,
    });
    let state = BatchState { status: Status::Validating, output_lifetime };
    Ok(Json(batches.store.insert(Batch::new(shown, state))))
}

fn output_lifetime(request: &RequestBody) -> Result<i64, ApiError> {
    let Some(policy) = request.get("output_expires_after") else { return Ok(BATCH_FILE_LIFETIME_SECONDS) };
    match policy["seconds"].as_i64() {
        Some(seconds) if policy["anchor"] == "created_at" && LIFETIME_SECONDS.contains(&seconds) => Ok(seconds),
        _ => Err(ApiError::invalid_value(
            "output_expires_after",
            "'output_expires_after' needs the anchor 'created_at' and from 3600 to 2592000 seconds.",
        )),
    }
}

async fn list(State(batches): State<Batches>, query: ListQuery) -> Result<Json<Page>, ApiError> {
    batches.store.list(&query, USUAL_PAGE, |_| true)
}

/// The batch stays `cancelling` until it is advanced to `cancelled`.
async fn cancel(State(batches): State<Batches>, Path(id): Path<String>) -> Result<Json<Batch>, ApiError> {
    let (batch, ()) = batches.store.update(&id, |batch| {
        if batch.state.status.is_terminal() {
            let status = name(batch.state.status);
            return Err(ApiError::invalid(format!("Cannot cancel a batch with status '{status}'.")));
        }
        batch.reach(Status::Cancelling, now());
        Ok(())
    })?;
    Ok(Json(batch))
}

#[cfg(test)]
mod tests;
