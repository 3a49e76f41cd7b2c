//! What a fine-tuning event means.

use bytes::Bytes;
use hooks_consumer::artifacts::{Artifacts, JSON, Key};
use hooks_consumer::{Context, Event, Handler, HandlerError, OpenAi, Outcome, Setup, found, object_id, when};
use hooks_openai::{Client, FineTuningJob};

use crate::promotion::Promoter;
use crate::smoke::{self, SmokeTest};
use crate::{alert, alias, outcome};

/// For how long after its event came a new model may be unknown, in milliseconds.
const READY_WITHIN: i64 = 10 * 60 * 1000;

/// Handles fine-tuning events.
pub(crate) struct FineTuning {
    openai: OpenAi,
    /// What a new model is asked.
    prompt: String,
    promoter: Promoter,
}

impl FineTuning {
    pub(crate) fn from_setup(setup: &mut Setup<'_>) -> Option<Self> {
        let openai = setup.openai();
        let parameters = setup.parameters();
        let environment = setup.environment();
        let prompt = environment.required("SMOKE_TEST_PROMPT");
        let on = environment
            .parsed("PROMOTE_MODELS", |text| text.parse().map_err(|_| "is neither true nor false".to_owned()));
        let path = environment.parsed("MODELS_PATH", models_path);
        Some(Self { openai: openai?, prompt: prompt?, promoter: Promoter::new(parameters?, path?, on?) })
    }
}

fn models_path(text: &str) -> Result<String, String> {
    let fitting = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
    };
    match text.strip_prefix('/') {
        Some(parts) if parts.split('/').all(fitting) => Ok(text.to_owned()),
        _ => Err("is not the path of parameters, such as /my-stack/models".to_owned()),
    }
}

impl Handler for FineTuning {
    async fn handle(&self, event: &Event, context: &Context) -> Result<Outcome, HandlerError> {
        let id = object_id(event, "fine-tuning job")?;
        let keys = Keys::of(id)?;
        let openai = self.openai.client().await?;
        let as_of = when::now();
        let Some(job) = found(openai.fine_tuning_job(id, context.deadline).await)? else {
            return Ok(Outcome::not_found(id, as_of));
        };
        let seen = outcome::of(&job, as_of);
        if job.is_under_way() {
            return if ends(event) {
                let (kind, status) = (&event.event_type, &job.status);
                Err(HandlerError::retry(format!("{kind} was announced, but the job is still {status}")))
            } else {
                Ok(seen)
            };
        }
        let kept = keep(&openai, &job, &keys, seen, context).await?;
        match job.status.as_str() {
            FineTuningJob::SUCCEEDED => self.try_model(&openai, &job, &keys, kept, context).await,
            FineTuningJob::FAILED => {
                let alert = alert::failed(&job, context.artifacts.bucket(), &keys.job);
                Ok(Outcome { alert: Some(alert), ..kept })
            }
            _ => Ok(kept),
        }
    }
}

impl FineTuning {
    /// Asks the new model a question, and promotes it when it answers.
    async fn try_model(
        &self,
        openai: &Client,
        job: &FineTuningJob,
        keys: &Keys,
        mut outcome: Outcome,
        context: &Context,
    ) -> Result<Outcome, HandlerError> {
        let artifacts = &context.artifacts;
        let alias = alias::of(job);
        let test = match &job.fine_tuned_model {
            Some(model) => {
                let is_young = when::now() - context.received_at < READY_WITHIN;
                smoke::test(openai, model, &self.prompt, context.deadline, is_young).await?
            }
            None => SmokeTest::impossible(),
        };
        store(artifacts, &keys.smoke_test, test.artifact(), &mut outcome).await?;
        outcome.summary.insert("smoke_test".to_owned(), test.summary());

        let mut parameter = None;
        if let (Some(model), Some(alias)) = (&job.fine_tuned_model, &alias) {
            let promotion = self.promoter.promote(job, model, alias, test.verdict.is_ok()).await;
            let promotion = promotion.map_err(|error| HandlerError::retry(error.to_string()))?;
            let written = format!("{:#}\n", promotion.summary());
            store(artifacts, &keys.promotion, written, &mut outcome).await?;
            outcome.summary.insert("alias".to_owned(), alias.as_str().into());
            outcome.summary.insert("promotion".to_owned(), promotion.summary());
            outcome.note = promotion.note();
            parameter = Some(promotion.parameter);
        }
        if let Err(why) = &test.verdict {
            let bucket = artifacts.bucket();
            outcome.alert = Some(alert::not_promoted(job, why, parameter.as_deref(), bucket, &keys.smoke_test));
        }
        Ok(outcome)
    }
}

