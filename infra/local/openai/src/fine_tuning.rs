//! `/v1/fine_tuning/jobs`: create, retrieve, list, cancel, events, checkpoints; `/v1/models/{model}`; and the command that
//! finishes a job.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::errors::{ApiError, ControlError};
use crate::files::{Files, input_file};
use crate::ids::{alphanumeric_id, name, now};
use crate::request::RequestBody;
use crate::store::{ListQuery, Object, Page, PageSize, Store, USUAL_PAGE, page};
use crate::webhooks::{Event, Webhooks};

const CHECKPOINTS_PAGE: PageSize = PageSize(10, 100);

const METHODS: [&str; 3] = ["supervised", "dpo", "reinforcement"];

const MAX_SUFFIX: usize = 64;

#[derive(Clone)]
pub(crate) struct FineTuning {
    jobs: Arc<Store<JobState>>,
    files: Files,
    webhooks: Arc<Webhooks>,
}

type Job = Object<JobState>;

#[derive(Debug, Clone)]
struct JobState {
    status: Status,
    /// Oldest first.
    events: Vec<Object>,
    /// Oldest first.
    checkpoints: Vec<Object>,
    /// The new model's answer, if it gives any.
    answer: Option<String>,
    /// The day on which the new model ends, instead of its base model's.
    shutdown_date: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    /// Set at creation only; no command names it.
    #[serde(skip_deserializing)]
    ValidatingFiles,
    Queued,
    Running,
    Succeeded,
    Failed,
    Cancelled,
}

impl Status {
    fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

/// A model's answer, unless a command sets another one, or none.
#[expect(clippy::unnecessary_wraps, reason = "the default of an optional field")]
pub(crate) fn usual_answer() -> Option<String> {
    Some("Hello!".to_owned())
}

fn not_found(id: &str) -> ApiError {
    ApiError::not_found(format!("Could not find fine tune: {id}")).param("fine_tune_id").code("fine_tune_not_found")
}

impl FineTuning {
    pub(crate) fn new(files: &Files, webhooks: &Arc<Webhooks>) -> Self {
        Self { jobs: Store::new(not_found), files: Arc::clone(files), webhooks: Arc::clone(webhooks) }
    }

    /// The answer of any model, fine-tuned or not.
    pub(crate) fn answer_of(&self, model: &str) -> Option<String> {
        let job = self.jobs.newest(|job| job.shown["fine_tuned_model"] == model);
        job.map_or_else(usual_answer, |job| job.state.answer)
    }

    pub(crate) fn api(&self) -> Router {
        Router::new()
            .route("/v1/fine_tuning/jobs", get(list).post(create))
            .route("/v1/fine_tuning/jobs/{id}", self.jobs.retrieve())
            .route("/v1/fine_tuning/jobs/{id}/cancel", post(cancel))
            .route("/v1/fine_tuning/jobs/{id}/events", get(events))
            .route("/v1/fine_tuning/jobs/{id}/checkpoints", get(checkpoints))
            .route("/v1/models/{model}", get(model))
            .with_state(self.clone())
    }

    pub(crate) fn control(&self) -> Router {
        Router::new().route("/fine_tuning/{id}/finish", post(finish)).with_state(self.clone())
    }
}

impl Job {
    fn reach(&mut self, status: Status) {
        self.state.status = status;
        self.set("status", name(status));
        if status.is_terminal() {
            self.set("estimated_finish", Value::Null);
            self.set("finished_at", now());
        }
    }

    fn add_event(&mut self, level: &str, message: &str) {
        let event = json!({
            "object": "fine_tuning.job.event", "id": alphanumeric_id("ftevent-", 24), "created_at": now(),
            "level": level, "message": message, "type": "message", "data": {},
        });
        self.state.events.push(Object::new(event, ()));
    }

    /// Adds checkpoints, of which the last one is the model itself.
    fn add_checkpoints(&mut self, model: &str, count: usize) {
        for step in (1..=count).map(|number| number * 100) {
            self.add_event("info", &format!("Checkpoint created at step {step}"));
            let is_last = step == count * 100;
            let checkpoint = json!({
                "object": "fine_tuning.job.checkpoint", "id": alphanumeric_id("ftckpt_", 24), "created_at": now(),
                "fine_tuned_model_checkpoint": if is_last { model.to_owned() } else { format!("{model}:ckpt-step-{step}") },
                "fine_tuning_job_id": self.id, "step_number": step,
                "metrics": { "step": step, "train_loss": 0.5, "full_valid_loss": 0.6 },
            });
            self.state.checkpoints.push(Object::new(checkpoint, ()));
        }
    }

