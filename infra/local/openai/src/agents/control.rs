//! The commands that create sessions and environments, and move them along.

use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Agents, Session, remote_url};
use crate::errors::{ControlError, ObjectError};
use crate::ids::{hex_id, name};
use crate::store::Object;
use crate::webhooks::Event;

impl Agents {
    pub(crate) fn control(&self) -> Router {
        Router::new()
            .route("/agents/sessions", post(create_session))
            .route("/agents/sessions/{id}/move", post(move_session))
            .route("/agents/sessions/{id}/events", get(submitted))
            .route("/agents/environments", post(create_environment))
            .route("/agents/environments/{id}/move", post(move_environment))
            .with_state(self.clone())
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum EnvironmentType {
    None,
    #[default]
    OpenaiHosted,
    SelfHosted,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateSession {
    id: Option<String>,
    #[serde(default)]
    environment_type: EnvironmentType,
    /// Fields set last.
    #[serde(default)]
    fields: Map<String, Value>,
    /// `false` plays a lost webhook.
    #[serde(default = "crate::webhooks::yes")]
    deliver: bool,
}

async fn create_session(
    State(agents): State<Agents>,
    Json(command): Json<CreateSession>,
) -> Result<Json<Value>, ControlError> {
    let id = command.id.unwrap_or_else(|| hex_id("sess_"));
    if agents.sessions.get(&id).is_ok() {
        return Err(ControlError::conflict(format!("the session {id} exists already")));
    }
    let kind = command.environment_type;
    let environment = (kind != EnvironmentType::None).then(|| {
        let status = if kind == EnvironmentType::SelfHosted { "disconnected" } else { "pending" };
        agents.environments.insert(new_environment(kind, status))
    });
    let mut session = Session::create(&id, environment.as_ref());
    session.set_all(command.fields);
    let session = agents.sessions.insert(session);
    let mut data = session.event_data();
    if let Some(environment) = environment.filter(|_| kind == EnvironmentType::SelfHosted) {
        data["connect"] = json!({ "remote_url": remote_url(&environment) });
    }
    let created = Event::of("agent.session.created".to_owned(), &data);
    let deliveries = agents.webhooks.send_if(command.deliver, created);
    Ok(Json(json!({ "session": session, "deliveries": deliveries })))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum SessionStatus {
    Idle,
    InProgress,
    RequiresAction,
    Failed,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MoveSession {
    status: SessionStatus,
    error: Option<String>,
    /// Given with `requires_action`, and only then.
    #[serde(default)]
    required_actions: Vec<Value>,
    /// A turn to add.
    turn: Option<NewTurn>,
    /// Fields set last.
    #[serde(default)]
    fields: Map<String, Value>,
    /// `false` plays a lost webhook.
    #[serde(default = "crate::webhooks::yes")]
    deliver: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewTurn {
    status: String,
    error: Option<ObjectError>,
}

async fn move_session(
    State(agents): State<Agents>,
    Path(id): Path<String>,
    Json(command): Json<MoveSession>,
) -> Result<Json<Value>, ControlError> {
    let MoveSession { status, error, required_actions, turn, fields, deliver } = command;
    if (status == SessionStatus::RequiresAction) == required_actions.is_empty() {
        return Err(ControlError::invalid("required_actions belong to the status requires_action, and to no other"));
    }
    let (session, ()) = agents.sessions.update(&id, |session| {
        if session.shown["status"] == "failed" {
            return Err(ControlError::conflict("the session has failed, and failed is its last status"));
        }
        session.reach(&name(status));
        let usual_error = || (status == SessionStatus::Failed).then(|| "The session failed.".to_owned());
        session.set("error", error.or_else(usual_error));
        session.set("required_actions", required_actions);
        session.set_all(fields);
        Ok(())
    })?;
    if let Some(NewTurn { status, error }) = turn {
        agents.turns.insert(session.turn(&status, &json!(error)));
    }
    let deliveries = if deliver { agents.deliver_status(&session) } else { Vec::new() };
    Ok(Json(json!({ "session": session, "deliveries": deliveries })))
}

async fn submitted(State(agents): State<Agents>, Path(id): Path<String>) -> Result<Json<Value>, ControlError> {
    Ok(Json(json!({ "events": agents.sessions.get(&id)?.state.submitted })))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MoveEnvironment {
    status: String,
    /// `false` plays a lost webhook.
    #[serde(default = "crate::webhooks::yes")]
    deliver: bool,
}

fn new_environment(kind: EnvironmentType, status: &str) -> Object {
    let shown = json!({
        "id": hex_id("env_"), "object": "agent.environment", "type": kind, "status": status,
        "files": [], "plugins": [], "skills": [],
    });
    Object::new(shown, ())
}

/// Creates an environment without a session.
async fn create_environment(State(agents): State<Agents>, Json(command): Json<MoveEnvironment>) -> Json<Value> {
    let environment = new_environment(EnvironmentType::OpenaiHosted, &command.status);
    deliver_environment(&agents, &agents.environments.insert(environment), &command)
}

async fn move_environment(
    State(agents): State<Agents>,
    Path(id): Path<String>,
    Json(command): Json<MoveEnvironment>,
) -> Result<Json<Value>, ControlError> {
    let environment =
        agents.environments.change(&id, |environment| environment.set("status", command.status.as_str()))?;
    Ok(deliver_environment(&agents, &environment, &command))
}

/// Four of the statuses have an event.
fn deliver_environment(agents: &Agents, environment: &Object, command: &MoveEnvironment) -> Json<Value> {
    let status = command.status.as_str();
    let has_event = matches!(status, "ready" | "failed" | "suspended" | "expired");
    let event = Event::thin(format!("agent.environment.{status}"), &environment.id);
    let deliveries = agents.webhooks.send_if(has_event && command.deliver, event);
    Json(json!({ "environment": environment, "deliveries": deliveries }))
}
