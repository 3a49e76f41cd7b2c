//! Server events.

use serde_json::Value;

use super::error::Refusal;
use super::text::CallText;

/// A server event, reduced to the fields that are used. A field that is missing or of another type is absent; it never makes
/// the event unreadable.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ServerEvent {
    /// `event_...`
    pub id: Option<String>,
    /// Id of the client event that it confirms, or that it is the error of.
    pub answers: Option<String>,
    /// What happened.
    pub kind: EventKind,
}

/// What a server event tells.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum EventKind {
    /// The session has started (`session.started`; at Realtime `session.created`, the first event of each connection).
    Started(SessionState),
    /// The session's configuration has changed.
    Updated(SessionState),
    /// The session has ended. Live only: a Realtime session ends with its connection.
    Closed {
        /// Why.
        reason: CloseReason,
        /// Billable duration of the session in seconds.
        seconds: Option<u64>,
    },
    /// Words that were spoken.
    Transcript(Transcript),
    /// The model calls a tool. The same call may be told again: its id decides.
    ToolCall(ToolCall),
    /// The Live model has delegated work.
    Delegation(Delegation),
    /// A response has begun.
    ResponseCreated {
        /// `resp_...`
        response_id: Option<String>,
        /// The delegation that it is for.
        delegation_id: Option<String>,
    },
    /// A response has ended.
    ResponseDone(ResponseDone),
    /// Usage of a Live session so far; the values of several events are not to be added.
    Usage {
        /// Billable duration in seconds.
        seconds: Option<u64>,
        /// Part of the model's context that is in use, 0 to 1.
        context_ratio: Option<f64>,
    },
    /// The caller has pressed a key.
    Dtmf(CallText),
    /// A key was sent to the other side.
    DtmfSent,
    /// An outbound call rings.
    Ringing,
    /// An outbound call was answered.
    Answered,
    /// An outbound call could not be set up.
    Failed(Refusal),
    /// The caller has begun to speak. Realtime only.
    SpeechStarted,
    /// The caller has stopped speaking. Realtime only.
    SpeechStopped,
    /// The model is being heard. Realtime only.
    OutputStarted,
    /// All that the model had to say was heard. Realtime only.
    OutputStopped,
    /// What the model still had to say was dropped, by an interruption or a command. Realtime only.
    OutputCleared,
    /// An item was added to the conversation.
    ItemAdded {
        /// `item_...`, or the id that the client chose.
        item_id: Option<String>,
    },
    /// A command took effect that has no event of its own above.
    Acknowledged {
        /// The event's type, such as `session.commentary.appended`.
        name: String,
    },
    /// A decision of a Live session.
    Decision {
        /// The delegation that it is for; a trigger's has none.
        delegation_id: Option<String>,
        /// The trigger's firing; a delegation's has none.
        trigger_id: Option<String>,
        /// The decision, if it is not longer than 64 KiB.
        decision: Option<Value>,
    },
    /// An error. Most leave the session open.
    Error(Refusal),
    /// A notice.
    Info(Refusal),
    /// Any other event.
    Other {
        /// Its type.
        name: String,
    },
    /// A message that is not an event: binary, not JSON, not an object, or without a type.
    Unreadable {
        /// Its length.
        bytes: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// A session's configuration, reduced to the fields that are used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionState {
    /// `live_...` or `sess_...`
    pub id: Option<String>,
    /// The model.
    pub model: Option<String>,
    /// The name of the voice.
    pub voice: Option<String>,
    /// When it ends at the latest, in seconds since the epoch.
    pub expires_at: Option<i64>,
    /// Whether it is recorded.
    pub store: Option<bool>,
}

/// Why a Live session ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseReason {
    /// A close command or a hang-up through the API.
    CloseRequested,
    /// The limit of its duration.
    Expired,
    /// The safety filter.
    Content,
    /// The other side hung up.
    RemoteHangup,
    /// Its connection broke.
    ConnectionLost,
    /// Another reason, as OpenAI writes it; empty if it gave none.
    Other(String),
}

impl CloseReason {
    /// The reason as OpenAI writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::CloseRequested => "close_requested",
            Self::Expired => "expired",
            Self::Content => "content",
            Self::RemoteHangup => "remote_hangup",
            Self::ConnectionLost => "connection_lost",
            Self::Other(reason) => reason,
        }
    }
}

impl From<&str> for CloseReason {
    fn from(reason: &str) -> Self {
        match reason {
            "close_requested" => Self::CloseRequested,
            "expired" => Self::Expired,
            "content" => Self::Content,
            "remote_hangup" => Self::RemoteHangup,
            "connection_lost" => Self::ConnectionLost,
            other => Self::Other(other.to_owned()),
        }
    }
}

/// A side of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// Who called, or was called.
    Caller,
    /// The model.
    Model,
}

/// Words that were spoken.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transcript {
    /// Who spoke.
    pub side: Side,
    /// The next fragment; of a transcript that is done, all of it again.
    pub text: CallText,
    /// Whether it is the whole text of its item. Live knows fragments only.
    pub done: bool,
    /// The item of a Realtime conversation.
    pub item_id: Option<String>,
    /// Begin and end of a Live fragment, in milliseconds since the session began.
    pub span_ms: Option<(u64, u64)>,
}

/// A tool call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ToolCall {
    /// `call_...`; the result goes back under it.
    pub call_id: String,
    /// The tool's name.
    pub name: String,
    /// The arguments: JSON, as the model wrote it.
    pub arguments: CallText,
    /// The delegation of a Live session that needs it.
    pub delegation_id: Option<String>,
}

/// Work that the Live model has delegated.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delegation {
    /// Its id.
    pub id: String,
    /// Who does it: `client`, `responses`, `decisions`, or a newer kind.
    pub target: String,
    /// The response that does it.
    pub response_id: Option<String>,
    /// When, in milliseconds since the session began.
    pub offset_ms: Option<u64>,
}

/// The end of a response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResponseDone {
    /// `resp_...`
    pub response_id: Option<String>,
    /// The delegation that it was for.
    pub delegation_id: Option<String>,
    /// `completed`, `cancelled`, `failed`, `incomplete`, or a newer status.
    pub status: String,
    /// Why it was cancelled, failed or is incomplete, such as `turn_detected`.
    pub reason: Option<String>,
    /// The model.
    pub model: Option<String>,
    /// Its tokens.
    pub usage: Option<TokenUsage>,
    /// Its tool calls, in case their own events were missed. Realtime only: Live leaves them out here.
    pub tool_calls: Vec<ToolCall>,
}

/// Tokens of a response. What OpenAI does not say is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenUsage {
    /// All that the model read.
    pub input: u64,
    /// Text that it read.
    pub input_text: u64,
    /// Audio that it read.
    pub input_audio: u64,
    /// Tokens of `input` that were cached.
    pub cached: u64,
    /// Audio tokens of `cached`.
    pub cached_audio: u64,
    /// Tokens of `input` that were written to the cache.
    pub cache_write: u64,
    /// All that the model wrote.
    pub output: u64,
    /// Text that it wrote.
    pub output_text: u64,
    /// Audio that it wrote.
    pub output_audio: u64,
    /// Sum of `input` and `output`.
    pub total: u64,
}
