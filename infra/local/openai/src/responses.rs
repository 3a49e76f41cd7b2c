//! `/v1/responses`: create, retrieve, cancel, delete; and the command that finishes a background response.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::errors::{ApiError, ControlError, ObjectError};
use crate::fine_tuning::FineTuning;
use crate::ids::{hex_id, name, now};
use crate::request::RequestBody;
use crate::store::{Object, Store};
use crate::usage::{Usage, tokens};
use crate::webhooks::{Event, Webhooks};

#[derive(Clone)]
pub(crate) struct Responses {
    store: Arc<Store<ResponseState>>,
    /// Knows what fine-tuned models answer.
    fine_tuning: FineTuning,
    webhooks: Arc<Webhooks>,
}

type Response = Object<ResponseState>;

#[derive(Debug, Clone)]
struct ResponseState {
    status: Status,
    background: bool,
    input_tokens: u64,
}

/// All but the first are terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    /// Set at creation only; no command names it.
    #[serde(skip_deserializing)]
    Queued,
    Completed,
    Failed,
    Cancelled,
    Incomplete,
}

impl Responses {
    pub(crate) fn new(fine_tuning: &FineTuning, webhooks: &Arc<Webhooks>) -> Self {
        let store = Store::new(|id| ApiError::not_found(format!("Response with id '{id}' not found.")));
        Self { store, fine_tuning: fine_tuning.clone(), webhooks: Arc::clone(webhooks) }
    }

    pub(crate) fn api(&self) -> Router {
        Router::new()
            .route("/v1/responses", post(create))
            .route("/v1/responses/{id}", self.store.retrieve().delete(delete))
            .route("/v1/responses/{id}/cancel", post(cancel))
            .with_state(self.clone())
    }

    pub(crate) fn control(&self) -> Router {
        Router::new().route("/responses/{id}/finish", post(finish)).with_state(self.clone())
    }
}

impl Response {
    fn reach(&mut self, status: Status) {
        self.state.status = status;
        self.set("status", name(status));
        if status == Status::Completed {
            self.set("completed_at", now());
        }
    }

    /// Sets the output, and its usage unless that is given.
    fn answer(&mut self, output: Vec<Value>, usage: Option<Value>) {
        let output = Value::from(output);
        let derived = Usage { input: self.state.input_tokens, output: tokens(&output) };
        self.set("usage", usage.unwrap_or_else(|| derived.to_json()));
        self.set("output", output);
    }

    fn event(&self) -> Event {
        Event::thin(format!("response.{}", name(self.state.status)), &self.id)
    }
}

/// An output message.
fn message(status: Status, text: Option<&str>, refusal: Option<&str>) -> Value {
    let text = text.map(|text| json!({ "type": "output_text", "text": text, "annotations": [], "logprobs": [] }));
    let refusal = refusal.map(|refusal| json!({ "type": "refusal", "refusal": refusal }));
    let content: Vec<Value> = text.into_iter().chain(refusal).collect();
    json!({
        "id": hex_id("msg_"), "type": "message", "status": status, "role": "assistant", "content": content,
    })
}

async fn create(State(responses): State<Responses>, request: RequestBody) -> Result<Json<Response>, ApiError> {
    let model = request.required_text("model")?;
    let input = request.required("input")?;
    if !(input.is_string() || input.is_array()) {
        return Err(ApiError::invalid_type("input", "a string or an array"));
    }
    let background = request.flag("background", false)?;
    let shown = json!({
        "id": hex_id("resp_"), "object": "response", "created_at": now(),
        "status": Status::Queued, "background": background, "completed_at": null,
        "model": model, "instructions": request.text("instructions")?,
        "output": [], "error": null, "incomplete_details": null, "usage": null,
        "store": request.flag("store", true)?,
        "metadata": request.metadata()?.unwrap_or(&json!({})),
        "max_output_tokens": null, "parallel_tool_calls": true, "previous_response_id": null,
        "temperature": 1.0, "tool_choice": "auto", "tools": [], "top_p": 1.0,
    });
    let state = ResponseState { status: Status::Queued, background, input_tokens: tokens(input) };
    let mut response = Response::new(shown, state);
    if !background {
        let text = responses.fine_tuning.answer_of(model);
        response.answer(vec![message(Status::Completed, text.as_deref(), None)], None);
        response.reach(Status::Completed);
    }
    Ok(Json(responses.store.insert(response)))
}

async fn delete(State(responses): State<Responses>, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    let deleted = responses.store.remove(&id)?;
    Ok(Json(json!({ "id": deleted.id, "object": "response", "deleted": true })))
}

/// Cancels at once; a finished response stays as it is and is returned again.
async fn cancel(State(responses): State<Responses>, Path(id): Path<String>) -> Result<Json<Response>, ApiError> {
    let (response, changed) = responses.store.update(&id, |response| {
        if !response.state.background {
            return Err(ApiError::invalid("Cannot cancel a synchronous response."));
        }
        let changed = response.state.status == Status::Queued;
        if changed {
            response.reach(Status::Cancelled);
        }
        Ok(changed)
    })?;
    responses.webhooks.send_if(changed, response.event());
    Ok(Json(response))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Finish {
    status: Status,
    /// `null`: no text, so that a refusal stands alone.
    #[serde(default = "crate::fine_tuning::usual_answer")]
    text: Option<String>,
    refusal: Option<String>,
    /// Instead of a message with `text` and `refusal`.
    output: Option<Vec<Value>>,
    error: Option<ObjectError>,
    incomplete_reason: Option<String>,
    /// Instead of the derived usage.
    usage: Option<Map<String, Value>>,
    /// Fields set last.
    #[serde(default)]
    fields: Map<String, Value>,
    /// `false` plays a lost webhook.
    #[serde(default = "crate::webhooks::yes")]
    deliver: bool,
}

async fn finish(
    State(responses): State<Responses>,
    Path(id): Path<String>,
    Json(command): Json<Finish>,
) -> Result<Json<Value>, ControlError> {
    let deliver = command.deliver;
    let (response, ()) = responses.store.update(&id, |response| command.apply(response))?;
    let deliveries = responses.webhooks.send_if(deliver, response.event());
    Ok(Json(json!({ "response": response, "deliveries": deliveries })))
}

impl Finish {
    fn apply(self, response: &mut Response) -> Result<(), ControlError> {
        let status = self.status;
        if response.state.status != Status::Queued {
            let (from, to) = (name(response.state.status), name(status));
            return Err(ControlError::conflict(format!("the response is {from}; it cannot become {to}")));
        }
        let usage = self.usage.map(Value::Object);
        match (self.output, status) {
            (Some(output), _) => response.answer(output, usage),
            (None, Status::Completed | Status::Incomplete) => {
                response.answer(vec![message(status, self.text.as_deref(), self.refusal.as_deref())], usage);
            }
            // A response that failed or was cancelled has no output.
            (None, _) => response.set("usage", usage),
        }
        let usual_error = || ObjectError::new("server_error", "The model failed to generate a response.");
        let error = self.error.or_else(|| (status == Status::Failed).then(usual_error));
        response.set("error", json!(error));
        let usual_reason = || (status == Status::Incomplete).then(|| "max_output_tokens".to_owned());
        let reason = self.incomplete_reason.or_else(usual_reason);
        response.set("incomplete_details", reason.map(|reason| json!({ "reason": reason })));
        response.reach(status);
        response.set_all(self.fields);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
