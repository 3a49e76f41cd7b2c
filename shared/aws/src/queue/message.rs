//! What stands in a queue: an event's body, and in attributes what its way here was.

use std::borrow::Cow;
use std::fmt;

use hooks_protocol::Kind;
use hooks_webhook::{Category, Event, Verified};

// Names of the attributes.

/// Id of the delivery, the same in every repetition of it.
pub const WEBHOOK_ID: &str = "webhook-id";
/// Time of the delivery as it was signed.
pub const WEBHOOK_TIMESTAMP: &str = "webhook-timestamp";
/// Endpoint that took the delivery, such as `project`.
pub const ENDPOINT: &str = "endpoint";
/// Type of the event.
pub const EVENT_TYPE: &str = "event-type";
/// Time at which the event came into this system, in milliseconds since the epoch.
pub const RECEIVED_AT: &str = "received-at";
/// [`Source`] of the message.
pub const SOURCE: &str = "source";
/// Of a replay: token of the idempotency record when it was asked for.
pub const SEEN_TOKEN: &str = "seen-token";
/// Of a replay: who asked for it.
pub const ASKED_BY: &str = "asked-by";
/// Of a dead letter: a short code for why. It stays when the letter is redriven.
pub const FAILURE_REASON: &str = "failure-reason";
/// Of a dead letter: the reason in words.
pub const FAILURE_MESSAGE: &str = "failure-message";

/// Sender of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// OpenAI delivered it.
    OpenAi,
    /// Reconciliation found that its delivery never came.
    Reconcile,
    /// A person asked for it again.
    Replay,
}

impl Source {
    /// Value of the attribute.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Reconcile => "reconcile",
            Self::Replay => "replay",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::OpenAi, Self::Reconcile, Self::Replay].into_iter().find(|source| source.as_str() == text)
    }
}

/// A message of a category's queue. The fields are named like the attributes.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// The event as JSON: the verified body, with what SQS refuses escaped.
    pub body: String,
    /// Id of the delivery.
    pub webhook_id: String,
    /// Time of the delivery as it was signed, in seconds since the epoch.
    pub webhook_timestamp: String,
    /// Endpoint that took the delivery.
    pub endpoint: String,
    /// Type of the event.
    pub event_type: String,
    /// Time at which the event came into this system, in milliseconds since the epoch.
    pub received_at: u64,
    /// Sender of the message.
    pub source: Source,
    /// Reason of a dead letter: there only when it was redriven.
    pub failure: Option<String>,
    /// Of a replay: token of the idempotency record when it was asked for.
    pub seen_token: Option<String>,
    /// Of a replay: who asked for it.
    pub asked_by: Option<String>,
}

/// A message with the event in it, as a consumer of a category has it.
#[derive(Clone, Debug)]
pub struct Delivered {
    /// Category of the consumer.
    pub category: Category,
    /// The message.
    pub message: Message,
    /// The event in its body.
    pub event: Event,
}

