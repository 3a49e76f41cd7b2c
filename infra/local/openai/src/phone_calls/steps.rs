//! The beats of each step of a script.

use serde_json::json;

use super::agenda::{Act, Beat, interrupted};
use super::plan::{Step, ToolStep};
use super::session::{Api, Session};
use super::{live, realtime};
use crate::ids::hex_id;

pub(super) fn beats(step: Step, session: &mut Session) -> Vec<Beat> {
    let is_live = session.api == Api::Live;
    match step {
        Step::Wait(milliseconds) => vec![Beat::new(milliseconds, Act::Nothing)],
        Step::Await(kind) => vec![Beat::new(0, Act::Await(kind))],
        Step::Caller(text) if is_live => live::caller(&text),
        Step::Caller(text) => {
            if !realtime::turns_are_detected(&session.config) {
                session.conversation.heard = Some(text.clone());
            }
            realtime::caller(&text, &session.config)
        }
        Step::Model(text) if is_live => live::model(&text),
        Step::Model(text) => realtime::model(&text, None, false),
        Step::BargeIn { model, caller } if is_live => {
            live::model(&interrupted(&model)).into_iter().chain(live::caller(&caller)).collect()
        }
        Step::BargeIn { model, caller } => {
            let mut beats = realtime::model(&interrupted(&model), None, true);
            // The interruption has told already that the caller speaks.
            beats.extend(realtime::caller(&caller, &session.config).into_iter().skip(1));
            beats
        }
        Step::Tool(step) => tool(&step, session),
        Step::Delegate(target) => vec![live::delegation(&target, &hex_id("deleg_"), None)],
        Step::Dtmf(keys) => {
            let event = |key: char| {
                if is_live {
                    json!({"type": "transport.dtmf.received", "event": key.to_string()})
                } else {
                    realtime::keys(key)
                }
            };
            keys.chars().map(|key| Beat::send(150, event(key))).collect()
        }
        Step::Transport { state, code } => {
            let mut event = json!({"type": format!("transport.{state}"), "session_id": session.id()});
            if let Some(code) = code {
                let message = "The call could not be set up.";
                event["error"] = json!({"type": "call_error", "code": code, "message": message});
            }
            vec![Beat::send(0, event)]
        }
        Step::Usage(seconds) => {
            vec![Beat::send(0, json!({"type": "session.usage.updated", "usage": {"seconds": seconds}}))]
        }
        Step::Error { code, message } => {
            let error = json!({"type": "server_error", "code": code, "message": message, "param": null});
            vec![Beat::send(0, json!({"type": "error", "error": error}))]
        }
        Step::Event(event) => vec![Beat::send(0, event)],
        Step::Text(text) => vec![Beat::new(0, Act::Text(text))],
        Step::Binary(bytes) => vec![Beat::new(0, Act::Binary(bytes))],
        Step::Huge(bytes) => vec![Beat::send(0, json!({"type": "huge", "padding": "x".repeat(bytes)}))],
        Step::Flood { event, count } => (0..count).map(|_| Beat::send(0, event.clone())).collect(),
        Step::Drop => vec![Beat::new(0, Act::Drop)],
        Step::HangUp => vec![Beat::new(0, Act::Close("remote_hangup".to_owned(), None))],
        Step::Close(reason) => vec![Beat::new(0, Act::Close(reason, None))],
    }
}

fn tool(step: &ToolStep, session: &mut Session) -> Vec<Beat> {
    let call_id = step.call_id.clone().unwrap_or_else(|| hex_id("call_"));
    session.conversation.call(&call_id, step.then.clone());
    let backend = &session.config["delegation"];
    let mut beats = match session.api {
        Api::Realtime => realtime::tool(step, &call_id),
        Api::Live if backend["type"] == "responses" => live::tool(step, &call_id, &backend["responses"]["model"]),
        // Tools are the backend's; without one the work goes to the client, whose business the tools are.
        Api::Live => return vec![live::delegation("client", &hex_id("deleg_"), None)],
    };
    if !step.go_on {
        beats.push(Beat::new(0, Act::AwaitAnswer(call_id)));
    }
    beats
}
