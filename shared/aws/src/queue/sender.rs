//! Putting a message into a category's queue again, for whoever is in no hurry.

use std::time::Duration;

use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::types::MessageAttributeValue;

use super::consumer::QueueError;
use super::message::Message;
use crate::cause::cause;
use crate::config::Config;

/// How long one try of a call may take, before the connection is given up and another one tried.
const TRY_TIMEOUT: Duration = Duration::from_secs(3);

/// The way into the queues of the categories. Needs `sqs:SendMessage` on them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct QueueSender {
    client: aws_sdk_sqs::Client,
}

impl QueueSender {
    /// The queues of this account and region.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(TRY_TIMEOUT).build();
        let config = aws_sdk_sqs::config::Builder::from(config.sdk()).timeout_config(timeouts).build();
        Self { client: aws_sdk_sqs::Client::from_conf(config) }
    }

    /// Puts a message into the queue at this URL.
    pub async fn send(&self, queue_url: &str, message: &Message) -> Result<(), QueueError> {
        const ACTION: &str = "send the message";
        let mut request = self.client.send_message().queue_url(queue_url).message_body(&message.body);
        for (name, value) in message.attributes() {
            let value = MessageAttributeValue::builder().data_type("String").string_value(value).build();
            let value = value.map_err(|error| QueueError { action: ACTION, cause: error.to_string() })?;
            request = request.message_attributes(name, value);
        }
        request.send().await.map(drop).map_err(|error| QueueError { action: ACTION, cause: cause(&error) })
    }
}
