//! Hiding messages and giving them up.

use std::collections::HashMap;
use std::time::Duration;

use hooks_aws::queue::ConsumerQueue;

use crate::stack::{config, next, queue};

#[tokio::test]
async fn a_dead_letter_keeps_what_its_message_said_and_says_why() {
    let config = config();
    let sqs = aws_sdk_sqs::Client::new(config.sdk());
    let ((queue_url, _), (dead_url, _)) = (queue(&sqs).await, queue(&sqs).await);
    let queue = ConsumerQueue::new(&config, queue_url, &dead_url);
    // The last two are nothing that SQS would take back as it is.
    let attributes = HashMap::from([
        ("webhook-id", "wh_1".to_owned()),
        ("endpoint", "project".to_owned()),
        ("event-type", format!("batch.{}", "x".repeat(5000))),
        ("source", "\u{0}\u{ffff}".to_owned()),
    ]);
    let attribute = |name: &'static str| attributes.get(name).map(String::as_str);
    queue.reject("{}", "undecodable_message", "", attribute).await.unwrap();

    let message = next(&sqs, &dead_url).await.unwrap();
    assert_eq!(message.body.as_deref(), Some("{}"));
    let kept = message.message_attributes.unwrap();
    let text = |name: &str| kept[name].string_value.as_deref().unwrap();
    assert_eq!((text("webhook-id"), text("endpoint"), text("source")), ("wh_1", "project", "\u{fffd}\u{fffd}"));
    assert_eq!((text("failure-reason"), text("failure-message")), ("undecodable_message", "-"));
    assert_eq!(text("event-type").len(), 1024);
    assert_eq!(kept.len(), 6);
}

#[tokio::test]
async fn a_message_is_hidden_for_as_long_as_asked() {
    let config = config();
    let sqs = aws_sdk_sqs::Client::new(config.sdk());
    let (queue_url, _) = queue(&sqs).await;
    let queue = ConsumerQueue::new(&config, &queue_url, "unused");
    sqs.send_message().queue_url(&queue_url).message_body("{}").send().await.unwrap();
    let message = next(&sqs, &queue_url).await.unwrap();
    let handle = message.receipt_handle.unwrap();
    // A fraction of a second does not count.
    queue.change_visibility(&handle, Duration::from_millis(900)).await.unwrap();
    let again = next(&sqs, &queue_url).await.unwrap();
    queue.change_visibility(&again.receipt_handle.unwrap(), Duration::from_hours(1)).await.unwrap();
    let request = sqs.receive_message().queue_url(&queue_url).wait_time_seconds(1);
    assert!(request.send().await.unwrap().messages.unwrap_or_default().is_empty());
}
