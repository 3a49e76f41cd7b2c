//! A model's response, reduced to the fields that are used.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use hooks_webhook::Json;
use serde_json::json;
use tokio::time::Instant;

use crate::client::{Call, Client};
use crate::error::OpenAiError;
use crate::objects::{owned, read_error, text};

/// The size limit of a response, which may contain a few pictures in base64.
const MAX_RESPONSE_BYTES: usize = 48 * 1024 * 1024;

/// The timeout of a model's answer. The first answer of a model that must be loaded takes longer.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(1);

/// The status of a response.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ResponseStatus {
    /// It has not started.
    Queued,
    /// The model is running.
    InProgress,
    /// The model finished.
    Completed,
    /// It failed; [`Response::error`] has the reason.
    Failed,
    /// It was cancelled.
    Cancelled,
    /// It was cut short; [`Response::incomplete_reason`] has the reason.
    Incomplete,
    /// An unknown status, as OpenAI wrote it.
    Other(String),
}

impl ResponseStatus {
    /// The status as OpenAI writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Queued => "queued",
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Incomplete => "incomplete",
            Self::Other(status) => status,
        }
    }

    /// Whether the response is still in progress. False for an unknown status.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        matches!(self, Self::Queued | Self::InProgress)
    }

    /// Whether the status is final. False for an unknown status.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled | Self::Incomplete)
    }
}

impl From<&str> for ResponseStatus {
    fn from(status: &str) -> Self {
        match status {
            "queued" => Self::Queued,
            "in_progress" => Self::InProgress,
            "completed" => Self::Completed,
            "failed" => Self::Failed,
            "cancelled" => Self::Cancelled,
            "incomplete" => Self::Incomplete,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl fmt::Display for ResponseStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A model's response.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Response {
    /// `resp_...`
    pub id: String,
    /// Its status.
    pub status: ResponseStatus,
    /// The model that answered.
    pub model: Option<String>,
    /// The reason why it was cut short, such as `max_output_tokens`.
    pub incomplete_reason: Option<String>,
    /// The error's code, such as `server_error`, and its message.
    pub error: Option<(Option<String>, Option<String>)>,
    /// When it was created, in seconds since the epoch.
    pub created_at: Option<i64>,
    /// When it completed, in seconds since the epoch. Older responses do not have it.
    pub completed_at: Option<i64>,
    /// The whole object, byte for byte.
    pub json: Bytes,
}

/// A response to create in the foreground.
#[derive(Clone, Copy, Debug)]
pub struct NewResponse<'a> {
    /// The model's name.
    pub model: &'a str,
    /// The prompt.
    pub input: &'a str,
    /// The limit of output tokens, reasoning included; at least 16.
    pub max_output_tokens: u32,
}

impl Client {
    /// Creates a response in the foreground: `POST /responses`. OpenAI does not store it.
    ///
    /// A repeated call is billed again and has no other effect.
    pub async fn create_response(&self, response: NewResponse<'_>, deadline: Instant) -> Result<Response, OpenAiError> {
        let NewResponse { model, input, max_output_tokens } = response;
        let body = json!({"model": model, "input": input, "max_output_tokens": max_output_tokens, "store": false});
        let call = Call { timeout: ANSWER_TIMEOUT, ..Call::new("create response", &["responses"]) };
        let answer = self.post(call, Some(&body), deadline).await?;
        answer.read("a response", Response::from_json)
    }

    /// Retrieves a model's response: `GET /responses/{id}`.
    pub async fn response(&self, id: &str, deadline: Instant) -> Result<Response, OpenAiError> {
        let path = ["responses", id];
        let call = Call { limit: MAX_RESPONSE_BYTES, ..Call::new("retrieve response", &path) };
        let answer = self.get(call, deadline).await?;
        answer.read("a response", Response::from_json)
    }
}

impl Response {
    /// The whole object.
    #[must_use]
    pub fn raw(&self) -> Json<'_> {
        Json::of(&self.json)
    }

    /// `None` without an id or a status.
    pub(crate) fn from_json(json: Bytes) -> Option<Self> {
        let [id, status, model, details, why, created_at, completed_at] = Json::of(&json).pick([
            "id",
            "status",
            "model",
            "incomplete_details",
            "error",
            "created_at",
            "completed_at",
        ]);
        Some(Self {
            id: owned(id)?,
            status: ResponseStatus::from(status?.text()?.as_ref()),
            model: owned(model),
            incomplete_reason: details.and_then(|details| text(details, "reason")),
            error: read_error(why),
            created_at: created_at.and_then(Json::seconds),
            completed_at: completed_at.and_then(Json::seconds),
            json,
        })
    }

