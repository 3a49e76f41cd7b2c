//! The commands: register endpoints, deliver any event, read what became of it.

use std::collections::BTreeMap;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderName, HeaderValue};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures::future::join_all;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::delivery::Delivery;
use super::endpoint::{Registration, Scope, Shown};
use super::event::Event;
use super::managed::Managed;
use super::parcel::Parcel;
use super::signing::Signature;
use crate::app::{Shared, lock};
use crate::errors::ControlError;
use crate::ids::{hex_id, now};
use crate::shelf::Order;

/// The most copies that one command delivers.
const MAX_COPIES: usize = 1000;

pub(crate) fn control() -> Router<Shared> {
    Router::new()
        .route("/webhooks", get(endpoints).post(register).delete(forget))
        .route("/webhook_endpoints", get(managed))
        .route("/webhook_endpoints/{id}/end_old_secret", post(end_old_secret))
        .route("/deliver", post(deliver))
        .route("/deliveries", get(deliveries).delete(stop))
}

async fn register(
    State(app): State<Shared>,
    Json(registration): Json<Registration>,
) -> Result<Json<Shown>, ControlError> {
    let mut endpoint = registration.into_endpoint().map_err(ControlError::invalid)?;
    let mut endpoints = lock(&app.webhooks.endpoints);
    if let Some(known) = endpoints.iter_mut().find(|known| known.url == endpoint.url) {
        endpoint.id.clone_from(&known.id);
        *known = endpoint;
        return Ok(Json(Shown::from(&*known)));
    }
    let shown = Shown::from(&endpoint);
    endpoints.push(endpoint);
    Ok(Json(shown))
}

async fn endpoints(State(app): State<Shared>) -> Json<Value> {
    let shown: Vec<Shown> = lock(&app.webhooks.endpoints).iter().map(Shown::from).collect();
    Json(json!({ "webhooks": shown }))
}

async fn forget(State(app): State<Shared>) -> Json<Value> {
    lock(&app.webhooks.endpoints).clear();
    Json(json!({ "webhooks": [] }))
}

/// With the secrets that OpenAI doesn't show again, for whoever checks what was kept of them.
async fn managed(State(app): State<Shared>) -> Json<Value> {
    let page = app.webhooks.managed.page(None, usize::MAX, Order::Desc, |_| true);
    let shown: Vec<Value> = page.iter().flat_map(|page| &page.data).map(Managed::with_all_secrets).collect();
    Json(json!({ "webhook_endpoints": shown }))
}

/// Lets the 24 hours of an old secret be over.
async fn end_old_secret(State(app): State<Shared>, Path(id): Path<String>) -> Result<Json<Value>, ControlError> {
    let ended = app.webhooks.managed.update(&id, |endpoint| {
        endpoint.end_old_secret();
        endpoint.with_all_secrets()
    });
    ended.map(Json).ok_or_else(|| ControlError::not_found(format!("no endpoint {id:?}")))
}

/// Any event, well made or not.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Deliver {
    #[serde(rename = "type")]
    event_type: Option<String>,
    data: Option<Box<RawValue>>,
    id: Option<String>,
    created_at: Option<i64>,
    /// The whole body, instead of the four above.
    body: Option<String>,
    endpoint: Option<Scope>,
    webhook_id: Option<String>,
    timestamp: Option<Timestamp>,
    #[serde(default)]
    forged: bool,
    #[serde(default)]
    headers: BTreeMap<String, Option<String>>,
    #[serde(default = "one")]
    copies: usize,
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

fn one() -> usize {
    1
}

impl Deliver {
    fn into_parcel(self) -> Result<Parcel, ControlError> {
        let mut parcel = match (self.body, self.event_type, self.data) {
            (Some(body), None, None) if self.id.is_none() && self.created_at.is_none() => Parcel::raw(body),
            (None, Some(event_type), Some(data)) => {
                let id = self.id.unwrap_or_else(|| hex_id("evt_"));
                Parcel::of(Event::with(id, event_type, self.created_at.unwrap_or_else(now), data.get()))
            }
            _ => {
                let ways = "give either \"body\", or \"type\" and \"data\" (and perhaps \"id\", \"created_at\")";
                return Err(ControlError::invalid(ways));
            }
        };
        parcel.webhook_id = self.webhook_id;
        parcel.timestamp = self.timestamp.map(|timestamp| match timestamp {
            Timestamp::Seconds(seconds) => seconds.to_string(),
            Timestamp::Text(text) => text,
        });
        parcel.signature = if self.forged { Signature::Forged } else { Signature::Genuine };
        parcel.headers = self.headers.into_iter().map(header).collect::<Result<_, _>>()?;
        parcel.retry = self.retry;
        Ok(parcel)
    }
}

fn header((name, value): (String, Option<String>)) -> Result<(HeaderName, Option<HeaderValue>), ControlError> {
    let refuse = |_| ControlError::invalid(format!("header {name:?} can't be sent so"));
    let parsed =
        name.parse::<HeaderName>().map_err(|_| ControlError::invalid(format!("{name:?} is no header name")))?;
    Ok((parsed, value.map(HeaderValue::try_from).transpose().map_err(refuse)?))
}

async fn deliver(State(app): State<Shared>, Json(command): Json<Deliver>) -> Result<Json<Value>, ControlError> {
    let (copies, wait, scope) = (command.copies, command.wait, command.endpoint);
    if !(1..=MAX_COPIES).contains(&copies) {
        return Err(ControlError::invalid(format!("copies must be from 1 to {MAX_COPIES}")));
    }
    let parcel = command.into_parcel()?;
    let scope = scope.unwrap_or_else(|| Scope::of(parcel.event_type.as_deref().unwrap_or_default()));
    let dispatched = app.webhooks.dispatch(scope, &parcel, copies);
    if dispatched.is_empty() {
        return Err(ControlError::conflict(format!(
            "no {scope:?} endpoint takes this event; use POST /_control/webhooks first"
        )));
    }
    let (numbers, first_attempts): (Vec<u64>, Vec<_>) = dispatched.into_iter().unzip();
    if wait {
        join_all(first_attempts).await;
    }
    Ok(Json(json!({ "deliveries": app.webhooks.deliveries(|delivery| numbers.contains(&delivery.number)) })))
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

async fn deliveries(State(app): State<Shared>, Query(filter): Query<Filter>) -> Json<Value> {
    Json(json!({ "deliveries": app.webhooks.deliveries(|delivery| filter.matches(delivery)) }))
}

async fn stop(State(app): State<Shared>) -> Json<Value> {
    lock(&app.webhooks.ledger).clear();
    Json(json!({ "deliveries": [] }))
}

#[cfg(test)]
mod tests;
