//! The handler of `fine_tuning.*` events.

use bytes::Bytes;
use hooks_consumer::artifacts::{Artifacts, JSON, Key};
use hooks_consumer::object::{copied, error_text, present, under_way};
use hooks_consumer::{Context, Event, Handler, HandlerError, OpenAi, Outcome, Setup, clock, found, object_id};
use hooks_openai::{Client, FineTuningJob, Json, Model};
use serde_json::{Map, Value};

use crate::promotion::{Origin, Promoter};
use crate::smoke_test::{self, SmokeTest};
use crate::{alert, alias};

/// Maximum time after its event came in which a new model may be unknown, in milliseconds.
const READY_WITHIN: i64 = 10 * 60 * 1000;

/// Keeps jobs, and tries and promotes their models.
pub struct FineTuningHandler {
    openai: OpenAi,
    /// The question for a new model.
    prompt: String,
    promoter: Promoter,
}

impl FineTuningHandler {
    /// From the function's environment.
    pub fn from_setup(setup: &mut Setup<'_>) -> Option<Self> {
        let openai = setup.openai();
        let parameters = setup.parameters();
        let environment = setup.environment();
        let prompt = environment.required("SMOKE_TEST_PROMPT");
        let enabled = environment
            .parsed("PROMOTE_MODELS", |text| text.parse().map_err(|_| "is neither true nor false".to_owned()));
        let path = environment.parsed("MODELS_PATH", models_path);
        Some(Self { openai: openai?, prompt: prompt?, promoter: Promoter::new(parameters?, path?, enabled?) })
    }
}

fn models_path(text: &str) -> Result<String, String> {
    let is_valid = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
    };
    match text.strip_prefix('/') {
        Some(parts) if parts.split('/').all(is_valid) => Ok(text.to_owned()),
        _ => Err("is not a path of parameters, such as /my-stack/models".to_owned()),
    }
}

impl Handler for FineTuningHandler {
    async fn handle(&self, event: &Event, context: &Context) -> Result<Outcome, HandlerError> {
        let id = object_id(event, "fine-tuning job")?;
        let job_key = key(id, "job.json")?;
        let openai = self.openai.client().await?;
        let as_of = clock::now_ms();
        let Some(job) = found(openai.fine_tuning_job(id, context.deadline).await)? else {
            return Ok(Outcome::not_found(id, as_of));
        };
        let mut outcome = seen(&job, as_of);
        if job.is_under_way() {
            return under_way(event, "job", &job.status, outcome);
        }
        store(&context.artifacts, &job_key, job.json.clone(), &mut outcome).await?;
        store_details(&openai, id, &mut outcome, context).await?;
        match job.status.as_str() {
            FineTuningJob::SUCCEEDED => self.try_model(&openai, &job, id, &mut outcome, context).await?,
            FineTuningJob::FAILED => {
                let why = outcome.error.as_deref();
                outcome.alert = Some(alert::failed(&job, why, context.artifacts.bucket(), &job_key));
            }
            _ => {}
        }
        Ok(outcome)
    }
}

impl FineTuningHandler {
    /// Asks the new model a question, and promotes it when it answers.
    async fn try_model(
        &self,
        openai: &Client,
        job: &FineTuningJob,
        id: &str,
        outcome: &mut Outcome,
        context: &Context,
    ) -> Result<(), HandlerError> {
        let artifacts = &context.artifacts;
        let (test_key, promotion_key) = (key(id, "smoke-test.json")?, key(id, "promotion.json")?);
        let test = match &job.fine_tuned_model {
            Some(model) => {
                let is_young = clock::now_ms() - context.received_at < READY_WITHIN;
                smoke_test::run(openai, model, &self.prompt, is_young, context).await?
            }
            None => SmokeTest::without_model(),
        };
        store(artifacts, &test_key, test.artifact(), outcome).await?;
        outcome.summary.insert("smoke_test".to_owned(), test.summary());

        let mut parameter = None;
        if let (Some(model), Some(alias)) = (&job.fine_tuned_model, alias::of(job)) {
            let origin = Origin {
                job: &job.id,
                finished_at: job.finished_at.or(job.created_at).unwrap_or(context.received_at / 1000),
                shutdown_date: match test.result {
                    Ok(_) => shutdown_date(openai, job, model, context).await,
                    Err(_) => None,
                },
            };
            let promotion = self.promoter.promote(origin, model, &alias, test.result.is_ok()).await?;
            store(artifacts, &promotion_key, format!("{:#}\n", promotion.summary()), outcome).await?;
            outcome.summary.insert("alias".to_owned(), alias.into());
            outcome.summary.insert("promotion".to_owned(), promotion.summary());
            outcome.note = promotion.note();
            outcome.alert = alert::ends(job, &promotion, artifacts.bucket(), &promotion_key);
            parameter = Some(promotion.parameter);
        }
        if let Err(why) = &test.result {
            let alert = alert::not_promoted(job, why, parameter.as_deref(), artifacts.bucket(), &test_key);
            outcome.alert = Some(alert);
        }
        Ok(())
    }
}

