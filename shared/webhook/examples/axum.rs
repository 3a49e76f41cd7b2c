//! Receiver of OpenAI's webhooks in a program of its own, with axum:
//!
//!     OPENAI_WEBHOOK_SECRET=whsec_... cargo run -p hooks-webhook --example axum
//!
//! It answers as soon as an event is queued in memory, and handles it afterwards. OpenAI repeats a delivery that got no
//! 2xx answer for 72 hours, so a full queue is answered 503. An event that is queued when the process dies is lost: a
//! program that must not lose one answers after it is stored.

use std::error::Error;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use hooks_webhook::{Event, MAX_BODY, Scheme, Secret, verify};
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Events that may wait for their handling.
const QUEUED: usize = 1000;

/// Live secrets (during a rotation the new and the old one), and the queue.
#[derive(Clone)]
struct Webhooks {
    secrets: Arc<[Secret]>,
    events: Sender<Event>,
}

/// The routes, and the events that they receive.
pub(crate) fn receiver(secrets: Vec<Secret>) -> (Router, Receiver<Event>) {
    let (events, received) = channel(QUEUED);
    let routes = Router::new()
        .route("/webhook", post(receive))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(Webhooks { secrets: secrets.into(), events });
    (routes, received)
}

/// Verifies the bytes as they came, and only then parses them.
async fn receive(State(webhooks): State<Webhooks>, headers: HeaderMap, body: Bytes) -> (StatusCode, &'static str) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let verified = verify(Scheme::StandardWebhooks, &webhooks.secrets, &headers, &body, now);
    let event = match verified.and_then(hooks_webhook::Signed::parse) {
        Ok(verified) => Event::parse(verified.body()),
        Err(error) => {
            let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST);
            return (status, error.reason());
        }
    };
    match event.map(|event| webhooks.events.try_send(event).is_ok()) {
        Ok(true) => (StatusCode::OK, "received"),
        Ok(false) => (StatusCode::SERVICE_UNAVAILABLE, "queue_full"),
        Err(_) => (StatusCode::BAD_REQUEST, "malformed_body"),
    }
}

#[tokio::main(flavor = "current_thread")]
#[cfg_attr(test, expect(dead_code, reason = "the test drives the routes"))]
async fn main() -> Result<(), Box<dyn Error>> {
    let secret = Secret::parse(&std::env::var("OPENAI_WEBHOOK_SECRET")?)?;
    let (routes, mut events) = receiver(vec![secret]);
    tokio::spawn(async move {
        while let Some(event) = events.recv().await {
            // OpenAI may deliver an event twice. Act once for each `event.idempotency_key()`.
            println!("{} {}", event.event_type, event.object_id().unwrap_or_default());
        }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    axum::serve(listener, routes).await?;
    Ok(())
}
