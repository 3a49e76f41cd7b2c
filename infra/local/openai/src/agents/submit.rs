//! `POST /v1/agents/sessions/{id}/events`: what an application has to say to a session.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use serde_json::{Value, json};

use super::object::{Session, Turn};
use super::{announce, no_session};
use crate::app::Shared;
use crate::errors::ApiError;

/// Takes all events or none, and answers 202: accepted. A repeated `Idempotency-Key` is accepted and does nothing.
pub(super) async fn submit(
    State(app): State<Shared>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, ApiError> {
    let Ok(Value::Object(mut request)) = serde_json::from_slice(&body) else {
        return Err(ApiError::invalid("We could not parse the JSON body of your request."));
    };
    let Some(Value::Array(events)) = request.remove("events") else {
        return Err(ApiError::missing_parameter("events"));
    };
    if events.is_empty() {
        return Err(ApiError::invalid_value("events", "Invalid 'events': expected at least one event."));
    }
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok());
    let taken = app.agents.sessions.update(&id, |session| {
        if key.is_some_and(|key| session.keys.contains(key)) {
            return Ok(None);
        }
        let mut next = session.clone();
        let turns = events.iter().map(|event| take(&mut next, event)).collect::<Result<Vec<_>, _>>()?;
        next.keys.extend(key.map(str::to_owned));
        next.submitted.extend(events);
        *session = next.clone();
        Ok(Some((next, turns)))
    });
    let taken: Option<(Session, Vec<Option<Turn>>)> = taken.ok_or_else(|| no_session(&id))??;
    if let Some((session, turns)) = taken {
        turns.into_iter().flatten().for_each(|turn| app.agents.turns.insert(turn));
        announce(&session, &app.webhooks);
    }
    Ok(StatusCode::ACCEPTED)
}

/// Applies one event to the session. What starts a turn answers it.
fn take(session: &mut Session, event: &Value) -> Result<Option<Turn>, ApiError> {
    let refuse = |message: &str| Err(ApiError::invalid_value("events", message));
    if session.shown["status"] == "failed" {
        return refuse("The session has failed.");
    }
    let named = |name: &str| event[name].as_str().filter(|text| !text.is_empty());
    let wait_ends = |session: &mut Session, kind: &str, name: &str| {
        let mut actions = session.actions().to_vec();
        let before = actions.len();
        actions.retain(|action| !(action["type"] == kind && action[name] == event[name]));
        if actions.len() == before {
            return refuse("The session does not wait for this.");
        }
        if actions.is_empty() {
            session.reach("in_progress");
        }
        session.shown["required_actions"] = actions.into();
        Ok(None)
    };
    match event["type"].as_str().and_then(|kind| kind.strip_prefix("agent.session.input.")) {
        Some("message") if event["input"].as_array().is_some_and(|input| !input.is_empty()) => {
            session.reach("in_progress");
            Ok(Some(Turn::new(session, "in_progress", &Value::Null)))
        }
        Some("cancel") => {
            session.reach("idle");
            session.shown["required_actions"] = json!([]);
            Ok(None)
        }
        Some("tool_result") if named("call_id").and(named("turn_id")).is_some() && event["success"].is_boolean() => {
            wait_ends(session, "function_call", "call_id")
        }
        Some("mcp_approval_request_result")
            if matches!(event["response"]["decision"].as_str(), Some("approve" | "deny" | "cancel")) =>
        {
            wait_ends(session, "mcp_approval_request", "request_id")
        }
        Some("computer_use_approval_request_result") if event["response"].is_object() => {
            wait_ends(session, "computer_use_approval_request", "request_id")
        }
        _ => refuse("Invalid 'events': an event is of unknown type, or lacks one of its fields."),
    }
}
