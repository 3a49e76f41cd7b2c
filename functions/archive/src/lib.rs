//! Records and publishes, unchanged, every event that no other consumer takes: `eval.*` and `video.*`, whose APIs OpenAI
//! has ended, and types that are not known yet.

use hooks_consumer::{Context, Event, Handler, HandlerError, Outcome};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// The status of an event that was recorded and not looked into.
const RECORDED: &str = "recorded";

/// The note of an `eval.*` event.
const EVALS_ENDED: &str = "OpenAI ended the Evals API on 2026-11-30, so the run cannot be retrieved; OpenAI recommends \
                           Promptfoo (https://www.promptfoo.dev) instead";

/// The note of an event whose data cannot be parsed.
const NESTED_TOO_DEEP: &str = "the event's data is nested too deep to be published; the ledger has the event's body";

/// Records events without looking into them.
pub struct ArchiveHandler;

impl Handler for ArchiveHandler {
    async fn handle(&self, event: &Event, _: &Context) -> Result<Outcome, HandlerError> {
        Ok(recorded(event))
    }
}

fn recorded(event: &Event) -> Outcome {
    let data = data(event.raw());
    let note = match data {
        Err(_) => Some(NESTED_TOO_DEEP),
        Ok(_) if event.event_type.starts_with("eval.") => Some(EVALS_ENDED),
        Ok(_) => None,
    };
    Outcome {
        object_id: event.object_id().map(str::to_owned),
        summary: data.ok().flatten().map(|data| Map::from_iter([("data".to_owned(), data)])).unwrap_or_default(),
        note: note.map(str::to_owned),
        // The object was not retrieved, so its state is as old as the event.
        ..Outcome::new(RECORDED, event.created_at.saturating_mul(1000))
    }
}

/// The event's `data`, unchanged.
fn data(event: &RawValue) -> Result<Option<Value>, serde_json::Error> {
    let mut event = serde_json::from_str::<Value>(event.get())?;
    Ok(event.get_mut("data").map(Value::take))
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
        for data in ["null", "7", "[]", r#""text""#] {
            let outcome = outcome_of("brand.new", data);
            assert_eq!((outcome.object_id, outcome.summary["data"].to_string()), (None, data.to_owned()));
        }
    }

    #[test]
    fn data_that_cannot_be_parsed_is_recorded_too() {
        let outcome = outcome_of("brand.new", &format!("{}{}", "[".repeat(200), "]".repeat(200)));
        assert_eq!((outcome.status.as_str(), outcome.summary), ("recorded", Map::new()));
        assert!(outcome.note.unwrap().contains("nested too deep"));
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
