//! Deliveries: their attempts, retries and records.

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
use super::delivery_spec::DeliverySpec;
use super::endpoint::Endpoint;
use crate::ids::{hex_id, now_ms};
use crate::store::lock;

/// How long a receiver may take to answer. OpenAI says "within a few seconds"; this leaves room for a function's cold
/// start on a busy machine.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// The limit of a receiver's answer, bytes.
const MAX_ANSWER: usize = 64 * 1024;

/// How long OpenAI retries, with exponential backoff. It does not publish the delays; these are ours.
const GIVE_UP_AFTER: Duration = Duration::from_hours(72);

const FIRST_DELAY: Duration = Duration::from_secs(5);

pub(super) type HttpClient = Client<HttpConnector, Full<Bytes>>;

/// The client of all deliveries. It follows no redirects, so 3xx is a failure, as at OpenAI.
pub(super) fn client() -> HttpClient {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    // Each attempt opens a connection: a pooled one may have been closed by the receiver, and the attempt would fail.
    Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector)
}

/// All deliveries, and the tasks of those under way.
#[derive(Default)]
pub(super) struct Deliveries {
    pub(super) by_number: BTreeMap<u64, Delivery>,
    tasks: Vec<AbortHandle>,
    last_number: u64,
}

impl Deliveries {
    /// Deletes all deliveries and stops the ones under way. Numbers are not used again.
    pub(super) fn clear(&mut self) {
        self.tasks.drain(..).for_each(|task| task.abort());
        self.by_number.clear();
    }
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Delivery {
    pub(super) number: u64,
    pub(super) webhook_id: String,
    pub(super) event_id: Option<String>,
    #[serde(rename = "type")]
    pub(super) event_type: Option<String>,
    endpoint: String,
    url: String,
    state: State,
    attempts: Vec<Attempt>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// Not accepted yet, and not given up.
    Pending,
    /// Answered with 2xx.
    Accepted,
    /// Given up.
    Dropped,
}

#[derive(Debug, Clone, Serialize)]
struct Attempt {
    /// Unix time, milliseconds.
    at: i64,
    timestamp: String,
    /// The receiver's status; `None` without an answer.
    status: Option<u16>,
    /// The receiver's answer, or what went wrong.
    answer: String,
}

impl Delivery {
    /// The status of the first attempt's answer, or what went wrong.
    pub(super) fn first_answer(&self) -> Result<u16, String> {
        let attempt = self.attempts.first().ok_or("the endpoint is gone")?;
        attempt.status.ok_or_else(|| attempt.answer.clone())
    }
}

impl Webhooks {
    /// Starts one delivery. Returns its number, and the notice of its first attempt.
    pub(super) fn start(self: &Arc<Self>, endpoint: &Endpoint, spec: DeliverySpec) -> (u64, oneshot::Receiver<()>) {
        let webhook_id = spec.webhook_id.clone().unwrap_or_else(|| hex_id("wh_"));
        let (attempted, first_attempt) = oneshot::channel();
        let mut deliveries = lock(&self.deliveries);
        deliveries.last_number += 1;
        let number = deliveries.last_number;
        let delivery = Delivery {
            number,
            webhook_id: webhook_id.clone(),
            event_id: spec.event_id.clone(),
            event_type: spec.event_type.clone(),
            endpoint: endpoint.name.clone(),
            url: endpoint.url.to_string(),
            state: State::Pending,
            attempts: Vec::new(),
        };
        deliveries.by_number.insert(number, delivery);
        let (webhooks, endpoint_id) = (Arc::clone(self), endpoint.id.clone());
        let task = async move { webhooks.deliver(number, &endpoint_id, &webhook_id, &spec, attempted).await };
        deliveries.tasks.retain(|task| !task.is_finished());
        deliveries.tasks.push(tokio::spawn(task).abort_handle());
        (number, first_attempt)
    }

    async fn deliver(
        &self,
        number: u64,
        endpoint_id: &str,
        webhook_id: &str,
        spec: &DeliverySpec,
        attempted: oneshot::Sender<()>,
    ) {
        let mut attempted = Some(attempted);
        let mut delays = delays(self.retry_factor).take_while(|_| spec.retry);
        loop {
            // Looked up for each attempt: a retry is signed with the secrets that the endpoint has by then.
            let Some(endpoint) = self.endpoint(endpoint_id) else { break };
            let attempt = self.attempt(&endpoint, webhook_id, spec).await;
            let accepted = attempt.status.is_some_and(|status| (200..300).contains(&status));
            let delay = if accepted { None } else { delays.next() };
            self.record(number, |delivery| {
                delivery.attempts.push(attempt);
                delivery.state = match (accepted, delay) {
                    (true, _) => State::Accepted,
                    (false, Some(_)) => State::Pending,
                    (false, None) => State::Dropped,
                };
            });
            if let Some(attempted) = attempted.take() {
                // Nobody waits for it if the command was given up.
                let _ = attempted.send(());
            }
            let Some(delay) = delay else { return };
            sleep(delay).await;
        }
        self.record(number, |delivery| delivery.state = State::Dropped);
    }

    fn record(&self, number: u64, change: impl FnOnce(&mut Delivery)) {
        lock(&self.deliveries).by_number.get_mut(&number).map(change);
    }

    async fn attempt(&self, endpoint: &Endpoint, webhook_id: &str, spec: &DeliverySpec) -> Attempt {
        let at = now_ms();
        let timestamp = spec.timestamp.clone().unwrap_or_else(|| (at / 1000).to_string());
        let (status, answer) = match spec.request(endpoint, webhook_id, &timestamp) {
            Ok(request) => match timeout(ANSWER_TIMEOUT, self.post(request)).await {
                Ok(Ok((status, answer))) => (Some(status), answer),
                Ok(Err(error)) => (None, error),
                Err(_) => (None, format!("no answer within {} s", ANSWER_TIMEOUT.as_secs())),
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

/// The error and its causes.
fn describe(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", describe(cause)),
        None => error.to_string(),
    }
}

/// The delays before the second attempt, the third, and so on, shortened by the factor.
fn delays(factor: f64) -> impl Iterator<Item = Duration> + Send {
    let doubled = std::iter::successors(Some(FIRST_DELAY), |delay| delay.checked_mul(2));
    let mut waited = Duration::ZERO;
    let in_time = doubled.take_while(move |delay| {
        waited += *delay;
        waited <= GIVE_UP_AFTER
    });
    in_time.map(move |delay| delay.mul_f64(factor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_and_end_within_72_hours() {
        let delays: Vec<Duration> = delays(1.0).collect();
        assert!(delays.windows(2).all(|pair| pair[1] == pair[0] * 2));
        let total: Duration = delays.iter().sum();
        assert!(total <= GIVE_UP_AFTER && total + delays[delays.len() - 1] * 2 > GIVE_UP_AFTER);
    }

    #[test]
    fn the_factor_shortens_every_delay_and_drops_none() {
        assert_eq!(delays(1.0).count(), delays(0.001).count());
        assert_eq!(delays(0.001).next(), Some(Duration::from_millis(5)));
    }
}
