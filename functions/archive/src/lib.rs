//! Records and publishes, unchanged, every event that no other consumer takes: `eval.*` and `video.*`, whose APIs OpenAI
//! has ended, and types that are not known yet.

use std::collections::BTreeMap;

use hooks_consumer::{Context, Event, Handler, HandlerError, Outcome};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// The status of an event that was recorded and not looked into.
const RECORDED: &str = "recorded";

/// The note of an `eval.*` event.
const EVALS_ENDED: &str = "OpenAI ended the Evals API on 2026-11-30, so the run cannot be retrieved; OpenAI recommends \
                           Promptfoo (https://www.promptfoo.dev) instead";

/// Records events without looking into them.
pub struct ArchiveHandler;

impl Handler for ArchiveHandler {
    async fn handle(&self, event: &Event, _: &Context) -> Result<Outcome, HandlerError> {
        Ok(recorded(event))
    }
}

fn recorded(event: &Event) -> Outcome {
    let mut note = event.event_type.starts_with("eval.").then(|| EVALS_ENDED.to_owned());
    let (mut summary, mut exact) = (Map::new(), BTreeMap::new());
    if let Some(data) = data(event.raw()) {
        let value = match serde_json::from_str::<Value>(data.get()) {
            Ok(value) => {
                exact.insert("data", data.get().to_owned());
                value
            }
            Err(error) => {
                let why = format!("the event's data is published as text, because readers of JSON refuse it: {error}");
                note = Some(why);
                data.get().into()
            }
        };
        summary.insert("data".to_owned(), value);
    }
    Outcome {
        object_id: event.object_id().map(str::to_owned),
        summary,
        exact,
        note,
        // The object was not retrieved, so its state is as old as the event.
        ..Outcome::new(RECORDED, event.created_at.saturating_mul(1000))
    }
}

/// The event's `data` as it came.
fn data(event: &RawValue) -> Option<&RawValue> {
    #[derive(Deserialize)]
    struct Envelope<'a> {
        #[serde(borrow, default, deserialize_with = "some")]
        data: Option<&'a RawValue>,
    }
    /// Also `null` is a value.
    fn some<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
        <&RawValue>::deserialize(deserializer).map(Some)
    }
    serde_json::from_str::<Envelope<'_>>(event.get()).ok()?.data
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn outcome_of(event_type: &str, data: &str) -> Outcome {
        let event = format!(r#"{{"id": "evt_1", "type": "{event_type}", "created_at": 7, "data": {data}}}"#);
        recorded(&Event::parse(&event).unwrap())
    }

    #[test]
    fn the_data_is_published_unchanged() {
        let outcome = outcome_of("brand.new", r#"{"id": "thing_1", "more": [1, null, {"deep": "x"}]}"#);
        assert_eq!(
            (outcome.status.as_str(), outcome.as_of, outcome.object_id.as_deref(), outcome.note),
            ("recorded", 7000, Some("thing_1"), None)
        );
        assert_eq!(outcome.summary["data"], json!({"id": "thing_1", "more": [1, null, {"deep": "x"}]}));
        for data in ["null", "7", "[]", r#""text""#, "[1000000000000000000001]"] {
            let outcome = outcome_of("brand.new", data);
            assert_eq!((outcome.object_id, outcome.exact["data"].as_str()), (None, data));
            assert!(outcome.summary.contains_key("data"));
        }
    }

    #[test]
    fn data_that_cannot_be_read_is_published_as_its_text_with_the_true_reason() {
        let deep = format!("{}7{}", "[".repeat(200), "]".repeat(200));
        for (data, reason) in [
            (r#"{"id": "x", "note": "cut \ud83d"}"#, "hex escape"),
            (r#"{"id": "x", "n": 1e999}"#, "number out of range"),
            (&deep, "recursion limit exceeded"),
        ] {
            let outcome = outcome_of("eval.run.new", data);
            assert_eq!((outcome.status.as_str(), outcome.summary["data"].as_str()), ("recorded", Some(data)));
            assert!(outcome.note.as_ref().unwrap().contains(reason), "{outcome:?}");
        }
    }

    #[test]
    fn an_eval_event_says_that_the_api_has_ended() {
        let outcome = outcome_of("eval.run.succeeded", r#"{"id": "evalrun_1"}"#);
        assert_eq!((outcome.status.as_str(), outcome.object_id.as_deref()), ("recorded", Some("evalrun_1")));
        assert_eq!(outcome.summary["data"], json!({"id": "evalrun_1"}));
        let note = outcome.note.unwrap();
        assert!(note.contains("ended the Evals API on 2026-11-30") && note.contains("Promptfoo"), "{note}");
    }
}
