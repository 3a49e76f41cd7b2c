//! Tolerant reading of server events.

use hooks_webhook::CallApi;
use hooks_webhook::Json;

use super::audio;
use super::command::ASKED_BY;
use super::error::Refusal;
use super::event::{
    CloseReason, Delegation, EventKind, ResponseDone, ServerEvent, SessionState, Side, TokenUsage, ToolCall, Transcript,
};
use super::text::CallText;
use crate::for_display;
use crate::objects::{count, owned, text};

/// How many tool calls of one response are read.
const MAX_TOOL_CALLS: usize = 64;

/// A message from the server.
#[derive(Clone, Debug, PartialEq)]
pub enum ServerMessage {
    /// Reflected audio, which was not read.
    Audio {
        /// Whose voice it is.
        side: Side,
        /// Length of the message.
        bytes: usize,
    },
    /// Anything else.
    Event(Box<ServerEvent>),
}

impl ServerMessage {
    /// Reads a text message of any content.
    #[must_use]
    pub fn read(api: CallApi, message: &[u8]) -> Self {
        match audio::side_of(message) {
            Some(side) => Self::Audio { side, bytes: message.len() },
            None => Self::Event(Box::new(ServerEvent::read(api, message))),
        }
    }
}

impl ServerEvent {
    fn read(api: CallApi, message: &[u8]) -> Self {
        let unreadable = |reason| Self::unreadable(message.len(), reason);
        let Some(json) = Json::parse(message) else { return unreadable("not JSON") };
        if !json.is_object() {
            return unreadable("not an object");
        }
        let [name, id, answers] = json.pick(["type", "event_id", "client_event_id"]);
        let Some(name) = owned(name) else { return unreadable("without a type") };
        let kind = match api {
            CallApi::Live => live(&name, json),
            CallApi::Realtime => realtime(&name, json),
        };
        let kind =
            kind.or_else(|| shared(&name, json)).unwrap_or_else(|| EventKind::Other { name: for_display(&name) });
        Self { id: owned(id), answers: owned(answers).or_else(|| answered(json, &kind)), kind }
    }

    pub(super) const fn unreadable(bytes: usize, reason: &'static str) -> Self {
        Self { id: None, answers: None, kind: EventKind::Unreadable { bytes, reason } }
    }
}

/// The client event that an event without a `client_event_id` of its own belongs to.
fn answered(json: Json<'_>, kind: &EventKind) -> Option<String> {
    match kind {
        EventKind::Error(_) => {
            let [live, realtime] = json.get("error")?.pick(["client_event_id", "event_id"]);
            owned(live).or_else(|| owned(realtime))
        }
        EventKind::ResponseCreated { .. } => owned(json.at("/response/metadata")?.get(ASKED_BY)),
        _ => None,
    }
}

/// Events that both APIs have.
fn shared(name: &str, json: Json<'_>) -> Option<EventKind> {
    Some(match name {
        "session.updated" => EventKind::Updated(session(json)),
        "error" => EventKind::Error(refusal(json.get("error").unwrap_or(json))),
        "info" => EventKind::Info(refusal(json)),
        _ => return None,
    })
}

fn live(name: &str, json: Json<'_>) -> Option<EventKind> {
    Some(match name {
        "session.started" => EventKind::Started(session(json)),
        "session.closed" => EventKind::Closed {
            reason: CloseReason::from(for_display(&text(json, "reason").unwrap_or_default()).as_str()),
            seconds: seconds(json),
        },
        "session.input_transcript.delta" => fragment(json, Side::Caller),
        "session.output_transcript.delta" => fragment(json, Side::Model),
        "session.delegation.created" => EventKind::Delegation(delegation(json.get("delegation")?, json)?),
        "session.usage.updated" => EventKind::Usage {
            seconds: seconds(json),
            context_ratio: json.at("/context_window/usage_ratio").and_then(ratio),
        },
        "response.event" => nested(json)?,
        "decision.event" => EventKind::Decision {
            delegation_id: text(json, "delegation_id"),
            trigger_id: text(json, "trigger_id"),
            decision: json.at("/event/decision").and_then(Json::value),
        },
        "transport.dtmf.received" => EventKind::Dtmf(words(json, "event")),
        // The second is the older name.
        "transport.dtmf.sent" | "transport.dtmf.send" => EventKind::DtmfSent,
        "transport.ringing" => EventKind::Ringing,
        "transport.answered" => EventKind::Answered,
        "transport.failed" => EventKind::Failed(refusal(json.get("error").unwrap_or(json))),
        "session.instructions.appended"
        | "session.thinking.appended"
        | "session.commentary.appended"
        | "session.input_audio.muted"
        | "session.input_audio.unmuted"
        | "decision.item.created"
        | "decision.item.deleted" => EventKind::Acknowledged { name: name.to_owned() },
        _ => return None,
    })
}

