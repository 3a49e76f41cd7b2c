//! `/v1/safety`: alerts and cases; and the commands that raise them.

use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::app::Shared;
use crate::errors::ApiError;
use crate::ids::{hex_id, now};
use crate::shelf::{Identified, Shelf};
use crate::webhooks::{Event, Scope};

#[derive(Default)]
pub(crate) struct Safety {
    alerts: Shelf<Object>,
    cases: Shelf<Object>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
struct Object {
    #[serde(skip)]
    id: String,
    shown: Value,
}

impl Identified for Object {
    fn id(&self) -> &str {
        &self.id
    }
}

pub(crate) fn api() -> Router<Shared> {
    Router::new().route("/v1/safety/alerts/{id}", get(alert)).route("/v1/safety/cases/{id}", get(case))
}

pub(crate) fn control() -> Router<Shared> {
    Router::new()
        .route("/safety/alerts", post(raise))
        .route("/safety/cases", post(issue))
        .route("/safety/blocked", post(block))
}

async fn alert(State(app): State<Shared>, Path(id): Path<String>) -> Result<Json<Object>, ApiError> {
    let missing = || ApiError::not_found(format!("Safety alert '{id}' not found."));
    app.safety.alerts.get(&id).map(Json).ok_or_else(missing)
}

async fn case(State(app): State<Shared>, Path(id): Path<String>) -> Result<Json<Object>, ApiError> {
    let missing = || ApiError::not_found(format!("Safety case '{id}' not found."));
    app.safety.cases.get(&id).map(Json).ok_or_else(missing)
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ErrorType {
    #[default]
    PotentiallyUnintendedDataTransfer,
    PotentiallyUnintendedDataAccess,
    PotentiallyUnintendedDestructiveActivity,
    Other,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Alert {
    /// Of a workspace of `ChatGPT` instead of a project.
    #[serde(default)]
    workspace: bool,
    #[serde(default)]
    error_type: ErrorType,
    #[serde(default = "model")]
    model: String,
    #[serde(default)]
    request_paused: bool,
    reason: Option<String>,
    detailed_explanation: Option<String>,
    /// By default the scope that OpenAI sends it to.
    endpoint: Option<Scope>,
    /// `false` plays a lost webhook.
    #[serde(default = "crate::webhooks::yes")]
    deliver: bool,
}

fn model() -> String {
    "gpt-6-astra".to_owned()
}

async fn raise(State(app): State<Shared>, Json(command): Json<Alert>) -> Json<Value> {
    let id = hex_id("alert_");
    let mut shown = json!({
        "id": id,
        "object": "safety.alert",
        "created_at": now(),
        "error_type": command.error_type,
        "model": command.model,
        "reason": command.reason,
        "request_id": hex_id("req_"),
        "request_paused": command.request_paused,
        "response_id": hex_id("resp_"),
    });
    if let Some(explanation) = command.detailed_explanation {
        shown["detailed_explanation"] = explanation.into();
    }
    app.safety.alerts.insert(Object { id: id.clone(), shown: shown.clone() });
    let kind = if command.workspace { "safety.org_alert.created" } else { "safety.alert.created" };
    let scope = command.endpoint.unwrap_or_else(|| Scope::of(kind));
    let announced = Event::thin(kind.to_owned(), &id);
    let deliveries = if command.deliver { app.webhooks.send(scope, announced) } else { Vec::new() };
    Json(json!({ "alert": shown, "deliveries": deliveries }))
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Notice {
    Warning,
    Deactivation,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    notice: Notice,
    #[serde(default = "identifier")]
    entity_identifier: String,
    reason: Option<String>,
}

fn identifier() -> String {
    "user_04f8996da763b7a9".to_owned()
}

async fn issue(State(app): State<Shared>, Json(command): Json<Case>) -> Json<Value> {
    let id = hex_id("C-");
    let shown = json!({
        "id": id,
        "object": "safety.case",
        "created_at": now(),
        "entity_identifier": command.entity_identifier,
        "notice": { "type": command.notice },
        "reason": command.reason,
    });
    app.safety.cases.insert(Object { id: id.clone(), shown: shown.clone() });
    let kind = match command.notice {
        Notice::Warning => "safety.warning_issued",
        Notice::Deactivation => "safety.deactivation_issued",
    };
    let deliveries = app.webhooks.send(Scope::of(kind), Event::thin(kind.to_owned(), &id));
    Json(json!({ "case": shown, "deliveries": deliveries }))
}

/// The `data` of the event, which is all there is.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Blocked {
    safety_category: String,
    #[serde(default = "identifier")]
    safety_identifier: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    project_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
}

async fn block(State(app): State<Shared>, Json(data): Json<Blocked>) -> Json<Value> {
    let event = Event::of("safety_identifier.blocked".to_owned(), &json!(data));
    Json(json!({ "deliveries": app.webhooks.send(Scope::Project, event) }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Server;

    #[tokio::test]
    async fn what_is_raised_can_be_retrieved() {
        let server = Server::start().await;
        for (command, body, name) in [
            ("alerts", json!({ "request_paused": true, "detailed_explanation": "Because." }), "alert"),
            ("cases", json!({ "notice": "warning", "entity_identifier": "user_7" }), "case"),
        ] {
            let raised = server.post(&format!("/_control/safety/{command}"), body).await.json()[name].clone();
            let id = raised["id"].as_str().unwrap();
            assert_eq!(server.get(&format!("/v1/safety/{command}/{id}")).await.json(), raised);
            assert_eq!(server.get(&format!("/v1/safety/{command}/{id}0")).await.status, 404);
        }
    }

    #[tokio::test]
    async fn each_notice_goes_to_the_endpoint_of_its_scope() {
        let server = Server::start().await;
        for scope in ["project", "organization"] {
            let secret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
            let url = format!("http://127.0.0.1:9/{scope}");
            server.post("/_control/webhooks", json!({ "url": url, "secret": secret, "endpoint": scope })).await;
        }
        for (command, body, kind, scope) in [
            ("alerts", json!({}), "safety.alert.created", "project"),
            (
                "alerts",
                json!({ "workspace": true, "endpoint": "organization" }),
                "safety.org_alert.created",
                "organization",
            ),
            ("cases", json!({ "notice": "warning" }), "safety.warning_issued", "organization"),
            ("cases", json!({ "notice": "deactivation" }), "safety.deactivation_issued", "organization"),
            ("blocked", json!({ "safety_category": "bio" }), "safety_identifier.blocked", "project"),
        ] {
            let answer = server.post(&format!("/_control/safety/{command}"), body).await.json();
            let deliveries = answer["deliveries"].as_array().unwrap();
            assert_eq!(deliveries.len(), 1, "{kind}");
            assert_eq!((&deliveries[0]["type"], &deliveries[0]["endpoint"]), (&kind.into(), &scope.into()));
        }
    }

    #[tokio::test]
    async fn an_unknown_field_of_a_command_is_refused() {
        let server = Server::start().await;
        assert_eq!(server.post("/_control/safety/alerts", json!({ "colour": "red" })).await.status, 422);
        assert_eq!(server.post("/_control/safety/cases", json!({ "notice": "praise" })).await.status, 422);
    }
}
