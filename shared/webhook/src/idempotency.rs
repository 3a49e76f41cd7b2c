//! What makes two events one.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::{Event, EventData};

/// The longest key, in bytes. A `DynamoDB` key has room for 2,048 with everything around it.
const MAX_BYTES: usize = 512;

/// The types that say how an object ended, which comes once for each object. A type that is not known here may come for
/// one object again and again.
const ENDS: [&str; 12] = [
    "batch.cancelled",
    "batch.completed",
    "batch.expired",
    "batch.failed",
    "fine_tuning.job.cancelled",
    "fine_tuning.job.failed",
    "fine_tuning.job.succeeded",
    "response.cancelled",
    "response.completed",
    "response.expired",
    "response.failed",
    "response.incomplete",
];

/// What makes two events one: those with the same key stand for one happening and act once.
///
/// | events | key |
/// |---|---|
/// | the end of a batch, a response or a fine-tuning job | the type and the object's id |
/// | an incoming call | `call/`, the API that it waits for (`realtime` or `live`), and the id of the call or session |
/// | everything else, unknown types too | `event/` and the event's id |
///
/// The SIP `Call-ID` says nothing here: a caller who tries again keeps it (RFC 3261, section 8.1.3.5). One call may
/// arrive for both APIs. Those are two events with a key each: only one of the APIs is to answer, and the event for the
/// other one, which does nothing, must not stand in its way.
///
/// A key that would be longer than 512 bytes is `sha256/` and its own hash instead.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    pub(crate) fn of(event: &Event) -> Self {
        let event_type = event.event_type.as_str();
        let (kind, id) = match (&event.data, event.object_id()) {
            (EventData::RealtimeCall { .. }, Some(call_id)) => ("call/realtime", call_id),
            (EventData::LiveTransport { .. }, Some(session_id)) if event_type.ends_with(".incoming") => {
                ("call/live", session_id)
            }
            (_, Some(object_id)) if ENDS.contains(&event_type) => (event_type, object_id),
            _ => ("event", event.id.as_str()),
        };
        Self::new(kind, id)
    }

    fn new(kind: &str, id: &str) -> Self {
        let key = format!("{kind}/{id}");
        if key.len() <= MAX_BYTES {
            return Self(key);
        }
        Self(format!("sha256/{}", URL_SAFE_NO_PAD.encode(Sha256::digest(key.as_bytes()))))
    }

    /// The key's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
