//! The queues for whoever is in no hurry: sending a message again, hiding one, and giving one up.

use std::time::Duration;

use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::types::{MessageAttributeValue, QueueAttributeName};

use super::message::{
    ENDPOINT, EVENT_TYPE, FAILURE_MESSAGE, FAILURE_REASON, Message, RECEIVED_AT, SOURCE, WEBHOOK_ID, WEBHOOK_TIMESTAMP,
    attribute_text,
};
use crate::{AwsError, Config};

/// Time limit of one attempt, before another connection is tried.
const TRY_TIMEOUT: Duration = Duration::from_secs(3);

/// Time limit of receiving, which waits for a message.
const RECEIVE_TIMEOUT: Duration = Duration::from_secs(25);

/// Attributes that a dead letter takes over from its message. SQS takes ten, and two say why it failed.
const KEPT: [&str; 6] = [WEBHOOK_ID, WEBHOOK_TIMESTAMP, ENDPOINT, EVENT_TYPE, RECEIVED_AT, SOURCE];

/// Maximum length of a dead letter's attribute in bytes. Only a message that is not ours has a longer one.
const MAX_ATTRIBUTE: usize = 1024;

/// The way into the queues of the categories. Needs `sqs:SendMessage` on them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct QueueSender {
    client: aws_sdk_sqs::Client,
}

/// A consumer's queue and its dead-letter queue. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ConsumerQueue {
    sender: QueueSender,
    queue_url: String,
    dead_letter_queue_url: String,
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
    pub async fn send(&self, queue_url: &str, message: &Message) -> Result<(), AwsError> {
        self.put("send the message", queue_url, &message.body, message.attributes()).await
    }

    /// Approximate number of messages that wait in the queue at this URL. Needs `sqs:GetQueueAttributes`.
    pub async fn waiting(&self, queue_url: &str) -> Result<u64, AwsError> {
        let (action, name) = ("count the queue's messages", QueueAttributeName::ApproximateNumberOfMessages);
        let request = self.client.get_queue_attributes().queue_url(queue_url).attribute_names(name.clone());
        let answer = request.send().await.map_err(AwsError::of(action))?;
        let number = answer.attributes.as_ref().and_then(|attributes| attributes.get(&name)?.parse().ok());
        number.ok_or_else(|| AwsError::new(action, "SQS did not say how many".to_owned()))
    }

    /// Puts a text into the queue at this URL, to be received after a delay of whole seconds, at most 900.
    pub async fn send_text(&self, queue_url: &str, text: &str, delay: Duration) -> Result<(), AwsError> {
        let seconds = i32::try_from(delay.as_secs()).unwrap_or(i32::MAX);
        let request = self.client.send_message().queue_url(queue_url).message_body(text).delay_seconds(seconds);
        request.send().await.map(drop).map_err(AwsError::of("send the message"))
    }

    /// Hides a received message of the queue at this URL for this long from now, in whole seconds.
    pub async fn hide(&self, queue_url: &str, receipt_handle: &str, time: Duration) -> Result<(), AwsError> {
        let seconds = i32::try_from(time.as_secs()).unwrap_or(i32::MAX);
        let request = self.client.change_message_visibility().queue_url(queue_url).receipt_handle(receipt_handle);
        let request = request.visibility_timeout(seconds);
        request.send().await.map(drop).map_err(AwsError::of("change the message's visibility"))
    }

    /// Receives up to ten messages, waiting for the first one for up to 20 seconds: body and receipt handle of each.
    pub async fn receive(&self, queue_url: &str) -> Result<Vec<(String, String)>, AwsError> {
        let request = self.client.receive_message().queue_url(queue_url).max_number_of_messages(10);
        let request = request.wait_time_seconds(20).customize();
        // An attempt lasts as long as the queue waits.
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(RECEIVE_TIMEOUT).build();
        let request = request.config_override(aws_sdk_sqs::config::Config::builder().timeout_config(timeouts));
        let received = request.send().await.map_err(AwsError::of("receive messages"))?;
        let messages = received.messages.unwrap_or_default().into_iter();
        Ok(messages.filter_map(|message| Some((message.body?, message.receipt_handle?))).collect())
    }

    /// Deletes a received message of the queue at this URL.
    pub async fn delete(&self, queue_url: &str, receipt_handle: &str) -> Result<(), AwsError> {
        let request = self.client.delete_message().queue_url(queue_url).receipt_handle(receipt_handle);
        request.send().await.map(drop).map_err(AwsError::of("delete the message"))
    }

    async fn put(
        &self,
        action: &'static str,
        queue_url: &str,
        body: &str,
        attributes: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Result<(), AwsError> {
        let mut request = self.client.send_message().queue_url(queue_url).message_body(body);
        for (name, value) in attributes {
            let value = MessageAttributeValue::builder().data_type("String").string_value(value).build();
            request =
                request.message_attributes(name, value.map_err(|error| AwsError::new(action, error.to_string()))?);
        }
        request.send().await.map(drop).map_err(AwsError::of(action))
    }
}

impl ConsumerQueue {
    /// The queue that messages come from, and the one for those that are given up.
    #[must_use]
    pub fn new(config: &Config, queue_url: impl Into<String>, dead_letter_queue_url: impl Into<String>) -> Self {
        let (queue_url, dead_letter_queue_url) = (queue_url.into(), dead_letter_queue_url.into());
        Self { sender: QueueSender::new(config), queue_url, dead_letter_queue_url }
    }

    /// Hides a received message for this long from now, in whole seconds; after that the queue hands it out again.
    ///
    /// SQS takes no more than 12 hours, counted from when the message was received.
    pub async fn change_visibility(&self, receipt_handle: &str, time: Duration) -> Result<(), AwsError> {
        self.sender.hide(&self.queue_url, receipt_handle, time).await
    }

    /// Sends a message to the dead-letter queue: its body, the attributes it came with (`attribute` looks one up by
    /// name), a short code for the reason, and the reason in words. The message itself stays in its queue.
    pub async fn reject<'a>(
        &self,
        body: &str,
        reason: &str,
        message: &str,
        attribute: impl Fn(&'static str) -> Option<&'a str>,
    ) -> Result<(), AwsError> {
        let kept = KEPT.into_iter().filter_map(|name| Some((name, attribute(name)?)));
        let letter = kept.chain([(FAILURE_REASON, reason), (FAILURE_MESSAGE, message)]);
        let letter =
            letter.map(|(name, value)| (name, attribute_text(&value[..value.floor_char_boundary(MAX_ATTRIBUTE)])));
        self.sender.put("send the dead letter", &self.dead_letter_queue_url, body, letter).await
    }
}
