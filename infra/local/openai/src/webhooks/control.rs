//! The commands: register endpoints, deliver any event, list deliveries.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderName, HeaderValue};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures::future::join_all;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::delivery_spec::DeliverySpec;
use super::endpoint::{Endpoint, Registration};
use super::event::endpoint_of;
use super::{Delivery, Event, ManagedEndpoint, Webhooks};
use crate::errors::ControlError;
use crate::ids::{hex_id, now};
use crate::store::lock;

/// The copies that one command delivers at most.
const MAX_COPIES: usize = 1000;

pub(crate) fn control(webhooks: &Arc<Webhooks>) -> Router {
    Router::new()
        .route("/webhooks", get(registered).post(register).delete(unregister))
        .route("/webhook_endpoints", get(managed))
        .route("/webhook_endpoints/{id}/end_old_secret", post(end_old_secret))
        .route("/deliver", post(deliver))
        .route("/deliveries", get(list).delete(stop))
        .with_state(Arc::clone(webhooks))
}

type App = State<Arc<Webhooks>>;

async fn register(State(webhooks): App, Json(registration): Json<Registration>) -> Result<Json<Value>, ControlError> {
    let mut endpoint = registration.into_endpoint().map_err(ControlError::invalid)?;
    let mut endpoints = lock(&webhooks.registered);
    match endpoints.iter_mut().find(|known| known.url == endpoint.url) {
        Some(known) => {
            endpoint.id.clone_from(&known.id);
            known.clone_from(&endpoint);
        }
        None => endpoints.push(endpoint.clone()),
    }
    Ok(Json(endpoint.shown()))
}

async fn registered(State(webhooks): App) -> Json<Value> {
    let shown: Vec<Value> = lock(&webhooks.registered).iter().map(Endpoint::shown).collect();
    Json(json!({ "webhooks": shown }))
}

async fn unregister(State(webhooks): App) -> Json<Value> {
    lock(&webhooks.registered).clear();
    Json(json!({ "webhooks": [] }))
}

/// The managed endpoints, newest first, with the secrets that OpenAI does not show again.
async fn managed(State(webhooks): App) -> Json<Value> {
    let shown: Vec<Value> = webhooks.managed.all().iter().rev().map(ManagedEndpoint::with_all_secrets).collect();
    Json(json!({ "webhook_endpoints": shown }))
}

/// Ends the 24 hours of an old secret.
async fn end_old_secret(State(webhooks): App, Path(id): Path<String>) -> Result<Json<Value>, ControlError> {
    let endpoint = webhooks.managed.change(&id, ManagedEndpoint::end_old_secret)?;
    Ok(Json(endpoint.with_all_secrets()))
}

/// A delivery of any event, well-formed or not.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Deliver {
    #[serde(rename = "type")]
    event_type: Option<String>,
    data: Option<Box<RawValue>>,
    id: Option<String>,
    created_at: Option<i64>,
    /// The whole body, instead of the four fields above.
    body: Option<String>,
    endpoint: Option<String>,
    webhook_id: Option<String>,
    timestamp: Option<Timestamp>,
    #[serde(default)]
    forged: bool,
    #[serde(default)]
    headers: BTreeMap<String, Option<String>>,
    copies: Option<usize>,
    #[serde(default = "crate::webhooks::yes")]
    retry: bool,
    #[serde(default)]
    wait: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Timestamp {
    Seconds(i64),
    Text(String),
}

impl Deliver {
    fn into_spec(self) -> Result<DeliverySpec, ControlError> {
        let mut spec = match (self.body, self.event_type, self.data) {
            (Some(body), None, None) if self.id.is_none() && self.created_at.is_none() => DeliverySpec::raw(body),
            (None, Some(event_type), Some(data)) => {
                let id = self.id.unwrap_or_else(|| hex_id("evt_"));
                DeliverySpec::of(Event::with(id, event_type, self.created_at.unwrap_or_else(now), data.get()))
            }
            _ => {
                let ways = "give either \"body\", or \"type\" and \"data\" (and perhaps \"id\", \"created_at\")";
                return Err(ControlError::invalid(ways));
            }
        };
        spec.webhook_id = self.webhook_id;
        spec.timestamp = self.timestamp.map(|timestamp| match timestamp {
            Timestamp::Seconds(seconds) => seconds.to_string(),
            Timestamp::Text(text) => text,
        });
        spec.forged = self.forged;
        spec.headers = self.headers.into_iter().map(header).collect::<Result<_, _>>()?;
        spec.retry = self.retry;
        Ok(spec)
    }
}

fn header((name, value): (String, Option<String>)) -> Result<(HeaderName, Option<HeaderValue>), ControlError> {
    let refuse = |_| ControlError::invalid(format!("the value of header {name:?} cannot be sent"));
    let parsed =
        name.parse::<HeaderName>().map_err(|_| ControlError::invalid(format!("{name:?} is not a header name")))?;
    Ok((parsed, value.map(HeaderValue::try_from).transpose().map_err(refuse)?))
}

async fn deliver(State(webhooks): App, Json(mut command): Json<Deliver>) -> Result<Json<Value>, ControlError> {
    let (copies, wait, endpoint) = (command.copies.unwrap_or(1), command.wait, command.endpoint.take());
    if !(1..=MAX_COPIES).contains(&copies) {
        return Err(ControlError::invalid(format!("copies must be from 1 to {MAX_COPIES}")));
    }
    let spec = command.into_spec()?;
    let usual = || endpoint_of(spec.event_type.as_deref().unwrap_or_default()).to_owned();
    let endpoint = endpoint.unwrap_or_else(usual);
    let started = webhooks.start_all(&endpoint, &spec, copies);
    if started.is_empty() {
        return Err(ControlError::conflict(format!(
            "no endpoint named {endpoint} takes this event; use POST /_control/webhooks first"
        )));
    }
    let (numbers, first_attempts): (Vec<u64>, Vec<_>) = started.into_iter().unzip();
    if wait {
        join_all(first_attempts).await;
    }
    Ok(Json(json!({ "deliveries": webhooks.deliveries(|delivery| numbers.contains(&delivery.number)) })))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    webhook_id: Option<String>,
    event_id: Option<String>,
    r#type: Option<String>,
}

impl Filter {
    fn matches(&self, delivery: &Delivery) -> bool {
        let is = |wanted: &Option<String>, given: Option<&String>| wanted.is_none() || wanted.as_ref() == given;
        is(&self.webhook_id, Some(&delivery.webhook_id))
            && is(&self.event_id, delivery.event_id.as_ref())
            && is(&self.r#type, delivery.event_type.as_ref())
    }
}

async fn list(State(webhooks): App, Query(filter): Query<Filter>) -> Json<Value> {
    Json(json!({ "deliveries": webhooks.deliveries(|delivery| filter.matches(delivery)) }))
}

async fn stop(State(webhooks): App) -> Json<Value> {
    lock(&webhooks.deliveries).clear();
    Json(json!({ "deliveries": [] }))
}

#[cfg(test)]
mod tests;
