//! What a safety event means: an alert to people, always.

use std::time::Duration;

use hooks_consumer::artifacts::{JSON, Key};
use hooks_consumer::{Context, Event, Handler, HandlerError, OpenAi, Outcome, Setup, when};
use hooks_openai::for_display;
use hooks_webhook::EventData;
use serde_json::{Map, Value};
use tokio::time::timeout_at;

use crate::alert;
use crate::look_up::{Missed, before_the_end, look_up};
use crate::notice::{Object, Subject};

/// The status of a notice whose object could not be retrieved.
const LOOKUP_FAILED: &str = "lookup_failed";

/// From which attempt on people are told, whatever is missing. It comes within a minute of the first.
const LAST_ATTEMPT: u32 = 3;

/// How old the event must be for that, in milliseconds. Copies of one delivery take each other's attempts up at once, so
/// their number alone says nothing about the time that something had to recover.
const LAST_ATTEMPT_AGE: i64 = 20_000;

/// Handles safety events.
pub(crate) struct Safety {
    openai: OpenAi,
}

impl Safety {
    pub(crate) fn from_setup(setup: &mut Setup<'_>) -> Option<Self> {
        Some(Self { openai: setup.openai()? })
    }
}

impl Handler for Safety {
    /// People are told soon, whatever is missing.
    const PATIENCE: Duration = Duration::from_millis(LAST_ATTEMPT_AGE.cast_unsigned());

    async fn handle(&self, event: &Event, context: &Context) -> Result<Outcome, HandlerError> {
        let subject = Subject::of(event);
        let as_of = when::now();
        match (subject, event.object_id()) {
            (Subject::Identifier, _) => Ok(blocked(event, as_of)),
            (Subject::Unknown, id) => Ok(Outcome {
                object_id: id.map(str::to_owned),
                alert: Some(alert::unknown(event)),
                ..Outcome::new("recorded", as_of)
            }),
            (_, None) => Ok(failed(event, subject, None, "no_object", "the event names no object", as_of)),
            (_, Some(id)) => match look_up(&self.openai, subject, id, context).await {
                Ok(object) => keep(event, subject, object, as_of, context).await,
                Err(Missed::ForNow(why)) if is_early(context) => Err(HandlerError::retry(why)),
                Err(Missed::ForNow(why)) => Ok(failed(event, subject, Some(id), "unreachable", &why, as_of)),
                Err(Missed::ForGood(name, why)) => Ok(failed(event, subject, Some(id), name, &why, as_of)),
                Err(Missed::Unknown(said)) => Ok(Outcome {
                    alert: Some(alert::not_found(event, subject, id, &said)),
                    ..Outcome::not_found(id, as_of)
                }),
            },
        }
    }
}

/// Whether there is still time to try again before people are told.
fn is_early(context: &Context) -> bool {
    context.attempt < LAST_ATTEMPT || when::now() - context.received_at < LAST_ATTEMPT_AGE
}

/// Keeps the object: OpenAI has the explanation in it for a while only.
async fn keep(
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
        Ok(key) => match timeout_at(before_the_end(context), context.artifacts.put(&key, JSON, json.clone())).await {
            Ok(stored) => stored.map(|()| key).map_err(|error| error.to_string()),
            Err(_) => Err("S3 did not answer in time".to_owned()),
        },
        Err(error) => Err(format!("OpenAI answered {error}")),
    };
    let (artifacts, artifact_bytes, note) = match stored {
        Ok(key) => (vec![key.to_string()], json.len() as u64, None),
        Err(why) if is_early(context) => return Err(HandlerError::retry(why)),
        // Without the artifact people still learn what there is to learn.
        Err(why) => (Vec::new(), 0, Some(format!("it could not be kept: {why}"))),
    };
    let place = artifacts.first().map(|key| format!("s3://{}/{key}", context.artifacts.bucket()));
    let outcome = found(event, subject, &object, place.as_deref(), as_of);
    Ok(Outcome { artifacts, artifact_bytes, note, ..outcome })
}

/// A notice of which everything is known.
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
        times: created_at.map(|at| ("created_at".to_owned(), at.into())).into_iter().collect(),
        summary,
        alert: Some(alert::found(event, subject, object, place)),
        ..Outcome::new(for_display(status), as_of)
    }
}

/// A notice of which only that it came is known, and why no more: `name` for programs, `why` for people.
fn failed(event: &Event, subject: Subject, id: Option<&str>, name: &'static str, why: &str, as_of: i64) -> Outcome {
    Outcome {
        object_id: id.map(str::to_owned),
        summary: Map::from_iter([("lookup_error".to_owned(), name.into())]),
        note: Some(format!("the {} could not be looked up: {why}", subject.name())),
        alert: Some(alert::failed(event, subject, id, why)),
        ..Outcome::new(LOOKUP_FAILED, as_of)
    }
}

/// A blocked identifier. It is no object with a record of its own: its name would be somebody's identifier.
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
    let alert = alert::blocked(event, &summary);
    let times = Map::from_iter([("blocked_at".to_owned(), event.created_at.into())]);
    Outcome { terminal: true, times, summary, alert: Some(alert), ..Outcome::new("blocked", as_of) }
}

/// What there is, cut to what can be shown.
fn texts<const N: usize>(fields: [(&str, &Option<String>); N]) -> Map<String, Value> {
    let shown = |(name, text): (&str, &Option<String>)| Some((name.to_owned(), for_display(text.as_deref()?).into()));
    fields.into_iter().filter_map(shown).collect()
}

#[cfg(test)]
mod tests;
