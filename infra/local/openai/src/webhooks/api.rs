//! `/v1/webhook_endpoints`: create, retrieve, list, update, delete, rotate the secret, test; `/v1/webhook_event_types`.

use axum::extract::{Path, Query, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::checks::{self, required};
use super::managed::{Change, Managed};
use super::parcel::Parcel;
use super::samples::{EVENT_TYPES, sample};
use crate::app::Shared;
use crate::errors::ApiError;
use crate::shelf::{Order, Page};

/// The most of one list call.
const MAX_PAGE: usize = 100;

const DEFAULT_PAGE: usize = 20;

pub(crate) fn api() -> Router<Shared> {
    Router::new()
        .route("/v1/webhook_endpoints", get(list).post(create))
        .route("/v1/webhook_endpoints/{id}", get(retrieve).post(update).delete(delete))
        .route("/v1/webhook_endpoints/{id}/rotate_secret", post(rotate_secret))
        .route("/v1/webhook_endpoints/{id}/test", post(test))
        .route("/v1/webhook_event_types", get(event_types))
}

fn missing(id: &str) -> ApiError {
    ApiError::not_found(format!("No webhook endpoint found with id '{id}'."))
}

async fn create(State(app): State<Shared>, body: Bytes) -> Result<Json<Value>, ApiError> {
    let Change { name, url, event_types } = checks::change(&checks::object(&body)?)?;
    let (name, url) = (required("name", name)?, required("url", url)?);
    let endpoint = Managed::new(name, url, required("event_types", event_types)?);
    let shown = endpoint.with_secret();
    app.webhooks.managed.insert(endpoint);
    Ok(Json(shown))
}

async fn retrieve(State(app): State<Shared>, Path(id): Path<String>) -> Result<Json<Managed>, ApiError> {
    app.webhooks.managed.get(&id).map(Json).ok_or_else(|| missing(&id))
}

#[derive(Debug, Deserialize)]
struct ListQuery {
    after: Option<String>,
    limit: Option<usize>,
}

async fn list(State(app): State<Shared>, Query(query): Query<ListQuery>) -> Result<Json<Page<Managed>>, ApiError> {
    let limit = query.limit.unwrap_or(DEFAULT_PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(ApiError::invalid_value("limit", format!("'limit' must be between 1 and {MAX_PAGE}.")));
    }
    let after = query.after.as_deref();
    let page = app.webhooks.managed.page(after, limit, Order::Desc, |_| true);
    page.map(Json).ok_or_else(|| missing(after.unwrap_or_default()))
}

async fn update(State(app): State<Shared>, Path(id): Path<String>, body: Bytes) -> Result<Json<Managed>, ApiError> {
    let change = checks::change(&checks::object(&body)?)?;
    let updated = app.webhooks.managed.update(&id, |endpoint| {
        endpoint.change(change);
        endpoint.clone()
    });
    updated.map(Json).ok_or_else(|| missing(&id))
}

async fn delete(State(app): State<Shared>, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    app.webhooks.managed.remove(&id).ok_or_else(|| missing(&id))?;
    Ok(Json(json!({ "id": id, "deleted": true, "object": "webhook_endpoint.deleted" })))
}

async fn rotate_secret(
    State(app): State<Shared>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let keep_old = checks::keep_old(&checks::object(&body)?)?;
    let rotated = app.webhooks.managed.update(&id, |endpoint| {
        endpoint.rotate(keep_old);
        endpoint.with_secret()
    });
    rotated.map(Json).ok_or_else(|| missing(&id))
}

/// Delivers once, whatever the endpoint has subscribed to, and tells how that was answered.
async fn test(State(app): State<Shared>, Path(id): Path<String>, body: Bytes) -> Result<Json<Value>, ApiError> {
    let request = checks::object(&body)?;
    let event_type = checks::event_type(&request)?;
    let endpoint = app.webhooks.managed.get(&id).ok_or_else(|| missing(&id))?.endpoint();
    let mut parcel = Parcel::of(sample(event_type));
    parcel.retry = false;
    let (number, tried) = app.webhooks.start(&endpoint, parcel);
    // A delivery that was stopped has no attempt, which is told below.
    let _ = tried.await;
    let delivery = app.webhooks.deliveries(|delivery| delivery.number == number).pop();
    let status_code = delivery.map_or_else(|| Err("it was stopped".to_owned()), |delivery| delivery.first_answer());
    let status_code = status_code.map_err(|reason| {
        let message = format!("The test request to the webhook endpoint did not complete: {reason}");
        ApiError::invalid(message).code("webhook_endpoint_unreachable")
    })?;
    Ok(Json(json!({
        "object": "webhook_endpoint.test",
        "webhook_endpoint_id": id,
        "event_type": event_type,
        "status_code": status_code,
        "success": true,
    })))
}

async fn event_types() -> Json<Value> {
    Json(json!({ "object": "list", "data": EVENT_TYPES }))
}