    fn event(&self) -> Event {
        Event::thin(format!("fine_tuning.job.{}", name(self.state.status)), &self.id)
    }
}

async fn create(State(fine_tuning): State<FineTuning>, request: RequestBody) -> Result<Json<Job>, ApiError> {
    let file = |name| match request.text(name)? {
        Some(id) => input_file(&fine_tuning.files, id, name, "fine-tune").map(|file| Some(file.id)),
        None => Ok(None),
    };
    let model = request.required_text("model")?;
    let training_file = file("training_file")?.ok_or_else(|| ApiError::missing_parameter("training_file"))?;
    let suffix = request.text("suffix")?;
    if suffix.is_some_and(|suffix| suffix.chars().count() > MAX_SUFFIX) {
        return Err(ApiError::invalid_value("suffix", "'suffix' has at most 64 characters."));
    }
    let seed = match request.get("seed") {
        None => fastrand::u32(..),
        Some(seed) => seed
            .as_u64()
            .and_then(|seed| seed.try_into().ok())
            .ok_or_else(|| ApiError::invalid_type("seed", "an integer from 0 to 4294967295"))?,
    };
    let method = match request.get("method") {
        None => json!({ "type": "supervised", "supervised": { "hyperparameters": {} } }),
        Some(method) if METHODS.iter().any(|known| method["type"] == *known) => method.clone(),
        Some(_) => {
            let message = "'method' needs a type: 'supervised', 'dpo' or 'reinforcement'.";
            return Err(ApiError::invalid_value("method", message));
        }
    };
    let shown = json!({
        "object": "fine_tuning.job", "id": alphanumeric_id("ftjob-", 24), "created_at": now(),
        "status": Status::ValidatingFiles, "finished_at": null, "estimated_finish": null, "error": {},
        "model": model, "fine_tuned_model": null, "user_provided_suffix": suffix, "seed": seed, "method": method,
        "training_file": training_file, "validation_file": file("validation_file")?, "result_files": [],
        "hyperparameters": { "n_epochs": "auto", "batch_size": "auto", "learning_rate_multiplier": "auto" },
        "trained_tokens": null, "organization_id": "org-local", "integrations": [],
        "metadata": request.metadata()?,
    });
    let status = Status::ValidatingFiles;
    let mut job = Job::new(
        shown,
        JobState { status, events: Vec::new(), checkpoints: Vec::new(), answer: None, shutdown_date: None },
    );
    job.add_event("info", &format!("Created fine-tuning job: {}", job.id.clone()));
    Ok(Json(fine_tuning.jobs.insert(job)))
}

/// Filters by `metadata[key]=value`; `metadata=null` finds the jobs without metadata.
async fn list(State(fine_tuning): State<FineTuning>, query: ListQuery) -> Result<Json<Page>, ApiError> {
    fine_tuning.jobs.list(&query, USUAL_PAGE, |job| {
        let metadata = &job.shown["metadata"];
        query.0.iter().all(|(name, value)| match name.strip_prefix("metadata") {
            Some("") => value != "null" || metadata.as_object().is_none_or(Map::is_empty),
            Some(key) => metadata[key.trim_start_matches('[').trim_end_matches(']')] == value.as_str(),
            None => true,
        })
    })
}

async fn events(
    State(fine_tuning): State<FineTuning>,
    Path(id): Path<String>,
    query: ListQuery,
) -> Result<Json<Page>, ApiError> {
    page(fine_tuning.jobs.get(&id)?.state.events, &query, USUAL_PAGE, not_found)
}

async fn checkpoints(
    State(fine_tuning): State<FineTuning>,
    Path(id): Path<String>,
    query: ListQuery,
) -> Result<Json<Page>, ApiError> {
    page(fine_tuning.jobs.get(&id)?.state.checkpoints, &query, CHECKPOINTS_PAGE, not_found)
}

/// Cancels at once.
async fn cancel(State(fine_tuning): State<FineTuning>, Path(id): Path<String>) -> Result<Json<Job>, ApiError> {
    let (job, ()) = fine_tuning.jobs.update(&id, |job| {
        if job.state.status.is_terminal() {
            let status = name(job.state.status);
            return Err(ApiError::invalid(format!("Job has already completed: status is '{status}'.")));
        }
        job.reach(Status::Cancelled);
        job.add_event("info", "The job was cancelled");
        Ok(())
    })?;
    fine_tuning.webhooks.send(job.event());
    Ok(Json(job))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Finish {
    status: Status,
    /// Instead of a name derived from the base model and the suffix.
    fine_tuned_model: Option<String>,
    error: Option<Value>,
    checkpoints: Option<usize>,
    /// The new model's answer; `null`: none.
    #[serde(default = "usual_answer")]
    says: Option<String>,
    /// The day on which the new model ends, instead of its base model's.
    shutdown_date: Option<String>,
    /// Fields set last.
    #[serde(default)]
    fields: Map<String, Value>,
    /// `false` plays a lost webhook.
    #[serde(default = "crate::webhooks::yes")]
    deliver: bool,
}

async fn finish(
    State(fine_tuning): State<FineTuning>,
    Path(id): Path<String>,
    Json(command): Json<Finish>,
) -> Result<Json<Value>, ControlError> {
    let deliver = command.deliver;
    let (job, ()) = fine_tuning.jobs.update(&id, |job| command.apply(job))?;
    let deliveries = fine_tuning.webhooks.send_if(deliver && job.state.status.is_terminal(), job.event());
    Ok(Json(json!({ "job": job, "deliveries": deliveries })))
}

impl Finish {
    fn apply(self, job: &mut Job) -> Result<(), ControlError> {
        if job.state.status.is_terminal() {
            let (from, to) = (name(job.state.status), name(self.status));
            return Err(ControlError::conflict(format!("the job is {from}; it cannot become {to}")));
        }
        job.reach(self.status);
        match self.status {
            Status::Succeeded => {
                let model = self.fine_tuned_model.unwrap_or_else(|| model_name(job));
                job.add_checkpoints(&model, self.checkpoints.unwrap_or(3));
                job.set("fine_tuned_model", model);
                job.set("trained_tokens", 5768);
                job.state.answer = self.says;
                job.state.shutdown_date = self.shutdown_date;
                job.add_event("info", "The job has successfully completed");
            }
            Status::Failed => {
                let usual = json!({
                    "code": "invalid_training_file", "param": "training_file",
                    "message": "The job failed due to an invalid training file.",
                });
                let error = self.error.unwrap_or(usual);
                job.add_event("error", error["message"].as_str().unwrap_or_default());
                job.set("error", error);
            }
            status => job.add_event("info", &format!("The job is {}", name(status))),
        }
        job.set_all(self.fields);
        Ok(())
    }
}

/// The models that OpenAI has announced the end of, with all that are tuned from them.
const ENDING: [&str; 4] = ["gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-4.1-mini"];

const THEIR_END: &str = "2027-01-14";

/// A fine-tuned model is known once its job has succeeded, any other name is a model of OpenAI.
async fn model(State(fine_tuning): State<FineTuning>, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    let job = fine_tuning.jobs.newest(|job| job.shown["fine_tuned_model"] == id.as_str());
    if job.is_none() && id.starts_with("ft:") {
        let message = format!("The model '{id}' does not exist or you do not have access to it.");
        return Err(ApiError::not_found(message).code("model_not_found"));
    }
    let base = job.as_ref().and_then(|job| job.shown["model"].as_str()).unwrap_or(&id);
    let ends = ENDING
        .iter()
        .any(|family| base.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with("-20")));
    let date = job.as_ref().and_then(|job| job.state.shutdown_date.as_deref()).or(ends.then_some(THEIR_END));
    let (created, owner) = match &job {
        Some(job) => (job.shown["finished_at"].clone(), "org-local"),
        None => (1_700_000_000.into(), "system"),
    };
    Ok(Json(json!({ "id": id, "object": "model", "created": created, "owned_by": owner, "shutdown_date": date })))
}

/// A new model's name in OpenAI's format.
fn model_name(job: &Job) -> String {
    let base = job.shown["model"].as_str().unwrap_or_default();
    let suffix = job.shown["user_provided_suffix"].as_str().unwrap_or_default();
    alphanumeric_id(&format!("ft:{base}:local:{suffix}:"), 8)
}

#[cfg(test)]
mod tests;