/// The day on which OpenAI ends the model, or else its base model. What cannot be read stops no promotion.
async fn shutdown_date(openai: &Client, job: &FineTuningJob, model: &str, context: &Context) -> Option<String> {
    for name in [Some(model), job.model.as_deref()].into_iter().flatten() {
        match openai.model(name, context.deadline).await {
            Ok(Model { shutdown_date: Some(date), .. }) => return Some(date),
            Ok(_) => {}
            Err(error) => tracing::warn!("the end of a promoted model is not known: {error}"),
        }
    }
    None
}

/// The outcome for a retrieved job, without its artifacts.
fn seen(job: &FineTuningJob, as_of: i64) -> Outcome {
    Outcome {
        object_id: Some(job.id.clone()),
        terminal: job.is_terminal(),
        counts: present([("trained_tokens", job.trained_tokens)]),
        times: present([("created_at", job.created_at), ("finished_at", job.finished_at)]),
        summary: summary(job.raw()),
        error: job.error.as_ref().map(error_text),
        ..Outcome::new(&job.status, as_of)
    }
}

/// OpenAI's fields that are not empty. Of the method only its name, since it contains graders and the like.
fn summary(job: Json<'_>) -> Map<String, Value> {
    let mut summary = copied(job, ["model", "fine_tuned_model", "metadata", "error"]);
    let method = job.at("/method/type").and_then(Json::text);
    summary.extend(present([("method", method.as_deref())]));
    summary
}

/// Stores the job's checkpoints and events, as far as OpenAI has them.
async fn store_details(
    openai: &Client,
    id: &str,
    outcome: &mut Outcome,
    context: &Context,
) -> Result<(), HandlerError> {
    let Context { artifacts, deadline, .. } = context;
    if let Some(checkpoints) = found(openai.fine_tuning_checkpoints(id, *deadline).await)? {
        outcome.counts.insert("checkpoints".to_owned(), checkpoints.count.into());
        store(artifacts, &key(id, "checkpoints.json")?, checkpoints.json, outcome).await?;
    }
    if let Some(events) = found(openai.fine_tuning_events(id, *deadline).await)? {
        store(artifacts, &key(id, "events.json")?, events.json, outcome).await?;
    }
    Ok(())
}

/// The key of a job's artifact.
fn key(id: &str, name: &str) -> Result<Key, HandlerError> {
    Ok(Key::new(&["fine-tuning", id, name])?)
}

async fn store(
    artifacts: &Artifacts,
    key: &Key,
    bytes: impl Into<Bytes>,
    outcome: &mut Outcome,
) -> Result<(), HandlerError> {
    let bytes = bytes.into();
    outcome.artifact_bytes += bytes.len() as u64;
    artifacts.put(key, JSON, bytes).await?;
    outcome.artifacts.push(key.to_string());
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_of_parameters_is_told_from_anything_else() {
        assert_eq!(models_path("/my-stack/models").as_deref(), Ok("/my-stack/models"));
        for text in ["", "/", "models", "/models/", "//models", "/my stack/models", "/a/\u{e4}"] {
            assert!(models_path(text).is_err(), "{text:?}");
        }
    }

    fn summary_of(job: &Value) -> Value {
        Value::Object(summary(Json::of(job.to_string().as_bytes())))
    }

    #[test]
    fn the_summary_has_the_fields_that_are_not_empty() {
        let job = json!({
            "id": "ftjob-1", "model": "gpt-4.1-mini", "fine_tuned_model": null, "metadata": {}, "seed": 7,
            "method": {"type": "dpo", "dpo": {"hyperparameters": {}}}, "error": {"code": null, "message": null},
        });
        assert_eq!(summary_of(&job), json!({"model": "gpt-4.1-mini", "method": "dpo"}));
        let failed = json!({"error": {"code": "c", "message": "m", "param": null}, "metadata": {"team": "a"}});
        assert_eq!(summary_of(&failed), failed);
    }
}
