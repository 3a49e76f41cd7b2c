//! Data of each event type.

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::SipInvite;
use crate::sip::SipHeaders;

/// Data of an event, by its type.
///
/// Most events are thin: they name an object that has to be fetched. An optional member of an unexpected shape counts as
/// absent; a required one makes the data [`Other`](Self::Other).
#[derive(Clone)]
#[non_exhaustive]
pub enum EventData {
    /// An object to fetch by its id: a response, a batch, a fine-tuning job, an eval run, an agent's environment, a
    /// safety alert or case, a video. Also data of an unknown type that has an `id`.
    #[non_exhaustive]
    Object {
        /// The object's id.
        id: String,
    },
    /// `realtime.call.incoming`: an incoming phone call for the Realtime API.
    #[non_exhaustive]
    RealtimeCall {
        /// Id of the call (`rtc_…`) for accepting, rejecting, referring and hanging up.
        call_id: String,
        /// The SIP INVITE.
        invite: SipInvite,
    },
    /// `live.transport.incoming` and its predecessor `live.call.incoming` (an incoming phone call for the Live API), and
    /// `live.transport.connected` (a WebRTC session is connected).
    #[non_exhaustive]
    LiveTransport {
        /// The session's id (`live_…`).
        session_id: String,
        /// `sip`, `webrtc`, or a newer value. Absent from `live.call.incoming`, which is always SIP.
        transport: Option<String>,
        /// The SIP INVITE; empty for WebRTC.
        invite: SipInvite,
    },
    /// `agent.session.*`.
    #[non_exhaustive]
    AgentSession {
        /// The session's id (`sess_…`).
        id: String,
        /// `none`, `openai_hosted`, `self_hosted`, or a newer value.
        environment_type: Option<String>,
        /// The environment's id, if any.
        environment_id: Option<String>,
        /// `agent.session.created`: URL that a self-hosted environment connects to.
        remote_url: Option<String>,
        /// `agent.session.action_required`: kind of action, such as `function_call`. The session has the details.
        required_action: Option<String>,
    },
    /// `safety_identifier.blocked`: OpenAI blocks the requests for one of our users. There is nothing to fetch.
    #[non_exhaustive]
    SafetyIdentifier {
        /// Reason, such as `bio` or `cyber`.
        safety_category: String,
        /// The identifier sent with the user's requests.
        safety_identifier: String,
        /// The requested model.
        model: Option<String>,
        /// The requesting project.
        project_id: Option<String>,
        /// The blocked request.
        request_id: Option<String>,
    },
    /// Data of unknown shape, as received; `null` when absent.
    Other(Box<RawValue>),
}

impl EventData {
    /// Reads the data by the event's type. Never fails: data of unknown shape is [`Other`](Self::Other).
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

    /// Id of the event's object, if it has one.
    #[must_use]
    pub fn object_id(&self) -> Option<&str> {
        match self {
            Self::Object { id } | Self::AgentSession { id, .. } => Some(id),
            Self::RealtimeCall { call_id, .. } => Some(call_id),
            Self::LiveTransport { session_id, .. } => Some(session_id),
            Self::SafetyIdentifier { .. } | Self::Other(_) => None,
        }
    }

    /// Name of the variant.
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

/// Shows the variant and the object's id. The rest is personal data: phone numbers, identifiers, links.
impl fmt::Debug for EventData {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct(self.name()).field("object_id", &self.object_id()).finish_non_exhaustive()
    }
}

fn read<'a, T: Deserialize<'a>>(json: &'a RawValue) -> Option<T> {
    serde_json::from_str(json.get()).ok()
}

/// Reads a member of an unexpected shape as absent.
fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Option<T>, D::Error> {
    let json = <&RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(json.get()).ok())
}

/// `None` for an empty id, which counts as absent.
fn non_empty(id: String) -> Option<String> {
    Some(id).filter(|id| !id.is_empty())
}

#[derive(Deserialize)]
struct Object {
    id: String,
}

impl Object {
    fn into_data(self) -> Option<EventData> {
        Some(EventData::Object { id: non_empty(self.id)? })
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
        Some(EventData::RealtimeCall {
            call_id: non_empty(self.call_id)?,
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
        Some(EventData::LiveTransport {
            session_id: non_empty(self.session_id)?,
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
        Some(EventData::AgentSession {
            id: non_empty(self.id)?,
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
