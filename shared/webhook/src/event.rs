//! Event model for consumers.

use std::borrow::Cow;
use std::fmt;

use serde_json::value::RawValue;
use thiserror::Error;

use crate::{Category, EventData, IdempotencyKey, Json};

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

/// The members that all events have.
pub(crate) struct Envelope<'a> {
    pub(crate) id: Cow<'a, str>,
    pub(crate) event_type: Cow<'a, str>,
    pub(crate) created_at: Option<Json<'a>>,
    pub(crate) data: Option<Json<'a>>,
}

impl<'a> Envelope<'a> {
    /// `None` without one id and one type: of two, readers would take different ones.
    pub(crate) fn parse(body: &'a str) -> Option<Self> {
        let json = Json::parse(body.as_bytes())?;
        let [id, event_type, created_at, data] = json.pick(["id", "type", "created_at", "data"]);
        let names = json.members().filter_map(|(name, _)| name.text());
        let is_unique = names.filter(|name| matches!(name.as_ref(), "id" | "type")).count() == 2;
        is_unique.then_some(Self { id: id?.text()?, event_type: event_type?.text()?, created_at, data })
    }
}

impl Event {
    /// Parses an event. Accepts every body that [`Signed::parse`](crate::Signed::parse) accepts.
    pub fn parse(body: &str) -> Result<Self, EventError> {
        let Envelope { id, event_type, created_at, data } = Envelope::parse(body).ok_or(EventError)?;
        Ok(Self {
            id: id.into_owned(),
            created_at: created_at.and_then(Json::seconds).unwrap_or_default(),
            data: EventData::read(&event_type, data),
            raw: RawValue::from_string(body.to_owned()).map_err(|_| EventError)?,
            event_type: event_type.into_owned(),
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
