use std::time::{Duration, Instant};

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::testing::{Answer, Server};

/// Reads a file of 100 bytes with this fault.
async fn read_with(fault: Value) -> Answer {
    let server = Server::start().await;
    let path = format!("/v1/files/{}/content", server.upload(&"x".repeat(100)).await);
    add(&server, json!({ "route": "GET /v1/files/{id}/content", "fault": fault })).await;
    server.get(&path).await
}

async fn add(server: &Server, rule: Value) {
    assert_eq!(server.post("/_control/faults", rule).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_rate_limit_says_when_to_come_back() {
    let seconds = read_with(json!({ "kind": "rate_limit", "retry_after": 7 })).await;
    assert_eq!((seconds.status.as_u16(), seconds.headers["retry-after"].to_str().unwrap()), (429, "7"));
    assert_eq!(seconds.json()["error"]["code"], "rate_limit_exceeded");
    let date = read_with(json!({ "kind": "rate_limit", "retry_after": "Sat, 21 Nov 2026 12:00:00 GMT" })).await;
    assert_eq!(date.headers["retry-after"], "Sat, 21 Nov 2026 12:00:00 GMT");
}

#[tokio::test]
async fn an_exhausted_quota_is_a_429_of_its_own_code() {
    let answer = read_with(json!({ "kind": "insufficient_quota" })).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["error"]["code"]), (429, &"insufficient_quota".into()));
}

#[tokio::test]
async fn any_status_has_openai_s_error_format() {
    for status in [401, 403, 404, 409, 500, 503] {
        let answer = read_with(json!({ "kind": "status", "status": status })).await;
        assert_eq!(answer.status, status);
        assert!(answer.json()["error"]["message"].is_string());
    }
}

#[tokio::test]
async fn a_status_can_have_a_body_that_is_not_json() {
    let answer = read_with(json!({ "kind": "status", "status": 502, "body": "<html>Bad gateway</html>" })).await;
    assert_eq!((answer.status.as_u16(), answer.headers["content-type"].to_str().unwrap()), (502, "text/html"));
    assert_eq!(answer.body, "<html>Bad gateway</html>");
}

#[tokio::test]
async fn a_cut_body_breaks_off_after_exactly_this_many_bytes() {
    let answer = read_with(json!({ "kind": "cut", "after_bytes": 40 })).await;
    assert_eq!((answer.status.as_u16(), answer.body.len(), answer.broken), (200, 40, true));
}

#[tokio::test]
async fn a_body_shorter_than_the_cut_is_sent_whole() {
    let answer = read_with(json!({ "kind": "cut", "after_bytes": 1000 })).await;
    assert_eq!((answer.body.len(), answer.broken), (100, false));
}

#[tokio::test]
async fn a_truncated_body_ends_early_without_breaking() {
    let answer = read_with(json!({ "kind": "truncate", "after_bytes": 40 })).await;
    assert_eq!((answer.body.len(), answer.broken), (40, false));
    assert!(!answer.headers.contains_key("content-length"));
}

#[tokio::test]
async fn a_slow_body_takes_its_time_and_arrives_whole() {
    let start = Instant::now();
    let answer = read_with(json!({ "kind": "slow", "bytes_per_second": 400 })).await;
    assert_eq!((answer.body.len(), answer.broken), (100, false));
    assert!(start.elapsed() > Duration::from_millis(200));
}

#[tokio::test]
async fn a_pause_interrupts_the_body_and_loses_nothing() {
    let start = Instant::now();
    let answer = read_with(json!({ "kind": "pause", "after_bytes": 40, "milliseconds": 150 })).await;
    assert_eq!((answer.body.len(), answer.broken), (100, false));
    assert!(start.elapsed() >= Duration::from_millis(150));
}

#[tokio::test]
async fn a_stalled_request_is_answered_late_or_never() {
    let start = Instant::now();
    let late = read_with(json!({ "kind": "stall", "milliseconds": 150 })).await;
    assert_eq!(late.body.len(), 100);
    assert!(start.elapsed() >= Duration::from_millis(150));
    let never = tokio::time::timeout(Duration::from_millis(150), read_with(json!({ "kind": "stall" }))).await;
    assert!(never.is_err());
}

#[tokio::test]
async fn a_fault_applies_to_the_given_number_of_requests() {
    let server = Server::start().await;
    add(&server, json!({ "route": "GET /v1/files", "fault": { "kind": "rate_limit" }, "times": 2 })).await;
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(server.get("/v1/files").await.status.as_u16());
    }
    assert_eq!(statuses, [429, 429, 200]);
    let listed = server.get("/_control/faults").await.json();
    assert_eq!((&listed["faults"][0]["hits"], &listed["faults"][0]["times"]), (&2.into(), &0.into()));
}

#[tokio::test]
async fn a_fault_applies_to_its_own_route_only() {
    let server = Server::start().await;
    let id = server.upload("x").await;
    add(&server, json!({ "route": "GET /v1/files/{id}", "fault": { "kind": "status", "status": 500 } })).await;
    assert_eq!(server.get(&format!("/v1/files/{id}")).await.status, 500);
    for (method, path) in [("GET", "/v1/files".to_owned()), ("GET", format!("/v1/files/{id}/content"))] {
        assert_eq!(server.request(method, &path).send().await.status, 200);
    }
    assert_eq!(server.delete(&format!("/v1/files/{id}")).await.status, 200);
}

#[tokio::test]
async fn a_request_with_a_wrong_key_does_not_use_up_a_fault() {
    let server = Server::start().await;
    add(&server, json!({ "route": "GET /v1/files", "fault": { "kind": "rate_limit" }, "times": 1 })).await;
    assert_eq!(server.request("GET", "/v1/files").bearer(None).send().await.status, 401);
    assert_eq!(server.get("/v1/files").await.status, 429);
}

#[tokio::test]
async fn cleared_faults_no_longer_apply() {
    let server = Server::start().await;
    add(&server, json!({ "route": "GET /v1/files", "fault": { "kind": "rate_limit" } })).await;
    server.delete("/_control/faults").await;
    assert_eq!(server.get("/v1/files").await.status, 200);
}

#[tokio::test]
async fn a_fault_that_could_never_apply_is_refused() {
    let server = Server::start().await;
    for rule in [
        json!({ "route": "/v1/files", "fault": { "kind": "rate_limit" } }),
        json!({ "route": "GET /_control/files", "fault": { "kind": "rate_limit" } }),
        json!({ "route": "GET /v1/files", "fault": { "kind": "status", "status": 42 } }),
        json!({ "route": "GET /v1/files", "fault": { "kind": "slow", "bytes_per_second": 0 } }),
    ] {
        assert_eq!(server.post("/_control/faults", rule).await.status, 400);
    }
    let unknown = json!({ "route": "GET /v1/files", "fault": { "kind": "gremlins" } });
    assert_eq!(server.post("/_control/faults", unknown).await.status, 422);
}
