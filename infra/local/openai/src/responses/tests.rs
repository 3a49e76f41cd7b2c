use serde_json::{Value, json};

use crate::testing::{Answer, Server};

async fn create(server: &Server, change: impl FnOnce(&mut Value)) -> Answer {
    let mut body = json!({ "model": "gpt-6-luna", "input": "Hi", "background": true });
    change(&mut body);
    server.post("/v1/responses", body).await
}

async fn queued(server: &Server) -> String {
    create(server, |_| ()).await.json()["id"].as_str().unwrap().to_owned()
}

async fn get(server: &Server, id: &str) -> Value {
    server.get(&format!("/v1/responses/{id}")).await.json()
}

async fn finish(server: &Server, id: &str, command: Value) -> Answer {
    server.post(&format!("/_control/responses/{id}/finish"), command).await
}

async fn finished(server: &Server, command: Value) -> Value {
    finish(server, &queued(server).await, command).await.json()["response"].clone()
}

async fn delivered(server: &Server) -> Vec<Value> {
    let deliveries = server.get("/_control/deliveries").await.json();
    deliveries["deliveries"].as_array().unwrap().iter().map(|delivery| delivery["type"].clone()).collect()
}

#[tokio::test]
async fn a_background_response_is_queued_and_can_be_retrieved() {
    let server = Server::start().await;
    let response = create(&server, |body| body["metadata"] = json!({ "team": "a" })).await.json();
    assert_eq!((&response["status"], &response["background"]), (&"queued".into(), &true.into()));
    assert_eq!((&response["output"], &response["usage"]), (&json!([]), &Value::Null));
    assert_eq!((&response["metadata"], &response["store"]), (&json!({ "team": "a" }), &true.into()));
    assert_eq!(get(&server, response["id"].as_str().unwrap()).await, response);
}

#[tokio::test]
async fn any_other_response_is_completed_at_once() {
    let server = Server::start().await;
    let response = create(&server, |body| body["background"] = Value::Null).await.json();
    assert_eq!((&response["status"], &response["background"]), (&"completed".into(), &false.into()));
    assert_eq!(response["output"][0]["content"][0]["text"], "Hello!");
    assert_eq!(finish(&server, response["id"].as_str().unwrap(), json!({ "status": "failed" })).await.status, 409);
}

#[tokio::test]
async fn a_bad_parameter_is_refused_by_its_name() {
    let server = Server::start().await;
    let too_many: Value = (0..17).map(|n| (n.to_string(), Value::from(""))).collect();
    for (param, value) in [
        ("model", Value::Null),
        ("model", json!(6)),
        ("input", Value::Null),
        ("input", json!({ "role": "user" })),
        ("instructions", json!([])),
        ("background", json!("yes")),
        ("store", json!(1)),
        ("metadata", json!([])),
        ("metadata", json!({ "a": 1 })),
        ("metadata", json!({ "a": "x".repeat(513) })),
        ("metadata", json!({ "x".repeat(65): "a" })),
        ("metadata", too_many),
    ] {
        let answer = create(&server, |body| body[param] = value).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["error"]["param"]), (400, &param.into()));
    }
}

#[tokio::test]
async fn a_body_that_is_not_json_is_refused() {
    let server = Server::start().await;
    let answer = server.request("POST", "/v1/responses").body("application/json", "{").send().await;
    assert_eq!(answer.status, 400);
}

#[tokio::test]
async fn a_completed_response_has_its_message_time_and_usage() {
    let server = Server::start().await;
    let response = finished(&server, json!({ "status": "completed", "text": "Done." })).await;
    let content = json!([{ "type": "output_text", "text": "Done.", "annotations": [], "logprobs": [] }]);
    assert_eq!((&response["output"][0]["content"], &response["output"][0]["status"]), (&content, &"completed".into()));
    assert!(response["completed_at"].is_i64());
    let usage = |field: &str| response["usage"][field].as_u64().unwrap();
    assert_eq!(usage("total_tokens"), usage("input_tokens") + usage("output_tokens"));
    assert_eq!(get(&server, response["id"].as_str().unwrap()).await, response);
}

#[tokio::test]
async fn a_refusal_comes_after_the_text_or_alone() {
    let server = Server::start().await;
    let refusal = json!({ "type": "refusal", "refusal": "No." });
    let response = finished(&server, json!({ "status": "completed", "refusal": "No." })).await;
    assert_eq!(response["output"][0]["content"][1], refusal);
    let response = finished(&server, json!({ "status": "completed", "text": null, "refusal": "No." })).await;
    assert_eq!(response["output"][0]["content"], json!([refusal]));
}

