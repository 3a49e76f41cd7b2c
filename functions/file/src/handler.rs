//! What a file event means.

use hooks_consumer::{Context, Event, Handler, HandlerError, OpenAi, Outcome, Setup, found, object_id, when};
use hooks_openai::File;
use serde_json::{Map, Value};

/// The status of a file that has none: OpenAI calls the field deprecated.
const RECORDED: &str = "recorded";

/// Handles file events.
pub(crate) struct Files {
    openai: OpenAi,
}

impl Files {
    pub(crate) fn from_setup(setup: &mut Setup<'_>) -> Option<Self> {
        Some(Self { openai: setup.openai()? })
    }
}

impl Handler for Files {
    async fn handle(&self, event: &Event, context: &Context) -> Result<Outcome, HandlerError> {
        let id = object_id(event, "file")?;
        let openai = self.openai.client().await?;
        let as_of = when::now();
        Ok(match found(openai.file(id, context.deadline).await)? {
            Some(file) => known(&file, as_of),
            None => gone(event, id, as_of),
        })
    }
}

/// What a retrieved file is now.
fn known(file: &File, as_of: i64) -> Outcome {
    let text = |name| file.raw.get(name)?.as_str().filter(|text| !text.is_empty()).map(hooks_openai::for_display);
    let times = [("created_at", file.created_at), ("expires_at", file.expires_at)];
    let summary = [
        ("filename", text("filename").map(Value::from)),
        ("purpose", text("purpose").map(Value::from)),
        ("bytes", file.bytes.map(Value::from)),
    ];
    Outcome {
        object_id: Some(file.id.clone()),
        // What a file was stays on record when it is gone; what is seen of it later is written over it all the same.
        terminal: true,
        times: times.into_iter().filter_map(|(name, at)| Some((name.to_owned(), at?.into()))).collect(),
        summary: summary.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect::<Map<_, _>>(),
        error: text("status_details"),
        ..Outcome::new(text("status").unwrap_or_else(|| RECORDED.to_owned()), as_of)
    }
}

/// The end of an event whose file OpenAI does not have.
fn gone(event: &Event, id: &str, as_of: i64) -> Outcome {
    let outcome = Outcome::not_found(id, as_of);
    if event.event_type == "file.deleted" {
        return Outcome { note: Some(format!("OpenAI has no file {id} any more, as the event says")), ..outcome };
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str) -> Event {
        Event::parse(&format!(r#"{{"id": "evt_1", "type": "{kind}", "data": {{"id": "file-1"}}}}"#)).unwrap()
    }

    #[test]
    fn a_file_that_was_deleted_is_gone_as_it_should_be() {
        let deleted = gone(&event("file.deleted"), "file-1", 7);
        assert_eq!((deleted.status.as_str(), deleted.terminal, deleted.alert), (Outcome::NOT_FOUND, false, None));
        assert!(deleted.note.unwrap().ends_with("as the event says"));
        assert!(gone(&event("file.processed"), "file-1", 7).note.unwrap().contains("a test delivery"));
    }
}
