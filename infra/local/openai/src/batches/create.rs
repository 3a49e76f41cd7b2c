//! `POST /v1/batches`: the checks that OpenAI makes before it takes a batch.

use axum::Json;
use axum::extract::State;
use bytes::Bytes;
use serde_json::{Map, Value};

use super::object::{Batch, Counts, FileId, Status};
use crate::app::Shared;
use crate::errors::ApiError;
use crate::files::{BATCH_FILE_LIFE_SECONDS, LIFE_RANGE};
use crate::ids::{hex_id, now};
use crate::metadata::metadata;

const ENDPOINTS: [&str; 8] = [
    "/v1/responses",
    "/v1/chat/completions",
    "/v1/embeddings",
    "/v1/completions",
    "/v1/moderations",
    "/v1/images/generations",
    "/v1/images/edits",
    "/v1/videos",
];

/// The only window there is, and its seconds.
const WINDOW: (&str, i64) = ("24h", 24 * 3600);

pub(super) async fn create(State(app): State<Shared>, body: Bytes) -> Result<Json<Batch>, ApiError> {
    let Ok(Value::Object(request)) = serde_json::from_slice(&body) else {
        return Err(ApiError::invalid("We could not parse the JSON body of your request."));
    };
    let endpoint = text(&request, "endpoint")?;
    if !ENDPOINTS.contains(&endpoint) {
        return Err(one_of("endpoint", endpoint, &ENDPOINTS));
    }
    let window = text(&request, "completion_window")?;
    if window != WINDOW.0 {
        return Err(one_of("completion_window", window, &[WINDOW.0]));
    }
    let input_file_id = text(&request, "input_file_id")?;
    let input = app
        .files
        .get(input_file_id)
        .ok_or_else(|| ApiError::invalid(format!("No such File object: {input_file_id}")).param("input_file_id"))?;
    if input.purpose != "batch" {
        return Err(ApiError::invalid_value(
            "input_file_id",
            format!("Invalid file purpose: '{}'. The file must be uploaded with purpose 'batch'.", input.purpose),
        ));
    }
    let metadata = metadata(request.get("metadata"))?;
    let output_life = output_life(request.get("output_expires_after"))?;

    let created_at = now();
    let batch = Batch {
        id: hex_id("batch_"),
        object: "batch",
        endpoint: endpoint.to_owned(),
        model: None,
        errors: None,
        input_file_id: input.id,
        completion_window: WINDOW.0,
        status: Status::Validating,
        output_file_id: FileId::Null,
        error_file_id: FileId::Null,
        created_at,
        in_progress_at: None,
        expires_at: created_at + WINDOW.1,
        finalizing_at: None,
        completed_at: None,
        failed_at: None,
        expired_at: None,
        cancelling_at: None,
        cancelled_at: None,
        request_counts: Counts::default(),
        usage: None,
        metadata,
        output_life,
    };
    app.batches.insert(batch.clone());
    Ok(Json(batch))
}

fn text<'a>(request: &'a Map<String, Value>, name: &'static str) -> Result<&'a str, ApiError> {
    match request.get(name) {
        None | Some(Value::Null) => Err(ApiError::missing_parameter(name)),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(ApiError::invalid_type(name, "a string")),
    }
}

fn one_of(name: &'static str, given: &str, allowed: &[&str]) -> ApiError {
    let allowed: Vec<String> = allowed.iter().map(|value| format!("'{value}'")).collect();
    ApiError::invalid_value(name, format!("Invalid value: '{given}'. Supported values are: {}.", allowed.join(", ")))
}

fn output_life(given: Option<&Value>) -> Result<i64, ApiError> {
    let policy = match given {
        None | Some(Value::Null) => return Ok(BATCH_FILE_LIFE_SECONDS),
        Some(policy) => policy,
    };
    match policy["seconds"].as_i64() {
        Some(seconds) if policy["anchor"] == "created_at" && LIFE_RANGE.contains(&seconds) => Ok(seconds),
        _ => Err(ApiError::invalid_value(
            "output_expires_after",
            "'output_expires_after' needs the anchor 'created_at' and from 3600 to 2592000 seconds.",
        )),
    }
}
