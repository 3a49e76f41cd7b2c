//! Actions on phone calls.

use std::time::Duration;

use hooks_openai::{CallApi, ErrorClass};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::server::{client_and_asked, client_at, soon};

fn session() -> serde_json::Map<String, Value> {
    json!({"model": "m", "audio": {"output": {"voice": "marin"}}}).as_object().unwrap().clone()
}

#[tokio::test]
async fn each_api_has_its_paths_and_bodies_and_empty_answers() {
    let (client, asked) = client_and_asked("").await;
    for (api, id) in [(CallApi::Realtime, "rtc_1"), (CallApi::Live, "live_1")] {
        client.accept_call(api, id, session(), soon()).await.unwrap();
        client.reject_call(api, id, 486, soon()).await.unwrap();
        client.refer_call(api, id, "tel:+4930", soon()).await.unwrap();
    }
    let session = |kind| json!({"type": kind, "model": "m", "audio": {"output": {"voice": "marin"}}});
    let expected = [
        ("/v1/realtime/calls/rtc_1/accept", session("realtime")),
        ("/v1/realtime/calls/rtc_1/reject", json!({"status_code": 486})),
        ("/v1/realtime/calls/rtc_1/refer", json!({"target_uri": "tel:+4930"})),
        ("/v1/live/sessions/live_1/accept", json!({"session": session("live")})),
        ("/v1/live/sessions/live_1/reject", json!({"status_code": 486})),
        ("/v1/live/sessions/live_1/refer", json!({"target_uri": "tel:+4930"})),
    ];
    let expected = expected.map(|(path, body)| ("POST".to_owned(), path.to_owned(), body));
    assert_eq!(*asked.lock().unwrap(), expected);
}

#[tokio::test]
async fn a_timeout_and_a_failed_connection_may_be_retried() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = client_at(listener.local_addr().unwrap().port());
    let started = Instant::now();
    assert_eq!(
        silent.accept_call(CallApi::Realtime, "rtc_1", session(), soon()).await.unwrap_err().class(),
        ErrorClass::Retry
    );
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    drop(listener);
    assert_eq!(
        silent.accept_call(CallApi::Realtime, "rtc_1", session(), soon()).await.unwrap_err().class(),
        ErrorClass::Retry
    );
}
