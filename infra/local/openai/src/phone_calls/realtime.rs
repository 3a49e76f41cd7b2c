//! The wire format of a Realtime call.

use serde_json::{Map, Value, json};

use super::agenda::{Act, Beat, fragments, function_call, tokens};
use super::conversation::{Conversation, Refused};
use super::live::{WORD_MS, merge};
use super::plan::ToolStep;
use crate::ids::{hex_id, now};

/// The id of an item or a response, as short as items may have them.
fn id(prefix: &str) -> String {
    hex_id(prefix)[..21 + prefix.len()].to_owned()
}

/// The caller speaks. With a turn detector the server makes a message of it, and a transcript.
pub(super) fn caller(text: &str, config: &Value) -> Vec<Beat> {
    let item_id = id("item_");
    let mut beats = vec![Beat::send(
        100,
        json!({"type": "input_audio_buffer.speech_started", "audio_start_ms": 0, "item_id": item_id}),
    )];
    let length = WORD_MS * fragments(text).len() as u64;
    beats.push(Beat::send(
        length,
        json!({"type": "input_audio_buffer.speech_stopped", "audio_end_ms": length, "item_id": item_id}),
    ));
    if turns_are_detected(config) {
        beats.extend(committed(&item_id, text));
    }
    beats
}

pub(super) fn turns_are_detected(config: &Value) -> bool {
    !config["audio"]["input"].get("turn_detection").is_some_and(Value::is_null)
}

fn committed(item_id: &str, text: &str) -> Vec<Beat> {
    let item = json!({"id": item_id, "object": "realtime.item", "type": "message", "status": "completed", "role": "user",
        "content": [{"type": "input_audio", "transcript": null}]});
    let transcription = "conversation.item.input_audio_transcription";
    let mut beats = vec![
        Beat::send(0, json!({"type": "input_audio_buffer.committed", "previous_item_id": null, "item_id": item_id})),
        Beat::send(0, json!({"type": "conversation.item.added", "previous_item_id": null, "item": item})),
        Beat::send(0, json!({"type": "conversation.item.done", "previous_item_id": null, "item": item})),
    ];
    let delta = |delta: String| json!({"type": format!("{transcription}.delta"), "item_id": item_id, "content_index": 0, "delta": delta});
    beats.extend(fragments(text).into_iter().map(|word| Beat::send(20, delta(word))));
    let usage = json!({"type": "duration", "seconds": fragments(text).len().div_ceil(5)});
    beats.push(Beat::send(
        20,
        json!({"type": format!("{transcription}.completed"), "item_id": item_id, "content_index": 0,
            "transcript": text, "usage": usage}),
    ));
    beats
}

/// The model says something; `asked` is the `response` of the client event that asked for it.
pub(super) fn model(text: &str, asked: Option<&Value>, cut: bool) -> Vec<Beat> {
    let (response_id, item_id) = (id("resp_"), id("item_"));
    let metadata = asked.and_then(|asked| asked.get("metadata")).cloned().unwrap_or_default();
    let at = |kind: &str| json!({"type": kind, "response_id": response_id, "item_id": item_id, "output_index": 0, "content_index": 0});
    let with = |kind: &str, name: &str, value: Value| {
        let mut event = at(kind);
        event[name] = value;
        event
    };
    let item = |status: &str, content: Value| json!({"id": item_id, "object": "realtime.item", "type": "message", "status": status, "role": "assistant", "content": content});
    let part = json!({"type": "output_audio", "transcript": text});
    let status = if cut { "incomplete" } else { "completed" };
    let spoken = item(status, json!([part]));
    let open = item("in_progress", json!([]));
    let begun = response(&response_id, "in_progress", &metadata, &[], 0);
    let mut beats = vec![
        Beat::new(0, Act::Begin(response_id.clone())),
        Beat::send(0, json!({"type": "response.created", "response": begun})),
        Beat::send(
            150,
            json!({"type": "response.output_item.added", "response_id": response_id, "output_index": 0, "item": open}),
        ),
        Beat::send(0, json!({"type": "conversation.item.added", "previous_item_id": null, "item": open})),
        Beat::send(0, with("response.content_part.added", "part", json!({"type": "audio", "transcript": ""}))),
        Beat::send(50, json!({"type": "output_audio_buffer.started", "response_id": response_id})),
    ];
    let delta = |word: String| with("response.output_audio_transcript.delta", "delta", word.into());
    beats.extend(fragments(text).into_iter().map(|word| Beat::send(WORD_MS, delta(word))));
    let mut done = response(&response_id, "completed", &metadata, std::slice::from_ref(&spoken), tokens(text));
    if cut {
        beats.push(Beat::send(
            0,
            json!({"type": "input_audio_buffer.speech_started", "audio_start_ms": 0, "item_id": id("item_")}),
        ));
        beats.push(Beat::send(0, json!({"type": "output_audio_buffer.cleared", "response_id": response_id})));
        beats.push(Beat::send(
            0,
            json!({"type": "conversation.item.truncated", "item_id": item_id, "content_index": 0, "audio_end_ms": 400}),
        ));
        done["status"] = "cancelled".into();
        done["status_details"] = json!({"type": "cancelled", "reason": "turn_detected"});
    }
    beats.extend([
        Beat::send(0, at("response.output_audio.done")),
        Beat::send(0, with("response.output_audio_transcript.done", "transcript", text.into())),
        Beat::send(0, with("response.content_part.done", "part", json!({"type": "audio", "transcript": text}))),
        Beat::send(0, json!({"type": "conversation.item.done", "previous_item_id": null, "item": spoken})),
        Beat::send(
            0,
            json!({"type": "response.output_item.done", "response_id": response_id, "output_index": 0, "item": spoken}),
        ),
        Beat::new(0, Act::End),
        Beat::send(0, json!({"type": "response.done", "response": done})),
    ]);
    if !cut {
        beats.push(Beat::send(100, json!({"type": "output_audio_buffer.stopped", "response_id": response_id})));
    }
    beats.into_iter().map(|beat| Beat { response: Some(response_id.clone()), ..beat }).collect()
}

