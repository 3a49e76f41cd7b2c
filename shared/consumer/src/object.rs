//! Steps that handlers share: waiting for an end that an event announces early, picking the fields to record, and
//! turning values from OpenAI into text for people.

use std::fmt::Display;

use hooks_aws::artifacts::KeyError;
use hooks_openai::{Json, for_display};
use hooks_webhook::Event;
use serde_json::{Map, Value};

use crate::text::moment;
use crate::{HandlerError, Outcome};

/// The last word of an event type that announces an object's end.
const ENDS: [&str; 7] = ["completed", "succeeded", "failed", "expired", "cancelled", "canceled", "incomplete"];

/// Whether the event's type announces the end of its object.
#[must_use]
pub fn announces_end(event: &Event) -> bool {
    event.event_type.rsplit('.').next().is_some_and(|last| ENDS.contains(&last))
}

/// The result for an object that is still under way: the outcome `seen`, unless the event announces the object's end.
/// `kind` is the object's name in messages, such as `batch`.
///
/// # Errors
///
/// [`HandlerError::Retry`] when the event announces the end: OpenAI will show it soon.
pub fn under_way(event: &Event, kind: &str, status: impl Display, seen: Outcome) -> Result<Outcome, HandlerError> {
    if announces_end(event) { Err(not_ended(event, kind, status)) } else { Ok(seen) }
}

/// The retry of an event that announces an end which OpenAI does not show yet.
#[must_use]
pub fn not_ended(event: &Event, kind: &str, status: impl Display) -> HandlerError {
    let status = for_display(&status.to_string());
    HandlerError::retry(format!("{} was announced, but the {kind} is still {status}", event.event_type))
}

/// The fields that have a value.
pub fn present<'a, V: Into<Value>>(fields: impl IntoIterator<Item = (&'a str, Option<V>)>) -> Map<String, Value> {
    fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into()))).collect()
}

/// The members with these names that are neither empty nor longer than 64 KiB.
#[must_use]
pub fn copied<const N: usize>(object: Json<'_>, names: [&str; N]) -> Map<String, Value> {
    let value = |json: Option<Json<'_>>| json.filter(|json| !json.is_empty())?.value();
    present(names.into_iter().zip(object.pick(names).map(value)))
}

/// The unsigned numbers at these JSON pointers, by the pointers' last segments.
#[must_use]
pub fn counts(object: Json<'_>, pointers: &[&'static str]) -> Map<String, Value> {
    present(
        pointers
            .iter()
            .map(|pointer| (pointer.rsplit('/').next().unwrap_or_default(), object.at(pointer).and_then(Json::count))),
    )
}

/// An error's code and message as one line for people.
#[must_use]
pub fn error_text((code, message): &(Option<String>, Option<String>)) -> String {
    let code = code.as_deref().unwrap_or("unknown");
    let message = message.as_deref().unwrap_or("OpenAI gives no details");
    format!("{}: {}", for_display(code), for_display(message))
}

/// A time of OpenAI's for people.
#[must_use]
pub fn time_text(unix_seconds: Option<i64>) -> String {
    unix_seconds.map_or_else(|| "unknown".to_owned(), moment)
}

impl From<KeyError> for HandlerError {
    /// An artifact's key is made of the event's object id.
    fn from(error: KeyError) -> Self {
        Self::permanent("unusable_id", format!("the event names {error}"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(event_type: &str) -> Event {
        Event::parse(&format!(r#"{{"id": "evt_1", "type": "{event_type}", "created_at": 1, "data": {{"id": "x"}}}}"#))
            .unwrap()
    }

    #[test]
    fn an_end_is_announced_by_the_last_word_of_the_type() {
        for ends in ["batch.expired", "response.incomplete", "fine_tuning.job.succeeded", "fine_tune.completed"] {
            assert!(announces_end(&event(ends)), "{ends}");
        }
        for other in ["batch.in_progress", "fine_tuning.job.paused", "fine_tuning.job", "response.completed.twice"] {
            assert!(!announces_end(&event(other)), "{other}");
        }
    }

    #[test]
    fn an_end_that_openai_does_not_show_yet_is_waited_for() {
        let seen = Outcome::new("queued", 1);
        assert_eq!(under_way(&event("batch.in_progress"), "batch", "queued", seen.clone()), Ok(seen.clone()));
        let failure = under_way(&event("batch.completed"), "batch", "queued", seen).unwrap_err();
        assert_eq!(failure, HandlerError::retry("batch.completed was announced, but the batch is still queued"));
    }

    #[test]
    fn fields_without_content_are_left_out() {
        let object = json!({
            "model": "m", "metadata": {}, "error": {"code": null, "message": null}, "text": "", "method": {"type": "dpo"},
            "long": "x".repeat(70_000), "usage": {"total_tokens": 3, "input_tokens": "x", "output_tokens": -1},
        });
        let text = object.to_string();
        let object = Json::of(text.as_bytes());
        let copied = copied(object, ["model", "metadata", "error", "text", "method", "long", "absent"]);
        assert_eq!(Value::Object(copied), json!({"model": "m", "method": {"type": "dpo"}}));
        let counts = counts(object, &["/usage/total_tokens", "/usage/input_tokens", "/usage/output_tokens"]);
        assert_eq!(Value::Object(counts), json!({"total_tokens": 3}));
        assert_eq!(Value::Object(present([("at", Some(7)), ("until", None)])), json!({"at": 7}));
    }

    #[test]
    fn an_error_has_a_code_and_a_message() {
        assert_eq!(error_text(&(Some("c".to_owned()), Some("m\n".to_owned()))), "c: m");
        assert_eq!(error_text(&(None, None)), "unknown: OpenAI gives no details");
    }
}