/// An event of the Responses backend, which Live passes on.
fn nested(json: Json<'_>) -> Option<EventKind> {
    let event = json.get("event")?;
    let delegation_id = text(json, "delegation_id");
    let response = event.get("response").unwrap_or(event);
    Some(match text(event, "type")?.as_str() {
        "response.created" => EventKind::ResponseCreated { response_id: text(response, "id"), delegation_id },
        "response.completed" | "response.failed" | "response.incomplete" | "response.cancelled" => {
            EventKind::ResponseDone(done(response, delegation_id))
        }
        "response.output_item.done" => EventKind::ToolCall(tool_call(event.get("item")?, delegation_id)?),
        name => EventKind::Other { name: for_display(name) },
    })
}

fn realtime(name: &str, json: Json<'_>) -> Option<EventKind> {
    let response = json.get("response").unwrap_or(json);
    Some(match name {
        "session.created" => EventKind::Started(session(json)),
        "conversation.item.input_audio_transcription.delta" => spoken(json, Side::Caller, "delta", false),
        "conversation.item.input_audio_transcription.completed" => spoken(json, Side::Caller, "transcript", true),
        "response.output_audio_transcript.delta" => spoken(json, Side::Model, "delta", false),
        "response.output_audio_transcript.done" => spoken(json, Side::Model, "transcript", true),
        "response.created" => EventKind::ResponseCreated { response_id: text(response, "id"), delegation_id: None },
        "response.output_item.done" => EventKind::ToolCall(tool_call(json.get("item")?, None)?),
        "response.done" => EventKind::ResponseDone(done(response, None)),
        // The second is the older name. `conversation.item.done` follows and tells nothing new.
        "conversation.item.added" | "conversation.item.created" => {
            EventKind::ItemAdded { item_id: json.get("item").and_then(|item| text(item, "id")) }
        }
        "input_audio_buffer.speech_started" => EventKind::SpeechStarted,
        "input_audio_buffer.speech_stopped" => EventKind::SpeechStopped,
        "output_audio_buffer.started" => EventKind::OutputStarted,
        "output_audio_buffer.stopped" => EventKind::OutputStopped,
        "output_audio_buffer.cleared" => EventKind::OutputCleared,
        "input_audio_buffer.dtmf_event_received" => EventKind::Dtmf(words(json, "event")),
        "input_audio_buffer.committed" | "input_audio_buffer.cleared" => {
            EventKind::Acknowledged { name: name.to_owned() }
        }
        _ => return None,
    })
}

fn session(json: Json<'_>) -> SessionState {
    let Some(json) = json.get("session") else { return SessionState::default() };
    let [id, model, expires_at, store] = json.pick(["id", "model", "expires_at", "store"]);
    let voice = json.at("/audio/output/voice");
    SessionState {
        id: owned(id),
        model: owned(model),
        // A voice of the account's own is an object.
        voice: owned(voice).or_else(|| owned(voice?.get("id"))),
        expires_at: expires_at.and_then(Json::seconds),
        store: store.and_then(Json::flag),
    }
}

fn fragment(json: Json<'_>, side: Side) -> EventKind {
    let [begin, end] = json.pick(["start_ms", "end_ms"]).map(|time| time.and_then(Json::count));
    let text = words(json, "delta");
    EventKind::Transcript(Transcript { side, text, done: false, item_id: None, span_ms: begin.zip(end) })
}