pub(super) fn tool(step: &ToolStep, call_id: &str) -> Vec<Beat> {
    let response_id = id("resp_");
    let item = |status: &str| function_call(call_id, &step.name, &step.arguments, status);
    let arguments = step.arguments.to_string();
    let at = |kind: &str, name: &str, value: Value| {
        let item_id = format!("fc_{call_id}");
        let mut event = json!({"type": kind, "response_id": response_id, "item_id": item_id, "output_index": 0, "call_id": call_id});
        event[name] = value;
        event
    };
    let item_event =
        |kind: &str, item: Value| json!({"type": kind, "response_id": response_id, "output_index": 0, "item": item});
    let mut arguments_done = at("response.function_call_arguments.done", "arguments", arguments.clone().into());
    arguments_done["name"] = step.name.clone().into();
    let mut beats = vec![
        Beat::new(0, Act::Begin(response_id.clone())),
        Beat::send(
            100,
            json!({"type": "response.created", "response": response(&response_id, "in_progress", &Value::Null, &[], 0)}),
        ),
        Beat::send(50, item_event("response.output_item.added", item("in_progress"))),
        Beat::send(
            0,
            json!({"type": "conversation.item.added", "previous_item_id": null, "item": item("in_progress")}),
        ),
        Beat::send(50, at("response.function_call_arguments.delta", "delta", arguments.clone().into())),
        Beat::send(0, arguments_done),
        Beat::send(0, json!({"type": "conversation.item.done", "previous_item_id": null, "item": item("completed")})),
    ];
    let done = item_event("response.output_item.done", item("completed"));
    beats.extend((0..step.copies).map(|_| Beat::send(0, done.clone())));
    let done = response(&response_id, "completed", &Value::Null, &[item("completed")], tokens(&arguments));
    beats.extend([Beat::new(0, Act::End), Beat::send(0, json!({"type": "response.done", "response": done}))]);
    beats
}

fn response(id: &str, status: &str, metadata: &Value, output: &[Value], output_tokens: usize) -> Value {
    let usage = json!({"input_tokens": 100, "output_tokens": output_tokens, "total_tokens": 100 + output_tokens,
        "input_token_details": {"text_tokens": 60, "audio_tokens": 40, "cached_tokens": 0,
            "cached_tokens_details": {"text_tokens": 0, "audio_tokens": 0}},
        "output_token_details": {"text_tokens": output_tokens / 4, "audio_tokens": output_tokens - output_tokens / 4}});
    json!({"id": id, "object": "realtime.response", "status": status, "status_details": null, "output": output,
        "metadata": metadata, "output_modalities": ["audio"],
        "usage": if status == "in_progress" { Value::Null } else { usage }})
}

pub(super) fn cancelled(id: &str) -> Vec<Beat> {
    let mut done = response(id, "cancelled", &Value::Null, &[], 0);
    done["status_details"] = json!({"type": "cancelled", "reason": "client_cancelled"});
    vec![Beat::new(0, Act::End), Beat::send(0, json!({"type": "response.done", "response": done}))]
}

