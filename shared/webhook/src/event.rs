//! Event model for consumers.

use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;
use thiserror::Error;

use crate::{Category, EventData, IdempotencyKey};

/// Event: the envelope common to all types, and the data of its type.
///
/// Parsing is tolerant, because OpenAI adds types and fields without notice: every object with a `type` and an `id` is
/// an event, and unknown members stay readable in [`raw`](Self::raw).
#[derive(Clone)]
#[non_exhaustive]
pub struct Event {
    /// The event's id (`evt_…`).
    pub id: String,
    /// The event's type, such as `batch.completed`.
    pub event_type: String,
    /// Time of the event in Unix seconds; 0 when absent.
    pub created_at: i64,
    /// Data of the event's type.
    pub data: EventData,
    raw: Box<RawValue>,
}

/// The text is not a JSON object with a string `type` and a string `id`.
///
/// No detail is given, because the text must not get into a log.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("not a JSON object with a string `type` and a string `id`")]
pub struct EventError;

#[derive(Deserialize)]
struct Envelope<'a> {
    id: String,
    #[serde(rename = "type")]
    event_type: String,
    #[serde(borrow)]
    created_at: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

impl Event {
    /// Parses an event. Accepts every body that [`Signed::parse`](crate::Signed::parse) accepts.
    pub fn parse(body: &str) -> Result<Self, EventError> {
        let envelope: Envelope<'_> = serde_json::from_str(body).map_err(|_| EventError)?;
        if envelope.id.is_empty() || envelope.event_type.is_empty() {
            return Err(EventError);
        }
        let created_at = envelope.created_at.and_then(|json| serde_json::from_str(json.get()).ok());
        Ok(Self {
            created_at: created_at.unwrap_or(0),
            data: EventData::read(&envelope.event_type, envelope.data.unwrap_or(RawValue::NULL)),
            raw: RawValue::from_string(body.to_owned()).map_err(|_| EventError)?,
            id: envelope.id,
            event_type: envelope.event_type,
        })
    }

    /// Category of the event.
    #[must_use]
    pub fn category(&self) -> Category {
        Category::of(&self.event_type)
    }

    /// Id of the event's object: the batch, the response, the call, and so on.
    #[must_use]
    pub fn object_id(&self) -> Option<&str> {
        self.data.object_id()
    }

    /// The whole event as received, unknown members included.
    #[must_use]
    pub fn raw(&self) -> &RawValue {
        &self.raw
    }

    /// What this event's consequences are known by: two events with one key act once.
    #[must_use]
    pub fn idempotency_key(&self) -> IdempotencyKey {
        IdempotencyKey::of(self)
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Event")
            .field("id", &self.id)
            .field("event_type", &self.event_type)
            .field("created_at", &self.created_at)
            .field("object_id", &self.object_id())
            .finish_non_exhaustive()
    }
}
