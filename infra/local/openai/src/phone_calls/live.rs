//! The wire format of a Live session.

use serde_json::{Map, Value, json};

use super::agenda::{Act, Beat, NOW, fragments, function_call, tokens};
use super::conversation::{Conversation, Refused};
use super::plan::ToolStep;
use crate::ids::hex_id;

/// Longest text of an append, in tokens.
const MAX_APPEND_TOKENS: usize = 500;

/// Call time of a word.
pub(super) const WORD_MS: u64 = 200;

/// What a session's snapshot adds to its configuration.
pub(super) fn snapshot(id: &str, config: &Value, expires_at: i64) -> Value {
    let mut session = config.clone();
    session["id"] = id.into();
    session["status"] = "active".into();
    session["expires_at"] = expires_at.into();
    session["object"] = "live.session".into();
    if session["audio"]["output"]["voice"].is_null() {
        session["audio"] = json!({"output": {"voice": "marin"}});
    }
    session
}

pub(super) fn caller(text: &str) -> Vec<Beat> {
    spoken("session.input_transcript.delta", text)
}

pub(super) fn model(text: &str) -> Vec<Beat> {
    spoken("session.output_transcript.delta", text)
}

fn spoken(kind: &str, text: &str) -> Vec<Beat> {
    let event = |delta: String| json!({"type": kind, "delta": delta, "start_ms": NOW, "end_ms": NOW});
    fragments(text).into_iter().map(|delta| Beat::send(WORD_MS, event(delta))).collect()
}

pub(super) fn delegation(target: &str, id: &str, response_id: Option<&str>) -> Beat {
    let mut delegation = json!({"id": id, "type": "delegation", "target": target});
    if let Some(response_id) = response_id {
        delegation["response_id"] = response_id.into();
    }
    Beat::send(100, json!({"type": "session.delegation.created", "delegation": delegation, "offset_ms": NOW}))
}

/// The delegation's nested stream up to the call, whose result the client owes.
pub(super) fn tool(step: &ToolStep, call_id: &str, model: &Value) -> Vec<Beat> {
    let (id, response_id) = (hex_id("deleg_"), hex_id("resp_"));
    let nested = |event: Value| Beat::send(50, json!({"type": "response.event", "delegation_id": id, "event": event}));
    let item = |status: &str| function_call(call_id, &step.name, &step.arguments, status);
    let done = json!({"type": "response.output_item.done", "output_index": 0, "item": item("completed")});
    let mut beats = vec![
        delegation("responses", &id, Some(&response_id)),
        nested(json!({"type": "response.created", "response": response(&response_id, "in_progress", model, "")})),
        nested(json!({"type": "response.output_item.added", "output_index": 0, "item": item("in_progress")})),
    ];
    beats.extend((0..step.copies).map(|_| nested(done.clone())));
    let arguments = step.arguments.to_string();
    beats.push(nested(
        json!({"type": "response.completed", "response": response(&response_id, "completed", model, &arguments)}),
    ));
    beats
}

/// Lifecycle snapshots leave out input and output.
fn response(id: &str, status: &str, model: &Value, output: &str) -> Value {
    let output_tokens = tokens(output);
    let usage = json!({"input_tokens": 200, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": output_tokens, "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 200 + output_tokens});
    json!({"id": id, "object": "response", "status": status, "model": model, "output": [],
        "usage": if status == "completed" { usage } else { Value::Null }})
}