#[tokio::test]
async fn every_other_final_status_has_a_reason() {
    let server = Server::start().await;
    let failed = finished(&server, json!({ "status": "failed" })).await;
    assert_eq!((&failed["error"]["code"], &failed["output"]), (&"server_error".into(), &json!([])));
    let error = json!({ "code": "rate_limit_exceeded", "message": "Too many." });
    assert_eq!(finished(&server, json!({ "status": "failed", "error": error })).await["error"], error);
    let incomplete = finished(&server, json!({ "status": "incomplete" })).await;
    assert_eq!(incomplete["incomplete_details"], json!({ "reason": "max_output_tokens" }));
    assert_eq!(incomplete["output"][0]["status"], "incomplete");
    let cancelled = finished(&server, json!({ "status": "cancelled" })).await;
    for response in [failed, incomplete, cancelled] {
        assert_eq!(response["completed_at"], Value::Null, "{response}");
    }
}

#[tokio::test]
async fn explicit_fields_are_used_as_given() {
    let server = Server::start().await;
    let item = json!({ "type": "unheard_of", "n": 1 });
    let usage = json!({ "total_tokens": 7 });
    let fields = json!({ "temperature": null, "novelty": [1] });
    let command = json!({ "status": "completed", "output": [item], "usage": usage, "fields": fields });
    let response = finished(&server, command).await;
    assert_eq!((&response["output"], &response["usage"]), (&json!([item]), &usage));
    assert_eq!((&response["temperature"], &response["novelty"]), (&Value::Null, &json!([1])));
}

#[tokio::test]
async fn an_end_is_delivered_unless_its_webhook_is_lost() {
    let server = Server::start().await;
    server.register().await;
    finished(&server, json!({ "status": "completed", "deliver": false })).await;
    assert_eq!(delivered(&server).await, Vec::<Value>::new());
    let answer = finish(&server, &queued(&server).await, json!({ "status": "incomplete" })).await.json();
    assert_eq!(answer["deliveries"][0]["type"], "response.incomplete");
}

#[tokio::test]
async fn a_response_is_cancelled_and_delivered_once() {
    let server = Server::start().await;
    server.register().await;
    let id = queued(&server).await;
    let cancel = async || server.post(&format!("/v1/responses/{id}/cancel"), json!({})).await.json();
    let cancelled = cancel().await;
    assert_eq!(cancelled["status"], "cancelled");
    assert_eq!(cancel().await, cancelled);
    assert_eq!(delivered(&server).await, ["response.cancelled"]);
    assert_eq!(finish(&server, &id, json!({ "status": "completed" })).await.status, 409);
}

#[tokio::test]
async fn cancelling_a_finished_response_changes_nothing() {
    let server = Server::start().await;
    let response = finished(&server, json!({ "status": "completed" })).await;
    let path = format!("/v1/responses/{}/cancel", response["id"].as_str().unwrap());
    assert_eq!(server.post(&path, json!({})).await.json(), response);
}

#[tokio::test]
async fn only_a_background_response_can_be_cancelled() {
    let server = Server::start().await;
    let response = create(&server, |body| body["background"] = false.into()).await.json();
    let path = format!("/v1/responses/{}/cancel", response["id"].as_str().unwrap());
    assert_eq!(server.post(&path, json!({})).await.status, 400);
}

#[tokio::test]
async fn a_deleted_response_is_gone_for_every_call() {
    let server = Server::start().await;
    let path = format!("/v1/responses/{}", queued(&server).await);
    assert_eq!(server.delete(&path).await.json()["deleted"], true);
    let answer = server.get(&path).await;
    let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
    assert_eq!(answer.status, 404);
    assert!(message.starts_with("Response with id 'resp_"), "{message}");
    assert_eq!(server.delete(&path).await.status, 404);
    assert_eq!(server.post(&format!("{path}/cancel"), json!({})).await.status, 404);
    assert_eq!(
        server.post(&format!("/_control{}/finish", &path[3..]), json!({ "status": "failed" })).await.status,
        404
    );
}

#[tokio::test]
async fn a_refused_command_changes_nothing() {
    let server = Server::start().await;
    let id = queued(&server).await;
    for command in [
        json!({}),
        json!({ "status": "queued" }),
        json!({ "status": "completed", "typo": 1 }),
        json!({ "status": "completed", "output": "Hello!" }),
        json!({ "status": "completed", "usage": 7 }),
    ] {
        assert!(finish(&server, &id, command).await.status.is_client_error());
    }
    assert_eq!(get(&server, &id).await["status"], "queued");
    assert_eq!(finish(&server, &id, json!({ "status": "completed" })).await.status, 200);
    assert_eq!(finish(&server, &id, json!({ "status": "failed" })).await.status, 409);
    assert_eq!(get(&server, &id).await["status"], "completed");
}
