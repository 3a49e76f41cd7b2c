//! Faults on command: what OpenAI, or the network before it, does wrong, by route.

mod shape;

use std::sync::Mutex;

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

use self::shape::Shape;
use crate::app::{Shared, lock};
use crate::errors::{ApiError, ControlError};

/// The faults that lie in wait, oldest first.
#[derive(Default)]
pub(crate) struct Faults(Mutex<Vec<Switch>>);

/// A fault lying in wait on a route.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Switch {
    /// Method and path; a segment in braces stands for any one: `GET /v1/files/{id}/content`.
    route: String,
    fault: Fault,
    /// How many requests it still strikes; for ever without.
    #[serde(skip_serializing_if = "Option::is_none")]
    times: Option<u64>,
    /// How many requests it has struck.
    #[serde(skip_deserializing)]
    hits: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum Fault {
    /// 429 that waiting mends.
    RateLimit {
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after: Option<RetryAfter>,
    },
    /// 429 that waiting doesn't mend.
    InsufficientQuota {},
    /// Any other status, in OpenAI's error shape, or with `body` as it stands. 200 only with a body.
    Status {
        status: u16,
        #[serde(skip_serializing_if = "Option::is_none")]
        body: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after: Option<RetryAfter>,
    },
    /// No answer for so long; without a limit, until the client gives up.
    Stall {
        #[serde(skip_serializing_if = "Option::is_none")]
        milliseconds: Option<u64>,
    },
    /// The connection breaks after so many bytes of the body; a shorter one stays whole.
    Cut { after_bytes: u64 },
    /// The body ends after so many bytes as if that were all of it.
    Truncate { after_bytes: u64 },
    /// The body comes at this pace.
    Slow { bytes_per_second: u64 },
    /// The body stops after so many bytes, and goes on after a while.
    Pause { after_bytes: u64, milliseconds: u64 },
}

/// `Retry-After` as OpenAI may send it: seconds, or an HTTP date.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
enum RetryAfter {
    Seconds(u64),
    Text(String),
}

pub(crate) fn control() -> Router<Shared> {
    Router::new().route("/faults", get(list).post(add).delete(clear))
}

/// Lets the first fault waiting for this request strike, if there is one.
pub(crate) async fn inject(State(app): State<Shared>, request: Request, next: Next) -> Response {
    match app.faults.strike(request.method().as_str(), request.uri().path()) {
        Some(fault) => fault.play(request, next).await,
        None => next.run(request).await,
    }
}

impl Faults {
    fn strike(&self, method: &str, path: &str) -> Option<Fault> {
        let mut switches = lock(&self.0);
        let switch = switches.iter_mut().find(|switch| switch.waits_for(method, path))?;
        switch.hits += 1;
        switch.times = switch.times.map(|times| times - 1);
        Some(switch.fault.clone())
    }
}

impl Switch {
    fn check(&self) -> Result<(), String> {
        let Some((_, path)) = self.route.split_once(' ') else {
            return Err(format!("route {:?} has no method; write e.g. \"GET /v1/batches/{{id}}\"", self.route));
        };
        if !path.starts_with("/v1/") {
            return Err(format!("route path {path:?} doesn't start with /v1/; faults strike OpenAI's API only"));
        }
        match self.fault {
            Fault::Status { status: 200, body: Some(_), .. } => Ok(()),
            Fault::Status { status, .. } if !(400..=599).contains(&status) => {
                Err(format!("status {status} is no error; use 400 to 599, or 200 with a body"))
            }
            Fault::Slow { bytes_per_second: 0 } => {
                Err("bytes_per_second must be above 0; for no bytes at all use the fault stall or pause".to_owned())
            }
            _ => Ok(()),
        }
    }

    fn waits_for(&self, method: &str, path: &str) -> bool {
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
                tokio::time::sleep(std::time::Duration::from_millis(milliseconds)).await;
                next.run(request).await
            }
            Self::Cut { after_bytes } => Shape::Cut { after_bytes }.apply(next.run(request).await),
            Self::Truncate { after_bytes } => Shape::Truncate { after_bytes }.apply(next.run(request).await),
            Self::Slow { bytes_per_second } => Shape::Slow { bytes_per_second }.apply(next.run(request).await),
            Self::Pause { after_bytes, milliseconds } => {
                Shape::Pause { after_bytes, milliseconds }.apply(next.run(request).await)
            }
        }
    }
}

fn with_retry_after(mut response: Response, retry_after: Option<RetryAfter>) -> Response {
    let value = match retry_after {
        None => return response,
        Some(RetryAfter::Seconds(seconds)) => HeaderValue::from(seconds),
        Some(RetryAfter::Text(text)) => match HeaderValue::from_str(&text) {
            Ok(value) => value,
            Err(_) => return response,
        },
    };
    response.headers_mut().insert(RETRY_AFTER, value);
    response
}

async fn add(State(app): State<Shared>, Json(switch): Json<Switch>) -> Result<Json<Value>, ControlError> {
    switch.check().map_err(ControlError::invalid)?;
    lock(&app.faults.0).push(switch);
    Ok(list(State(app)).await)
}

async fn list(State(app): State<Shared>) -> Json<Value> {
    Json(json!({ "faults": *lock(&app.faults.0) }))
}

async fn clear(State(app): State<Shared>) -> Json<Value> {
    lock(&app.faults.0).clear();
    Json(json!({ "faults": [] }))
}

#[cfg(test)]
mod tests;
