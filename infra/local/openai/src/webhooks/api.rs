//! `/v1/webhook_endpoints`: create, retrieve, list, update, delete, rotate the secret, test; `/v1/webhook_event_types`.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::Uri;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::event::EVENT_TYPES;
use super::{DeliverySpec, Event, ManagedEndpoint, Webhooks};
use crate::errors::ApiError;
use crate::request::RequestBody;
use crate::store::{ListQuery, Page, USUAL_PAGE};

const MAX_NAME: usize = 256;
const MAX_URL: usize = 2048;

pub(crate) fn api(webhooks: &Arc<Webhooks>) -> Router {
    Router::new()
        .route("/v1/webhook_endpoints", get(list).post(create))
        .route("/v1/webhook_endpoints/{id}", webhooks.managed.retrieve().post(update).delete(delete))
        .route("/v1/webhook_endpoints/{id}/rotate_secret", post(rotate_secret))
        .route("/v1/webhook_endpoints/{id}/test", post(test))
        .route("/v1/webhook_event_types", get(event_types))
        .with_state(Arc::clone(webhooks))
}

type App = State<Arc<Webhooks>>;

async fn create(State(webhooks): App, request: RequestBody) -> Result<Json<Value>, ApiError> {
    let required = |name| move || ApiError::missing_parameter(name);
    let name = name(&request)?.ok_or_else(required("name"))?;
    let url = url(&request)?.ok_or_else(required("url"))?;
    let event_types = subscribed(&request)?.ok_or_else(required("event_types"))?;
    let endpoint = webhooks.managed.insert(ManagedEndpoint::create(name, url, &event_types));
    Ok(Json(endpoint.with_secret()))
}

async fn list(State(webhooks): App, query: ListQuery) -> Result<Json<Page>, ApiError> {
    webhooks.managed.list(&query, USUAL_PAGE, |_| true)
}

async fn update(
    State(webhooks): App,
    Path(id): Path<String>,
    request: RequestBody,
) -> Result<Json<ManagedEndpoint>, ApiError> {
    let name = name(&request)?.map(Value::from);
    let url = url(&request)?.map(Value::from);
    let event_types = subscribed(&request)?.map(Value::from);
    let fields = [("name", name), ("url", url), ("event_types", event_types)];
    webhooks.managed.change(&id, |endpoint| endpoint.set_fields(fields)).map(Json)
}

async fn delete(State(webhooks): App, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    webhooks.managed.remove(&id)?;
    Ok(Json(json!({ "id": id, "deleted": true, "object": "webhook_endpoint.deleted" })))
}

async fn rotate_secret(
    State(webhooks): App,
    Path(id): Path<String>,
    request: RequestBody,
) -> Result<Json<Value>, ApiError> {
    let keep_old = request.flag("keep_old_secret_active_for_24_hours", false)?;
    let endpoint = webhooks.managed.change(&id, |endpoint| endpoint.rotate(keep_old))?;
    Ok(Json(endpoint.with_secret()))
}

/// Delivers once, whatever the endpoint subscribes to, and answers with the receiver's status.
async fn test(State(webhooks): App, Path(id): Path<String>, request: RequestBody) -> Result<Json<Value>, ApiError> {
    let event_type = request.required_text("event_type")?;
    check_event_type("event_type", event_type)?;
    let endpoint = webhooks.managed.get(&id)?.endpoint();
    let spec = DeliverySpec { retry: false, ..DeliverySpec::of(Event::sample(event_type)) };
    let (number, attempted) = webhooks.start(&endpoint, spec);
    // A delivery that was stopped has no attempt, which the answer says.
    let _ = attempted.await;
    let delivery = webhooks.deliveries(|delivery| delivery.number == number).pop();
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

fn name(request: &RequestBody) -> Result<Option<&str>, ApiError> {
    let name = bounded_text(request, "name", MAX_NAME)?;
    if name == Some("") {
        return Err(ApiError::invalid(
            "Invalid 'name': empty string. Expected a string with minimum length 1, but got an empty string instead.",
        )
        .param("name")
        .code("empty_string"));
    }
    Ok(name)
}

/// OpenAI takes `https://` only. Deliveries from here use `http://`, so that is accepted too.
fn url(request: &RequestBody) -> Result<Option<&str>, ApiError> {
    let Some(url) = bounded_text(request, "url", MAX_URL)? else { return Ok(None) };
    match url.parse::<Uri>() {
        Ok(parsed) if matches!(parsed.scheme_str(), Some("https" | "http")) && parsed.host() != Some("") => {
            Ok(Some(url))
        }
        _ => Err(ApiError::invalid_value("url", "Invalid 'url': expected an HTTPS URL.")),
    }
}

fn subscribed(request: &RequestBody) -> Result<Option<Vec<String>>, ApiError> {
    const NAME: &str = "event_types";
    let invalid_type = || ApiError::invalid_type(NAME, "an array of strings");
    let Some(given) = request.get(NAME) else { return Ok(None) };
    let given = given.as_array().ok_or_else(invalid_type)?;
    if given.is_empty() {
        return Err(ApiError::invalid(
            "Invalid 'event_types': empty array. Expected an array with minimum length 1, but got an empty array \
             instead.",
        )
        .param(NAME)
        .code("empty_array"));
    }
    let mut event_types = Vec::with_capacity(given.len());
    for event_type in given {
        let event_type = event_type.as_str().ok_or_else(invalid_type)?.to_owned();
        check_event_type(NAME, &event_type)?;
        if event_types.contains(&event_type) {
            return Err(ApiError::invalid_value(NAME, format!("Invalid 'event_types': '{event_type}' is repeated.")));
        }
        event_types.push(event_type);
    }
    Ok(Some(event_types))
}

fn check_event_type(name: &'static str, event_type: &str) -> Result<(), ApiError> {
    if EVENT_TYPES.contains(&event_type) {
        return Ok(());
    }
    Err(ApiError::unsupported_value(name, event_type, &EVENT_TYPES))
}

fn bounded_text<'a>(request: &'a RequestBody, name: &'static str, max: usize) -> Result<Option<&'a str>, ApiError> {
    let text = request.text(name)?;
    let length = text.map_or(0, |text| text.chars().count());
    if length <= max {
        return Ok(text);
    }
    Err(ApiError::invalid(format!(
        "Invalid '{name}': string too long. Expected a string with maximum length {max}, but got a string with length \
         {length} instead."
    ))
    .param(name)
    .code("string_above_max_length"))
}
