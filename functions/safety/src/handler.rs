//! The handler of `safety.*` and `safety_identifier.*` events. Every event ends in an alert to people.

use std::time::Duration;

use hooks_consumer::artifacts::{JSON, Key};
use hooks_consumer::object::present;
use hooks_consumer::{Context, Event, EventData, Handler, HandlerError, OpenAi, Outcome, Setup, clock};
use hooks_openai::for_display;
use serde_json::{Map, Value};
use tokio::time::timeout_at;

use crate::alert;
use crate::lookup::{LookupError, look_up, reserved_deadline};
use crate::notice::{Object, Subject};

/// The status of a notice whose object was not retrieved.
const LOOKUP_FAILED: &str = "lookup_failed";

/// The attempt that alerts people even if the lookup fails. It comes within a minute of the first.
const LAST_ATTEMPT: u32 = 3;

/// Minimum age of the event at the last attempt, in milliseconds. Copies of one delivery use up the attempts at once, so
/// the number of attempts alone gives a failure no time to recover.
const LAST_ATTEMPT_AGE: i64 = 20_000;

/// Retrieves and stores the objects of notices, and alerts people.
pub struct SafetyHandler {
    pub(crate) openai: OpenAi,
}

impl SafetyHandler {
    /// From the function's environment.
    pub fn from_setup(setup: &mut Setup<'_>) -> Option<Self> {
        Some(Self { openai: setup.openai()? })
    }
}

impl Handler for SafetyHandler {
    /// People are told soon, whatever is missing.
    const PATIENCE: Duration = Duration::from_millis(LAST_ATTEMPT_AGE.cast_unsigned());

    async fn handle(&self, event: &Event, context: &Context) -> Result<Outcome, HandlerError> {
        let subject = Subject::of(event);
        let as_of = clock::now_ms();
        match (subject, event.object_id()) {
            (Subject::Identifier, _) => Ok(blocked(event, as_of)),
            (Subject::Unknown, id) => Ok(Outcome {
                object_id: id.map(str::to_owned),
                alert: Some(alert::unknown(event)),
                ..Outcome::new("recorded", as_of)
            }),
            (_, None) => Ok(failed(event, subject, None, "no_object", "the event names no object", as_of)),
            (_, Some(id)) => match look_up(&self.openai, subject, id, context).await {
                Ok(object) => store(event, subject, object, as_of, context).await,
                Err(LookupError::Temporary(why)) if may_retry(context) => Err(HandlerError::retry(why)),
                Err(LookupError::Temporary(why)) => Ok(failed(event, subject, Some(id), "unreachable", &why, as_of)),
                Err(LookupError::Permanent(code, why)) => Ok(failed(event, subject, Some(id), code, &why, as_of)),
                Err(LookupError::NotFound(why)) => Ok(Outcome {
                    alert: Some(alert::not_found(event, subject, id, &why)),
                    ..Outcome::not_found(id, as_of)
                }),
            },
        }
    }
}

/// Whether there is time for another attempt before people are alerted.
fn may_retry(context: &Context) -> bool {
    context.attempt < LAST_ATTEMPT || clock::now_ms() - context.received_at < LAST_ATTEMPT_AGE
}

/// Stores the object, because OpenAI deletes the explanation in it after a while.
async fn store(
    event: &Event,
    subject: Subject,
    object: Object,
    as_of: i64,
    context: &Context,
) -> Result<Outcome, HandlerError> {
    let (id, json) = match &object {
        Object::Alert(alert) => (&alert.id, &alert.json),
        Object::Case(case) => (&case.id, &case.json),
    };
    let stored = match Key::new(&["safety", &format!("{id}.json")]) {
        Ok(key) => {
            match timeout_at(reserved_deadline(context), context.artifacts.put(&key, JSON, json.clone())).await {
                Ok(stored) => stored.map(|()| key).map_err(|error| error.to_string()),
                Err(_) => Err("S3 did not answer in time".to_owned()),
            }
        }
        Err(error) => Err(format!("OpenAI answered {error}")),
    };
    let (artifacts, artifact_bytes, note) = match stored {
        Ok(key) => (vec![key.to_string()], json.len() as u64, None),
        Err(why) if may_retry(context) => return Err(HandlerError::retry(why)),
        // The alert matters more than the artifact.
        Err(why) => (Vec::new(), 0, Some(format!("the object could not be stored: {why}"))),
    };
    let place = artifacts.first().map(|key| format!("s3://{}/{key}", context.artifacts.bucket()));
    let outcome = found(event, subject, &object, place.as_deref(), as_of);
    Ok(Outcome { artifacts, artifact_bytes, note, ..outcome })
}

/// The outcome for a notice whose object was retrieved.
fn found(event: &Event, subject: Subject, object: &Object, place: Option<&str>, as_of: i64) -> Outcome {
    let (id, status, created_at, summary) = match object {
        Object::Alert(alert) => {
            let mut summary = texts([
                ("error_type", &alert.error_type),
                ("model", &alert.model),
                ("request_id", &alert.request_id),
                ("response_id", &alert.response_id),
                ("reason", &alert.reason),
            ]);
            if let Some(paused) = alert.request_paused {
                summary.insert("request_paused".to_owned(), paused.into());
            }
            (&alert.id, "created", alert.created_at, summary)
        }
        Object::Case(case) => {
            let summary = texts([("entity_identifier", &case.entity_identifier), ("reason", &case.reason)]);
            let announced = match event.event_type.as_str() {
                "safety.warning_issued" => "warning",
                "safety.deactivation_issued" => "deactivation",
                _ => "issued",
            };
            (&case.id, case.notice.as_deref().unwrap_or(announced), case.created_at, summary)
        }
    };
    Outcome {
        object_id: Some(id.clone()),
        terminal: true,
        times: present([("created_at", created_at)]),
        summary,
        alert: Some(alert::found(event, subject, object, place)),
        ..Outcome::new(for_display(status), as_of)
    }
}

/// The outcome for a notice whose object was not retrieved: `code` says why for programs, `why` for people.
fn failed(event: &Event, subject: Subject, id: Option<&str>, code: &'static str, why: &str, as_of: i64) -> Outcome {
    Outcome {
        object_id: id.map(str::to_owned),
        summary: present([("lookup_error", Some(code))]),
        note: Some(format!("the {} could not be retrieved: {why}", subject.name())),
        alert: Some(alert::failed(event, subject, id, why)),
        ..Outcome::new(LOOKUP_FAILED, as_of)
    }
}

/// The outcome for a blocked identifier. It has no job record, whose key would be a user's identifier.
fn blocked(event: &Event, as_of: i64) -> Outcome {
    let summary = match &event.data {
        EventData::SafetyIdentifier { safety_category, safety_identifier, model, project_id, request_id, .. } => {
            texts([
                ("safety_category", &Some(safety_category.clone())),
                ("safety_identifier", &Some(safety_identifier.clone())),
                ("model", model),
                ("project_id", project_id),
                ("request_id", request_id),
            ])
        }
        _ => Map::new(),
    };
    let alert = Some(alert::blocked(event, &summary));
    let times = present([("blocked_at", Some(event.created_at))]);
    Outcome { terminal: true, times, summary, alert, ..Outcome::new("blocked", as_of) }
}

/// The fields that have a text, fit for display.
fn texts<const N: usize>(fields: [(&str, &Option<String>); N]) -> Map<String, Value> {
    present(fields.map(|(name, text)| (name, text.as_deref().map(for_display))))
}

#[cfg(test)]
mod tests;
