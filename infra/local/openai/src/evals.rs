//! `/v1/evals` and their runs: create, retrieve, list, cancel; and the commands that finish a run and end the API.

mod create;
mod finish;
mod run;

use std::sync::Mutex;

use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::run::{Run, Status};
use crate::app::{Shared, lock};
use crate::errors::{ApiError, ControlError};
use crate::shelf::{Identified, Order, Page, Shelf};

/// The most of one list call.
const MAX_PAGE: usize = 100;

const DEFAULT_PAGE: usize = 20;

#[derive(Default)]
pub(crate) struct Evals {
    known: Shelf<Eval>,
    runs: Shelf<Run>,
    /// The status that everything is answered with once the API has ended.
    ended: Mutex<Option<StatusCode>>,
}

/// An eval as OpenAI shows it.
#[derive(Debug, Clone, Serialize)]
struct Eval {
    object: &'static str,
    id: String,
    name: String,
    created_at: i64,
    data_source_config: Value,
    testing_criteria: Vec<Value>,
    metadata: Value,
}

impl Identified for Eval {
    fn id(&self) -> &str {
        &self.id
    }
}

/// Lets a request through unless the API has ended.
struct Open;

impl FromRequestParts<Shared> for Open {
    type Rejection = ApiError;

    async fn from_request_parts(_: &mut Parts, app: &Shared) -> Result<Self, ApiError> {
        match *lock(&app.evals.ended) {
            Some(status) => Err(ApiError::not_found("The Evals API is no longer available.").status(status)),
            None => Ok(Self),
        }
    }
}

pub(crate) fn api() -> Router<Shared> {
    Router::new()
        .route("/v1/evals", get(list).post(create::eval))
        .route("/v1/evals/{eval}", get(retrieve))
        .route("/v1/evals/{eval}/runs", get(list_runs).post(create::run))
        .route("/v1/evals/{eval}/runs/{run}", get(retrieve_run))
        .route("/v1/evals/{eval}/runs/{run}/cancel", post(cancel))
}

pub(crate) fn control() -> Router<Shared> {
    Router::new().route("/evals/end", post(end)).route("/evals/{eval}/runs/{run}/finish", post(finish::finish))
}

fn missing(id: &str) -> ApiError {
    ApiError::not_found(format!("Eval with id '{id}' not found."))
}

fn missing_run(id: &str) -> ApiError {
    ApiError::not_found(format!("Eval run with id '{id}' not found."))
}

/// `order_by` of the list. Nothing here updates an eval, so both are the same.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OrderBy {
    #[default]
    CreatedAt,
    UpdatedAt,
}

#[derive(Debug, Deserialize)]
struct ListQuery {
    after: Option<String>,
    limit: Option<usize>,
    order: Option<Order>,
    #[serde(default, rename = "order_by")]
    _order_by: OrderBy,
    status: Option<Status>,
}

impl ListQuery {
    fn page<T: Identified>(&self, items: &Shelf<T>, wanted: impl Fn(&T) -> bool) -> Result<Json<Page<T>>, ApiError> {
        let limit = self.limit.unwrap_or(DEFAULT_PAGE);
        if !(1..=MAX_PAGE).contains(&limit) {
            return Err(ApiError::invalid_value("limit", format!("'limit' must be between 1 and {MAX_PAGE}.")));
        }
        let after = self.after.as_deref();
        let page = items.page(after, limit, self.order.unwrap_or(Order::Asc), wanted);
        page.map(Json).ok_or_else(|| missing(after.unwrap_or_default()))
    }
}

async fn list(
    _: Open,
    State(app): State<Shared>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<Eval>>, ApiError> {
    query.page(&app.evals.known, |_| true)
}

async fn retrieve(_: Open, State(app): State<Shared>, Path(id): Path<String>) -> Result<Json<Eval>, ApiError> {
    app.evals.known.get(&id).map(Json).ok_or_else(|| missing(&id))
}

async fn list_runs(
    _: Open,
    State(app): State<Shared>,
    Path(id): Path<String>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<Run>>, ApiError> {
    app.evals.known.get(&id).ok_or_else(|| missing(&id))?;
    let status = query.status;
    query.page(&app.evals.runs, |run| run.eval_id == id && status.is_none_or(|status| status == run.status))
}

async fn retrieve_run(
    _: Open,
    State(app): State<Shared>,
    Path((eval, run)): Path<(String, String)>,
) -> Result<Json<Run>, ApiError> {
    app.evals.runs.get(&run).filter(|run| run.eval_id == eval).map(Json).ok_or_else(|| missing_run(&run))
}

/// Cancels at once.
async fn cancel(
    _: Open,
    State(app): State<Shared>,
    Path((eval, run)): Path<(String, String)>,
) -> Result<Json<Run>, ApiError> {
    let cancelled = app.evals.runs.update(&run, |run| {
        if run.eval_id != eval {
            return None;
        }
        let under_way = run.status.is_under_way();
        if under_way {
            run.reach(Status::Canceled);
        }
        Some((run.clone(), under_way))
    });
    let (run, under_way) = cancelled.flatten().ok_or_else(|| missing_run(&run))?;
    if !under_way {
        return Err(ApiError::invalid(format!("Cannot cancel a run with status '{}'.", run.status.as_str())));
    }
    run.deliver(&app.webhooks);
    Ok(Json(run))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    status: u16,
}

/// From now on every request about evals is answered 404 or 410.
async fn end(State(app): State<Shared>, Json(command): Json<End>) -> Result<Json<Value>, ControlError> {
    let status = match command.status {
        404 => StatusCode::NOT_FOUND,
        410 => StatusCode::GONE,
        other => {
            return Err(ControlError::invalid(format!("status {other}: an API that has ended answers 404 or 410")));
        }
    };
    *lock(&app.evals.ended) = Some(status);
    Ok(Json(json!({ "ended": command.status })))
}

#[cfg(test)]
mod tests;
