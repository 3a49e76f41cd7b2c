use serde_json::{Value, json};

use crate::testing::{Answer, Server};

async fn advance(server: &Server, id: &str, command: Value) -> Answer {
    server.post(&format!("/_control/batches/{id}/advance"), command).await
}

async fn create(server: &Server, change: impl FnOnce(&mut Value)) -> Answer {
    let input = server.upload(r#"{"custom_id": "r0"}"#).await;
    let mut body = json!({ "input_file_id": input, "endpoint": "/v1/responses", "completion_window": "24h" });
    change(&mut body);
    server.post("/v1/batches", body).await
}

async fn text(server: &Server, file_id: &Value) -> String {
    let answer = server.get(&format!("/v1/files/{}/content", file_id.as_str().unwrap())).await;
    String::from_utf8(answer.body.to_vec()).unwrap()
}

#[tokio::test]
async fn a_new_batch_is_validating_and_can_be_retrieved() {
    let server = Server::start().await;
    let batch = create(&server, |body| body["metadata"] = json!({ "team": "a" })).await.json();
    assert_eq!((&batch["status"], &batch["output_file_id"]), (&"validating".into(), &Value::Null));
    assert_eq!(batch["metadata"]["team"], "a");
    assert_eq!(batch["expires_at"].as_i64().unwrap() - batch["created_at"].as_i64().unwrap(), 24 * 3600);
    assert_eq!(server.get(&format!("/v1/batches/{}", batch["id"].as_str().unwrap())).await.json(), batch);
}

#[tokio::test]
async fn a_bad_parameter_is_refused_by_its_name() {
    let server = Server::start().await;
    let wrong_purpose = server.request("POST", "/v1/files").form(&[("purpose", "evals"), ("file", "x")]).send().await;
    let wrong_purpose = wrong_purpose.json()["id"].clone();
    for (param, value) in [
        ("endpoint", json!("/v1/nothing")),
        ("endpoint", Value::Null),
        ("completion_window", json!("48h")),
        ("completion_window", json!(24)),
        ("input_file_id", json!("file-none")),
        ("input_file_id", wrong_purpose),
        ("metadata", json!({ "a": 1 })),
        ("output_expires_after", json!({ "anchor": "created_at", "seconds": 60 })),
    ] {
        let answer = create(&server, |body| body[param] = value).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["error"]["param"]), (400, &param.into()));
    }
}

#[tokio::test]
async fn a_body_that_is_not_json_is_refused() {
    let server = Server::start().await;
    let answer = server.request("POST", "/v1/batches").body("application/json", "{").send().await;
    assert_eq!(answer.status, 400);
}

#[tokio::test]
async fn batches_are_listed_newest_first_in_pages() {
    let server = Server::start().await;
    let (old, new) = (server.batch(1).await, server.batch(1).await);
    let page = server.get("/v1/batches?limit=1").await.json();
    assert_eq!((&page["data"][0]["id"], &page["has_more"]), (&new.clone().into(), &true.into()));
    let page = server.get(&format!("/v1/batches?limit=1&after={new}")).await.json();
    assert_eq!((&page["data"][0]["id"], &page["has_more"]), (&old.into(), &false.into()));
    assert_eq!(server.get("/v1/batches?limit=101").await.status, 400);
}

