//! Records the metadata of files: retrieves what OpenAI has about the file that an event names.
//!
//! Older documentation names `file.created`, `file.processed` and `file.deleted`. OpenAI does not send them today; if it
//! does, they are handled, as is any other `file.*` type.

use hooks_consumer::object::present;
use hooks_consumer::{Context, Event, Handler, HandlerError, OpenAi, Outcome, Setup, clock, found, object_id};
use hooks_openai::{File, for_display};
use serde_json::Value;

/// The status of a file without one: OpenAI calls the field deprecated.
const RECORDED: &str = "recorded";

/// Retrieves the metadata of files.
pub struct FileHandler {
    openai: OpenAi,
}

impl FileHandler {
    /// From the function's environment.
    pub fn from_setup(setup: &mut Setup<'_>) -> Option<Self> {
        Some(Self { openai: setup.openai()? })
    }
}

impl Handler for FileHandler {
    async fn handle(&self, event: &Event, context: &Context) -> Result<Outcome, HandlerError> {
        let id = object_id(event, "file")?;
        let openai = self.openai.client().await?;
        let as_of = clock::now_ms();
        Ok(match found(openai.file(id, context.deadline).await)? {
            Some(file) => seen(&file, as_of),
            None => gone(event, id, as_of),
        })
    }
}

/// The outcome for a retrieved file.
fn seen(file: &File, as_of: i64) -> Outcome {
    let text = |name| file.raw().get(name)?.text().map(|text| for_display(&text));
    let summary = [
        ("filename", text("filename").map(Value::from)),
        ("purpose", text("purpose").map(Value::from)),
        ("bytes", file.bytes.map(Value::from)),
    ];
    Outcome {
        object_id: Some(file.id.clone()),
        // Final, so that the record outlives the file. A later state of the file still replaces it.
        terminal: true,
        times: present([("created_at", file.created_at), ("expires_at", file.expires_at)]),
        summary: present(summary),
        error: text("status_details"),
        ..Outcome::new(text("status").unwrap_or_else(|| RECORDED.to_owned()), as_of)
    }
}

/// The outcome for a file that OpenAI does not have.
fn gone(event: &Event, id: &str, as_of: i64) -> Outcome {
    let outcome = Outcome::not_found(id, as_of);
    if event.event_type == "file.deleted" {
        let note = Some(format!("OpenAI has no file {id} any more, as the event says"));
        return Outcome { note, is_missing: false, ..outcome };
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
    fn a_deleted_file_is_not_found_as_expected() {
        let deleted = gone(&event("file.deleted"), "file-1", 7);
        assert_eq!((deleted.status.as_str(), deleted.terminal, deleted.alert), (Outcome::NOT_FOUND, false, None));
        assert!(deleted.note.unwrap().ends_with("as the event says"));
        assert!(gone(&event("file.processed"), "file-1", 7).note.unwrap().contains("a test delivery"));
    }
}
