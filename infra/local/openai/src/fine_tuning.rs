//! `/v1/fine_tuning/jobs`: create, retrieve, list, cancel, events, checkpoints; and the command that finishes a job.

mod create;
mod finish;

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::app::Shared;
use crate::errors::ApiError;
use crate::ids::now;
use crate::shelf::{Identified, Order, Page, Shelf};
use crate::webhooks::{Delivery, Event, Scope, Webhooks};

/// The most of one list call.
const MAX_PAGE: usize = 100;

const DEFAULT_PAGE: usize = 20;

const DEFAULT_CHECKPOINTS_PAGE: usize = 10;

pub(crate) type Jobs = Shelf<Job>;

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    /// Only by its creation, so that no command names it.
    #[serde(skip_deserializing)]
    ValidatingFiles,
    Queued,
    Running,
    Succeeded,
    Failed,
    Cancelled,
}

impl Status {
    fn as_str(self) -> &'static str {
        match self {
            Self::ValidatingFiles => "validating_files",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

/// A job: the object as OpenAI shows it, any field of which a command may have set, and what is known beside it.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub(crate) struct Job {
    #[serde(skip)]
    id: String,
    #[serde(skip)]
    status: Status,
    /// Oldest first.
    #[serde(skip)]
    events: Vec<Entry>,
    /// Oldest first.
    #[serde(skip)]
    checkpoints: Vec<Entry>,
    /// What the model says that came of it, if anything.
    #[serde(skip)]
    says: Option<String>,
    /// An object.
    shown: Value,
}

impl Identified for Job {
    fn id(&self) -> &str {
        &self.id
    }
}

/// An event or a checkpoint, as OpenAI shows it.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
struct Entry(Value);

impl Identified for Entry {
    fn id(&self) -> &str {
        self.0["id"].as_str().unwrap_or_default()
    }
}

impl Job {
    fn set(&mut self, field: &str, value: impl Into<Value>) {
        self.shown[field] = value.into();
    }

    fn reach(&mut self, status: Status) {
        self.status = status;
        self.set("status", status.as_str());
        if status.is_terminal() {
            self.set("estimated_finish", Value::Null);
            self.set("finished_at", now());
        }
    }

    fn report(&mut self, level: &str, message: &str) {
        self.events.push(Entry(json!({
            "object": "fine_tuning.job.event", "id": id("ftevent-"), "created_at": now(), "level": level,
            "message": message, "type": "message", "data": {},
        })));
    }

    /// Says to the project's endpoints that the job has come to its end.
    fn deliver(&self, webhooks: &Arc<Webhooks>) -> Vec<Delivery> {
        webhooks.send(Scope::Project, Event::thin(format!("fine_tuning.job.{}", self.status.as_str()), &self.id))
    }
}

/// `ftjob-`, `ftevent-`, `ftckpt_`... and 24 letters or digits.
fn id(prefix: &str) -> String {
    let mut id = prefix.to_owned();
    id.extend((0..24).map(|_| fastrand::alphanumeric()));
    id
}

/// What a model says, which may be nothing; one that no job made says what is usual.
pub(crate) fn says(app: &Shared, model: &str, usual: &str) -> Option<String> {
    let page = app.fine_tuning.page(None, 1, Order::Desc, |job| job.shown["fine_tuned_model"] == model);
    let job = page.and_then(|page| page.data.into_iter().next());
    job.map_or_else(|| Some(usual.to_owned()), |job| job.says)
}

pub(crate) fn api() -> Router<Shared> {
    Router::new()
        .route("/v1/fine_tuning/jobs", get(list).post(create::create))
        .route("/v1/fine_tuning/jobs/{id}", get(retrieve))
        .route("/v1/fine_tuning/jobs/{id}/cancel", post(cancel))
        .route("/v1/fine_tuning/jobs/{id}/events", get(events))
        .route("/v1/fine_tuning/jobs/{id}/checkpoints", get(checkpoints))
}

pub(crate) fn control() -> Router<Shared> {
    Router::new().route("/fine_tuning/{id}/finish", post(finish::finish))
}

fn missing(id: &str) -> ApiError {
    ApiError::not_found(format!("Could not find fine tune: {id}")).param("fine_tune_id").code("fine_tune_not_found")
}

fn find(app: &Shared, id: &str) -> Result<Job, ApiError> {
    app.fine_tuning.get(id).ok_or_else(|| missing(id))
}

async fn retrieve(State(app): State<Shared>, Path(id): Path<String>) -> Result<Json<Job>, ApiError> {
    find(&app, &id).map(Json)
}

type Parameters = Query<HashMap<String, String>>;

/// By `metadata[key]=value`; `metadata=null` finds the jobs without any.
async fn list(State(app): State<Shared>, Query(query): Parameters) -> Result<Json<Page<Job>>, ApiError> {
    let wanted = |job: &Job| {
        let metadata = &job.shown["metadata"];
        query.iter().all(|(name, value)| match name.strip_prefix("metadata") {
            Some("") => value != "null" || metadata.as_object().is_none_or(serde_json::Map::is_empty),
            Some(key) => metadata[key.trim_start_matches('[').trim_end_matches(']')] == value.as_str(),
            None => true,
        })
    };
    page(&app.fine_tuning, &query, DEFAULT_PAGE, wanted)
}

async fn events(
    State(app): State<Shared>,
    Path(id): Path<String>,
    Query(query): Parameters,
) -> Result<Json<Page<Entry>>, ApiError> {
    page(&shelf(find(&app, &id)?.events), &query, DEFAULT_PAGE, |_| true)
}

async fn checkpoints(
    State(app): State<Shared>,
    Path(id): Path<String>,
    Query(query): Parameters,
) -> Result<Json<Page<Entry>>, ApiError> {
    page(&shelf(find(&app, &id)?.checkpoints), &query, DEFAULT_CHECKPOINTS_PAGE, |_| true)
}

fn shelf(entries: Vec<Entry>) -> Shelf<Entry> {
    let shelf = Shelf::default();
    for entry in entries {
        shelf.insert(entry);
    }
    shelf
}

/// The page that `after` and `limit` ask for, newest first.
fn page<T: Identified>(
    shelf: &Shelf<T>,
    query: &HashMap<String, String>,
    default: usize,
    wanted: impl Fn(&T) -> bool,
) -> Result<Json<Page<T>>, ApiError> {
    let limit = query.get("limit").map_or(Some(default), |limit| limit.parse().ok());
    let limit = limit
        .filter(|limit| (1..=MAX_PAGE).contains(limit))
        .ok_or_else(|| ApiError::invalid_value("limit", format!("'limit' must be between 1 and {MAX_PAGE}.")))?;
    let after = query.get("after").map(String::as_str);
    shelf.page(after, limit, Order::Desc, wanted).map(Json).ok_or_else(|| missing(after.unwrap_or_default()))
}

/// Cancels at once.
async fn cancel(State(app): State<Shared>, Path(id): Path<String>) -> Result<Json<Job>, ApiError> {
    let cancelled = app.fine_tuning.update(&id, |job| {
        if job.status.is_terminal() {
            let status = job.status.as_str();
            return Err(ApiError::invalid(format!("Job has already completed: status is '{status}'.")));
        }
        job.reach(Status::Cancelled);
        job.report("info", "The job was cancelled");
        Ok(job.clone())
    });
    let job = cancelled.unwrap_or_else(|| Err(missing(&id)))?;
    job.deliver(&app.webhooks);
    Ok(Json(job))
}

#[cfg(test)]
mod tests;
