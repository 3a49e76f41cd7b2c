//! Data of each event type.

use std::borrow::Cow;
use std::fmt;

use serde_json::value::RawValue;

use crate::{Json, SipInvite};

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
    pub(crate) fn read(event_type: &str, json: Option<Json<'_>>) -> Self {
        json.and_then(|json| Self::known(event_type, json)).unwrap_or_else(|| Self::Other(raw(json)))
    }

    fn known(event_type: &str, json: Json<'_>) -> Option<Self> {
        Some(match event_type {
            "realtime.call.incoming" => {
                let [call_id, headers, media_security] = json.pick(["call_id", "sip_headers", "sip_media_security"]);
                Self::RealtimeCall { call_id: text(call_id)?, invite: SipInvite::read(headers, media_security) }
            }
            "live.transport.incoming" | "live.transport.connected" | "live.call.incoming" => {
                let [session_id, transport, headers, media_security] =
                    json.pick(["session_id", "type", "sip_headers", "sip_media_security"]);
                let invite = SipInvite::read(headers, media_security);
                Self::LiveTransport { session_id: text(session_id)?, transport: text(transport), invite }
            }
            "safety_identifier.blocked" => {
                let [category, identifier, model, project_id, request_id] =
                    json.pick(["safety_category", "safety_identifier", "model", "project_id", "request_id"]);
                Self::SafetyIdentifier {
                    safety_category: category?.string()?.into_owned(),
                    safety_identifier: identifier?.string()?.into_owned(),
                    model: text(model),
                    project_id: text(project_id),
                    request_id: text(request_id),
                }
            }
            _ if event_type.starts_with("agent.session.") => Self::AgentSession {
                id: text(json.get("id"))?,
                environment_type: text(json.get("environment_type")),
                environment_id: text(json.get("environment_id")),
                remote_url: text(json.at("/connect/remote_url")),
                required_action: text(json.at("/required_action/type")),
            },
            _ => Self::Object { id: text(json.get("id"))? },
        })
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

fn text(json: Option<Json<'_>>) -> Option<String> {
    json?.text().map(Cow::into_owned)
}

fn raw(json: Option<Json<'_>>) -> Box<RawValue> {
    let text = json.and_then(|json| String::from_utf8(json.bytes().to_vec()).ok());
    text.and_then(|text| RawValue::from_string(text).ok()).unwrap_or_else(|| RawValue::NULL.to_owned())
}
