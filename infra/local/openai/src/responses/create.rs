//! `POST /v1/responses`: the checks that OpenAI makes before it takes a request.

use axum::Json;
use axum::extract::State;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{Response, Status, TEXT, message, tokens};
use crate::app::Shared;
use crate::errors::ApiError;
use crate::fine_tuning::says;
use crate::ids::{hex_id, now};
use crate::metadata::metadata;

pub(super) async fn create(State(app): State<Shared>, body: Bytes) -> Result<Json<Response>, ApiError> {
    let Ok(Value::Object(request)) = serde_json::from_slice(&body) else {
        return Err(ApiError::invalid("We could not parse the JSON body of your request."));
    };
    let model = text(&request, "model")?.ok_or_else(|| ApiError::missing_parameter("model"))?;
    let input = given(&request, "input").ok_or_else(|| ApiError::missing_parameter("input"))?;
    if !(input.is_string() || input.is_array()) {
        return Err(wrong_type("input", "a string or an array"));
    }
    let background = flag(&request, "background", false)?;
    let id = hex_id("resp_");
    let shown = json!({
        "id": id,
        "object": "response",
        "created_at": now(),
        "status": Status::Queued,
        "background": background,
        "completed_at": null,
        "error": null,
        "incomplete_details": null,
        "instructions": text(&request, "instructions")?,
        "max_output_tokens": null,
        "model": model,
        "output": [],
        "parallel_tool_calls": true,
        "previous_response_id": null,
        "store": flag(&request, "store", true)?,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": null,
        "metadata": metadata(request.get("metadata"))?.unwrap_or_default(),
    });
    let mut response = Response { id, status: Status::Queued, background, input_tokens: tokens(input), shown };
    if !background {
        let text = says(&app, model, TEXT);
        response.answer(vec![message(Status::Completed, text.as_deref(), None)], None);
        response.reach(Status::Completed);
    }
    app.responses.insert(response.clone());
    Ok(Json(response))
}

fn given<'a>(request: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    request.get(name).filter(|value| !value.is_null())
}

fn wrong_type(name: &'static str, expected: &str) -> ApiError {
    ApiError::invalid(format!("Invalid type for '{name}': expected {expected}.")).param(name).code("invalid_type")
}

fn text<'a>(request: &'a Map<String, Value>, name: &'static str) -> Result<Option<&'a str>, ApiError> {
    given(request, name).map(|value| value.as_str().ok_or_else(|| wrong_type(name, "a string"))).transpose()
}

fn flag(request: &Map<String, Value>, name: &'static str, default: bool) -> Result<bool, ApiError> {
    given(request, name).map_or(Ok(default), |value| value.as_bool().ok_or_else(|| wrong_type(name, "a boolean")))
}
