//! `/v1/batches`: create, retrieve, list, cancel; and the command that moves a batch along.

mod advance;
mod create;
mod object;
mod output;
mod replies;

use axum::extract::{Path, Query, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;

use self::object::{Batch, Status};
use crate::app::Shared;
use crate::errors::ApiError;
use crate::ids::now;
use crate::shelf::{Order, Page, Shelf};

/// The most of one list call.
const MAX_PAGE: usize = 100;

const DEFAULT_PAGE: usize = 20;

pub(crate) type Batches = Shelf<Batch>;

pub(crate) fn api() -> Router<Shared> {
    Router::new()
        .route("/v1/batches", get(list).post(create::create))
        .route("/v1/batches/{id}", get(retrieve))
        .route("/v1/batches/{id}/cancel", post(cancel))
}

pub(crate) fn control() -> Router<Shared> {
    Router::new().route("/batches/{id}/advance", post(advance::advance))
}

fn missing(id: &str) -> ApiError {
    ApiError::not_found(format!("No batch found with id '{id}'."))
}

async fn retrieve(State(app): State<Shared>, Path(id): Path<String>) -> Result<Json<Batch>, ApiError> {
    app.batches.get(&id).map(Json).ok_or_else(|| missing(&id))
}

#[derive(Debug, Deserialize)]
struct ListQuery {
    after: Option<String>,
    limit: Option<usize>,
}

async fn list(State(app): State<Shared>, Query(query): Query<ListQuery>) -> Result<Json<Page<Batch>>, ApiError> {
    let limit = query.limit.unwrap_or(DEFAULT_PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(ApiError::invalid_value("limit", format!("'limit' must be between 1 and {MAX_PAGE}.")));
    }
    let after = query.after.as_deref();
    app.batches.page(after, limit, Order::Desc, |_| true).map(Json).ok_or_else(|| missing(after.unwrap_or_default()))
}

/// The batch stays `cancelling` until it is advanced to `cancelled`.
async fn cancel(State(app): State<Shared>, Path(id): Path<String>) -> Result<Json<Batch>, ApiError> {
    let cancelled = app.batches.update(&id, |batch| {
        if batch.status.is_terminal() {
            return Err(ApiError::invalid(format!("Cannot cancel a batch with status '{}'.", batch.status)));
        }
        batch.status = Status::Cancelling;
        batch.cancelling_at.get_or_insert_with(now);
        Ok(Json(batch.clone()))
    });
    cancelled.unwrap_or_else(|| Err(missing(&id)))
}

#[cfg(test)]
mod tests;
