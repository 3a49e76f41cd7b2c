//! Delivering: attempts, retries, and the record of both.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::http::Request;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Serialize;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use super::Webhooks;
use super::endpoint::{Endpoint, Scope};
use super::parcel::Parcel;
use crate::app::lock;
use crate::ids::{hex_id, now_ms};

/// A receiver that has not answered by then has failed. OpenAI publishes no number, only "within a few seconds";
/// this one leaves room for a function's cold start on a busy machine.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// The most of a receiver's answer that is read.
const MAX_ANSWER: usize = 64 * 1024;

pub(super) type HttpClient = Client<HttpConnector, Full<Bytes>>;

/// Follows no redirects, so 3xx is a failure, as at OpenAI.
pub(super) fn client() -> HttpClient {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    // A connection of its own for every attempt: one that a receiver closed meanwhile would fail an attempt for nothing.
    Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector)
}

/// Every delivery by number, and the tasks that still work on some.
#[derive(Default)]
pub(super) struct Ledger {
    pub(super) deliveries: BTreeMap<u64, Delivery>,
    tasks: Vec<AbortHandle>,
    last: u64,
}

impl Ledger {
    /// Forgets all deliveries and stops the ones under way. Numbers go on, so that none is given twice.
    pub(super) fn clear(&mut self) {
        self.tasks.drain(..).for_each(|task| task.abort());
        self.deliveries.clear();
    }
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Delivery {
    pub(super) number: u64,
    pub(super) webhook_id: String,
    pub(super) event_id: Option<String>,
    #[serde(rename = "type")]
    pub(super) event_type: Option<String>,
    endpoint: Scope,
    url: String,
    state: State,
    attempts: Vec<Attempt>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// Not accepted yet; more attempts may come.
    Pending,
    /// Answered with 2xx.
    Accepted,
    /// No attempt is left.
    Dropped,
}

#[derive(Debug, Clone, Serialize)]
struct Attempt {
    /// Unix time, milliseconds.
    at: i64,
    timestamp: String,
    /// The receiver's status; none when it gave no answer.
    status: Option<u16>,
    /// What it answered, or what went wrong.
    answer: String,
}

impl Delivery {
    /// The status that the first attempt was answered with, or what went wrong.
    pub(super) fn first_answer(&self) -> Result<u16, String> {
        let attempt = self.attempts.first().ok_or("the endpoint is gone")?;
        attempt.status.ok_or_else(|| attempt.answer.clone())
    }
}

impl Webhooks {
    /// Starts one delivery. Its number, and word of its first attempt.
    pub(super) fn start(self: &Arc<Self>, endpoint: &Endpoint, parcel: Parcel) -> (u64, oneshot::Receiver<()>) {
        let webhook_id = parcel.webhook_id.clone().unwrap_or_else(|| hex_id("wh_"));
        let (tried, first_attempt) = oneshot::channel();
        let mut ledger = lock(&self.ledger);
        ledger.last += 1;
        let number = ledger.last;
        let delivery = Delivery {
            number,
            webhook_id: webhook_id.clone(),
            event_id: parcel.event_id.clone(),
            event_type: parcel.event_type.clone(),
            endpoint: endpoint.scope,
            url: endpoint.url.to_string(),
            state: State::Pending,
            attempts: Vec::new(),
        };
        ledger.deliveries.insert(number, delivery);
        let (webhooks, endpoint_id) = (Arc::clone(self), endpoint.id.clone());
        let task = async move { webhooks.deliver(number, &endpoint_id, &webhook_id, &parcel, tried).await };
        ledger.tasks.retain(|task| !task.is_finished());
        ledger.tasks.push(tokio::spawn(task).abort_handle());
        (number, first_attempt)
    }

    async fn deliver(
        &self,
        number: u64,
        endpoint_id: &str,
        webhook_id: &str,
        parcel: &Parcel,
        tried: oneshot::Sender<()>,
    ) {
        let mut tried = Some(tried);
        let mut delays = self.retries.delays().take_while(|_| parcel.retry);
        loop {
            // Looked up every time: a retry is signed with the secrets that the endpoint has by then.
            let Some(endpoint) = self.endpoint(endpoint_id) else { break };
            let attempt = self.attempt(&endpoint, webhook_id, parcel).await;
            let accepted = attempt.status.is_some_and(|status| (200..300).contains(&status));
            let delay = if accepted { None } else { delays.next() };
            self.note(number, |delivery| {
                delivery.attempts.push(attempt);
                delivery.state = match (accepted, delay) {
                    (true, _) => State::Accepted,
                    (false, Some(_)) => State::Pending,
                    (false, None) => State::Dropped,
                };
            });
            if let Some(tried) = tried.take() {
                // The command may have been given up meanwhile.
                let _ = tried.send(());
            }
            let Some(delay) = delay else { return };
            sleep(delay).await;
        }
        self.note(number, |delivery| delivery.state = State::Dropped);
    }

    fn note(&self, number: u64, change: impl FnOnce(&mut Delivery)) {
        lock(&self.ledger).deliveries.get_mut(&number).map(change);
    }

    async fn attempt(&self, endpoint: &Endpoint, webhook_id: &str, parcel: &Parcel) -> Attempt {
        let at = now_ms();
        let timestamp = parcel.timestamp.clone().unwrap_or_else(|| (at / 1000).to_string());
        let (status, answer) = match parcel.request(endpoint, webhook_id, &timestamp) {
            Ok(request) => match timeout(ANSWER_WITHIN, self.post(request)).await {
                Ok(Ok((status, answer))) => (Some(status), answer),
                Ok(Err(error)) => (None, error),
                Err(_) => (None, format!("no answer within {} s", ANSWER_WITHIN.as_secs())),
            },
            Err(error) => (None, error.to_string()),
        };
        Attempt { at, timestamp, status, answer }
    }

    async fn post(&self, request: Request<Full<Bytes>>) -> Result<(u16, String), String> {
        let response = self.client.request(request).await.map_err(|error| describe(&error))?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await.map_err(|error| error.to_string())?;
        Ok((status, String::from_utf8_lossy(&body.to_bytes()).into_owned()))
    }
}

/// The client's errors name their cause only when asked.
fn describe(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", describe(cause)),
        None => error.to_string(),
    }
}
