//! The events of a step, in order and in time.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

/// One thing that happens.
#[derive(Debug)]
pub(super) struct Beat {
    /// Call time after the one before it.
    pub(super) after_ms: u64,
    pub(super) act: Act,
    /// The response that it belongs to, which a command may cancel.
    pub(super) response: Option<String>,
}

#[derive(Debug)]
pub(super) enum Act {
    /// Time passes.
    Nothing,
    /// The session starts.
    Start,
    /// An event. Its id and its times are filled in when it is sent.
    Send(Value),
    Text(String),
    Binary(usize),
    /// Waits for a connection, or a client event of this type.
    Await(String),
    /// Waits for the result of this tool call and the answer to it.
    AwaitAnswer(String),
    /// A response begins or ends.
    Begin(String),
    End,
    Drop,
    /// The session ends for this reason.
    Close(String, Option<String>),
}

impl Beat {
    pub(super) const fn new(after_ms: u64, act: Act) -> Self {
        Self { after_ms, act, response: None }
    }

    pub(super) const fn send(after_ms: u64, event: Value) -> Self {
        Self::new(after_ms, Act::Send(event))
    }
}

/// Things that happen one after the other.
#[derive(Debug, Default)]
pub(super) struct Lane {
    pub(super) beats: VecDeque<Beat>,
    due: Option<Instant>,
}

impl Lane {
    pub(super) fn push(&mut self, beats: impl IntoIterator<Item = Beat>) {
        self.beats.extend(beats);
    }

    /// When its next beat is due.
    pub(super) fn due(&mut self, speed: f64) -> Option<Instant> {
        let front = self.beats.front()?;
        let pause = Duration::from_millis(front.after_ms).div_f64(speed);
        Some(*self.due.get_or_insert_with(|| Instant::now() + pause))
    }

    pub(super) fn pop(&mut self) -> Option<Beat> {
        self.due = None;
        self.beats.pop_front()
    }

    /// Drops what belongs to a response; whether there was any.
    pub(super) fn cancel(&mut self, response: &str) -> bool {
        let before = self.beats.len();
        self.beats.retain(|beat| beat.response.as_deref() != Some(response));
        if self.beats.len() < before {
            self.due = None;
        }
        self.beats.len() < before
    }
}

/// The words of a text as a transcript has them, with the white space before each.
pub(super) fn fragments(text: &str) -> Vec<String> {
    let words = text.split_whitespace().enumerate();
    words.map(|(at, word)| if at == 0 { word.to_owned() } else { format!(" {word}") }).collect()
}

/// What happens before the words that a caller interrupts, and those words.
pub(super) fn interrupted(text: &str) -> String {
    let words = fragments(text);
    words[..words.len().div_ceil(2)].concat()
}

/// The tokens of a text, about.
pub(super) fn tokens(text: &str) -> usize {
    text.len().div_ceil(4)
}

/// A placeholder for a time, filled in when the event is sent.
pub(super) const NOW: Value = Value::Null;

/// A tool call as an item of a conversation.
pub(super) fn function_call(call_id: &str, name: &str, arguments: &Value, status: &str) -> Value {
    let arguments = if status == "completed" { arguments.to_string() } else { String::new() };
    let id = format!("fc_{call_id}");
    json!({"id": id, "type": "function_call", "status": status, "call_id": call_id, "name": name, "arguments": arguments})
}
