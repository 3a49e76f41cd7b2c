//! What a consumer does with a message besides handling it: changing its visibility, and rejecting it.

use std::time::Duration;

use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::types::MessageAttributeValue;

use super::message::{
    ENDPOINT, EVENT_TYPE, FAILURE_MESSAGE, FAILURE_REASON, RECEIVED_AT, SOURCE, WEBHOOK_ID, WEBHOOK_TIMESTAMP,
    attribute_text,
};
use crate::cause::cause;
use crate::config::Config;

/// How long one try of a call may take, before the connection is given up and another one tried.
const TRY_TIMEOUT: Duration = Duration::from_secs(3);

/// The attributes that a dead letter takes over from its message. With the two that say why it failed that makes
/// eight, and SQS takes ten.
const KEPT: [&str; 6] = [WEBHOOK_ID, WEBHOOK_TIMESTAMP, ENDPOINT, EVENT_TYPE, RECEIVED_AT, SOURCE];

/// The longest attribute of a dead letter, in bytes. Attributes count towards the size that SQS takes of a message, and
/// ours are shorter; only a message that is none of ours has a longer one.
const MAX_ATTRIBUTE: usize = 1024;

/// A consumer's queue and its dead-letter queue. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ConsumerQueue {
    client: aws_sdk_sqs::Client,
    queue_url: String,
    dead_letter_queue_url: String,
}

/// A message that is given up, with the reason.
#[derive(Clone, Copy)]
pub struct Rejection<'a> {
    /// The message's body, as it came.
    pub body: &'a str,
    /// A short code: lower case with underscores.
    pub reason: &'a str,
    /// The reason in words.
    pub message: &'a str,
}

/// SQS did not do it, after the SDK's own retries. It may work later.
#[derive(Debug, thiserror::Error)]
#[error("could not {action}: {cause}")]
pub struct QueueError {
    pub(super) action: &'static str,
    pub(super) cause: String,
}

impl ConsumerQueue {
    /// The queue that messages come from, and the one for those that are given up.
    #[must_use]
    pub fn new(config: &Config, queue_url: impl Into<String>, dead_letter_queue_url: impl Into<String>) -> Self {
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(TRY_TIMEOUT).build();
        let config = aws_sdk_sqs::config::Builder::from(config.sdk()).timeout_config(timeouts).build();
        Self {
            client: aws_sdk_sqs::Client::from_conf(config),
            queue_url: queue_url.into(),
            dead_letter_queue_url: dead_letter_queue_url.into(),
        }
    }

    /// Hides a received message for this long from now, in whole seconds; after that the queue hands it out again.
    ///
    /// SQS takes no more than 12 hours, counted from when the message was received.
    pub async fn change_visibility(&self, receipt_handle: &str, time: Duration) -> Result<(), QueueError> {
        let request = self.client.change_message_visibility().queue_url(&self.queue_url);
        let request = request
            .receipt_handle(receipt_handle)
            .visibility_timeout(i32::try_from(time.as_secs()).unwrap_or(i32::MAX));
        let result = request.send().await;
        result.map(drop).map_err(|error| QueueError { action: "change the message's visibility", cause: cause(&error) })
    }

    /// Sends a message to the dead-letter queue, with the attributes it came with (`attribute` looks one up by name)
    /// and the reason. The message itself stays where it is until it is acknowledged.
    pub async fn reject<'a>(
        &self,
        rejection: Rejection<'_>,
        attribute: impl Fn(&'static str) -> Option<&'a str>,
    ) -> Result<(), QueueError> {
        const ACTION: &str = "send the dead letter";
        let why = [(FAILURE_REASON, rejection.reason), (FAILURE_MESSAGE, rejection.message)];
        let kept = KEPT.into_iter().filter_map(|name| Some((name, attribute(name)?)));
        let mut request =
            self.client.send_message().queue_url(&self.dead_letter_queue_url).message_body(rejection.body);
        for (name, value) in kept.chain(why) {
            let value = attribute_text(&value[..value.floor_char_boundary(MAX_ATTRIBUTE)]);
            let value = MessageAttributeValue::builder().data_type("String").string_value(value).build();
            let value = value.map_err(|error| QueueError { action: ACTION, cause: error.to_string() })?;
            request = request.message_attributes(name, value);
        }
        request.send().await.map(drop).map_err(|error| QueueError { action: ACTION, cause: cause(&error) })
    }
}
