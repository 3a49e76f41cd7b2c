//! From the verifier to the consumers.

use super::message::Message;
use crate::config::Config;
use crate::direct::{CallError, Service};
use bytes::Bytes;
use hooks_webhook::{Category, Verified};
use http::Uri;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// One attempt gets no answer after this: start over, on another connection.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(1_200);

/// Sending gives up after this. OpenAI waits for an answer and repeats a delivery that got 503, for 72 hours.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(3);

/// The pause before the second attempt; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// In X-Ray's header of a request that is traced.
const SAMPLED: &str = "Sampled=1";

/// X-Ray's header is shorter, in bytes.
const MAX_TRACE: usize = 512;

/// The queues of all categories.
pub struct Queues {
    service: Service,
    urls: HashMap<Category, String>,
}

/// SQS did not take an event.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The category has no queue.
    #[error("the category {0} has no queue")]
    NoQueue(Category),
    /// SQS says no, and would say no again.
    #[error("SQS refused the message: {0}")]
    Refused(String),
    /// SQS did not accept the message in time. It may have it nevertheless; the next delivery is then a duplicate.
    #[error("SQS did not accept the message in time: {0}")]
    Unavailable(String),
}

impl Queues {
    /// The queues at `urls`, all of which are of one region.
    #[must_use]
    pub fn new(config: &Config, urls: HashMap<Category, String>) -> Self {
        let of_queue = || urls.values().next().and_then(|url| url.parse().ok());
        let endpoint: Option<Uri> = config.endpoint().or_else(of_queue);
        Self { service: Service::new(config, "sqs", endpoint.unwrap_or_default()), urls }
    }

    /// Opens a connection to SQS, so that the first event does not wait for it.
    pub async fn connect(&self) {
        self.service.connect().await;
    }

    /// Puts a verified delivery into the queue of its category. Only [`Verified`] is taken, and only the signature
    /// check can make one. `received_at` is in milliseconds since the epoch. `trace` is X-Ray's header of the request, if
    /// it is traced: the consumer's part of the trace follows from it.
    ///
    /// Failed connections, answers of 5xx and throttling are tried again within three seconds in all.
    pub async fn send(
        &self,
        delivery: &Verified<'_>,
        endpoint: &str,
        received_at: u64,
        trace: Option<&str>,
    ) -> Result<(), SendError> {
        let category = delivery.category();
        let url = self.urls.get(&category).ok_or(SendError::NoQueue(category))?;
        let request = Bytes::from(encode(url, &Message::of_delivery(delivery, endpoint, received_at), trace));
        let give_up_at = Instant::now() + TOTAL_TIMEOUT;
        let mut pause = FIRST_PAUSE;
        loop {
            let deadline = give_up_at.min(Instant::now() + ATTEMPT_TIMEOUT);
            match self.service.call("AmazonSQS.SendMessage", request.clone(), deadline).await {
                Ok(()) => return Ok(()),
                Err(error) if is_final(&error) => return Err(SendError::Refused(error.to_string())),
                Err(error) if Instant::now() + pause >= give_up_at => {
                    return Err(SendError::Unavailable(error.to_string()));
                }
                Err(_) => {}
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }
}

/// Whether another attempt would end the same way.
fn is_final(error: &CallError) -> bool {
    match error {
        CallError::Answered { status, code } => *status < 500 && !code.contains("Throttl"),
        CallError::Unanswered(_) => false,
    }
}

/// The input of `SendMessage` in AWS's JSON protocol.
fn encode(url: &str, message: &Message, trace: Option<&str>) -> Vec<u8> {
    let mut json = Vec::with_capacity(message.body.len() + message.body.len() / 8 + 768);
    json.extend_from_slice(b"{\"QueueUrl\":");
    push(&mut json, url);
    json.extend_from_slice(b",\"MessageBody\":");
    push(&mut json, &message.body);
    json.extend_from_slice(b",\"MessageAttributes\":{");
    for (position, (name, value)) in message.attributes().iter().enumerate() {
        json.extend_from_slice(if position == 0 { b"" } else { b"," });
        push(&mut json, name);
        json.extend_from_slice(b":{\"DataType\":\"String\",\"StringValue\":");
        push(&mut json, value);
        json.push(b'}');
    }
    json.push(b'}');
    if let Some(trace) = trace.filter(|trace| trace.contains(SAMPLED) && trace.len() <= MAX_TRACE) {
        json.extend_from_slice(
            b",\"MessageSystemAttributes\":{\"AWSTraceHeader\":{\"DataType\":\"String\",\"StringValue\":",
        );
        push(&mut json, trace);
        json.extend_from_slice(b"}}");
    }
    json.push(b'}');
    json
}

fn push(json: &mut Vec<u8>, text: &str) {
    // Writing a string into memory cannot fail.
    let _ = serde_json::to_writer(json, text);
}
