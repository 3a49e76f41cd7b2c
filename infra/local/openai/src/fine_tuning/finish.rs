//! The command that moves a job along, brings it to its end, and sends its webhook.

use axum::Json;
use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Entry, Job, Status, id};
use crate::app::Shared;
use crate::errors::ControlError;
use crate::ids::now;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Finish {
    status: Status,
    /// Instead of a name made of the base model and the suffix.
    fine_tuned_model: Option<String>,
    error: Option<Failure>,
    #[serde(default = "usual_checkpoints")]
    checkpoints: usize,
    /// What the new model says when it is asked; `null` is nothing.
    #[serde(default = "crate::responses::usual_text")]
    says: Option<String>,
    /// Set last, as they stand.
    #[serde(default)]
    fields: Map<String, Value>,
    /// `false` plays a lost webhook.
    #[serde(default = "crate::webhooks::yes")]
    deliver: bool,
}

/// Why a job failed.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Failure {
    code: String,
    #[serde(default)]
    message: String,
    param: Option<String>,
}

fn usual_checkpoints() -> usize {
    3
}

pub(super) async fn finish(
    State(app): State<Shared>,
    Path(id): Path<String>,
    Json(command): Json<Finish>,
) -> Result<Json<Value>, ControlError> {
    let deliver = command.deliver;
    let job = app
        .fine_tuning
        .update(&id, |job| command.apply(job).map(|()| job.clone()))
        .ok_or_else(|| ControlError::not_found(format!("no fine-tuning job {id}")))??;
    let deliveries = if deliver && job.status.is_terminal() { job.deliver(&app.webhooks) } else { Vec::new() };
    Ok(Json(json!({ "job": job, "deliveries": deliveries })))
}

impl Finish {
    fn apply(self, job: &mut Job) -> Result<(), ControlError> {
        let (current, next) = (job.status.as_str(), self.status.as_str());
        if job.status.is_terminal() {
            return Err(ControlError::conflict(format!("the job is {current}; it can't become {next}")));
        }
        job.reach(self.status);
        match self.status {
            Status::Succeeded => {
                let model = self.fine_tuned_model.unwrap_or_else(|| name(job));
                train(job, &model, self.checkpoints);
                job.set("fine_tuned_model", model);
                job.set("trained_tokens", 5768);
                job.says = self.says;
                job.report("info", "The job has successfully completed");
            }
            Status::Failed => {
                let error = self.error.unwrap_or_else(Failure::usual);
                job.report("error", &error.message);
                job.set("error", json!(error));
            }
            status => job.report("info", &format!("The job is {}", status.as_str())),
        }
        for (name, value) in self.fields {
            job.set(&name, value);
        }
        Ok(())
    }
}

/// As OpenAI names a new model.
fn name(job: &Job) -> String {
    let base = job.shown["model"].as_str().unwrap_or_default();
    let suffix = job.shown["user_provided_suffix"].as_str().unwrap_or_default();
    let unique: String = (0..8).map(|_| fastrand::alphanumeric()).collect();
    format!("ft:{base}:local:{suffix}:{unique}")
}

fn train(job: &mut Job, model: &str, checkpoints: usize) {
    for step in (1..=checkpoints).map(|number| number * 100) {
        let message = format!("Checkpoint created at step {step}");
        job.report("info", &message);
        // The last one is the model itself.
        let named = if step == checkpoints * 100 { model.to_owned() } else { format!("{model}:ckpt-step-{step}") };
        job.checkpoints.push(Entry(json!({
            "object": "fine_tuning.job.checkpoint", "id": id("ftckpt_"), "created_at": now(),
            "fine_tuned_model_checkpoint": named, "fine_tuning_job_id": job.id, "step_number": step,
            "metrics": { "step": step, "train_loss": 0.5, "full_valid_loss": 0.6 },
        })));
    }
}

impl Failure {
    fn usual() -> Self {
        Self {
            code: "invalid_training_file".to_owned(),
            message: "The job failed due to an invalid training file.".to_owned(),
            param: Some("training_file".to_owned()),
        }
    }
}
