//! The example with axum, asked as OpenAI would.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use hooks_webhook::{MAX_BODY, Secret};
use tower::ServiceExt as _;

#[path = "../../examples/axum.rs"]
mod example;

const SECRET: &str = "whsec_RdvaYFYUXuIFuEbvZHwMfYFhUf7aMYjYcmM24+Aj40c=";
const BODY: &str = r#"{"id": "evt_1", "type": "response.completed", "created_at": 1, "data": {"id": "resp_1"}}"#;

fn delivery(secret: &str, body: &str) -> Request<Body> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    Request::post("/webhook")
        .header("webhook-id", "wh_1")
        .header("webhook-timestamp", now.to_string())
        .header("webhook-signature", Secret::parse(secret).unwrap().sign("wh_1", now, body.as_bytes()))
        .body(Body::from(body.to_owned()))
        .unwrap()
}

#[tokio::test]
async fn a_genuine_delivery_is_queued_and_all_others_are_told_why() {
    let (routes, mut events) = example::receiver(vec![Secret::parse(SECRET).unwrap()]);
    let ask = async |request: Request<Body>| {
        let answer = routes.clone().oneshot(request).await.unwrap();
        let status = answer.status();
        (status, String::from_utf8(to_bytes(answer.into_body(), 1000).await.unwrap().to_vec()).unwrap())
    };

    assert_eq!(ask(delivery(SECRET, BODY)).await, (StatusCode::OK, "received".to_owned()));
    assert_eq!(events.recv().await.unwrap().idempotency_key().as_str(), "response.completed/resp_1");

    let other = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let refused = (StatusCode::UNAUTHORIZED, "no_matching_signature".to_owned());
    assert_eq!(ask(delivery(other, BODY)).await, refused);
    let malformed = (StatusCode::BAD_REQUEST, "malformed_body".to_owned());
    assert_eq!(ask(delivery(SECRET, "not an event")).await, malformed);
    let too_large = ask(delivery(SECRET, &" ".repeat(MAX_BODY + 1))).await;
    assert_eq!(too_large.0, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(events.try_recv().is_err());
}

#[tokio::test]
async fn what_does_not_fit_into_the_queue_is_left_to_openai() {
    let (routes, _events) = example::receiver(vec![Secret::parse(SECRET).unwrap()]);
    loop {
        let answer = routes.clone().oneshot(delivery(SECRET, BODY)).await.unwrap();
        if answer.status() != StatusCode::OK {
            assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
            break;
        }
    }
}
