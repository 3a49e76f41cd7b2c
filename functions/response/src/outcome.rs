//! What is recorded and published of a response.

use hooks_consumer::{Event, Outcome};
use hooks_openai::Response;
use serde_json::{Map, Value, json};

use crate::alert;

/// What a retrieved response is now.
pub(crate) fn of(response: &Response, as_of: i64) -> Outcome {
    let times = [("created_at", response.created_at), ("completed_at", response.completed_at)];
    Outcome {
        object_id: Some(response.id.clone()),
        terminal: response.status.is_terminal(),
        counts: tokens(&response.raw),
        times: times.into_iter().filter_map(|(name, at)| Some((name.to_owned(), at?.into()))).collect(),
        summary: summary(&response.raw),
        error: what_went_wrong(response),
        ..Outcome::new(response.status.as_str(), as_of)
    }
}

/// The end of an event whose response OpenAI does not have (any more).
pub(crate) fn gone(event: &Event, id: &str, as_of: i64) -> Outcome {
    let age = (as_of / 1000 - event.created_at).max(0);
    Outcome {
        summary: Map::from_iter([("age_seconds".to_owned(), age.into())]),
        alert: Some(alert::gone(event, id, age)),
        ..Outcome::not_found(id, as_of)
    }
}

/// How many tokens it took, by OpenAI's names.
fn tokens(response: &Value) -> Map<String, Value> {
    let paths = [
        ("input_tokens", "/usage/input_tokens"),
        ("cached_tokens", "/usage/input_tokens_details/cached_tokens"),
        ("output_tokens", "/usage/output_tokens"),
        ("reasoning_tokens", "/usage/output_tokens_details/reasoning_tokens"),
        ("total_tokens", "/usage/total_tokens"),
    ];
    let count = |path| response.pointer(path).filter(|count| count.is_u64()).cloned();
    paths.into_iter().filter_map(|(name, path)| Some((name.to_owned(), count(path)?))).collect()
}

/// What a program wants to know without opening the artifact: OpenAI's own fields, where there is something in them.
fn summary(response: &Value) -> Map<String, Value> {
    let fields = ["model", "metadata", "incomplete_details", "error", "previous_response_id", "usage"];
    let is_something = |value: &Value| !value.is_null() && *value != json!({});
    let field = |name: &str| response.get(name).filter(|value| is_something(value)).cloned();
    fields.into_iter().filter_map(|name| Some((name.to_owned(), field(name)?))).collect()
}

/// Why it failed or was cut short, in a sentence.
pub(crate) fn what_went_wrong(response: &Response) -> Option<String> {
    if let Some((code, message)) = &response.error {
        let code = code.as_deref().unwrap_or("unknown");
        let message = message.as_deref().unwrap_or("OpenAI does not say more");
        return Some(format!("{}: {}", hooks_openai::for_display(code), hooks_openai::for_display(message)));
    }
    let reason = response.incomplete_reason.as_deref()?;
    Some(format!("it was cut short: {}", hooks_openai::for_display(reason)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_has_what_is_there_and_nothing_else() {
        let response = json!({
            "id": "resp_1", "model": "gpt-6-luna", "metadata": {}, "error": null, "output": [1, 2],
            "incomplete_details": {"reason": "max_output_tokens"}, "usage": {"total_tokens": 3, "input_tokens": "x"},
        });
        assert_eq!(
            Value::Object(summary(&response)),
            json!({"model": "gpt-6-luna", "incomplete_details": {"reason": "max_output_tokens"},
                "usage": {"total_tokens": 3, "input_tokens": "x"}})
        );
        assert_eq!(Value::Object(tokens(&response)), json!({"total_tokens": 3}));
    }

    #[test]
    fn a_response_that_is_gone_says_how_old_its_event_is() {
        let event = r#"{"id": "evt_1", "type": "response.completed", "created_at": 1000, "data": {"id": "resp_1"}}"#;
        let event = Event::parse(event).unwrap();
        let outcome = gone(&event, "resp_1", 1_700_000);
        assert_eq!((outcome.status.as_str(), outcome.terminal), (Outcome::NOT_FOUND, false));
        assert_eq!(outcome.summary["age_seconds"], 700);
        let alert = outcome.alert.unwrap();
        assert!(alert.message.contains("11 min before we asked"), "{}", alert.message);
        // A clock that runs behind OpenAI's.
        assert_eq!(gone(&event, "resp_1", 0).summary["age_seconds"], 0);
    }
}