/// The first event of each connection.
pub(super) fn created(call_id: &str, config: &Value, expires_at: i64) -> Value {
    json!({"type": "session.created", "session": snapshot(call_id, config, expires_at)})
}

pub(super) fn snapshot(call_id: &str, config: &Value, expires_at: i64) -> Value {
    let mut session = config.clone();
    session["object"] = "realtime.session".into();
    session["id"] = format!("sess_{}", call_id.trim_start_matches("rtc_")).into();
    session["expires_at"] = expires_at.into();
    session
}

/// What a client event does, or why it is refused. `active` is the response that is running.
pub(super) fn answer(
    event: &Map<String, Value>,
    config: &mut Value,
    conversation: &mut Conversation,
    active: Option<&str>,
    has_spoken: bool,
) -> Result<Vec<Beat>, Refused> {
    let kind = event.get("type").and_then(Value::as_str).unwrap_or_default();
    Ok(match kind {
        "session.update" => {
            update(event.get("session"), config, has_spoken)?;
            vec![Beat::send(0, json!({"type": "session.updated", "session": null}))]
        }
        "conversation.item.create" => {
            let mut item = event.get("item").filter(|item| item.is_object()).ok_or(Refused::missing("item"))?.clone();
            match item["id"].as_str() {
                Some(given) if given.len() > 32 => {
                    return Err(Refused::new("string_above_max_length", "item.id", "At most 32 characters."));
                }
                Some(given) => conversation.name(given)?,
                None => item["id"] = id("item_").into(),
            }
            if item["type"] == "function_call_output" {
                conversation.take(&item)?;
            }
            item["object"] = "realtime.item".into();
            item["status"] = "completed".into();
            let event = |kind: &str| json!({"type": kind, "previous_item_id": null, "item": item});
            vec![Beat::send(0, event("conversation.item.added")), Beat::send(0, event("conversation.item.done"))]
        }
        "conversation.item.delete" => {
            let item_id = event.get("item_id").ok_or(Refused::missing("item_id"))?;
            vec![Beat::send(0, json!({"type": "conversation.item.deleted", "item_id": item_id}))]
        }
        "response.create" if active.is_some() => {
            let message = "Conversation already has an active response in progress.";
            return Err(Refused::new("conversation_already_has_active_response", "type", message));
        }
        "response.create" => {
            let asked = event.get("response");
            let instructions = asked.and_then(|asked| asked["instructions"].as_str());
            let said =
                instructions.and_then(|text| text.lines().last()).map_or_else(|| conversation.reply(), str::to_owned);
            model(&said, asked, false)
        }
        "response.cancel" => {
            let message = "Cancellation failed: no active response found";
            cancelled(active.ok_or(Refused::new("response_cancel_not_active", "type", message))?)
        }
        "input_audio_buffer.commit" => {
            let Some(heard) = conversation.heard.take() else {
                let message = "Error committing input audio buffer: buffer too small.";
                return Err(Refused::new("input_audio_buffer_commit_empty", "type", message));
            };
            committed(&id("item_"), &heard)
        }
        "input_audio_buffer.clear" => {
            conversation.heard = None;
            vec![Beat::send(0, json!({"type": "input_audio_buffer.cleared"}))]
        }
        "output_audio_buffer.clear" => {
            let response_id = active.unwrap_or_default();
            vec![Beat::send(0, json!({"type": "output_audio_buffer.cleared", "response_id": response_id}))]
        }
        _ => return Err(Refused::new("invalid_value", "type", "No such client event.")),
    })
}

fn update(change: Option<&Value>, config: &mut Value, has_spoken: bool) -> Result<(), Refused> {
    let change = change.filter(|change| change.is_object()).ok_or(Refused::missing("session"))?;
    if change["type"] != "realtime" {
        return Err(Refused::missing("session.type"));
    }
    if change.get("model").is_some_and(|model| *model != config["model"]) {
        return Err(Refused::new("invalid_value", "session.model", "The model cannot be changed."));
    }
    if has_spoken && change["audio"]["output"].get("voice").is_some() {
        let message = "Cannot update a conversation's voice if assistant audio is present.";
        return Err(Refused::new("cannot_update_voice", "session.audio.output.voice", message));
    }
    merge(config, change);
    Ok(())
}

pub(super) fn keys(key: char) -> Value {
    json!({"type": "input_audio_buffer.dtmf_event_received", "event": key.to_string(), "received_at": now()})
}
