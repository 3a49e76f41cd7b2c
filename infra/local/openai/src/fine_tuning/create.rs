//! `POST /v1/fine_tuning/jobs`: the checks that OpenAI makes before it takes a job.

use axum::Json;
use axum::extract::State;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{Job, Status, id};
use crate::app::Shared;
use crate::errors::ApiError;
use crate::ids::now;
use crate::metadata::metadata;

const METHODS: [&str; 3] = ["supervised", "dpo", "reinforcement"];

const MAX_SUFFIX: usize = 64;

pub(super) async fn create(State(app): State<Shared>, body: Bytes) -> Result<Json<Job>, ApiError> {
    let Ok(Value::Object(request)) = serde_json::from_slice(&body) else {
        return Err(ApiError::invalid("We could not parse the JSON body of your request."));
    };
    let model = text(&request, "model")?.ok_or_else(|| ApiError::missing_parameter("model"))?;
    let training_file =
        file(&app, &request, "training_file")?.ok_or_else(|| ApiError::missing_parameter("training_file"))?;
    let validation_file = file(&app, &request, "validation_file")?;
    let suffix = text(&request, "suffix")?;
    if suffix.is_some_and(|suffix| suffix.chars().count() > MAX_SUFFIX) {
        return Err(ApiError::invalid_value("suffix", "'suffix' has at most 64 characters."));
    }
    let seed = match request.get("seed") {
        None | Some(Value::Null) => fastrand::u32(..),
        Some(seed) => seed
            .as_u64()
            .and_then(|seed| seed.try_into().ok())
            .ok_or_else(|| wrong_type("seed", "an integer from 0 to 4294967295"))?,
    };
    let metadata = metadata(request.get("metadata"))?;
    let id = id("ftjob-");
    let shown = json!({
        "object": "fine_tuning.job",
        "id": id,
        "model": model,
        "created_at": now(),
        "finished_at": null,
        "fine_tuned_model": null,
        "organization_id": "org-local",
        "result_files": [],
        "status": Status::ValidatingFiles,
        "validation_file": validation_file,
        "training_file": training_file,
        "hyperparameters": { "n_epochs": "auto", "batch_size": "auto", "learning_rate_multiplier": "auto" },
        "trained_tokens": null,
        "error": {},
        "user_provided_suffix": suffix,
        "seed": seed,
        "estimated_finish": null,
        "integrations": [],
        "metadata": metadata,
        "method": method(request.get("method"))?,
    });
    let mut job =
        Job { id, status: Status::ValidatingFiles, events: Vec::new(), checkpoints: Vec::new(), says: None, shown };
    job.report("info", &format!("Created fine-tuning job: {}", job.id));
    app.fine_tuning.insert(job.clone());
    Ok(Json(job))
}

/// The id of a file that is there and was uploaded for this.
fn file<'a>(app: &Shared, request: &'a Map<String, Value>, name: &'static str) -> Result<Option<&'a str>, ApiError> {
    let Some(id) = text(request, name)? else { return Ok(None) };
    match app.files.get(id) {
        None => Err(ApiError::invalid(format!("No such File object: {id}")).param(name)),
        Some(file) if file.purpose != "fine-tune" => Err(ApiError::invalid_value(
            name,
            format!("Invalid file purpose: '{}'. The file must be uploaded with purpose 'fine-tune'.", file.purpose),
        )),
        Some(_) => Ok(Some(id)),
    }
}

/// The method as given, or the usual one.
fn method(given: Option<&Value>) -> Result<Value, ApiError> {
    match given {
        None | Some(Value::Null) => Ok(json!({ "type": "supervised", "supervised": { "hyperparameters": {} } })),
        Some(method) if METHODS.iter().any(|known| method["type"] == *known) => Ok(method.clone()),
        Some(_) => {
            Err(ApiError::invalid_value("method", "'method' needs a type: 'supervised', 'dpo' or 'reinforcement'."))
        }
    }
}

fn wrong_type(name: &'static str, expected: &str) -> ApiError {
    ApiError::invalid(format!("Invalid type for '{name}': expected {expected}.")).param(name).code("invalid_type")
}

fn text<'a>(request: &'a Map<String, Value>, name: &'static str) -> Result<Option<&'a str>, ApiError> {
    match request.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value.as_str().map(Some).ok_or_else(|| wrong_type(name, "a string")),
    }
}
