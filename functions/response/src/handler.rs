//! The handler of `response.*` events.

use hooks_consumer::artifacts::{JSON, Key};
use hooks_consumer::object::{copied, counts, error_text, present, under_way};
use hooks_consumer::{Context, Event, Handler, HandlerError, OpenAi, Outcome, Setup, clock, found, object_id};
use hooks_openai::{Response, for_display};

use crate::alert;

/// Retrieves and keeps responses.
pub struct ResponseHandler {
    openai: OpenAi,
}

impl ResponseHandler {
    /// From the function's environment.
    pub fn from_setup(setup: &mut Setup<'_>) -> Option<Self> {
        Some(Self { openai: setup.openai()? })
    }
}

impl Handler for ResponseHandler {
    async fn handle(&self, event: &Event, context: &Context) -> Result<Outcome, HandlerError> {
        let id = object_id(event, "response")?;
        let key = Key::new(&["response", &format!("{id}.json")])?;
        let openai = self.openai.client().await?;
        let as_of = clock::now_ms();
        let Some(response) = found(openai.response(id, context.deadline).await)? else {
            return Ok(gone(event, id, as_of));
        };
        let seen = seen(&response, as_of);
        if response.status.is_under_way() {
            return under_way(event, "response", &response.status, seen);
        }
        let artifacts = &context.artifacts;
        let artifact_bytes = response.json.len() as u64;
        artifacts.put(&key, JSON, response.json.clone()).await?;
        let alert = alert::failed(&response, seen.error.as_deref(), artifacts.bucket(), &key);
        Ok(Outcome { artifacts: vec![key.to_string()], artifact_bytes, alert, ..seen })
    }
}

/// The outcome for a retrieved response, without its artifacts.
fn seen(response: &Response, as_of: i64) -> Outcome {
    let cut_short = || Some(format!("it was cut short: {}", for_display(response.incomplete_reason.as_deref()?)));
    let tokens = [
        "/input_tokens",
        "/input_tokens_details/cached_tokens",
        "/input_tokens_details/cache_write_tokens",
        "/output_tokens",
        "/output_tokens_details/reasoning_tokens",
        "/total_tokens",
    ];
    let fields = ["model", "metadata", "incomplete_details", "error", "previous_response_id", "usage"];
    let raw = response.raw();
    Outcome {
        object_id: Some(response.id.clone()),
        terminal: response.status.is_terminal(),
        counts: raw.get("usage").map(|usage| counts(usage, &tokens)).unwrap_or_default(),
        times: present([("created_at", response.created_at), ("completed_at", response.completed_at)]),
        summary: copied(raw, fields),
        error: response.error.as_ref().map(error_text).or_else(cut_short),
        ..Outcome::new(response.status.as_str(), as_of)
    }
}

/// The outcome for a response that OpenAI does not have (any more).
fn gone(event: &Event, id: &str, as_of: i64) -> Outcome {
    let age = (as_of / 1000 - event.created_at).max(0);
    Outcome {
        summary: present([("age_seconds", Some(age))]),
        alert: Some(alert::gone(event, id, age)),
        ..Outcome::not_found(id, as_of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_that_is_gone_says_how_old_its_event_is() {
        let event = r#"{"id": "evt_1", "type": "response.completed", "created_at": 1000, "data": {"id": "resp_1"}}"#;
        let event = Event::parse(event).unwrap();
        let outcome = gone(&event, "resp_1", 1_700_000);
        assert_eq!((outcome.status.as_str(), outcome.terminal), (Outcome::NOT_FOUND, false));
        assert_eq!(outcome.summary["age_seconds"], 700);
        let alert = outcome.alert.unwrap();
        assert!(alert.message.contains("11 min before it was looked up"), "{}", alert.message);
        // A clock that is behind OpenAI's.
        assert_eq!(gone(&event, "resp_1", 0).summary["age_seconds"], 0);
    }
}