#[tokio::test]
async fn a_completed_batch_has_its_files_counts_and_times() {
    let server = Server::start().await;
    let id = server.batch(4).await;
    let plan = json!({ "lines": { "r1": 400, "r2": "malformed" } });
    let answer = advance(&server, &id, json!({ "status": "completed", "plan": plan })).await.json();
    let batch = &answer["batch"];
    assert_eq!(batch["request_counts"], json!({ "total": 4, "completed": 3, "failed": 1 }));
    for time in ["in_progress_at", "finalizing_at", "completed_at"] {
        assert!(batch[time].is_i64(), "{time}");
    }
    assert_eq!(text(&server, &batch["output_file_id"]).await.lines().count(), 3);
    assert!(text(&server, &batch["error_file_id"]).await.contains(r#""status_code":400"#));
    assert_eq!(batch["model"], "gpt-6-luna");
    assert!(batch["usage"]["total_tokens"].as_u64().unwrap() > 0);
    assert_eq!(server.get(&format!("/v1/batches/{id}")).await.json(), *batch);
}

#[tokio::test]
async fn a_batch_without_successes_has_no_output_file_in_the_way_asked_for() {
    let server = Server::start().await;
    for (way, expected) in [("null", Some(Value::Null)), ("omit", None), ("empty", Some("".into()))] {
        let id = server.batch(1).await;
        let command = json!({ "status": "completed", "plan": { "default": 500 }, "absent_file_ids": way });
        let batch = advance(&server, &id, command).await.json()["batch"].clone();
        assert_eq!(batch.get("output_file_id"), expected.as_ref());
        assert!(batch["error_file_id"].as_str().unwrap().starts_with("file-"));
    }
}

#[tokio::test]
async fn files_given_explicitly_are_used_and_counted() {
    let server = Server::start().await;
    let id = server.batch(3).await;
    let file = server.post("/_control/files", json!({ "text": "{}\n{}\n" })).await.json()["id"].clone();
    let command = json!({ "status": "expired", "output_file_id": file, "error_file_id": "" });
    let batch = advance(&server, &id, command).await.json()["batch"].clone();
    assert_eq!((&batch["output_file_id"], &batch["error_file_id"]), (&file, &"".into()));
    assert_eq!(batch["request_counts"], json!({ "total": 3, "completed": 2, "failed": 0 }));
}

#[tokio::test]
async fn progress_is_reported_again_and_again() {
    let server = Server::start().await;
    let id = server.batch(3).await;
    for completed in [1, 2] {
        let counts = json!({ "total": 3, "completed": completed, "failed": 0 });
        let answer = advance(&server, &id, json!({ "status": "in_progress", "request_counts": counts })).await.json();
        assert_eq!(answer["batch"]["request_counts"], counts);
    }
    let batch = advance(&server, &id, json!({ "status": "finalizing" })).await.json()["batch"].clone();
    assert_eq!(batch["request_counts"]["completed"], 2);
}

#[tokio::test]
async fn a_failed_batch_says_why_and_has_no_files() {
    let server = Server::start().await;
    let id = server.batch(1).await;
    let errors = json!([{ "code": "empty_file", "message": "The file is empty.", "param": null, "line": null }]);
    let answer = advance(&server, &id, json!({ "status": "failed", "errors": errors })).await.json();
    let batch = &answer["batch"];
    assert_eq!(batch["errors"], json!({ "object": "list", "data": errors }));
    assert_eq!((&batch["output_file_id"], &batch["in_progress_at"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn a_cancelled_batch_is_cancelling_first_and_keeps_partial_results() {
    let server = Server::start().await;
    let id = server.batch(2).await;
    let cancelling = server.post(&format!("/v1/batches/{id}/cancel"), json!({})).await.json();
    assert_eq!(cancelling["status"], "cancelling");
    assert_eq!(advance(&server, &id, json!({ "status": "in_progress" })).await.status, 409);
    let plan = json!({ "default": "batch_cancelled", "lines": { "r0": 200 } });
    let batch = advance(&server, &id, json!({ "status": "cancelled", "plan": plan })).await.json()["batch"].clone();
    assert_eq!(batch["request_counts"], json!({ "total": 2, "completed": 1, "failed": 1 }));
    assert_eq!(server.post(&format!("/v1/batches/{id}/cancel"), json!({})).await.status, 400);
}

#[tokio::test]
async fn a_batch_never_goes_back() {
    let server = Server::start().await;
    let id = server.batch(1).await;
    assert_eq!(advance(&server, &id, json!({ "status": "completed" })).await.status, 200);
    assert_eq!(advance(&server, &id, json!({ "status": "failed" })).await.status, 409);
    assert_eq!(server.get(&format!("/v1/batches/{id}")).await.json()["status"], "completed");
}

#[tokio::test]
async fn a_refused_command_changes_nothing() {
    let server = Server::start().await;
    let id = server.batch(1).await;
    for command in [
        json!({ "status": "completed", "plan": { "lines": { "r9": 400 } } }),
        json!({ "status": "completed", "output_file_id": "file-none" }),
        json!({ "status": "validating" }),
        json!({ "status": "completed", "typo": 1 }),
    ] {
        assert!(advance(&server, &id, command).await.status.is_client_error());
    }
    let batch = server.get(&format!("/v1/batches/{id}")).await.json();
    assert_eq!((&batch["status"], &batch["in_progress_at"]), (&"validating".into(), &Value::Null));
    assert_eq!(advance(&server, "batch_none", json!({ "status": "completed" })).await.status, 404);
}

#[tokio::test]
async fn usage_can_be_left_out() {
    let server = Server::start().await;
    let id = server.batch(1).await;
    let answer = advance(&server, &id, json!({ "status": "completed", "usage": false })).await.json();
    assert_eq!(answer["batch"].get("usage"), None);
}

#[tokio::test]
async fn every_endpoint_answers_in_its_own_format() {
    let server = Server::start().await;
    for (endpoint, field) in [
        ("/v1/responses", "output"),
        ("/v1/chat/completions", "choices"),
        ("/v1/completions", "choices"),
        ("/v1/embeddings", "data"),
        ("/v1/moderations", "results"),
        ("/v1/images/generations", "data"),
    ] {
        let batch = create(&server, |body| body["endpoint"] = endpoint.into()).await.json();
        let command = json!({ "status": "completed" });
        let answer = advance(&server, batch["id"].as_str().unwrap(), command).await.json();
        let line: Value = serde_json::from_str(&text(&server, &answer["batch"]["output_file_id"]).await).unwrap();
        assert!(line["response"]["body"][field].is_array(), "{endpoint}");
    }
}