/// Stores the job and what belongs to it. What OpenAI does not have of it is left out.
async fn keep(
    openai: &Client,
    job: &FineTuningJob,
    keys: &Keys,
    mut seen: Outcome,
    context: &Context,
) -> Result<Outcome, HandlerError> {
    let Context { artifacts, deadline, .. } = context;
    store(artifacts, &keys.job, job.json.clone(), &mut seen).await?;
    if let Some(checkpoints) = found(openai.fine_tuning_checkpoints(&keys.id, *deadline).await)? {
        seen.counts.insert("checkpoints".to_owned(), checkpoints.count.into());
        store(artifacts, &keys.checkpoints, checkpoints.json, &mut seen).await?;
    }
    if let Some(events) = found(openai.fine_tuning_events(&keys.id, *deadline).await)? {
        store(artifacts, &keys.events, events.json, &mut seen).await?;
    }
    Ok(seen)
}

async fn store(
    artifacts: &Artifacts,
    key: &Key,
    bytes: impl Into<Bytes>,
    outcome: &mut Outcome,
) -> Result<(), HandlerError> {
    let bytes = bytes.into();
    outcome.artifact_bytes += bytes.len() as u64;
    artifacts.put(key, JSON, bytes).await.map_err(|error| HandlerError::retry(error.to_string()))?;
    outcome.artifacts.push(key.to_string());
    Ok(())
}

/// Where a job's artifacts go.
struct Keys {
    id: String,
    job: Key,
    checkpoints: Key,
    events: Key,
    smoke_test: Key,
    promotion: Key,
}

impl Keys {
    fn of(id: &str) -> Result<Self, HandlerError> {
        let key = |name| {
            Key::new(&["fine-tuning", id, name])
                .map_err(|error| HandlerError::permanent("unusable_id", format!("the event names {error}")))
        };
        Ok(Self {
            id: id.to_owned(),
            job: key("job.json")?,
            checkpoints: key("checkpoints.json")?,
            events: key("events.json")?,
            smoke_test: key("smoke-test.json")?,
            promotion: key("promotion.json")?,
        })
    }
}

/// Whether the event says that its job has come to an end.
fn ends(event: &Event) -> bool {
    let last = event.event_type.rsplit('.').next().unwrap_or_default();
    ["succeeded", "completed", "failed", "cancelled"].contains(&last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_parameters_is_told_from_anything_else() {
        assert_eq!(models_path("/my-stack/models").as_deref(), Ok("/my-stack/models"));
        for text in ["", "/", "models", "/models/", "//models", "/my stack/models", "/a/\u{e4}"] {
            assert!(models_path(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_end_is_announced_by_the_last_word_of_the_type() {
        let announced = |kind: &str| {
            let event = format!(r#"{{"id": "evt_1", "type": "{kind}", "created_at": 1, "data": {{"id": "ftjob-1"}}}}"#);
            ends(&Event::parse(&event).unwrap())
        };
        for kind in
            ["fine_tuning.job.succeeded", "fine_tuning.job.cancelled", "fine_tune.failed", "fine_tune.completed"]
        {
            assert!(announced(kind), "{kind}");
        }
        assert!(!announced("fine_tuning.job.paused") && !announced("fine_tuning.job"));
    }
}
