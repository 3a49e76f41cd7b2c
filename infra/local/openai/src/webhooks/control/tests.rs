use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::sleep;

use super::super::signing::{Scheme, Secret};
use crate::store::lock;
use crate::testing::Server;

const SECRET: &str = "whsec_RdvaYFYUXuIFuEbvZHwMfYFhUf7aMYjYcmM24+Aj40c=";
const OTHER: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// A receiver of deliveries that answers with these statuses, then 200.
#[derive(Clone)]
struct Inbox {
    url: String,
    received: Arc<Mutex<Vec<Delivered>>>,
    statuses: Arc<Mutex<Vec<u16>>>,
}

#[derive(Clone)]
struct Delivered {
    headers: HeaderMap,
    body: String,
}

impl Delivered {
    fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    fn is_signed_with(&self, secrets: &[&str]) -> bool {
        let scheme = Scheme::StandardWebhooks;
        let secrets: Vec<Secret> = secrets.iter().map(|text| Secret::parse(scheme, text).unwrap()).collect();
        let (id, timestamp) = (self.header("webhook-id"), self.header("webhook-timestamp"));
        let expected = scheme.headers(&secrets, false, id, timestamp, &self.body);
        expected.iter().all(|(name, value)| self.header(name) == value)
    }
}

impl Inbox {
    async fn start(statuses: &[u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let inbox = Self {
            url: format!("http://{}/hook", listener.local_addr().unwrap()),
            received: Arc::default(),
            statuses: Arc::new(Mutex::new(statuses.iter().rev().copied().collect())),
        };
        let router = Router::new().fallback(receive).with_state(inbox.clone());
        tokio::spawn(async { axum::serve(listener, router).await });
        inbox
    }

    async fn received(&self, count: usize) -> Vec<Delivered> {
        for _ in 0..200 {
            let received = lock(&self.received).clone();
            if received.len() >= count {
                return received;
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("{} of {count} deliveries arrived", lock(&self.received).len());
    }
}

async fn receive(State(inbox): State<Inbox>, headers: HeaderMap, body: String) -> Response {
    lock(&inbox.received).push(Delivered { headers, body });
    match lock(&inbox.statuses).pop() {
        Some(307) => Redirect::temporary("/elsewhere").into_response(),
        Some(status) => StatusCode::from_u16(status).unwrap().into_response(),
        None => "thanks".into_response(),
    }
}

/// A stand-in, and the inbox that it delivers to.
async fn pair(statuses: &[u16]) -> (Server, Inbox) {
    let (server, inbox) = (Server::start().await, Inbox::start(statuses).await);
    register(&server, json!({ "url": inbox.url, "secret": SECRET })).await;
    (server, inbox)
}

async fn register(server: &Server, registration: Value) -> Value {
    let answer = server.post("/_control/webhooks", registration).await;
    assert_eq!(answer.status, StatusCode::OK);
    answer.json()
}

async fn deliver(server: &Server, command: Value) -> Value {
    let answer = server.post("/_control/deliver", command).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer.json()["deliveries"].clone()
}

fn completed() -> Value {
    json!({ "type": "batch.completed", "data": { "id": "batch_1" }, "wait": true })
}

/// A command with one more field.
fn with(mut command: Value, field: &str, value: impl Into<Value>) -> Value {
    command[field] = value.into();
    command
}

#[tokio::test]
async fn a_delivery_looks_like_openai_s() {
    let (server, inbox) = pair(&[]).await;
    let deliveries = deliver(&server, completed()).await;
    let received = &inbox.received(1).await[0];
    assert_eq!(received.header("user-agent"), "OpenAI/1.0 (+https://platform.openai.com/docs/webhooks)");
    assert_eq!(received.header("content-type"), "application/json");
    assert!(received.header("webhook-id").starts_with("wh_"));
    assert!(received.is_signed_with(&[SECRET]));
    let body: Value = serde_json::from_str(&received.body).unwrap();
    assert_eq!((&body["type"], &body["object"]), (&"batch.completed".into(), &"event".into()));
    assert_eq!((&deliveries[0]["state"], &deliveries[0]["event_id"]), (&"accepted".into(), &body["id"]));
    assert_eq!(deliveries[0]["attempts"][0]["answer"], "thanks");
}

#[tokio::test]
async fn a_finished_batch_delivers_its_event_by_itself() {
    let (server, inbox) = pair(&[]).await;
    for status in ["completed", "failed", "expired", "cancelled"] {
        let id = server.batch(1).await;
        let answer = server.post(&format!("/_control/batches/{id}/advance"), json!({ "status": status })).await.json();
        let body: Value = serde_json::from_str(&inbox.received(1).await[0].body).unwrap();
        assert_eq!((&body["type"], &body["data"]), (&format!("batch.{status}").into(), &json!({ "id": id })));
        assert_eq!(answer["deliveries"][0]["event_id"], body["id"]);
        lock(&inbox.received).clear();
    }
}

#[tokio::test]
async fn a_batch_in_progress_and_a_lost_webhook_deliver_nothing() {
    let (server, inbox) = pair(&[]).await;
    let id = server.batch(1).await;
    for command in [json!({ "status": "in_progress" }), json!({ "status": "completed", "deliver": false })] {
        let answer = server.post(&format!("/_control/batches/{id}/advance"), command).await.json();
        assert_eq!(answer["deliveries"], json!([]));
    }
    deliver(&server, completed()).await;
    assert_eq!(inbox.received(1).await.len(), 1);
}

#[tokio::test]
async fn refused_deliveries_are_retried_under_the_same_id() {
    let (server, inbox) = pair(&[500, 400, 307]).await;
    deliver(&server, completed()).await;
    let received = inbox.received(4).await;
    assert!(received.iter().all(|delivered| delivered.header("webhook-id") == received[0].header("webhook-id")));
    assert!(received.iter().all(|delivered| delivered.body == received[0].body && delivered.is_signed_with(&[SECRET])));
    sleep(Duration::from_millis(100)).await;
    assert_eq!(inbox.received(4).await.len(), 4);
    let delivery = server.get("/_control/deliveries").await.json()["deliveries"][0].clone();
    let statuses: Vec<&Value> =
        delivery["attempts"].as_array().unwrap().iter().map(|attempt| &attempt["status"]).collect();
    assert_eq!(
        (statuses, &delivery["state"]),
        (vec![&json!(500), &json!(400), &json!(307), &json!(200)], &"accepted".into())
    );
}

#[tokio::test]
async fn every_attempt_has_a_fresh_timestamp() {
    // The eighth attempt comes 5 ms * (2^8 - 1), so more than a second, after the first.
    let (server, inbox) = pair(&[500; 8]).await;
    deliver(&server, completed()).await;
    let received = inbox.received(9).await;
    let (first, last) = (received[0].header("webhook-timestamp"), received[8].header("webhook-timestamp"));
    assert!(last.parse::<i64>().unwrap() > first.parse::<i64>().unwrap());
    assert!(received[8].is_signed_with(&[SECRET]));
}

#[tokio::test]
async fn a_delivery_without_retries_is_tried_once() {
    let (server, inbox) = pair(&[500]).await;
    let deliveries = deliver(&server, with(completed(), "retry", false)).await;
    assert_eq!((&deliveries[0]["state"], &deliveries[0]["attempts"][0]["status"]), (&"dropped".into(), &500.into()));
    sleep(Duration::from_millis(100)).await;
    assert_eq!(inbox.received(1).await.len(), 1);
}

#[tokio::test]
async fn an_unreachable_receiver_is_recorded_with_the_reason() {
    let server = Server::start().await;
    register(&server, json!({ "url": "http://127.0.0.1:1/", "secret": SECRET })).await;
    let deliveries = deliver(&server, with(completed(), "retry", false)).await;
    assert_eq!(deliveries[0]["attempts"][0]["status"], Value::Null);
    assert!(deliveries[0]["attempts"][0]["answer"].as_str().unwrap().contains("refused"));
}

#[tokio::test]
async fn two_secrets_give_two_signatures_in_one_header() {
    let (server, inbox) = pair(&[]).await;
    register(&server, json!({ "url": inbox.url, "secrets": [OTHER, SECRET] })).await;
    deliver(&server, completed()).await;
    let received = inbox.received(1).await;
    assert!(received[0].is_signed_with(&[OTHER, SECRET]));
    assert_eq!(received[0].header("webhook-signature").split(' ').count(), 2);
}

#[tokio::test]
async fn registering_a_url_again_replaces_its_secrets_even_for_retries() {
    let (server, inbox) = pair(&[500, 500, 500, 500]).await;
    deliver(&server, completed()).await;
    let shown = register(&server, json!({ "url": inbox.url, "secret": OTHER })).await;
    let received = inbox.received(5).await;
    assert!(received[0].is_signed_with(&[SECRET]) && received[4].is_signed_with(&[OTHER]));
    assert_eq!(server.get("/_control/webhooks").await.json(), json!({ "webhooks": [shown] }));
}

#[tokio::test]
async fn events_go_to_the_endpoints_of_their_name() {
    let (server, project) = pair(&[]).await;
    let organization = Inbox::start(&[]).await;
    register(&server, json!({ "url": organization.url, "secret": OTHER, "endpoint": "organization" })).await;
    deliver(&server, json!({ "type": "safety.warning_issued", "data": { "id": "C-1" }, "wait": true })).await;
    deliver(&server, json!({ "type": "safety.alert.created", "data": { "id": "alert_1" }, "wait": true })).await;
    deliver(&server, with(completed(), "endpoint", "organization")).await;
    assert_eq!(project.received(1).await.len(), 1);
    assert_eq!(organization.received(2).await.len(), 2);
    assert!(organization.received(2).await[0].is_signed_with(&[OTHER]));
}

#[tokio::test]
async fn an_endpoint_of_any_other_name_gets_only_what_is_sent_to_it() {
    let (server, project) = pair(&[]).await;
    let relay = Inbox::start(&[]).await;
    register(&server, json!({ "url": relay.url, "secret": OTHER, "endpoint": "relay" })).await;
    deliver(&server, completed()).await;
    let deliveries = deliver(&server, with(completed(), "endpoint", "relay")).await;
    assert_eq!((deliveries.as_array().unwrap().len(), &deliveries[0]["endpoint"]), (1, &"relay".into()));
    assert!(relay.received(1).await[0].is_signed_with(&[OTHER]));
    assert_eq!((project.received(1).await.len(), relay.received(1).await.len()), (1, 1));
}

#[tokio::test]
async fn a_hex_signature_has_its_own_headers_and_can_be_forged() {
    let (server, inbox) = pair(&[]).await;
    let relay = json!({ "url": inbox.url, "secret": "any text", "scheme": "timestamped-hex" });
    assert_eq!(register(&server, relay).await["scheme"], "timestamped-hex");
    for forged in [false, true] {
        deliver(&server, with(with(completed(), "timestamp", 5), "forged", forged)).await;
    }
    let secret = Secret::parse(Scheme::TimestampedHex, "any text").unwrap();
    for (delivered, is_genuine) in inbox.received(2).await.iter().zip([true, false]) {
        let expected = Scheme::TimestampedHex.headers(std::slice::from_ref(&secret), false, "", "5", &delivered.body);
        assert_eq!(delivered.header("x-openai-timestamp"), "5");
        assert_eq!(expected.iter().all(|(name, value)| delivered.header(name) == value), is_genuine);
        assert!(!delivered.headers.contains_key("webhook-id"));
    }
}

#[tokio::test]
async fn a_raw_body_arrives_byte_for_byte() {
    let (server, inbox) = pair(&[]).await;
    let body = "{\"id\":\"evt_1\" , \"type\":\"x.y\"}\n";
    let deliveries = deliver(&server, json!({ "body": body, "wait": true })).await;
    assert_eq!((&deliveries[0]["event_id"], &deliveries[0]["type"]), (&"evt_1".into(), &"x.y".into()));
    deliver(&server, json!({ "body": "not JSON", "wait": true })).await;
    let received = inbox.received(2).await;
    assert_eq!((received[0].body.as_str(), received[1].body.as_str()), (body, "not JSON"));
    assert!(received[1].is_signed_with(&[SECRET]));
}

#[tokio::test]
async fn data_keeps_the_order_of_its_keys() {
    let (server, inbox) = pair(&[]).await;
    let command = r#"{"type": "live.transport.connected", "data": {"session_id": "live_1", "a": 1.50}, "wait": true}"#;
    server.request("POST", "/_control/deliver").body("application/json", command).send().await;
    assert!(inbox.received(1).await[0].body.ends_with(r#""data": {"session_id": "live_1", "a": 1.50}}"#));
}

#[tokio::test]
async fn id_time_and_timestamp_can_be_set_and_are_signed_as_given() {
    let (server, inbox) = pair(&[]).await;
    let command = json!({
        "type": "batch.completed", "data": {}, "id": "evt_fixed", "created_at": 5, "webhook_id": "wh_fixed",
        "timestamp": "007", "wait": true,
    });
    deliver(&server, command).await;
    let received = &inbox.received(1).await[0];
    assert_eq!((received.header("webhook-id"), received.header("webhook-timestamp")), ("wh_fixed", "007"));
    assert!(received.body.starts_with(r#"{"id": "evt_fixed", "object": "event", "created_at": 5, "#));
    assert!(received.is_signed_with(&[SECRET]));
}

#[tokio::test]
async fn a_forged_delivery_is_signed_with_another_key() {
    let (server, inbox) = pair(&[]).await;
    deliver(&server, with(completed(), "forged", true)).await;
    let received = &inbox.received(1).await[0];
    assert!(received.header("webhook-signature").starts_with("v1,") && !received.is_signed_with(&[SECRET]));
}

#[tokio::test]
async fn headers_can_be_changed_and_removed_after_signing() {
    let (server, inbox) = pair(&[]).await;
    deliver(&server, with(completed(), "headers", json!({ "webhook-id": "wh_other", "webhook-timestamp": null })))
        .await;
    let received = &inbox.received(1).await[0];
    assert_eq!(received.header("webhook-id"), "wh_other");
    assert!(!received.headers.contains_key("webhook-timestamp"));
}

#[tokio::test]
async fn copies_are_the_same_delivery_many_times() {
    let (server, inbox) = pair(&[]).await;
    let deliveries = deliver(&server, with(completed(), "copies", 20)).await;
    assert_eq!(deliveries.as_array().unwrap().len(), 20);
    let received = inbox.received(20).await;
    assert!(received.iter().all(|delivered| delivered.header("webhook-id") == received[0].header("webhook-id")));
    assert!(received.iter().all(|delivered| delivered.body == received[0].body));
}

#[tokio::test]
async fn deliveries_are_listed_by_ids_and_type() {
    let (server, _inbox) = pair(&[]).await;
    deliver(&server, with(completed(), "webhook_id", "wh_1")).await;
    deliver(&server, json!({ "type": "x.y", "data": {}, "id": "evt_2", "wait": true })).await;
    let count = async |query: &str| {
        let listed = server.get(&format!("/_control/deliveries{query}")).await.json();
        listed["deliveries"].as_array().unwrap().len()
    };
    assert_eq!(count("").await, 2);
    for query in ["?webhook_id=wh_1", "?event_id=evt_2", "?type=x.y"] {
        assert_eq!(count(query).await, 1, "{query}");
    }
}

#[tokio::test]
async fn removing_deliveries_stops_their_retries() {
    let (server, inbox) = pair(&[500; 20]).await;
    deliver(&server, completed()).await;
    server.delete("/_control/deliveries").await;
    let before = inbox.received(1).await.len();
    sleep(Duration::from_millis(300)).await;
    assert!(inbox.received(1).await.len() <= before + 1);
    assert_eq!(server.get("/_control/deliveries").await.json(), json!({ "deliveries": [] }));
}

#[tokio::test]
async fn an_endpoint_that_could_never_be_reached_is_refused() {
    let server = Server::start().await;
    for registration in [
        json!({ "url": "https://example.com/", "secret": SECRET }),
        json!({ "url": "nonsense", "secret": SECRET }),
        json!({ "url": "http://127.0.0.1:1/" }),
        json!({ "url": "http://127.0.0.1:1/", "secret": "whsec_?" }),
        json!({ "url": "http://127.0.0.1:1/", "secret": "", "scheme": "timestamped-hex" }),
        json!({ "url": "http://127.0.0.1:1/", "secrets": ["a", "b"], "scheme": "timestamped-hex" }),
    ] {
        let answer = server.post("/_control/webhooks", registration).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert!(!answer.json()["error"].as_str().unwrap().contains("whsec_?"));
    }
}

#[tokio::test]
async fn a_refused_delivery_command_says_why() {
    let (server, _inbox) = pair(&[]).await;
    for command in [
        json!({ "type": "batch.completed" }),
        json!({ "body": "x", "type": "batch.completed", "data": {} }),
        with(completed(), "copies", 0),
        with(completed(), "headers", json!({ "no name": "x" })),
    ] {
        assert_eq!(server.post("/_control/deliver", command).await.status, StatusCode::BAD_REQUEST);
    }
    let nowhere = with(completed(), "endpoint", "organization");
    assert_eq!(server.post("/_control/deliver", nowhere).await.status, StatusCode::CONFLICT);
}
