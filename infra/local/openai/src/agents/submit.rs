//! `POST /v1/agents/sessions/{id}/events`: an application's input to a session.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::{Agents, Session};
use crate::errors::ApiError;
use crate::request::RequestBody;
use crate::store::Object;

/// Takes all events or none, and answers 202. A repeated `Idempotency-Key` is accepted and does nothing.
pub(super) async fn submit(
    State(agents): State<Agents>,
    Path(id): Path<String>,
    headers: HeaderMap,
    request: RequestBody,
) -> Result<StatusCode, ApiError> {
    let events = request.required("events")?;
    let Some(events) = events.as_array().filter(|events| !events.is_empty()) else {
        return Err(ApiError::invalid_value("events", "Invalid 'events': expected at least one event."));
    };
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok());
    let (session, turns) = agents.sessions.update(&id, |session| {
        if key.is_some_and(|key| session.state.keys.contains(key)) {
            return Ok(None);
        }
        let turns = events.iter().map(|event| take(session, event)).collect::<Result<Vec<_>, ApiError>>()?;
        session.state.keys.extend(key.map(str::to_owned));
        session.state.submitted.extend_from_slice(events);
        Ok(Some(turns))
    })?;
    if let Some(turns) = turns {
        for turn in turns.into_iter().flatten() {
            agents.turns.insert(turn);
        }
        agents.deliver_status(&session);
    }
    Ok(StatusCode::ACCEPTED)
}

/// Applies one event to the session. Returns the turn that it starts, if any.
fn take(session: &mut Session, event: &Value) -> Result<Option<Object>, ApiError> {
    let refuse = |message: &str| Err(ApiError::invalid_value("events", message));
    if session.shown["status"] == "failed" {
        return refuse("The session has failed.");
    }
    let has_text = |name: &str| event[name].as_str().is_some_and(|text| !text.is_empty());
    let end_wait = |session: &mut Session, kind: &str, name: &str| {
        let mut actions = session.actions().to_vec();
        let before = actions.len();
        actions.retain(|action| !(action["type"] == kind && action[name] == event[name]));
        if actions.len() == before {
            return refuse("The session does not wait for this.");
        }
        if actions.is_empty() {
            session.reach("in_progress");
        }
        session.set("required_actions", actions);
        Ok(None)
    };
    match event["type"].as_str().and_then(|kind| kind.strip_prefix("agent.session.input.")) {
        Some("message") if event["input"].as_array().is_some_and(|input| !input.is_empty()) => {
            session.reach("in_progress");
            Ok(Some(session.turn("in_progress", &Value::Null)))
        }
        Some("cancel") => {
            session.reach("idle");
            session.set("required_actions", json!([]));
            Ok(None)
        }
        Some("tool_result") if has_text("call_id") && has_text("turn_id") && event["success"].is_boolean() => {
            end_wait(session, "function_call", "call_id")
        }
        Some("mcp_approval_request_result")
            if matches!(event["response"]["decision"].as_str(), Some("approve" | "deny" | "cancel")) =>
        {
            end_wait(session, "mcp_approval_request", "request_id")
        }
        Some("computer_use_approval_request_result") if event["response"].is_object() => {
            end_wait(session, "computer_use_approval_request", "request_id")
        }
        _ => refuse("Invalid 'events': an event is of unknown type, or lacks one of its fields."),
    }
}
