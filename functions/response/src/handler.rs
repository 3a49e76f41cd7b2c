//! What a response event means.

use hooks_consumer::artifacts::{JSON, Key, TEXT};
use hooks_consumer::{Context, Event, Handler, HandlerError, OpenAi, Outcome, Setup, found, object_id, when};
use hooks_openai::Response;

use crate::{alert, outcome};

/// Handles response events.
pub(crate) struct Responses {
    openai: OpenAi,
}

impl Responses {
    pub(crate) fn from_setup(setup: &mut Setup<'_>) -> Option<Self> {
        Some(Self { openai: setup.openai()? })
    }
}

impl Handler for Responses {
    async fn handle(&self, event: &Event, context: &Context) -> Result<Outcome, HandlerError> {
        let id = object_id(event, "response")?;
        let keys = Keys::of(id)?;
        let openai = self.openai.client().await?;
        let as_of = when::now();
        let Some(response) = found(openai.response(id, context.deadline).await)? else {
            return Ok(outcome::gone(event, id, as_of));
        };
        let seen = outcome::of(&response, as_of);
        if response.status.is_under_way() {
            let (kind, status) = (&event.event_type, &response.status);
            return if ends(event) {
                Err(HandlerError::retry(format!("{kind} was announced, but the response is still {status}")))
            } else {
                Ok(seen)
            };
        }
        keep(&response, &keys, seen, context).await
    }
}

/// Stores the response and its text, so that the outcome that names them is published when both are there.
async fn keep(response: &Response, keys: &Keys, seen: Outcome, context: &Context) -> Result<Outcome, HandlerError> {
    let artifacts = &context.artifacts;
    let text = response.output_text();
    let mut kept = vec![keys.json.to_string()];
    let artifact_bytes = (response.json.len() + text.len()) as u64;
    let failed = |error: hooks_consumer::artifacts::Error| HandlerError::retry(error.to_string());
    artifacts.put(&keys.json, JSON, response.json.clone()).await.map_err(failed)?;
    if !text.is_empty() {
        artifacts.put(&keys.text, TEXT, text).await.map_err(failed)?;
        kept.push(keys.text.to_string());
    }
    let alert = alert::failed(response, artifacts.bucket(), &keys.json);
    Ok(Outcome { artifacts: kept, artifact_bytes, alert, ..seen })
}

/// Where a response's artifacts go.
struct Keys {
    json: Key,
    text: Key,
}

impl Keys {
    fn of(id: &str) -> Result<Self, HandlerError> {
        let key = |ending| {
            Key::new(&["response", &format!("{id}.{ending}")])
                .map_err(|error| HandlerError::permanent("unusable_id", format!("the event names {error}")))
        };
        Ok(Self { json: key("json")?, text: key("txt")? })
    }
}

/// Whether the event says that its response has come to an end.
fn ends(event: &Event) -> bool {
    let ends = ["response.completed", "response.failed", "response.cancelled", "response.incomplete"];
    ends.contains(&event.event_type.as_str())
}
