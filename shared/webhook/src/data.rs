//! What the `data` of each event type holds.

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::SipInvite;
use crate::sip::SipHeaders;

/// What an event is about, by its type.
///
/// Most events are thin: they name an object that has to be fetched. An optional field of an unexpected shape counts as
/// absent; a required one makes the data [`Other`](Self::Other).
#[derive(Clone)]
#[non_exhaustive]
pub enum EventData {
    /// An object to be fetched by its id: a response, a batch, a fine-tuning job, a run of an eval, an agent's
    /// environment, a safety alert or case, a video. Also data of a type unknown here, when it has an `id`.
    #[non_exhaustive]
    Object {
        /// The object's id.
        id: String,
    },
    /// `realtime.call.incoming`: a phone call waits for the Realtime API.
    #[non_exhaustive]
    RealtimeCall {
        /// The call's id (`rtc_…`), which accepts, rejects, refers and hangs up.
        call_id: String,
        /// How the call came in.
        invite: SipInvite,
    },
    /// `live.transport.incoming` and its predecessor `live.call.incoming` (a phone call waits for the Live API), and
    /// `live.transport.connected` (a session over WebRTC is up).
    #[non_exhaustive]
    LiveTransport {
        /// The session's id (`live_…`).
        session_id: String,
        /// `sip`, `webrtc`, or something newer. `live.call.incoming` does not say: it is always SIP.
        transport: Option<String>,
        /// How the call came in; empty for WebRTC.
        invite: SipInvite,
    },
    /// `agent.session.*`.
    #[non_exhaustive]
    AgentSession {
        /// The session's id (`sess_…`).
        id: String,
        /// `none`, `openai_hosted`, `self_hosted`, or something newer.
        environment_type: Option<String>,
        /// The environment's id, when there is one.
        environment_id: Option<String>,
        /// `agent.session.created`: where a self-hosted environment connects to.
        remote_url: Option<String>,
        /// `agent.session.action_required`: what kind of action, such as `function_call`. The session has the details.
        required_action: Option<String>,
    },
    /// `safety_identifier.blocked`: requests made for one of our users are blocked. There is nothing to fetch.
    #[non_exhaustive]
    SafetyIdentifier {
        /// Why, such as `bio` or `cyber`.
        safety_category: String,
        /// The identifier that we sent along with our user's requests.
        safety_identifier: String,
        /// The model that was asked.
        model: Option<String>,
        /// The project that asked.
        project_id: Option<String>,
        /// The request that was blocked.
        request_id: Option<String>,
    },
    /// Data of no known shape, as it came; `null` when there is none.
    Other(Box<RawValue>),
}

impl EventData {
    /// Reads the data by the event's type. Never fails: what has no known shape is [`Other`](Self::Other).
    pub(crate) fn read(event_type: &str, json: &RawValue) -> Self {
        let known = match event_type {
            "realtime.call.incoming" => read(json).and_then(RealtimeCall::into_data),
            "live.transport.incoming" | "live.transport.connected" | "live.call.incoming" => {
                read(json).and_then(LiveTransport::into_data)
            }
            "safety_identifier.blocked" => read(json).map(SafetyIdentifier::into_data),
            _ if event_type.starts_with("agent.session.") => read(json).and_then(AgentSession::into_data),
            _ => read(json).and_then(Object::into_data),
        };
        known.unwrap_or_else(|| Self::Other(json.to_owned()))
    }

    /// The id of what the event is about, when it is about one thing.
    #[must_use]
    pub fn object_id(&self) -> Option<&str> {
        match self {
            Self::Object { id } | Self::AgentSession { id, .. } => Some(id),
            Self::RealtimeCall { call_id, .. } => Some(call_id),
            Self::LiveTransport { session_id, .. } => Some(session_id),
            Self::SafetyIdentifier { .. } | Self::Other(_) => None,
        }
    }

