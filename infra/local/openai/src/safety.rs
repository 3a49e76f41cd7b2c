//! `/v1/safety`: alerts and cases; and the commands that create them.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::errors::ApiError;
use crate::ids::{hex_id, now};
use crate::store::{Object, Store};
use crate::webhooks::{Event, Webhooks};

#[derive(Clone)]
pub(crate) struct Safety {
    alerts: Arc<Store>,
    cases: Arc<Store>,
    webhooks: Arc<Webhooks>,
}

impl Safety {
    pub(crate) fn new(webhooks: &Arc<Webhooks>) -> Self {
        Self {
            alerts: Store::new(|id| ApiError::not_found(format!("Safety alert '{id}' not found."))),
            cases: Store::new(|id| ApiError::not_found(format!("Safety case '{id}' not found."))),
            webhooks: Arc::clone(webhooks),
        }
    }

    pub(crate) fn api(&self) -> Router {
        Router::new()
            .route("/v1/safety/alerts/{id}", self.alerts.retrieve())
            .route("/v1/safety/cases/{id}", self.cases.retrieve())
            .with_state(self.clone())
    }

    pub(crate) fn control(&self) -> Router {
        Router::new()
            .route("/safety/alerts", post(create_alert))
            .route("/safety/cases", post(create_case))
            .route("/safety/blocked", post(block))
            .with_state(self.clone())
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateAlert {
    /// An alert of a `ChatGPT` workspace instead of a project.
    #[serde(default)]
    workspace: bool,
    error_type: Option<String>,
    model: Option<String>,
    #[serde(default)]
    request_paused: bool,
    reason: Option<String>,
    detailed_explanation: Option<String>,
    /// The endpoint's name, instead of OpenAI's choice.
    endpoint: Option<String>,
    /// `false` plays a lost webhook.
    #[serde(default = "crate::webhooks::yes")]
    deliver: bool,
}

async fn create_alert(State(safety): State<Safety>, Json(command): Json<CreateAlert>) -> Json<Value> {
    let mut shown = json!({
        "id": hex_id("alert_"),
        "object": "safety.alert",
        "created_at": now(),
        "error_type": command.error_type.as_deref().unwrap_or("potentially_unintended_data_transfer"),
        "model": command.model.as_deref().unwrap_or("gpt-6-astra"),
        "reason": command.reason,
        "request_id": hex_id("req_"),
        "request_paused": command.request_paused,
        "response_id": hex_id("resp_"),
    });
    if let Some(explanation) = command.detailed_explanation {
        shown["detailed_explanation"] = explanation.into();
    }
    let alert = safety.alerts.insert(Object::new(shown, ()));
    let kind = if command.workspace { "safety.org_alert.created" } else { "safety.alert.created" };
    let mut event = Event::thin(kind.to_owned(), &alert.id);
    if let Some(endpoint) = command.endpoint {
        event.endpoint = endpoint;
    }
    let deliveries = safety.webhooks.send_if(command.deliver, event);
    Json(json!({ "alert": alert, "deliveries": deliveries }))
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Notice {
    Warning,
    Deactivation,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateCase {
    notice: Notice,
    #[serde(default = "identifier")]
    entity_identifier: String,
    reason: Option<String>,
}

fn identifier() -> String {
    "user_04f8996da763b7a9".to_owned()
}

async fn create_case(State(safety): State<Safety>, Json(command): Json<CreateCase>) -> Json<Value> {
    let shown = json!({
        "id": hex_id("C-"),
        "object": "safety.case",
        "created_at": now(),
        "entity_identifier": command.entity_identifier,
        "notice": { "type": command.notice },
        "reason": command.reason,
    });
    let case = safety.cases.insert(Object::new(shown, ()));
    let kind = match command.notice {
        Notice::Warning => "safety.warning_issued",
        Notice::Deactivation => "safety.deactivation_issued",
    };
    let deliveries = safety.webhooks.send(Event::thin(kind.to_owned(), &case.id));
    Json(json!({ "case": case, "deliveries": deliveries }))
}

/// The `data` of the event; there is no object.
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

async fn block(State(safety): State<Safety>, Json(data): Json<Blocked>) -> Json<Value> {
    let event = Event::of("safety_identifier.blocked".to_owned(), &json!(data));
    Json(json!({ "deliveries": safety.webhooks.send(event) }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Server;

    #[tokio::test]
    async fn a_notice_can_be_retrieved() {
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