    /// The output's text: the text parts of all messages in order, joined as OpenAI's own libraries do. A refusal is on a
    /// line of its own and begins with `[refusal] `.
    #[must_use]
    pub fn output_text(&self) -> String {
        let mut output = String::new();
        for [text, refusal] in self.parts() {
            if let Some(text) = text {
                output.push_str(&text);
            } else if let Some(refusal) = refusal {
                if !output.is_empty() && !output.ends_with('\n') {
                    output.push('\n');
                }
                output.push_str("[refusal] ");
                output.push_str(&refusal);
                output.push('\n');
            }
        }
        output
    }

    /// Whether the model refused to answer, or to go on.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.parts().any(|[_, refusal]| refusal.is_some())
    }

    /// The parts of all messages: a text, or a refusal.
    fn parts(&self) -> impl Iterator<Item = [Option<Cow<'_, str>>; 2]> {
        let message = |item: &Json<'_>| item.get("type").and_then(Json::text).is_some_and(|kind| kind == "message");
        let messages = self.raw().get("output").into_iter().flat_map(Json::items).filter(message);
        messages.filter_map(|message| message.get("content")).flat_map(Json::items).map(|part| {
            let [kind, text, refusal] = part.pick(["type", "text", "refusal"]);
            match kind.and_then(Json::text).as_deref() {
                Some("output_text") => [text.and_then(Json::text), None],
                Some("refusal") => [None, Some(refusal.and_then(Json::text).unwrap_or_default())],
                _ => [None, None],
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn response(fields: &Value) -> Response {
        let mut object = json!({"id": "resp_1", "object": "response", "status": "completed"});
        object.as_object_mut().unwrap().append(&mut fields.as_object().unwrap().clone());
        Response::from_json(object.to_string().into()).unwrap()
    }

    #[test]
    fn the_text_is_that_of_all_messages_in_order() {
        let text = |text: &str| json!({"type": "output_text", "text": text, "annotations": []});
        let message = |content: Value| json!({"type": "message", "role": "assistant", "content": content});
        let output = json!({"output": [
            {"type": "reasoning", "summary": [text("thought")]},
            message(json!([text("One, "), {"type": "shiny", "text": "no"}, text("two.")])),
            {"type": "function_call", "arguments": "{}"},
            message(json!([{"type": "refusal", "refusal": "Not that."}, text("Three.")])),
            message(json!("text")), {"type": "message"}, 7,
        ]});
        assert_eq!(response(&output).output_text(), "One, two.\n[refusal] Not that.\nThree.");
        assert!(response(&output).is_refused());
    }

    #[test]
    fn a_response_without_messages_says_nothing() {
        for output in [json!({}), json!({"output": null}), json!({"output": []}), json!({"output": "text"})] {
            assert_eq!(response(&output).output_text(), "");
            assert!(!response(&output).is_refused());
        }
    }

    #[test]
    fn an_error_is_read() {
        let failed = response(&json!({"status": "failed", "error": {"code": "server_error", "message": "Oh."}}));
        assert_eq!(failed.error, Some((Some("server_error".to_owned()), Some("Oh.".to_owned()))));
        let cut =
            response(&json!({"status": "incomplete", "error": null, "incomplete_details": {"reason": "steered"}}));
        assert_eq!((cut.error, cut.incomplete_reason.as_deref()), (None, Some("steered")));
    }

    #[test]
    fn an_odd_value_does_not_hide_the_others() {
        let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
        let text = r#"{"type": "output_text", "text": "Good \ud83d", "logprobs": [-1e999]}"#;
        let odd = format!(
            r#"{{"id": "resp_1", "status": "queued", "status": "completed", "x": [1e999, {deep}], "created_at": 1753.25,
                "error": {{}}, "output": [{{"type": "message", "content": [{text}]}}]}}"#
        );
        let read = Response::from_json(odd.into()).unwrap();
        assert_eq!((read.status.as_str(), read.created_at), ("completed", Some(1753)));
        assert_eq!((read.error.as_ref(), read.output_text().as_str()), (None, "Good \u{fffd}"));
    }

    #[test]
    fn each_known_status_keeps_its_name_and_an_unknown_one_too() {
        for name in ["queued", "in_progress", "completed", "failed", "cancelled", "incomplete"] {
            let status = ResponseStatus::from(name);
            assert_eq!(status.to_string(), name);
            assert_ne!(status.is_terminal(), status.is_under_way(), "{name}");
        }
        let unknown = ResponseStatus::from("paused");
        assert_eq!(unknown.to_string(), "paused");
        assert!(!unknown.is_terminal() && !unknown.is_under_way());
    }

    #[test]
    fn a_response_needs_an_id_and_a_status() {
        for other in [json!(null), json!([]), json!({"status": "completed"}), json!({"id": "resp_1"})] {
            assert!(Response::from_json(other.to_string().into()).is_none(), "{other}");
        }
    }
}