    /// The variant's name.
    const fn name(&self) -> &'static str {
        match self {
            Self::Object { .. } => "Object",
            Self::RealtimeCall { .. } => "RealtimeCall",
            Self::LiveTransport { .. } => "LiveTransport",
            Self::AgentSession { .. } => "AgentSession",
            Self::SafetyIdentifier { .. } => "SafetyIdentifier",
            Self::Other(_) => "Other",
        }
    }
}

/// Shows the variant and the object's id. The rest is about people: phone numbers, identifiers, links.
impl fmt::Debug for EventData {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct(self.name()).field("object_id", &self.object_id()).finish_non_exhaustive()
    }
}

fn read<'a, T: Deserialize<'a>>(json: &'a RawValue) -> Option<T> {
    serde_json::from_str(json.get()).ok()
}

/// Reads a field as absent when it has another shape than expected.
fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Option<T>, D::Error> {
    let json = <&RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(json.get()).ok())
}

/// An empty id names nothing.
fn named(id: &str) -> Option<()> {
    (!id.is_empty()).then_some(())
}

#[derive(Deserialize)]
struct Object {
    id: String,
}

impl Object {
    fn into_data(self) -> Option<EventData> {
        named(&self.id)?;
        Some(EventData::Object { id: self.id })
    }
}

#[derive(Deserialize)]
struct RealtimeCall {
    call_id: String,
    #[serde(default, deserialize_with = "lenient")]
    sip_headers: Option<SipHeaders>,
    #[serde(default, deserialize_with = "lenient")]
    sip_media_security: Option<String>,
}

impl RealtimeCall {
    fn into_data(self) -> Option<EventData> {
        named(&self.call_id)?;
        Some(EventData::RealtimeCall {
            call_id: self.call_id,
            invite: invite(self.sip_headers, self.sip_media_security),
        })
    }
}

#[derive(Deserialize)]
struct LiveTransport {
    session_id: String,
    #[serde(default, deserialize_with = "lenient", rename = "type")]
    transport: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    sip_headers: Option<SipHeaders>,
    #[serde(default, deserialize_with = "lenient")]
    sip_media_security: Option<String>,
}

impl LiveTransport {
    fn into_data(self) -> Option<EventData> {
        named(&self.session_id)?;
        Some(EventData::LiveTransport {
            session_id: self.session_id,
            transport: self.transport,
            invite: invite(self.sip_headers, self.sip_media_security),
        })
    }
}

fn invite(headers: Option<SipHeaders>, media_security: Option<String>) -> SipInvite {
    SipInvite { headers: headers.unwrap_or_default().0, media_security }
}

#[derive(Deserialize)]
struct AgentSession {
    id: String,
    #[serde(default, deserialize_with = "lenient")]
    environment_type: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    environment_id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    connect: Option<Connect>,
    #[serde(default, deserialize_with = "lenient")]
    required_action: Option<RequiredAction>,
}

#[derive(Deserialize)]
struct Connect {
    remote_url: String,
}

#[derive(Deserialize)]
struct RequiredAction {
    #[serde(rename = "type")]
    kind: String,
}

impl AgentSession {
    fn into_data(self) -> Option<EventData> {
        named(&self.id)?;
        Some(EventData::AgentSession {
            id: self.id,
            environment_type: self.environment_type,
            environment_id: self.environment_id,
            remote_url: self.connect.map(|connect| connect.remote_url),
            required_action: self.required_action.map(|action| action.kind),
        })
    }
}

#[derive(Deserialize)]
struct SafetyIdentifier {
    #[serde(rename = "safety_category")]
    category: String,
    #[serde(rename = "safety_identifier")]
    identifier: String,
    #[serde(default, deserialize_with = "lenient")]
    model: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    project_id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    request_id: Option<String>,
}

impl SafetyIdentifier {
    fn into_data(self) -> EventData {
        EventData::SafetyIdentifier {
            safety_category: self.category,
            safety_identifier: self.identifier,
            model: self.model,
            project_id: self.project_id,
            request_id: self.request_id,
        }
    }
}
