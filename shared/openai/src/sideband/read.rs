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
        let Some(name) = owned(name).filter(|name| !name.trim().is_empty()) else {
            return unreadable("without a type");
        };
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(api: CallApi, event: &Value) -> ServerEvent {
        match ServerMessage::read(api, event.to_string().as_bytes()) {
            ServerMessage::Event(event) => *event,
            ServerMessage::Audio { .. } => panic!("audio: {event}"),
        }
    }

    fn live(event: &Value) -> EventKind {
        read(CallApi::Live, event).kind
    }

    fn realtime(event: &Value) -> EventKind {
        read(CallApi::Realtime, event).kind
    }

    fn call(arguments: &str, delegation_id: Option<&str>) -> ToolCall {
        ToolCall {
            call_id: "call_1".to_owned(),
            name: "look_up".to_owned(),
            arguments: arguments.into(),
            delegation_id: delegation_id.map(str::to_owned),
        }
    }

    #[test]
    fn a_session_is_read_in_both_apis() {
        let session = json!({"id": "live_1", "model": "gpt-live-1", "status": "active", "expires_at": 1_795_230_915,
            "audio": {"output": {"voice": "marin"}}, "store": true});
        let state = SessionState {
            id: Some("live_1".to_owned()),
            model: Some("gpt-live-1".to_owned()),
            voice: Some("marin".to_owned()),
            expires_at: Some(1_795_230_915),
            store: Some(true),
        };
        assert_eq!(live(&json!({"type": "session.started", "session": session})), EventKind::Started(state.clone()));
        assert_eq!(
            realtime(&json!({"type": "session.created", "session": session})),
            EventKind::Started(state.clone())
        );
        assert_eq!(live(&json!({"type": "session.updated", "session": session})), EventKind::Updated(state));
        let own_voice =
            json!({"type": "session.started", "session": {"audio": {"output": {"voice": {"id": "voice_1"}}}}});
        let EventKind::Started(state) = live(&own_voice) else { panic!() };
        assert_eq!(state.voice.as_deref(), Some("voice_1"));
    }

    #[test]
    fn each_reason_of_an_end_is_read() {
        for reason in ["close_requested", "expired", "content", "remote_hangup", "connection_lost", "newer"] {
            let closed = live(&json!({"type": "session.closed", "reason": reason, "usage": {"seconds": 0}}));
            let EventKind::Closed { reason: read, seconds } = closed else { panic!() };
            assert_eq!((read.as_str(), seconds), (reason, Some(0)));
            assert_eq!(matches!(read, CloseReason::Other(_)), reason == "newer");
        }
    }

    #[test]
    fn both_sides_are_transcribed_in_both_apis() {
        let transcript = |side, text: &str, done, item_id: Option<&str>, span_ms| {
            let item_id = item_id.map(str::to_owned);
            EventKind::Transcript(Transcript { side, text: text.into(), done, item_id, span_ms })
        };
        let fragment = |kind: &str| json!({"type": kind, "delta": " Hi", "start_ms": 200, "end_ms": 400});
        assert_eq!(
            live(&fragment("session.input_transcript.delta")),
            transcript(Side::Caller, " Hi", false, None, Some((200, 400)))
        );
        assert_eq!(
            live(&fragment("session.output_transcript.delta")),
            transcript(Side::Model, " Hi", false, None, Some((200, 400)))
        );
        let heard = "conversation.item.input_audio_transcription";
        for (kind, member, side, done) in [
            (format!("{heard}.delta"), "delta", Side::Caller, false),
            (format!("{heard}.completed"), "transcript", Side::Caller, true),
            ("response.output_audio_transcript.delta".to_owned(), "delta", Side::Model, false),
            ("response.output_audio_transcript.done".to_owned(), "transcript", Side::Model, true),
        ] {
            let event = json!({"type": kind, "item_id": "item_1", member: "Hi."});
            assert_eq!(realtime(&event), transcript(side, "Hi.", done, Some("item_1"), None), "{kind}");
        }
    }

    #[test]
    fn a_tool_call_is_read_where_it_is_complete() {
        let item = |status: &str| json!({"type": "function_call", "status": status, "call_id": "call_1", "name": "look_up", "arguments": "{\"a\": 1}"});
        let nested = |item: Value| {
            json!({"type": "response.event", "delegation_id": "del_1",
                "event": {"type": "response.output_item.done", "output_index": 0, "item": item}})
        };
        assert_eq!(live(&nested(item("completed"))), EventKind::ToolCall(call("{\"a\": 1}", Some("del_1"))));
        let done = |item: Value| json!({"type": "response.output_item.done", "item": item});
        assert_eq!(realtime(&done(item("completed"))), EventKind::ToolCall(call("{\"a\": 1}", None)));
        for cut in [
            item("incomplete"),
            item("in_progress"),
            json!({"type": "message"}),
            json!({"type": "function_call"}),
            json!(7),
        ] {
            assert!(matches!(live(&nested(cut.clone())), EventKind::Other { .. }), "{cut}");
            assert!(matches!(realtime(&done(cut.clone())), EventKind::Other { .. }), "{cut}");
        }
    }

    #[test]
    fn the_end_of_a_response_has_its_usage_and_its_calls() {
        let usage = json!({"total_tokens": 253, "input_tokens": 132, "output_tokens": 121,
            "input_token_details": {"text_tokens": 119, "audio_tokens": 13, "cached_tokens": 64,
                "cached_tokens_details": {"text_tokens": 60, "audio_tokens": 4}},
            "output_token_details": {"text_tokens": 30, "audio_tokens": 91}});
        let output = json!([{"type": "message"}, {"type": "function_call", "call_id": "call_1", "name": "look_up",
            "arguments": "{}", "status": "completed"}]);
        let event = json!({"type": "response.done", "response": {"id": "resp_1", "status": "cancelled",
            "status_details": {"type": "cancelled", "reason": "turn_detected"}, "output": output, "usage": usage}});
        let expected = ResponseDone {
            response_id: Some("resp_1".to_owned()),
            delegation_id: None,
            status: "cancelled".to_owned(),
            reason: Some("turn_detected".to_owned()),
            model: None,
            usage: Some(TokenUsage {
                input: 132,
                input_text: 119,
                input_audio: 13,
                cached: 64,
                cached_audio: 4,
                cache_write: 0,
                output: 121,
                output_text: 30,
                output_audio: 91,
                total: 253,
            }),
            tool_calls: vec![call("{}", None)],
        };
        assert_eq!(realtime(&event), EventKind::ResponseDone(expected));

        let response = json!({"id": "resp_2", "status": "incomplete", "model": "gpt-6-luna",
            "incomplete_details": {"reason": "max_output_tokens"},
            "usage": {"input_tokens": 9, "input_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 3},
                "output_tokens": 4, "total_tokens": 13}});
        let event = json!({"type": "response.event", "delegation_id": "del_1",
            "event": {"type": "response.incomplete", "response": response}});
        let EventKind::ResponseDone(done) = live(&event) else { panic!() };
        assert_eq!((done.status.as_str(), done.reason.as_deref()), ("incomplete", Some("max_output_tokens")));
        assert_eq!((done.model.as_deref(), done.delegation_id.as_deref()), (Some("gpt-6-luna"), Some("del_1")));
        let usage = done.usage.unwrap();
        assert_eq!((usage.input, usage.cached, usage.cache_write, usage.output, usage.total), (9, 2, 3, 4, 13));
    }

    #[test]
    fn the_other_events_of_live_are_read() {
        let delegation = json!({"id": "del_1", "type": "delegation", "target": "responses", "response_id": "resp_1"});
        let expected = Delegation {
            id: "del_1".to_owned(),
            target: "responses".to_owned(),
            response_id: Some("resp_1".to_owned()),
            offset_ms: Some(800),
        };
        let event = json!({"type": "session.delegation.created", "delegation": delegation, "offset_ms": 800});
        assert_eq!(live(&event), EventKind::Delegation(expected));
        let event =
            json!({"type": "session.usage.updated", "usage": {"seconds": 61}, "context_window": {"usage_ratio": 0.25}});
        assert_eq!(live(&event), EventKind::Usage { seconds: Some(61), context_ratio: Some(0.25) });
        assert_eq!(live(&json!({"type": "transport.dtmf.received", "event": "5"})), EventKind::Dtmf("5".into()));
        assert_eq!(live(&json!({"type": "transport.dtmf.sent", "event": "5"})), EventKind::DtmfSent);
        assert_eq!(live(&json!({"type": "transport.ringing"})), EventKind::Ringing);
        assert_eq!(live(&json!({"type": "transport.answered"})), EventKind::Answered);
        let event =
            json!({"type": "transport.failed", "error": {"type": "call_error", "code": "busy", "message": "Busy."}});
        let EventKind::Failed(refusal) = live(&event) else { panic!() };
        assert_eq!(refusal.to_string(), "busy: Busy.");
        let event = json!({"type": "decision.event", "delegation_id": null, "trigger_id": "t",
            "event": {"type": "decision.completed", "decision": {"answers": [1]}}});
        let EventKind::Decision { delegation_id, trigger_id, decision } = live(&event) else { panic!() };
        assert_eq!((delegation_id, trigger_id.as_deref(), decision), (None, Some("t"), Some(json!({"answers": [1]}))));
        let event =
            json!({"type": "response.event", "event": {"type": "response.created", "response": {"id": "resp_1"}}});
        let expected = EventKind::ResponseCreated { response_id: Some("resp_1".to_owned()), delegation_id: None };
        assert_eq!(live(&event), expected);
        let appended =
            json!({"type": "session.thinking.appended", "client_event_id": "cmd_1", "start_ms": 1, "end_ms": 1});
        let event = read(CallApi::Live, &appended);
        assert_eq!(event.kind, EventKind::Acknowledged { name: "session.thinking.appended".to_owned() });
        assert_eq!(event.answers.as_deref(), Some("cmd_1"));
    }

    #[test]
    fn the_other_events_of_realtime_are_read() {
        for (name, kind) in [
            ("input_audio_buffer.speech_started", EventKind::SpeechStarted),
            ("input_audio_buffer.speech_stopped", EventKind::SpeechStopped),
            ("output_audio_buffer.started", EventKind::OutputStarted),
            ("output_audio_buffer.stopped", EventKind::OutputStopped),
            ("output_audio_buffer.cleared", EventKind::OutputCleared),
            ("rate_limits.updated", EventKind::Other { name: "rate_limits.updated".to_owned() }),
        ] {
            assert_eq!(realtime(&json!({"type": name})), kind);
        }
        let event = json!({"type": "input_audio_buffer.dtmf_event_received", "event": "#", "received_at": 1});
        assert_eq!(realtime(&event), EventKind::Dtmf("#".into()));
    }

    #[test]
    fn a_blank_type_is_none() {
        assert!(matches!(live(&json!({"type": " \n"})), EventKind::Unreadable { reason: "without a type", .. }));
    }

    #[test]
    fn an_event_of_the_other_api_is_an_unknown_one() {
        assert!(matches!(live(&json!({"type": "response.done"})), EventKind::Other { .. }));
        assert!(matches!(realtime(&json!({"type": "session.closed"})), EventKind::Other { .. }));
    }
}
