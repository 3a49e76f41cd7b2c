//! From the verifier to the consumers.

use super::message::Message;
use crate::config::Config;
use crate::http::Http;
use aws_config::retry::RetryConfig;
use aws_sdk_sqs::error::{DisplayErrorContext, SdkError};
use aws_sdk_sqs::operation::send_message::SendMessageError;
use aws_sdk_sqs::types::MessageAttributeValue;
use std::collections::HashMap;
use std::time::Duration;
use webhook::{Category, Verified};

/// One attempt gets no answer after this: start over, on another connection.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(1_200);

/// Sending gives up after this. OpenAI waits for an answer and repeats a delivery that got 503, for 72 hours.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(3);

/// The pause before the second attempt; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// The queues of all categories.
pub struct Queues {
    client: aws_sdk_sqs::Client,
    http: Http,
    endpoint: Option<String>,
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
    /// The queues at `urls`.
    #[must_use]
    pub fn new(config: &Config, urls: HashMap<Category, String>) -> Self {
        let (http, endpoint) = (config.http().clone(), config.sdk().endpoint_url().map(str::to_owned));
        let config = aws_sdk_sqs::config::Builder::from(config.sdk()).retry_config(RetryConfig::disabled()).build();
        Self { client: aws_sdk_sqs::Client::from_conf(config), http, endpoint, urls }
    }

    /// Opens a connection to SQS, so that the first event does not wait for it. Failing is no fault: sending opens one.
    pub async fn connect(&self) {
        if let Some(url) = self.urls.values().next() {
            self.http.connect(self.endpoint.as_deref().unwrap_or(url)).await;
        }
    }

    /// Puts a verified delivery into the queue of its category. Only [`Verified`] is taken, and only the signature
    /// check can make one. `received_at` is in milliseconds since the epoch.
    ///
    /// Failed connections, answers of 5xx and throttling are tried again within three seconds in all.
    pub async fn send(&self, delivery: &Verified<'_>, endpoint: &str, received_at: u64) -> Result<(), SendError> {
        let category = delivery.category();
        let url = self.urls.get(&category).ok_or(SendError::NoQueue(category))?;
        let message = Message::of_delivery(delivery, endpoint, received_at);
        let mut last = String::from("no attempt came to an end");
        let attempts = async {
            let mut pause = FIRST_PAUSE;
            loop {
                match tokio::time::timeout(ATTEMPT_TIMEOUT, self.attempt(url, &message)).await {
                    Ok(Ok(())) => return Ok(()),
                    Ok(Err(SendError::Unavailable(problem))) => last = problem,
                    Ok(Err(refused)) => return Err(refused),
                    Err(_) => "no answer".clone_into(&mut last),
                }
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
        };
        let result = tokio::time::timeout(TOTAL_TIMEOUT, attempts).await;
        result.unwrap_or(Err(SendError::Unavailable(last)))
    }

    async fn attempt(&self, url: &str, message: &Message) -> Result<(), SendError> {
        let mut request = self.client.send_message().queue_url(url).message_body(&message.body);
        for (name, value) in message.attributes() {
            let value = MessageAttributeValue::builder().data_type("String").string_value(value).build();
            request = request.message_attributes(name, value.map_err(|error| SendError::Refused(error.to_string()))?);
        }
        request.send().await.map(drop).map_err(classify)
    }
}

fn classify(error: SdkError<SendMessageError>) -> SendError {
    let problem = DisplayErrorContext(&error).to_string();
    match error {
        SdkError::ServiceError(context)
            if context.raw().status().is_client_error() && !is_throttling(context.err()) =>
        {
            SendError::Refused(problem)
        }
        SdkError::ConstructionFailure(_) => SendError::Refused(problem),
        _ => SendError::Unavailable(problem),
    }
}

fn is_throttling(error: &SendMessageError) -> bool {
    error.is_request_throttled() || error.meta().code().is_some_and(|code| code.contains("Throttl"))
}