fn spoken(json: Json<'_>, side: Side, member: &str, done: bool) -> EventKind {
    let (text, item_id) = (words(json, member), text(json, "item_id"));
    EventKind::Transcript(Transcript { side, text, done, item_id, span_ms: None })
}

fn words(json: Json<'_>, member: &str) -> CallText {
    text(json, member).unwrap_or_default().into()
}

fn delegation(json: Json<'_>, event: Json<'_>) -> Option<Delegation> {
    Some(Delegation {
        id: text(json, "id")?,
        target: text(json, "target").map(|target| for_display(&target)).unwrap_or_default(),
        response_id: text(json, "response_id"),
        offset_ms: count(event, "offset_ms"),
    })
}

/// `None` for another item, and for a call that was cut off: its arguments are not all there.
fn tool_call(item: Json<'_>, delegation_id: Option<String>) -> Option<ToolCall> {
    let [kind, status, call_id, name, arguments] =
        item.pick(["type", "status", "call_id", "name", "arguments"]).map(owned);
    if kind? != "function_call" || matches!(status.as_deref(), Some("incomplete" | "in_progress")) {
        return None;
    }
    Some(ToolCall { call_id: call_id?, name: name?, arguments: arguments.unwrap_or_default().into(), delegation_id })
}

fn done(response: Json<'_>, delegation_id: Option<String>) -> ResponseDone {
    let [id, status, model, usage, output] = response.pick(["id", "status", "model", "usage", "output"]);
    let reason = ["/status_details/reason", "/status_details/error/code", "/incomplete_details/reason", "/error/code"];
    let calls = output.into_iter().flat_map(Json::items).filter_map(|item| tool_call(item, delegation_id.clone()));
    let tool_calls = calls.take(MAX_TOOL_CALLS).collect();
    ResponseDone {
        response_id: owned(id),
        delegation_id,
        status: owned(status).map(|status| for_display(&status)).unwrap_or_default(),
        reason: reason.iter().find_map(|at| owned(response.at(at))).map(|reason| for_display(&reason)),
        model: owned(model),
        usage: usage.filter(|usage| usage.is_object()).map(tokens),
        tool_calls,
    }
}

/// Realtime's names, and those of the Responses backend.
fn tokens(usage: Json<'_>) -> TokenUsage {
    let part = |places: [&str; 2]| places.iter().find_map(|at| usage.at(at)?.count()).unwrap_or_default();
    TokenUsage {
        input: count(usage, "input_tokens").unwrap_or_default(),
        input_text: part(["/input_token_details/text_tokens", "/input_tokens_details/text_tokens"]),
        input_audio: part(["/input_token_details/audio_tokens", "/input_tokens_details/audio_tokens"]),
        cached: part(["/input_token_details/cached_tokens", "/input_tokens_details/cached_tokens"]),
        cached_audio: part([
            "/input_token_details/cached_tokens_details/audio_tokens",
            "/input_tokens_details/cached_tokens_details/audio_tokens",
        ]),
        cache_write: part(["/input_token_details/cache_write_tokens", "/input_tokens_details/cache_write_tokens"]),
        output: count(usage, "output_tokens").unwrap_or_default(),
        output_text: part(["/output_token_details/text_tokens", "/output_tokens_details/text_tokens"]),
        output_audio: part(["/output_token_details/audio_tokens", "/output_tokens_details/audio_tokens"]),
        total: count(usage, "total_tokens").unwrap_or_default(),
    }
}

fn refusal(json: Json<'_>) -> Refusal {
    let [code, kind, message, param] = json.pick(["code", "type", "message", "param"]).map(owned);
    let [code, message, param] = [code.or(kind), message, param].map(|text| text.map(|text| for_display(&text)));
    Refusal { code, message, param }
}

/// Billable seconds, which come with or without a fraction.
fn seconds(json: Json<'_>) -> Option<u64> {
    let seconds = json.at("/usage/seconds")?;
    seconds.count().or_else(|| u64::try_from(seconds.seconds()?).ok())
}

fn ratio(json: Json<'_>) -> Option<f64> {
    str::from_utf8(json.bytes()).ok()?.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio))
}
