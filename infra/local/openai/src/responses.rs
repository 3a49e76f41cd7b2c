//! `/v1/responses`: create, retrieve, cancel, delete; and the command that finishes a background one.

mod create;
mod finish;

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::app::Shared;
use crate::errors::ApiError;
use crate::ids::{hex_id, now};
use crate::shelf::{Identified, Shelf};
use crate::webhooks::{Delivery, Event, Scope, Webhooks};

/// What the model says unless told otherwise.
const TEXT: &str = "Hello!";

/// The same, where a command may leave a model without words.
#[expect(clippy::unnecessary_wraps, reason = "the default of an optional field")]
pub(crate) fn usual_text() -> Option<String> {
    Some(TEXT.to_owned())
}

pub(crate) type Responses = Shelf<Response>;

/// Where a response stands; all but the first are final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    /// Only by its creation, so that no command names it.
    #[serde(skip_deserializing)]
    Queued,
    Completed,
    Failed,
    Cancelled,
    Incomplete,
}

impl Status {
    fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Incomplete => "incomplete",
        }
    }
}

/// A response: the object as OpenAI shows it, any field of which a command may have set, and what is known beside it.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub(crate) struct Response {
    #[serde(skip)]
    id: String,
    #[serde(skip)]
    status: Status,
    #[serde(skip)]
    background: bool,
    #[serde(skip)]
    input_tokens: u64,
    /// An object.
    shown: Value,
}

impl Identified for Response {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Response {
    fn set(&mut self, field: &str, value: impl Into<Value>) {
        self.shown[field] = value.into();
    }

    fn reach(&mut self, status: Status) {
        self.status = status;
        self.set("status", status.as_str());
        if status == Status::Completed {
            self.set("completed_at", now());
        }
    }

    /// Sets what the model said, and what it took unless `usage` is given.
    fn answer(&mut self, output: Vec<Value>, usage: Option<Value>) {
        let output = Value::from(output);
        let output_tokens = tokens(&output);
        let derived = || {
            json!({
                "input_tokens": self.input_tokens, "input_tokens_details": { "cached_tokens": 0 },
                "output_tokens": output_tokens, "output_tokens_details": { "reasoning_tokens": 0 },
                "total_tokens": self.input_tokens + output_tokens,
            })
        };
        let usage = usage.unwrap_or_else(derived);
        self.set("usage", usage);
        self.set("output", output);
    }

    /// Says to the project's endpoints that the response has come to its end.
    fn deliver(&self, webhooks: &Arc<Webhooks>) -> Vec<Delivery> {
        webhooks.send(Scope::Project, Event::thin(format!("response.{}", self.status.as_str()), &self.id))
    }
}

/// A rule of thumb: four characters to the token.
fn tokens(value: &Value) -> u64 {
    1 + value.to_string().len() as u64 / 4
}

/// The one item of output that a plain answer has.
fn message(status: Status, text: Option<&str>, refusal: Option<&str>) -> Value {
    let text = text.map(|text| json!({ "type": "output_text", "text": text, "annotations": [], "logprobs": [] }));
    let refusal = refusal.map(|refusal| json!({ "type": "refusal", "refusal": refusal }));
    let content: Vec<Value> = text.into_iter().chain(refusal).collect();
    json!({
        "id": hex_id("msg_"), "type": "message", "status": status, "role": "assistant", "content": content,
    })
}

pub(crate) fn api() -> Router<Shared> {
    Router::new()
        .route("/v1/responses", post(create::create))
        .route("/v1/responses/{id}", get(retrieve).delete(delete))
        .route("/v1/responses/{id}/cancel", post(cancel))
}

pub(crate) fn control() -> Router<Shared> {
    Router::new().route("/responses/{id}/finish", post(finish::finish))
}

fn missing(id: &str) -> ApiError {
    ApiError::not_found(format!("Response with id '{id}' not found."))
}

async fn retrieve(State(app): State<Shared>, Path(id): Path<String>) -> Result<Json<Response>, ApiError> {
    app.responses.get(&id).map(Json).ok_or_else(|| missing(&id))
}

async fn delete(State(app): State<Shared>, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    let deleted = app.responses.remove(&id).ok_or_else(|| missing(&id))?;
    Ok(Json(json!({ "id": deleted.id, "object": "response", "deleted": true })))
}

/// Cancels at once; a finished response stays what it is, and is answered again.
async fn cancel(State(app): State<Shared>, Path(id): Path<String>) -> Result<Json<Response>, ApiError> {
    let cancelled = app.responses.update(&id, |response| {
        if !response.background {
            return Err(ApiError::invalid("Cannot cancel a synchronous response."));
        }
        let changed = response.status == Status::Queued;
        if changed {
            response.reach(Status::Cancelled);
        }
        Ok((response.clone(), changed))
    });
    let (response, changed) = cancelled.unwrap_or_else(|| Err(missing(&id)))?;
    if changed {
        response.deliver(&app.webhooks);
    }
    Ok(Json(response))
}

#[cfg(test)]
mod tests;
