//! `/v1/agents`: sessions, their turns and input events, environments; and the commands that create and move them.

mod control;
mod submit;

use std::collections::HashSet;
use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::errors::ApiError;
use crate::ids::{hex_id, now};
use crate::store::{ListQuery, Object, Page, Store, USUAL_PAGE};
use crate::webhooks::{Delivery, Event, Webhooks};

const BETA: &str = "agents=v1";

#[derive(Clone)]
pub(crate) struct Agents {
    sessions: Arc<Store<SessionState>>,
    turns: Arc<Store>,
    environments: Arc<Store>,
    webhooks: Arc<Webhooks>,
}

type Session = Object<SessionState>;

#[derive(Debug, Clone, Default)]
struct SessionState {
    /// The submitted events, in order.
    submitted: Vec<Value>,
    /// The idempotency keys that were used.
    keys: HashSet<String>,
}

impl Agents {
    pub(crate) fn new(webhooks: &Arc<Webhooks>) -> Self {
        Self {
            sessions: Store::new(|id| ApiError::not_found(format!("No agent session found with id '{id}'."))),
            turns: Store::new(|id| ApiError::not_found(format!("No turn found with id '{id}'."))),
            environments: Store::new(|id| ApiError::not_found(format!("No agent environment found with id '{id}'."))),
            webhooks: Arc::clone(webhooks),
        }
    }

    pub(crate) fn api(&self) -> Router {
        Router::new()
            .route("/v1/agents/sessions", get(list))
            .route("/v1/agents/sessions/{id}", self.sessions.retrieve())
            .route("/v1/agents/sessions/{id}/turns", get(turns))
            .route("/v1/agents/sessions/{id}/events", post(submit::submit))
            .route("/v1/agents/environments/{id}", self.environments.retrieve())
            .route_layer(from_fn(check_beta))
            .with_state(self.clone())
    }

    /// Delivers the event of a session's status: one event, or one for each kind of required action.
    fn deliver_status(&self, session: &Session) -> Vec<Delivery> {
        let send = |name: &str, data: &Value| self.webhooks.send(Event::of(format!("agent.session.{name}"), data));
        match session.shown["status"].as_str().unwrap_or_default() {
            "requires_action" => {
                let mut kinds: Vec<&Value> = session.actions().iter().map(|action| &action["type"]).collect();
                kinds.dedup();
                let data = |kind: &Value| json!({ "id": session.id, "required_action": { "type": kind } });
                kinds.into_iter().flat_map(|kind| send("action_required", &data(kind))).collect()
            }
            status => send(status, &session.event_data()),
        }
    }
}

impl Session {
    /// A session in this environment; without one its environment type is `none`.
    fn create(id: &str, environment: Option<&Object>) -> Self {
        let shown = json!({
            "id": id, "object": "agent.session", "created_at": now(), "last_active_at": now(),
            "status": "idle", "error": null, "required_actions": [], "metadata": {}, "usage": null, "vault_ids": [],
            "agent": {
                "id": hex_id("agent_"), "name": "Clerk", "model": "gpt-6-luna", "instructions": null,
                "multi_agent": { "enabled": false, "max_concurrent_subagents": null },
                "reasoning": { "effort": null, "summary": null },
                "service_tier": "auto",
                "text": { "format": { "type": "text" }, "verbosity": "medium" },
                "tools": [],
            },
            "environment": environment.map_or_else(|| json!({ "type": "none" }), environment_of_session),
        });
        Self::new(shown, SessionState::default())
    }

    fn actions(&self) -> &[Value] {
        self.shown["required_actions"].as_array().map_or(&[], Vec::as_slice)
    }

    fn reach(&mut self, status: &str) {
        self.set("status", status);
        self.set("last_active_at", now());
    }

    /// The `data` of most of its webhook events.
    fn event_data(&self) -> Value {
        let environment = &self.shown["environment"];
        let mut data = json!({ "id": self.id, "environment_type": environment["type"] });
        if environment["id"].is_string() {
            data["environment_id"] = environment["id"].clone();
        }
        data
    }

    fn turn(&self, status: &str, error: &Value) -> Object {
        let ended = matches!(status, "completed" | "failed" | "cancelled");
        let shown = json!({
            "id": hex_id("turn_"), "object": "agent.session.turn", "status": status, "error": error,
            "agent_id": self.shown["agent"]["id"], "session_id": self.id, "subagent_id": null,
            "created_at": now(), "started_at": now(), "completed_at": ended.then(now), "usage": null,
        });
        Object::new(shown, ())
    }
}

/// An environment as its session shows it.
fn environment_of_session(environment: &Object) -> Value {
    let kind = &environment.shown["type"];
    if kind == "self_hosted" {
        return json!({
            "type": kind, "id": environment.id, "capability_directories": [],
            "remote_url": remote_url(environment), "workspace_directory": "/workspace",
        });
    }
    json!({
        "type": kind, "id": environment.id, "capability_directories": [], "files": [], "plugins": [], "skills": [],
        "network": { "access": "disabled", "allowed_domains": [] },
        "packages": { "npm": [], "python": [], "system": [] },
        "container_size": "small",
    })
}

/// A URL with a credential, as OpenAI's may have.
fn remote_url(environment: &Object) -> String {
    format!("https://connect.example.com/{}?token=let-me-in", environment.id)
}

/// Refuses requests without the header of the beta.
async fn check_beta(request: Request, next: Next) -> Response {
    let given = request.headers().get_all("openai-beta").iter().filter_map(|value| value.to_str().ok());
    if given.flat_map(|value| value.split(',')).any(|beta| beta.trim() == BETA) {
        return next.run(request).await;
    }
    ApiError::invalid(format!(
        "You must provide the 'OpenAI-Beta' header to access the Agents API. Please try again by setting the header \
         'OpenAI-Beta: {BETA}'."
    ))
    .code("invalid_beta")
    .into_response()
}

async fn list(State(agents): State<Agents>, query: ListQuery) -> Result<Json<Page>, ApiError> {
    let agent_id = query.get("agent_id");
    agents.sessions.list(&query, USUAL_PAGE, |session| agent_id.is_none_or(|id| session.shown["agent"]["id"] == id))
}

async fn turns(State(agents): State<Agents>, Path(id): Path<String>, query: ListQuery) -> Result<Json<Page>, ApiError> {
    agents.sessions.get(&id)?;
    agents.turns.list(&query, USUAL_PAGE, |turn| turn.shown["session_id"] == id)
}

#[cfg(test)]
mod tests;
