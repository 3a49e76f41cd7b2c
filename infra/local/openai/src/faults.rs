//! Faults of OpenAI or of the network, played on command by route.

mod body;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::errors::{ApiError, ControlError};
use crate::store::lock;

/// The rules, oldest first.
#[derive(Default)]
pub(crate) struct Faults(Mutex<Vec<FaultRule>>);

/// Which requests get which fault.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultRule {
    /// Method and path; a segment in braces matches any one segment: `GET /v1/files/{id}/content`.
    route: String,
    fault: Fault,
    /// The number of requests that still get the fault; unlimited without.
    times: Option<u64>,
    /// The number of requests that got the fault.
    #[serde(skip_deserializing)]
    hits: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum Fault {
    /// 429 that passes by waiting.
    RateLimit { retry_after: Option<RetryAfter> },
    /// 429 that does not pass by waiting.
    InsufficientQuota {},
    /// Any other status, with OpenAI's error body or with `body`. 200 needs a `body`.
    Status { status: u16, body: Option<String>, retry_after: Option<RetryAfter> },
    /// No answer for this time; without it, no answer at all.
    Stall { milliseconds: Option<u64> },
    /// The connection breaks after this many bytes of the body; a shorter body is sent whole.
    Cut { after_bytes: u64 },
    /// The body ends after this many bytes, as if it were complete.
    Truncate { after_bytes: u64 },
    /// The body is sent at this rate.
    Slow { bytes_per_second: u64 },
    /// The body pauses after this many bytes.
    Pause { after_bytes: u64, milliseconds: u64 },
}

/// `Retry-After` as OpenAI may send it: seconds, or an HTTP date.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
enum RetryAfter {
    Seconds(u64),
    Text(String),
}

type App = State<Arc<Faults>>;

pub(crate) fn control(faults: &Arc<Faults>) -> Router {
    Router::new().route("/faults", get(list).post(add).delete(clear)).with_state(Arc::clone(faults))
}

/// Applies the first rule that matches the request, if any.
pub(crate) async fn inject(State(faults): App, request: Request, next: Next) -> Response {
    match faults.apply(request.method().as_str(), request.uri().path()) {
        Some(fault) => fault.play(request, next).await,
        None => next.run(request).await,
    }
}

impl Faults {
    /// Counts the request against the first rule that matches it, and returns the fault.
    fn apply(&self, method: &str, path: &str) -> Option<Fault> {
        let mut rules = lock(&self.0);
        let rule = rules.iter_mut().find(|rule| rule.matches(method, path))?;
        rule.hits += 1;
        rule.times = rule.times.map(|times| times - 1);
        Some(rule.fault.clone())
    }
}

impl FaultRule {
    fn check(&self) -> Result<(), String> {
        let Some((_, path)) = self.route.split_once(' ') else {
            return Err(format!("route {:?} has no method; write e.g. \"GET /v1/batches/{{id}}\"", self.route));
        };
        if !path.starts_with("/v1/") {
            return Err(format!(
                "route path {path:?} does not start with /v1/; only calls of OpenAI's API can get faults"
            ));
        }
        match self.fault {
            Fault::Status { status: 200, body: Some(_), .. } => Ok(()),
            Fault::Status { status, .. } if !(400..=599).contains(&status) => {
                Err(format!("status {status} is not an error; use 400 to 599, or 200 with a body"))
            }
            Fault::Slow { bytes_per_second: 0 } => {
                Err("bytes_per_second must be above 0; for no bytes at all use the fault stall or pause".to_owned())
            }
            _ => Ok(()),
        }
    }

    fn matches(&self, method: &str, path: &str) -> bool {
        let Some((wanted_method, template)) = self.route.split_once(' ') else { return false };
        self.times != Some(0)
            && wanted_method == method
            && template.split('/').count() == path.split('/').count()
            && template
                .split('/')
                .zip(path.split('/'))
                .all(|(wanted, given)| wanted == given || (wanted.starts_with('{') && wanted.ends_with('}')))
    }
}

impl Fault {
    async fn play(self, request: Request, next: Next) -> Response {
        match self {
            Self::RateLimit { retry_after } => {
                with_retry_after(ApiError::of_status(StatusCode::TOO_MANY_REQUESTS).into_response(), retry_after)
            }
            Self::InsufficientQuota {} => ApiError::insufficient_quota().into_response(),
            Self::Status { status, body, retry_after } => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                let response = match body {
                    Some(text) => (status, [(CONTENT_TYPE, "text/html")], text).into_response(),
                    None => ApiError::of_status(status).into_response(),
                };
                with_retry_after(response, retry_after)
            }
            Self::Stall { milliseconds: None } => std::future::pending().await,
            Self::Stall { milliseconds: Some(milliseconds) } => {
                tokio::time::sleep(Duration::from_millis(milliseconds)).await;
                next.run(request).await
            }
            body_fault => body::play(body_fault, next.run(request).await),
        }
    }
}

fn with_retry_after(mut response: Response, retry_after: Option<RetryAfter>) -> Response {
    let value = match retry_after {
        None => None,
        Some(RetryAfter::Seconds(seconds)) => Some(HeaderValue::from(seconds)),
        Some(RetryAfter::Text(text)) => HeaderValue::from_str(&text).ok(),
    };
    response.headers_mut().extend(value.map(|value| (RETRY_AFTER, value)));
    response
}

async fn add(State(faults): App, Json(rule): Json<FaultRule>) -> Result<Json<Value>, ControlError> {
    rule.check().map_err(ControlError::invalid)?;
    lock(&faults.0).push(rule);
    Ok(list(State(faults)).await)
}

async fn list(State(faults): App) -> Json<Value> {
    Json(json!({ "faults": *lock(&faults.0) }))
}

async fn clear(State(faults): App) -> Json<Value> {
    lock(&faults.0).clear();
    Json(json!({ "faults": [] }))
}

#[cfg(test)]
mod tests;
