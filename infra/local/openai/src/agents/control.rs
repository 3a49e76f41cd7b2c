//! The commands that create sessions and environments, and move them along.

use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::announce;
use super::object::{Environment, Session, Turn};
use crate::app::Shared;
use crate::errors::ControlError;
use crate::ids::hex_id;
use crate::webhooks::{Delivery, Event, Scope};

pub(crate) fn control() -> Router<Shared> {
    Router::new()
        .route("/agents/sessions", post(create_session))
        .route("/agents/sessions/{id}/move", post(move_session))
        .route("/agents/sessions/{id}/events", get(submitted))
        .route("/agents/environments", post(create_environment))
        .route("/agents/environments/{id}/move", post(move_environment))
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum EnvironmentType {
    None,
    #[default]
    OpenaiHosted,
    SelfHosted,
}

impl EnvironmentType {
    fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::OpenaiHosted => "openai_hosted",
            Self::SelfHosted => "self_hosted",
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateSession {
    id: Option<String>,
    #[serde(default)]
    environment_type: EnvironmentType,
    /// Set last, as they stand.
    #[serde(default)]
    fields: Map<String, Value>,
    #[serde(default = "crate::webhooks::yes")]
    deliver: bool,
}

async fn create_session(
    State(app): State<Shared>,
    Json(command): Json<CreateSession>,
) -> Result<Json<Value>, ControlError> {
    let id = command.id.unwrap_or_else(|| hex_id("sess_"));
    if app.agents.sessions.get(&id).is_some() {
        return Err(ControlError::conflict(format!("there is a session {id} already")));
    }
    let kind = command.environment_type;
    let environment = (!matches!(kind, EnvironmentType::None)).then(|| {
        let status = if matches!(kind, EnvironmentType::SelfHosted) { "disconnected" } else { "pending" };
        Environment::new(hex_id("env_"), kind.as_str().to_owned(), status.to_owned())
    });
    let mut session = Session::new(id, environment.as_ref());
    set(&mut session.shown, command.fields);
    app.agents.sessions.insert(session.clone());
    let mut data = session.data();
    if let Some(environment) = environment {
        if environment.r#type == "self_hosted" {
            data["connect"] = json!({ "remote_url": environment.remote_url() });
        }
        app.agents.environments.insert(environment);
    }
    let created = Event::of("agent.session.created".to_owned(), &data);
    let deliveries = if command.deliver { app.webhooks.send(Scope::Project, created) } else { Vec::new() };
    Ok(Json(json!({ "session": session, "deliveries": deliveries })))
}

fn set(shown: &mut Value, fields: Map<String, Value>) {
    for (name, value) in fields {
        shown[&name] = value;
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
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
    /// What it waits for. It waits for nothing in any status but `requires_action`.
    #[serde(default)]
    required_actions: Vec<Value>,
    /// A turn that is added.
    turn: Option<NewTurn>,
    #[serde(default)]
    fields: Map<String, Value>,
    #[serde(default = "crate::webhooks::yes")]
    deliver: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewTurn {
    status: TurnStatus,
    error: Option<TurnError>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum TurnStatus {
    Queued,
    InProgress,
    Waiting,
    Completed,
    Failed,
    Cancelled,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TurnError {
    code: String,
    #[serde(default)]
    message: String,
}

async fn move_session(
    State(app): State<Shared>,
    Path(id): Path<String>,
    Json(command): Json<MoveSession>,
) -> Result<Json<Value>, ControlError> {
    let (turn, deliver) = (command.turn, command.deliver);
    let (status, error, actions, fields) = (command.status, command.error, command.required_actions, command.fields);
    if (status == SessionStatus::RequiresAction) == actions.is_empty() {
        return Err(ControlError::invalid("a session in requires_action, and only such a one, has required_actions"));
    }
    let moved = app.agents.sessions.update(&id, |session| {
        if session.shown["status"] == "failed" {
            return Err(ControlError::conflict("the session has failed, which is its end"));
        }
        session.reach(status.as_str());
        let usual = || (status == SessionStatus::Failed).then(|| "The session failed.".to_owned());
        session.shown["error"] = error.or_else(usual).into();
        session.shown["required_actions"] = actions.into();
        set(&mut session.shown, fields);
        Ok(session.clone())
    });
    let session = moved.ok_or_else(|| ControlError::not_found(format!("no session {id}")))??;
    if let Some(NewTurn { status, error }) = turn {
        let (status, error) = (json!(status), json!(error));
        app.agents.turns.insert(Turn::new(&session, status.as_str().unwrap_or_default(), &error));
    }
    let deliveries = if deliver { announce(&session, &app.webhooks) } else { Vec::new() };
    Ok(Json(json!({ "session": session, "deliveries": deliveries })))
}

impl SessionStatus {
    fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::InProgress => "in_progress",
            Self::RequiresAction => "requires_action",
            Self::Failed => "failed",
        }
    }
}

async fn submitted(State(app): State<Shared>, Path(id): Path<String>) -> Result<Json<Value>, ControlError> {
    let session = app.agents.sessions.get(&id).ok_or_else(|| ControlError::not_found(format!("no session {id}")))?;
    Ok(Json(json!({ "events": session.submitted })))
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum EnvironmentStatus {
    Pending,
    Ready,
    Connected,
    Disconnected,
    Suspended,
    Expired,
    Failed,
}

impl EnvironmentStatus {
    fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Ready => "ready",
            Self::Connected => "connected",
            Self::Disconnected => "disconnected",
            Self::Suspended => "suspended",
            Self::Expired => "expired",
            Self::Failed => "failed",
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MoveEnvironment {
    status: EnvironmentStatus,
    #[serde(default = "crate::webhooks::yes")]
    deliver: bool,
}

/// Creates an environment as one is warmed up ahead of its session.
async fn create_environment(State(app): State<Shared>, Json(command): Json<MoveEnvironment>) -> Json<Value> {
    let status = command.status.as_str().to_owned();
    let environment = Environment::new(hex_id("env_"), "openai_hosted".to_owned(), status);
    app.agents.environments.insert(environment.clone());
    answer(&app, &environment, &command)
}

async fn move_environment(
    State(app): State<Shared>,
    Path(id): Path<String>,
    Json(command): Json<MoveEnvironment>,
) -> Result<Json<Value>, ControlError> {
    let moved = app.agents.environments.update(&id, |environment| {
        command.status.as_str().clone_into(&mut environment.status);
        environment.clone()
    });
    let environment = moved.ok_or_else(|| ControlError::not_found(format!("no environment {id}")))?;
    Ok(answer(&app, &environment, &command))
}

/// Four of the statuses have an event.
fn answer(app: &Shared, environment: &Environment, command: &MoveEnvironment) -> Json<Value> {
    use EnvironmentStatus::{Expired, Failed, Ready, Suspended};
    let deliveries: Vec<Delivery> = match command.status {
        status @ (Ready | Failed | Suspended | Expired) if command.deliver => {
            let kind = format!("agent.environment.{}", status.as_str());
            app.webhooks.send(Scope::Project, Event::thin(kind, &environment.id))
        }
        _ => Vec::new(),
    };
    Json(json!({ "environment": environment, "deliveries": deliveries }))
}
