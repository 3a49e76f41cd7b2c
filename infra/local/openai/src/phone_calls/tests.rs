//! Actions on calls.

use serde_json::{Value, json};

use crate::testing::Server;

async fn ringing(server: &Server) -> Value {
    server.post("/_control/calls", json!({})).await.json()["call"].clone()
}

fn path(call: &Value, api: &str, action: &str) -> String {
    match api {
        "realtime" => format!("/v1/realtime/calls/{}/{action}", call["call_id"].as_str().unwrap()),
        _ => format!("/v1/live/sessions/{}/{action}", call["session_id"].as_str().unwrap()),
    }
}

#[tokio::test]
async fn the_first_api_that_accepts_has_the_call() {
    let server = Server::start().await;
    let call = ringing(&server).await;
    let session = json!({ "session": { "type": "live", "model": "gpt-live-1" } });
    let answer = server.post(&path(&call, "live", "accept"), session).await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 0));
    let flat = json!({ "type": "realtime", "model": "gpt-realtime-2.1" });
    assert_eq!(server.post(&path(&call, "realtime", "accept"), flat).await.status, 409);
    let shown = server.get(&format!("/_control/calls/{}", call["call_id"].as_str().unwrap())).await.json();
    assert_eq!((&shown["state"], &shown["by"]), (&"accepted".into(), &"live".into()));
    assert_eq!(server.post(&path(&call, "live", "hangup"), json!({})).await.status, 200);
    assert_eq!(server.post(&path(&call, "live", "hangup"), json!({})).await.status, 404);
}

#[tokio::test]
async fn a_body_for_the_other_api_or_with_something_missing_is_refused() {
    let server = Server::start().await;
    let call = ringing(&server).await;
    let flat = json!({ "type": "realtime", "model": "m" });
    for (api, action, body) in [
        ("realtime", "accept", json!({ "session": flat })),
        ("realtime", "accept", json!({ "model": "m" })),
        ("realtime", "accept", json!({ "type": "live", "model": "m" })),
        ("realtime", "accept", json!({ "type": "realtime" })),
        ("live", "accept", json!({ "type": "live", "model": "m" })),
        ("live", "accept", json!({ "session": { "type": "live" } })),
        ("live", "reject", json!({})),
        ("live", "reject", json!({ "status_code": 200 })),
        ("realtime", "reject", json!({ "status_code": "603" })),
        ("realtime", "refer", json!({})),
        ("live", "refer", json!({ "target_uri": "https://example.com" })),
    ] {
        let answer = server.post(&path(&call, api, action), body.clone()).await;
        assert_eq!(answer.status, 400, "{api} {action} {body}");
    }
    assert_eq!(server.post(&path(&call, "realtime", "reject"), json!({})).await.status, 200);
}