/// What a client event does, or why it is refused.
pub(super) fn answer(
    event: &Map<String, Value>,
    config: &mut Value,
    conversation: &mut Conversation,
) -> Result<Vec<Beat>, Refused> {
    let kind = event.get("type").and_then(Value::as_str).unwrap_or_default();
    let text = |name: &'static str| match event.get(name).and_then(Value::as_str) {
        Some(text) if !text.trim().is_empty() => Ok(text),
        _ => Err(Refused::missing(name)),
    };
    let id = event.get("event_id").cloned().unwrap_or_default();
    let own = |mut event: Value| {
        if id.is_string() {
            event["client_event_id"] = id.clone();
        }
        Beat::send(0, event)
    };
    let has_responses = config["delegation"]["type"] == "responses";
    Ok(match kind {
        "session.update" => {
            update(event.get("session"), config)?;
            vec![own(json!({"type": "session.updated", "session": NOW}))]
        }
        "session.instructions.append" | "session.thinking.append" | "session.commentary.append" => {
            let content = text("content")?;
            if tokens(content) > MAX_APPEND_TOKENS {
                return Err(Refused::new("string_above_max_length", "content", "At most 500 tokens."));
            }
            if !event.contains_key("delegation_id") {
                return Err(Refused::missing("delegation_id"));
            }
            if has_responses && !event["delegation_id"].is_null() {
                return Err(Refused::new("invalid_value", "delegation_id", "The delegation is not the client's."));
            }
            let confirmation = own(json!({"type": format!("{kind}ed"), "start_ms": NOW, "end_ms": NOW}));
            let says = if kind == "session.commentary.append" { model(content) } else { Vec::new() };
            std::iter::once(confirmation).chain(says).collect()
        }
        "session.input_audio.mute" | "session.input_audio.unmute" => vec![own(json!({"type": format!("{kind}d")}))],
        "response.item.create" | "response.create" if !has_responses => {
            return Err(Refused::new("invalid_request", "type", "The session has no Responses backend."));
        }
        "response.item.create" => {
            let item = event.get("item").ok_or(Refused::missing("item"))?;
            if item["type"] == "function_call_output" {
                conversation.take(item)?;
            }
            Vec::new()
        }
        "response.create" => {
            let (response_id, backend) = (hex_id("resp_"), &config["delegation"]["responses"]["model"]);
            let text = conversation.reply();
            let nested = |event: Value| json!({"type": "response.event", "delegation_id": null, "event": event});
            let created =
                json!({"type": "response.created", "response": response(&response_id, "in_progress", backend, "")});
            let said = json!({"type": "response.output_text.done", "text": text});
            let done =
                json!({"type": "response.completed", "response": response(&response_id, "completed", backend, &text)});
            let head = [own(nested(created)), Beat::send(50, nested(said)), Beat::send(50, nested(done))];
            head.into_iter().chain(model(&text)).collect()
        }
        "decision.create" => {
            let event = json!({"type": "decision.completed", "decision": {"answers": []}});
            vec![own(json!({"type": "decision.event", "delegation_id": null, "event": event}))]
        }
        "decision.item.create" => {
            let mut item = event.get("item").ok_or(Refused::missing("item"))?.clone();
            item["id"] = hex_id("item_").into();
            vec![own(json!({"type": "decision.item.created", "item": item}))]
        }
        "decision.item.delete" => vec![own(json!({"type": "decision.item.deleted", "item_id": text("item_id")?}))],
        "transport.dtmf.send" => {
            let key = text("event")?;
            if key.len() != 1 || !key.contains(|key: char| "0123456789ABCD*#".contains(key)) {
                return Err(Refused::new("invalid_value", "event", "One of 0-9, A-D, * and #."));
            }
            vec![own(json!({"type": "transport.dtmf.sent", "event": key}))]
        }
        "session.close" => {
            vec![Beat::new(0, Act::Close("close_requested".to_owned(), id.as_str().map(str::to_owned)))]
        }
        "session.start" => return Err(Refused::new("session_already_started", "type", "The session has started.")),
        _ => return Err(Refused::new("unknown_event", "type", "No such client event.")),
    })
}

/// Only delegation and triggers can change; the owner of the delegation cannot.
fn update(change: Option<&Value>, config: &mut Value) -> Result<(), Refused> {
    let change = change.and_then(Value::as_object).ok_or(Refused::missing("session"))?;
    for (name, value) in change {
        match name.as_str() {
            "delegation" if value["type"] != config["delegation"]["type"] => {
                return Err(Refused::new(
                    "invalid_value",
                    "session.delegation.type",
                    "The delegation type cannot change.",
                ));
            }
            "delegation" => merge(&mut config["delegation"], value),
            "triggers" => config["triggers"] = value.clone(),
            _ => return Err(Refused::new("unknown_parameter", "session", "Only delegation and triggers can change.")),
        }
    }
    Ok(())
}

/// Members that are left out keep their values.
pub(super) fn merge(into: &mut Value, change: &Value) {
    match (into, change) {
        (Value::Object(into), Value::Object(change)) => {
            for (name, value) in change {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, change) => *into = change.clone(),
    }
}
