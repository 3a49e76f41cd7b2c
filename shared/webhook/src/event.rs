//! What an event says, read by a consumer.

use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;
use thiserror::Error;

use crate::{Category, EventData, IdempotencyKey};

/// An event: the envelope that all have in common, and the data by the event's type.
///
/// Read tolerantly, because OpenAI adds types and fields without notice: whatever has a `type` and an `id` is an event,
/// and what its `data` holds beyond our knowledge stays readable in [`raw`](Self::raw).
#[derive(Clone)]
#[non_exhaustive]
pub struct Event {
    /// The event's id (`evt_…`).
    pub id: String,
    /// The event's type, such as `batch.completed`.
    pub event_type: String,
    /// When it happened, in Unix seconds; 0 when the event does not say.
    pub created_at: i64,
    /// What it is about.
    pub data: EventData,
    raw: Box<RawValue>,
}

/// The text is no JSON object with a string `type` and a string `id`.
///
/// It says no more, because the text itself must not get into a log.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("no JSON object with a string `type` and a string `id`")]
pub struct MalformedEvent;

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
    /// Reads an event. Whatever [`Signed::parse`](crate::Signed::parse) lets through is readable here.
    pub fn parse(body: &str) -> Result<Self, MalformedEvent> {
        let envelope: Envelope<'_> = serde_json::from_str(body).map_err(|_| MalformedEvent)?;
        if envelope.id.is_empty() || envelope.event_type.is_empty() {
            return Err(MalformedEvent);
        }
        let created_at = envelope.created_at.and_then(|json| serde_json::from_str(json.get()).ok());
        Ok(Self {
            created_at: created_at.unwrap_or(0),
            data: EventData::read(&envelope.event_type, envelope.data.unwrap_or(RawValue::NULL)),
            raw: RawValue::from_string(body.to_owned()).map_err(|_| MalformedEvent)?,
            id: envelope.id,
            event_type: envelope.event_type,
        })
    }

    /// What kind of thing the event is about.
    #[must_use]
    pub fn category(&self) -> Category {
        Category::of(&self.event_type)
    }

    /// The id of the object that the event is about: of the batch, the response, the call, and so on.
    #[must_use]
    pub fn object_id(&self) -> Option<&str> {
        self.data.object_id()
    }

    /// The whole event as it came, with every field that has no place here.
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
