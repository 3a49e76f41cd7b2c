//! Records every event of which nothing else is known, and publishes it as it came: `video.*`, whose API is no more, and
//! whatever type OpenAI adds.

use hooks_consumer::{Category, Context, Event, Handler, HandlerError, Outcome};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// The status of an event that was recorded and no more.
const RECORDED: &str = "recorded";

/// Handles events of which nothing else is known.
struct Archive;

impl Handler for Archive {
    async fn handle(&self, event: &Event, _: &Context) -> Result<Outcome, HandlerError> {
        Ok(recorded(event))
    }
}

fn recorded(event: &Event) -> Outcome {
    let (data, note) = match data(event.raw()) {
        Ok(data) => (data, None),
        Err(_) => (None, Some("the event's data is nested too deep to be passed on; the ledger has it".to_owned())),
    };
    Outcome {
        object_id: event.object_id().map(str::to_owned),
        summary: data.map(|data| Map::from_iter([("data".to_owned(), data)])).unwrap_or_default(),
        note,
        // Nobody looked at an object: the event itself says since when it was so.
        ..Outcome::new(RECORDED, event.created_at.saturating_mul(1000))
    }
}

/// What the event is about, as it came.
fn data(event: &RawValue) -> Result<Option<Value>, serde_json::Error> {
    let mut event = serde_json::from_str::<Value>(event.get())?;
    Ok(event.get_mut("data").map(Value::take))
}

/// One thread does it: most of the time is spent waiting for the network.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), hooks_consumer::Error> {
    hooks_consumer::run(Category::Archive, |_| Some(Archive)).await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn outcome_of(data: &str) -> Outcome {
        let event = format!(r#"{{"id": "evt_1", "type": "brand.new", "created_at": 7, "data": {data}}}"#);
        recorded(&Event::parse(&event).unwrap())
    }

    #[test]
    fn the_data_is_passed_on_as_it_came() {
        let outcome = outcome_of(r#"{"id": "thing_1", "more": [1, null, {"deep": "x"}]}"#);
        assert_eq!(
            (outcome.status.as_str(), outcome.as_of, outcome.object_id.as_deref()),
            ("recorded", 7000, Some("thing_1"))
        );
        assert_eq!(outcome.summary["data"], json!({"id": "thing_1", "more": [1, null, {"deep": "x"}]}));
        for data in ["null", "7", "[]", r#""text""#] {
            let outcome = outcome_of(data);
            assert_eq!((outcome.object_id, outcome.summary["data"].to_string()), (None, data.to_owned()));
        }
    }

    #[test]
    fn data_that_nobody_can_read_is_recorded_too() {
        let outcome = outcome_of(&format!("{}{}", "[".repeat(200), "]".repeat(200)));
        assert_eq!((outcome.status.as_str(), outcome.summary), ("recorded", Map::new()));
        assert!(outcome.note.unwrap().contains("nested too deep"));
    }
}
