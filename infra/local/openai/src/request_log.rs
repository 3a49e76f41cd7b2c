//! The request log: which calls were made, and the statuses of their answers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::store::lock;

/// The statuses of all answers in order, by path and method.
#[derive(Default)]
pub(crate) struct RequestLog(Mutex<BTreeMap<(String, String), Vec<u16>>>);

type App = State<Arc<RequestLog>>;

pub(crate) fn control(log: &Arc<RequestLog>) -> Router {
    Router::new().route("/requests", get(list).delete(clear)).with_state(Arc::clone(log))
}

/// Records the request with its answer's status, even if the body is cut later.
pub(crate) async fn record(State(log): App, request: Request, next: Next) -> Response {
    let key = (request.uri().path().to_owned(), request.method().to_string());
    let response = next.run(request).await;
    lock(&log.0).entry(key).or_default().push(response.status().as_u16());
    response
}

async fn list(State(log): App) -> Json<Value> {
    let log = lock(&log.0);
    let entries = log.iter().map(|((path, method), statuses)| {
        json!({ "method": method, "path": path, "count": statuses.len(), "statuses": statuses })
    });
    Json(json!({ "requests": entries.collect::<Vec<_>>() }))
}

async fn clear(State(log): App) -> Json<Value> {
    lock(&log.0).clear();
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
