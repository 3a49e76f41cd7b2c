//! `/v1/agents`: sessions, their turns and input events, environments; and the commands that create and move them.

mod control;
mod object;
mod submit;

use std::sync::Arc;

use axum::extract::{Path, Query, Request, State};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

pub(crate) use self::control::control;
use self::object::{Environment, Session, Turn};
use crate::app::Shared;
use crate::errors::ApiError;
use crate::shelf::{Order, Page, Shelf};
use crate::webhooks::{Delivery, Event, Scope, Webhooks};

const BETA: &str = "agents=v1";
const MAX_PAGE: usize = 100;
const USUAL_PAGE: usize = 20;

#[derive(Default)]
pub(crate) struct Agents {
    sessions: Shelf<Session>,
    turns: Shelf<Turn>,
    environments: Shelf<Environment>,
}

pub(crate) fn api() -> Router<Shared> {
    Router::new()
        .route("/v1/agents/sessions", get(list))
        .route("/v1/agents/sessions/{id}", get(retrieve))
        .route("/v1/agents/sessions/{id}/turns", get(turns))
        .route("/v1/agents/sessions/{id}/events", post(submit::submit))
        .route("/v1/agents/environments/{id}", get(environment))
        .route_layer(from_fn(check_beta))
}

/// The API is in beta, and lets nobody in by accident.
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

fn no_session(id: &str) -> ApiError {
    ApiError::not_found(format!("No agent session found with id '{id}'."))
}

async fn retrieve(State(app): State<Shared>, Path(id): Path<String>) -> Result<Json<Session>, ApiError> {
    app.agents.sessions.get(&id).map(Json).ok_or_else(|| no_session(&id))
}

async fn environment(State(app): State<Shared>, Path(id): Path<String>) -> Result<Json<Environment>, ApiError> {
    let missing = || ApiError::not_found(format!("No agent environment found with id '{id}'."));
    app.agents.environments.get(&id).map(Json).ok_or_else(missing)
}

#[derive(Debug, Deserialize)]
struct ListQuery {
    after: Option<String>,
    agent_id: Option<String>,
    limit: Option<usize>,
    #[serde(default)]
    order: Order,
}

impl ListQuery {
    fn limit(&self) -> Result<usize, ApiError> {
        let limit = self.limit.unwrap_or(USUAL_PAGE);
        if (1..=MAX_PAGE).contains(&limit) {
            return Ok(limit);
        }
        Err(ApiError::invalid_value("limit", format!("'limit' must be between 1 and {MAX_PAGE}.")))
    }
}

async fn list(State(app): State<Shared>, Query(query): Query<ListQuery>) -> Result<Json<Page<Session>>, ApiError> {
    let wanted = |session: &Session| query.agent_id.as_ref().is_none_or(|id| session.shown["agent"]["id"] == **id);
    let after = query.after.as_deref();
    let page = app.agents.sessions.page(after, query.limit()?, query.order, wanted);
    page.map(Json).ok_or_else(|| no_session(after.unwrap_or_default()))
}

async fn turns(
    State(app): State<Shared>,
    Path(id): Path<String>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<Turn>>, ApiError> {
    app.agents.sessions.get(&id).ok_or_else(|| no_session(&id))?;
    let after = query.after.as_deref();
    let page = app.agents.turns.page(after, query.limit()?, query.order, |turn| turn.session_id == id);
    page.map(Json).ok_or_else(|| ApiError::not_found("No turn found with the id in 'after'."))
}

/// Says how a session stands to the project's endpoints: one event, or one for each kind of action that it waits for.
fn announce(session: &Session, webhooks: &Arc<Webhooks>) -> Vec<Delivery> {
    let send =
        |name: &str, data: &Value| webhooks.send(Scope::Project, Event::of(format!("agent.session.{name}"), data));
    let status = session.shown["status"].as_str().unwrap_or_default();
    if status != "requires_action" {
        return send(status, &session.data());
    }
    let mut kinds: Vec<&Value> = session.actions().iter().map(|action| &action["type"]).collect();
    kinds.dedup();
    let data = |kind: &Value| json!({ "id": session.id, "required_action": { "type": kind } });
    kinds.into_iter().flat_map(|kind| send("action_required", &data(kind))).collect()
}

#[cfg(test)]
mod tests;
