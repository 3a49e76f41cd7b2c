//! Invariant: nothing panics, an event is unreadable only if a usual parser says so, what is shown of it is short, and only
//! what names a type of audio is skipped as audio.
//!
//! The input is a server event; its first byte tells the API, `L` for Live.

#![no_main]

use hooks_openai::{CallApi, EventKind, ServerEvent, ServerMessage};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

const AUDIO: [&str; 3] = ["session.input_audio.append", "session.output_audio.delta", "response.output_audio.delta"];

/// Longest text that is shown, with the mark of its cut and a masked key at its end.
const SHOWN: usize = 310;

fuzz_target!(|input: &[u8]| {
    let Some((first, message)) = input.split_first() else { return };
    let api = if *first == b'L' { CallApi::Live } else { CallApi::Realtime };
    match ServerMessage::read(api, message) {
        ServerMessage::Audio { bytes, .. } => {
            assert_eq!(bytes, message.len());
            let text = String::from_utf8_lossy(message);
            assert!(AUDIO.iter().any(|name| text.contains(name)), "not audio");
        }
        ServerMessage::Event(event) => check(message, &event),
    }
});

fn check(message: &[u8], event: &ServerEvent) {
    match &event.kind {
        EventKind::Unreadable { bytes, .. } => {
            assert_eq!(*bytes, message.len());
            if let Ok(Value::Object(object)) = serde_json::from_slice(message) {
                assert!(!object.get("type").is_some_and(|kind| kind.as_str().is_some_and(|kind| !kind.trim().is_empty())));
            }
        }
        EventKind::Other { name } => assert!(!name.is_empty() && name.chars().count() <= SHOWN),
        EventKind::Error(refusal) | EventKind::Info(refusal) => assert!(refusal.to_string().chars().count() <= 3 * SHOWN + 10),
        EventKind::ToolCall(call) => assert!(!call.call_id.is_empty() && !call.name.is_empty()),
        EventKind::ResponseDone(done) => assert!(done.tool_calls.len() <= 64),
        _ => {}
    }
}
