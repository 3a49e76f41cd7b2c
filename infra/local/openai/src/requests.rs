//! The request log: what was called, how often, and what came back.

use std::collections::BTreeMap;
use std::sync::Mutex;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use serde_json::{Value, json};

use crate::app::{Shared, lock};

/// Statuses of all answers so far, in order, by path and method.
#[derive(Default)]
pub(crate) struct RequestLog(Mutex<BTreeMap<(String, String), Vec<u16>>>);

#[derive(Serialize)]
struct Entry {
    method: String,
    path: String,
    count: usize,
    statuses: Vec<u16>,
}

pub(crate) fn control() -> Router<Shared> {
    Router::new().route("/requests", get(list).delete(clear))
}

/// Notes the request once its answer is known; of a body that is cut later, the status of its head.
pub(crate) async fn record(State(app): State<Shared>, request: Request, next: Next) -> Response {
    let key = (request.uri().path().to_owned(), request.method().to_string());
    let response = next.run(request).await;
    lock(&app.requests.0).entry(key).or_default().push(response.status().as_u16());
    response
}

async fn list(State(app): State<Shared>) -> Json<Value> {
    let entries: Vec<Entry> = lock(&app.requests.0)
        .iter()
        .map(|((path, method), statuses)| Entry {
            method: method.clone(),
            path: path.clone(),
            count: statuses.len(),
            statuses: statuses.clone(),
        })
        .collect();
    Json(json!({ "requests": entries }))
}

async fn clear(State(app): State<Shared>) -> Json<Value> {
    lock(&app.requests.0).clear();
    Json(json!({ "requests": [] }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Server;

    #[tokio::test]
    async fn calls_are_counted_by_method_and_path() {
        let server = Server::start().await;
        server.get("/v1/files").await;
        server.get("/v1/files?limit=1").await;
        server.get("/v1/files/file-none").await;
        let log = server.get("/_control/requests").await.json();
        assert_eq!(
            log["requests"],
            json!([
                { "method": "GET", "path": "/v1/files", "count": 2, "statuses": [200, 200] },
                { "method": "GET", "path": "/v1/files/file-none", "count": 1, "statuses": [404] },
            ])
        );
    }

    #[tokio::test]
    async fn the_log_can_be_cleared() {
        let server = Server::start().await;
        server.get("/v1/files").await;
        server.delete("/_control/requests").await;
        assert_eq!(server.get("/_control/requests").await.json()["requests"], json!([]));
    }
}
