use serde_json::{Value, json};

use crate::testing::{Answer, Server};

async fn session(server: &Server, command: Value) -> String {
    let answer = server.post("/_control/agents/sessions", command).await.json();
    answer["session"]["id"].as_str().unwrap().to_owned()
}

async fn go(server: &Server, id: &str, command: Value) -> Answer {
    server.post(&format!("/_control/agents/sessions/{id}/move"), command).await
}

async fn get(server: &Server, path: &str) -> Answer {
    server.request("GET", &format!("/v1/agents/{path}")).header("openai-beta", "agents=v1").send().await
}

async fn submit(server: &Server, id: &str, key: &str, body: Value) -> Answer {
    let path = format!("/v1/agents/sessions/{id}/events");
    let request = server.request("POST", &path).header("openai-beta", "agents=v1").header("idempotency-key", key);
    request.body("application/json", body.to_string()).send().await
}

fn types(answer: &Value) -> Vec<&str> {
    answer["deliveries"].as_array().unwrap().iter().map(|delivery| delivery["type"].as_str().unwrap()).collect()
}

fn call(id: &str) -> Value {
    json!({ "type": "function_call", "call_id": id, "turn_id": "turn_1", "name": "pay", "arguments": {} })
}

fn result(id: &str) -> Value {
    json!({ "type": "agent.session.input.tool_result", "call_id": id, "turn_id": "turn_1", "success": true })
}

#[tokio::test]
async fn nothing_is_served_without_the_beta_header() {
    let server = Server::start().await;
    let id = session(&server, json!({})).await;
    let path = format!("/v1/agents/sessions/{id}");
    let bare = server.get(&path).await;
    assert_eq!((bare.status.as_u16(), &bare.json()["error"]["code"]), (400, &"invalid_beta".into()));
    let other = server.request("GET", &path).header("openai-beta", "agents=v2").send().await;
    assert_eq!(other.status, 400);
    let among = server.request("GET", &path).header("openai-beta", "assistants=v2, agents=v1").send().await;
    assert_eq!(among.status, 200);
}

#[tokio::test]
async fn each_state_of_a_session_has_its_webhook() {
    let server = Server::start().await;
    server.register().await;
    let created = server.post("/_control/agents/sessions", json!({ "environment_type": "self_hosted" })).await.json();
    assert_eq!(types(&created), ["agent.session.created"]);
    let id = created["session"]["id"].as_str().unwrap();
    for (command, kind) in [
        (json!({ "status": "in_progress" }), "agent.session.in_progress"),
        (json!({ "status": "requires_action", "required_actions": [call("call_1")] }), "agent.session.action_required"),
        (json!({ "status": "idle", "turn": { "status": "completed" } }), "agent.session.idle"),
        (json!({ "status": "failed", "error": "Oh." }), "agent.session.failed"),
    ] {
        assert_eq!(types(&go(&server, id, command).await.json()), [kind]);
    }
    assert_eq!(get(&server, &format!("sessions/{id}")).await.json()["error"], "Oh.");
    assert_eq!(go(&server, id, json!({ "status": "idle" })).await.status, 409);
}

#[tokio::test]
async fn a_state_and_its_actions_fit_together() {
    let server = Server::start().await;
    let id = session(&server, json!({})).await;
    assert_eq!(go(&server, &id, json!({ "status": "requires_action" })).await.status, 400);
    assert_eq!(go(&server, &id, json!({ "status": "idle", "required_actions": [call("c")] })).await.status, 400);
    assert_eq!(go(&server, "sess_0", json!({ "status": "idle" })).await.status, 404);
}

#[tokio::test]
async fn turns_and_sessions_are_listed_in_pages() {
    let server = Server::start().await;
    let (first, second) = (session(&server, json!({})).await, session(&server, json!({})).await);
    let newest = get(&server, "sessions?limit=1").await.json();
    assert_eq!((&newest["data"][0]["id"], &newest["has_more"]), (&second.as_str().into(), &true.into()));
    let next = get(&server, &format!("sessions?limit=1&after={second}")).await.json();
    assert_eq!(next["data"][0]["id"], first);
    for status in ["completed", "failed"] {
        go(&server, &first, json!({ "status": "idle", "turn": { "status": status } })).await;
    }
    let turns = get(&server, &format!("sessions/{first}/turns?order=desc&limit=1")).await.json();
    assert_eq!((&turns["data"][0]["status"], turns["data"].as_array().unwrap().len()), (&"failed".into(), 1));
    assert_eq!(get(&server, &format!("sessions/{second}/turns")).await.json()["data"], json!([]));
    assert_eq!(get(&server, "sessions/sess_0/turns").await.status, 404);
    assert_eq!(get(&server, "sessions?limit=101").await.status, 400);
}

#[tokio::test]
async fn a_result_ends_the_wait_once() {
    let server = Server::start().await;
    let id = session(&server, json!({})).await;
    let actions = json!([call("call_1"), call("call_2")]);
    go(&server, &id, json!({ "status": "requires_action", "required_actions": actions })).await;
    assert_eq!(submit(&server, &id, "k1", json!({ "events": [result("call_1")] })).await.status, 202);
    assert_eq!(submit(&server, &id, "k1", json!({ "events": [result("call_1")] })).await.status, 202);
    assert_eq!(submit(&server, &id, "k2", json!({ "events": [result("call_1")] })).await.status, 400);
    assert_eq!(get(&server, &format!("sessions/{id}")).await.json()["status"], "requires_action");
    assert_eq!(submit(&server, &id, "k3", json!({ "events": [result("call_2")] })).await.status, 202);
    let now = get(&server, &format!("sessions/{id}")).await.json();
    assert_eq!((&now["status"], &now["required_actions"]), (&"in_progress".into(), &json!([])));
    let submitted = server.get(&format!("/_control/agents/sessions/{id}/events")).await.json();
    assert_eq!(submitted["events"], json!([result("call_1"), result("call_2")]));
}

#[tokio::test]
async fn malformed_events_are_refused_and_change_nothing() {
    let server = Server::start().await;
    let id = session(&server, json!({})).await;
    go(&server, &id, json!({ "status": "requires_action", "required_actions": [call("call_1")] })).await;
    let unknown = json!({ "type": "agent.session.input.dance" });
    let bare = json!({ "type": "agent.session.input.tool_result", "call_id": "call_1" });
    for events in
        [json!(null), json!({}), json!([]), json!([unknown]), json!([bare]), json!([result("call_1"), unknown])]
    {
        assert_eq!(submit(&server, &id, "k", json!({ "events": events })).await.status, 400, "{events}");
    }
    assert_eq!(get(&server, &format!("sessions/{id}")).await.json()["required_actions"], json!([call("call_1")]));
    assert_eq!(submit(&server, "sess_0", "k", json!({ "events": [unknown] })).await.status, 404);
}

#[tokio::test]
async fn an_environment_has_events_for_four_of_its_statuses() {
    let server = Server::start().await;
    server.register().await;
    let created = server.post("/_control/agents/environments", json!({ "status": "pending" })).await.json();
    assert!(types(&created).is_empty());
    let id = created["environment"]["id"].as_str().unwrap();
    for (status, told) in [("ready", 1), ("connected", 0), ("suspended", 1), ("expired", 1), ("failed", 1)] {
        let moved = server.post(&format!("/_control/agents/environments/{id}/move"), json!({ "status": status })).await;
        assert_eq!(types(&moved.json()).len(), told, "{status}");
        assert_eq!(get(&server, &format!("environments/{id}")).await.json()["status"], status);
    }
    assert_eq!(get(&server, "environments/env_0").await.status, 404);
}
