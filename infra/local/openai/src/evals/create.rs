//! `POST /v1/evals` and `POST /v1/evals/{id}/runs`: the checks that OpenAI makes before it takes a request.

use axum::Json;
use axum::extract::{Path, State};
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{Eval, Open, Run, Status, missing};
use crate::app::Shared;
use crate::errors::ApiError;
use crate::ids::{hex_id, now};
use crate::metadata::metadata;

pub(super) async fn eval(_: Open, State(app): State<Shared>, body: Bytes) -> Result<Json<Eval>, ApiError> {
    let request = object(&body)?;
    let config = part(&request, "data_source_config")?;
    let data_source_config = match config.get("type").and_then(Value::as_str) {
        Some("custom") => {
            let item = config.get("item_schema").filter(|schema| schema.is_object());
            let item = item.ok_or_else(|| ApiError::missing_parameter("data_source_config.item_schema"))?;
            json!({ "type": "custom", "schema": schema(item) })
        }
        Some(kind @ ("logs" | "stored_completions")) => {
            json!({ "type": kind, "metadata": config.get("metadata"), "schema": schema(&json!({ "type": "object" })) })
        }
        _ => return Err(ApiError::invalid_type("data_source_config.type", "'custom', 'logs' or 'stored_completions'")),
    };
    let testing_criteria = match request.get("testing_criteria") {
        None => return Err(ApiError::missing_parameter("testing_criteria")),
        Some(Value::Array(graders)) if graders.iter().all(|grader| grader["type"].is_string()) => graders.clone(),
        Some(_) => return Err(ApiError::invalid_type("testing_criteria", "an array of graders, each with a type")),
    };
    let eval = Eval {
        object: "eval",
        id: hex_id("eval_"),
        name: name(&request, "New eval")?,
        created_at: now(),
        data_source_config,
        testing_criteria,
        metadata: json!(metadata(request.get("metadata"))?.unwrap_or_default()),
    };
    app.evals.known.insert(eval.clone());
    Ok(Json(eval))
}

pub(super) async fn run(
    _: Open,
    State(app): State<Shared>,
    Path(eval_id): Path<String>,
    body: Bytes,
) -> Result<Json<Run>, ApiError> {
    app.evals.known.get(&eval_id).ok_or_else(|| missing(&eval_id))?;
    let request = object(&body)?;
    let data_source = part(&request, "data_source")?;
    if !data_source
        .get("type")
        .is_some_and(|kind| ["jsonl", "completions", "responses"].iter().any(|known| kind == known))
    {
        return Err(ApiError::invalid_type("data_source.type", "'jsonl', 'completions' or 'responses'"));
    }
    let id = hex_id("evalrun_");
    let shown = json!({
        "object": "eval.run",
        "id": id,
        "eval_id": eval_id,
        "report_url": format!("https://platform.openai.com/evaluations/{eval_id}?run_id={id}"),
        "status": Status::Queued,
        "model": data_source.get("model"),
        "name": name(&request, "New run")?,
        "created_at": now(),
        "result_counts": { "total": 0, "passed": 0, "failed": 0, "errored": 0 },
        "per_model_usage": null,
        "per_testing_criteria_results": null,
        "data_source": data_source,
        "error": null,
        "metadata": metadata(request.get("metadata"))?.unwrap_or_default(),
    });
    let run = Run { id, eval_id, status: Status::Queued, shown };
    app.evals.runs.insert(run.clone());
    Ok(Json(run))
}

fn object(body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(request)) => Ok(request),
        _ => Err(ApiError::invalid("We could not parse the JSON body of your request.")),
    }
}

fn part<'a>(request: &'a Map<String, Value>, name: &'static str) -> Result<&'a Map<String, Value>, ApiError> {
    let part = request.get(name).ok_or_else(|| ApiError::missing_parameter(name))?;
    part.as_object().ok_or_else(|| ApiError::invalid_type(name, "an object"))
}

fn name(request: &Map<String, Value>, otherwise: &str) -> Result<String, ApiError> {
    match request.get("name") {
        None | Some(Value::Null) => Ok(otherwise.to_owned()),
        Some(Value::String(name)) => Ok(name.clone()),
        Some(_) => Err(ApiError::invalid_type("name", "a string")),
    }
}

/// What a grader finds under `item`.
fn schema(item: &Value) -> Value {
    json!({ "type": "object", "properties": { "item": item }, "required": ["item"] })
}