/// A message lacks an attribute, or one says something impossible. Holds the attribute's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the message attribute {0} is missing or unusable")]
pub struct MalformedMessage(pub &'static str);

impl Message {
    /// The message of a verified delivery.
    #[must_use]
    pub fn of_delivery(delivery: &Verified<'_>, endpoint: &str, received_at: u64) -> Self {
        Self {
            body: escape(delivery.body()).into_owned(),
            webhook_id: delivery.webhook_id().to_owned(),
            webhook_timestamp: delivery.timestamp().to_owned(),
            endpoint: endpoint.to_owned(),
            event_type: delivery.event_type().to_owned(),
            received_at,
            source: Source::OpenAi,
            failure: None,
            seen_token: None,
            asked_by: None,
        }
    }

    /// Reads a message back; `attribute` looks up an attribute's text by name.
    pub fn decode<'a>(
        body: String,
        attribute: impl Fn(&'static str) -> Option<&'a str>,
    ) -> Result<Self, MalformedMessage> {
        let required = |name| attribute(name).map(str::to_owned).ok_or(MalformedMessage(name));
        Ok(Self {
            body,
            webhook_id: required(WEBHOOK_ID)?,
            webhook_timestamp: required(WEBHOOK_TIMESTAMP)?,
            endpoint: required(ENDPOINT)?,
            event_type: required(EVENT_TYPE)?,
            received_at: required(RECEIVED_AT)?.parse().map_err(|_| MalformedMessage(RECEIVED_AT))?,
            source: Source::parse(&required(SOURCE)?).ok_or(MalformedMessage(SOURCE))?,
            failure: attribute(FAILURE_REASON).map(str::to_owned),
            seen_token: attribute(SEEN_TOKEN).map(str::to_owned),
            asked_by: attribute(ASKED_BY).map(str::to_owned),
        })
    }

    /// The message's kind for the ledger. A replay that was redriven is redriven.
    #[must_use]
    pub fn kind(&self) -> Kind<String> {
        match self.source {
            _ if self.failure.is_some() => Kind::Redriven,
            Source::OpenAi => Kind::Delivery,
            Source::Reconcile => Kind::Reconciliation,
            Source::Replay => Kind::Replay { seen: self.seen_token.clone() },
        }
    }

    /// The attributes to send, by name. Their values are fit for SQS, which refuses some code points and empty values.
    #[must_use]
    pub fn attributes(&self) -> Vec<(&'static str, String)> {
        let mut attributes = vec![
            (WEBHOOK_ID, attribute_text(&self.webhook_id)),
            (WEBHOOK_TIMESTAMP, attribute_text(&self.webhook_timestamp)),
            (ENDPOINT, attribute_text(&self.endpoint)),
            (EVENT_TYPE, attribute_text(&self.event_type)),
            (RECEIVED_AT, self.received_at.to_string()),
            (SOURCE, self.source.as_str().to_owned()),
        ];
        let optional = [(FAILURE_REASON, &self.failure), (SEEN_TOKEN, &self.seen_token), (ASKED_BY, &self.asked_by)];
        let said = |(name, value): (_, &Option<String>)| Some((name, attribute_text(value.as_deref()?)));
        attributes.extend(optional.into_iter().filter_map(said));
        attributes
    }
}

impl fmt::Debug for Message {
    /// Identifiers only: a body is nobody's business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("webhook_id", &self.webhook_id)
            .field("endpoint", &self.endpoint)
            .field("event_type", &self.event_type)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

/// Whether SQS takes a code point: `#x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF`.
const fn is_accepted(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

/// Valid JSON without the code points that SQS refuses, with the same meaning.
///
/// JSON has ASCII alone outside of strings, and raw control characters nowhere. So only U+FFFE and U+FFFF can occur,
/// always within a string and never behind a backslash, where an escape says the same.
pub(super) fn escape(json: &str) -> Cow<'_, str> {
    // Both begin with this byte in UTF-8, and hardly any event has it.
    if !json.as_bytes().contains(&0xEF) || !json.contains(['\u{FFFE}', '\u{FFFF}']) {
        return Cow::Borrowed(json);
    }
    Cow::Owned(json.replace('\u{FFFE}', "\\ufffe").replace('\u{FFFF}', "\\uffff"))
}

/// Text that SQS takes as an attribute: whatever it refuses is replaced, and a dash stands for nothing at all.
/// Attributes help to find a message; what an event says stands in its body.
pub(super) fn attribute_text(text: &str) -> String {
    if text.is_empty() {
        return "-".to_owned();
    }
    // Nearly all of them are plain.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text.to_owned();
    }
    text.chars().map(|character| if is_accepted(character) { character } else { char::REPLACEMENT_CHARACTER }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Message {
        Message {
            body: "{}".to_owned(),
            webhook_id: "wh_1".to_owned(),
            webhook_timestamp: "0001750861210".to_owned(),
            endpoint: "project".to_owned(),
            event_type: "batch.completed".to_owned(),
            received_at: 1_750_861_210_042,
            source: Source::Replay,
            failure: Some("not_found".to_owned()),
            seen_token: Some("token".to_owned()),
            asked_by: Some("somebody".to_owned()),
        }
    }

    fn decode(attributes: &[(&'static str, String)]) -> Result<Message, MalformedMessage> {
        Message::decode("{}".to_owned(), |name| {
            attributes.iter().find(|(n, _)| *n == name).map(|(_, value)| value.as_str())
        })
    }

    #[test]
    fn a_message_survives_its_attributes() {
        assert_eq!(decode(&message().attributes()).unwrap(), message());
    }

    #[test]
    fn a_message_without_one_of_its_attributes_says_which() {
        let all = Message { failure: None, seen_token: None, asked_by: None, ..message() }.attributes();
        for (name, _) in &all {
            let others: Vec<_> = all.iter().filter(|(other, _)| other != name).cloned().collect();
            assert_eq!(decode(&others), Err(MalformedMessage(name)));
        }
    }

    #[test]
    fn a_redriven_replay_is_not_a_replay_any_more() {
        assert_eq!(message().kind(), Kind::Redriven);
        let replay = Message { failure: None, ..message() };
        assert_eq!(replay.kind(), Kind::Replay { seen: Some("token".to_owned()) });
        assert_eq!(Message { source: Source::OpenAi, ..replay }.kind(), Kind::Delivery);
    }

    #[test]
    fn what_sqs_refuses_in_a_body_is_escaped_and_means_the_same() {
        let body = "{\"a\":\"x\u{FFFE}y\u{FFFF}z\u{FFFD}\u{EF}\u{10FFFF}\"}";
        let escaped = escape(body);
        assert!(escaped.chars().all(is_accepted));
        let (before, after): (serde_json::Value, serde_json::Value) =
            (serde_json::from_str(body).unwrap(), serde_json::from_str(&escaped).unwrap());
        assert_eq!(before, after);
    }

    #[test]
    fn a_body_that_sqs_takes_is_not_touched() {
        for body in ["{}", "{\"a\":\"\u{FFFD}\u{EF} \u{7F}\"}"] {
            assert!(matches!(escape(body), Cow::Borrowed(same) if same == body));
        }
    }

    #[test]
    fn an_attribute_is_never_empty_and_has_no_code_point_that_sqs_refuses() {
        assert_eq!(attribute_text(""), "-");
        assert_eq!(attribute_text("batch.\u{0}\u{FFFF}é"), "batch.\u{FFFD}\u{FFFD}é");
    }

    #[test]
    fn debug_shows_no_body() {
        let message = Message { body: "{\"secret\":1}".to_owned(), ..message() };
        assert!(!format!("{message:?}").contains("secret"));
    }
}
