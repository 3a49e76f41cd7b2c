//! API keys and their permissions, and the headers of every answer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::errors::ApiError;
use crate::ids::hex_id;
use crate::store::lock;

/// The permission that the calls below a path need: `.read` of it for `GET`, `.write` for all others.
const SCOPES: [(&str, &str); 11] = [
    ("/v1/agents", "api.agents"),
    ("/v1/batches", "api.batches"),
    ("/v1/files", "api.files"),
    ("/v1/fine_tuning", "api.fine_tuning"),
    ("/v1/live", "api.live"),
    ("/v1/models", "api.model"),
    ("/v1/realtime", "api.realtime"),
    ("/v1/responses", "api.responses"),
    ("/v1/safety/alerts", "api.safety.alerts"),
    ("/v1/safety", "api.safety"),
    ("/v1/webhook_", "api.webhooks"),
];

/// The accepted keys. The one given at the start may make all calls, unless a command restricts it.
pub(crate) struct ApiKeys {
    usual: String,
    restricted: Mutex<BTreeMap<String, Vec<String>>>,
}

impl ApiKeys {
    pub(crate) fn new(usual: String) -> Arc<Self> {
        Arc::new(Self { usual, restricted: Mutex::default() })
    }

    /// Accepts a key for these permissions alone.
    pub(crate) fn restrict(&self, key: String, permissions: Vec<String>) {
        lock(&self.restricted).insert(key, permissions);
    }

    fn check(&self, key: &str, method: &Method, path: &str) -> Result<(), ApiError> {
        if key.starts_with("sk-admin-") {
            return Err(ApiError::invalid("Admin API keys can't be used here. Use the API key of a project.")
                .status(StatusCode::FORBIDDEN));
        }
        match lock(&self.restricted).get(key) {
            Some(permissions) => match scope(method, path) {
                Some(scope) if !permissions.contains(&scope) => Err(ApiError::missing_scope(&scope)),
                _ => Ok(()),
            },
            None if key == self.usual => Ok(()),
            None => Err(ApiError::of_status(StatusCode::UNAUTHORIZED)),
        }
    }
}

fn scope(method: &Method, path: &str) -> Option<String> {
    let (_, scope) = SCOPES.iter().find(|(prefix, _)| path.starts_with(prefix))?;
    Some(format!("{scope}.{}", if method == Method::GET { "read" } else { "write" }))
}

type App = State<Arc<ApiKeys>>;

pub(crate) fn control(keys: &Arc<ApiKeys>) -> Router {
    Router::new().route("/keys", post(restrict).delete(clear)).with_state(Arc::clone(keys))
}

/// A key, and all its permissions.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Restricted {
    key: String,
    permissions: Vec<String>,
}

async fn restrict(State(keys): App, Json(command): Json<Restricted>) -> Json<Value> {
    let permissions = json!(command.permissions);
    keys.restrict(command.key, command.permissions);
    Json(json!({ "permissions": permissions }))
}

async fn clear(State(keys): App) -> Json<Value> {
    lock(&keys.restricted).clear();
    Json(json!({}))
}

/// Refuses unknown keys, and calls that a key has no permission for.
pub(crate) async fn check_key(State(keys): App, request: Request, next: Next) -> Response {
    let given = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    match given.and_then(|value| value.strip_prefix("Bearer ")) {
        Some(key) => match keys.check(key, request.method(), request.uri().path()) {
            Ok(()) => next.run(request).await,
            Err(error) => error.into_response(),
        },
        None => ApiError::invalid(
            "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer \
             auth (i.e. Authorization: Bearer YOUR_KEY).",
        )
        .status(StatusCode::UNAUTHORIZED)
        .into_response(),
    }
}

/// Adds the headers that all of OpenAI's answers have.
pub(crate) async fn add_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&hex_id("req_")) {
        headers.insert("x-request-id", id);
    }
    headers.insert("openai-version", HeaderValue::from_static("2020-10-01"));
    headers.insert("openai-processing-ms", HeaderValue::from_static("1"));
    response
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use crate::testing::Server;

    #[tokio::test]
    async fn a_wrong_key_is_refused_in_openai_s_format() {
        let server = Server::start().await;
        let answer = server.request("GET", "/v1/files").bearer(Some("sk-other")).send().await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert_eq!(answer.json()["error"]["code"], "invalid_api_key");
    }

    #[tokio::test]
    async fn a_missing_key_is_refused_in_openai_s_format() {
        let server = Server::start().await;
        let answer = server.request("GET", "/v1/files").bearer(None).send().await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert_eq!(answer.json()["error"]["type"], "invalid_request_error");
    }

    #[tokio::test]
    async fn every_answer_has_a_request_id_of_its_own() {
        let server = Server::start().await;
        let good = server.get("/v1/files").await;
        let bad = server.request("GET", "/v1/files").bearer(None).send().await;
        assert!(good.headers["x-request-id"].to_str().unwrap().starts_with("req_"));
        assert_ne!(good.headers["x-request-id"], bad.headers["x-request-id"]);
    }

    #[tokio::test]
    async fn an_unknown_url_is_not_found_in_openai_s_words() {
        let answer = Server::start().await.get("/v1/nothing").await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        assert_eq!(answer.json()["error"]["message"], "Invalid URL (GET /v1/nothing)");
    }
}
