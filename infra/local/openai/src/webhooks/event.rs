//! The body of a delivery.

use crate::ids::{hex_id, now};

/// An event, and the body that says it, byte for byte.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(super) id: String,
    pub(super) kind: String,
    pub(super) body: String,
}

impl Event {
    /// Now something happened to an object; most events say no more than that.
    pub(crate) fn thin(kind: String, object_id: &str) -> Self {
        Self::with(hex_id("evt_"), kind, now(), &format!(r#"{{"id": {}}}"#, quote(object_id)))
    }

    /// Now something happened that takes more words than an id.
    pub(crate) fn of(kind: String, data: &serde_json::Value) -> Self {
        Self::at(kind, now(), data)
    }

    /// The same of another time than now.
    pub(crate) fn at(kind: String, created_at: i64, data: &serde_json::Value) -> Self {
        Self::with(hex_id("evt_"), kind, created_at, &data.to_string())
    }

    /// Key order and spaces as in OpenAI's example; `data` is JSON and stands as it is.
    pub(super) fn with(id: String, kind: String, created_at: i64, data: &str) -> Self {
        let body = format!(
            r#"{{"id": {}, "object": "event", "created_at": {created_at}, "type": {}, "data": {data}}}"#,
            quote(&id),
            quote(&kind),
        );
        Self { id, kind, body }
    }
}

/// The text as JSON.
fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_is_openai_s_example_byte_for_byte() {
        let event = Event::with(
            "evt_685c059ae3a481909bdc86819b066fb6".to_owned(),
            "response.completed".to_owned(),
            1_750_861_210,
            r#"{"id": "resp_123"}"#,
        );
        assert_eq!(
            event.body,
            r#"{"id": "evt_685c059ae3a481909bdc86819b066fb6", "object": "event", "created_at": 1750861210, "type": "response.completed", "data": {"id": "resp_123"}}"#
        );
    }

    #[test]
    fn whatever_an_id_holds_the_body_is_json() {
        let event = Event::with("evt_\"\n".to_owned(), "batch.\u{1}".to_owned(), 1, "null");
        let parsed: serde_json::Value = serde_json::from_str(&event.body).unwrap();
        assert_eq!((&parsed["id"], &parsed["type"]), (&"evt_\"\n".into(), &"batch.\u{1}".into()));
    }
}
