//! What makes two events one.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::{Category, Event, EventData};

/// The longest key, in bytes. A `DynamoDB` key has room for 2,048 with everything around it.
const MAX_BYTES: usize = 512;

/// The last word of a type that is an object's end, which comes once for each object.
const TERMINAL: [&str; 7] = ["completed", "succeeded", "failed", "expired", "cancelled", "canceled", "incomplete"];

/// What an event's consequences are known by: two events with one key stand for one happening and act once.
///
/// | events | key |
/// |---|---|
/// | an incoming call | `call/`, the API that it waits for (`realtime/` or `live/`) and the SIP `Call-ID`, because one call can arrive as both `live.transport.incoming` and `live.call.incoming`; without that header the call's or session's own id |
/// | an object's end, such as `batch.completed` | the type and the object's id |
/// | everything else; and all of `agent.`, `safety.`, `safety_identifier.`, which repeat themselves | `event/` and the event's id |
///
/// One call may also arrive for both APIs. Those are two events with a key each: only one of the APIs is to answer, and
/// the event for the other one, which does nothing, must not stand in its way.
///
/// A key that would be longer than 512 bytes is `sha256/` and its own hash instead.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    pub(crate) fn of(event: &Event) -> Self {
        let event_type = event.event_type.as_str();
        let (kind, id) = match (&event.data, event.object_id()) {
            (EventData::RealtimeCall { invite, .. }, Some(object_id)) => {
                ("call/realtime", invite.call_id.as_deref().unwrap_or(object_id))
            }
            (EventData::LiveTransport { invite, .. }, Some(object_id)) if event_type.ends_with(".incoming") => {
                ("call/live", invite.call_id.as_deref().unwrap_or(object_id))
            }
            (_, Some(object_id)) if is_terminal(event_type) => (event_type, object_id),
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

fn is_terminal(event_type: &str) -> bool {
    let repeats = matches!(Category::of(event_type), Category::Agent | Category::Safety);
    let last = event_type.rsplit('.').next().unwrap_or_default();
    !repeats && TERMINAL.contains(&last)
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
