//! Telling people. What is told to other systems is tested with the harness.

use hooks_aws::outcomes::{Notice, Outcomes};
use serde_json::Value;

use crate::stack::{config, next, topic};

#[tokio::test]
async fn an_alert_arrives_whatever_its_texts_are() {
    let config = config();
    let sqs = aws_sdk_sqs::Client::new(config.sdk());
    let (topic, url) = topic(&config).await;
    let outcomes = Outcomes::new(&config, "unused", topic);
    let subject = format!("two\nlines and \u{1f600} {}", "x".repeat(200));
    let notice = Notice {
        category: "batch",
        event_type: "",
        reason: "quota_exhausted",
        id: "evt_1",
        severity: "critical",
        subject: &subject,
        message: "",
    };
    outcomes.alert(&notice).await.unwrap();

    let message: Value = serde_json::from_str(&next(&sqs, &url).await.unwrap().body.unwrap()).unwrap();
    assert_eq!(message["Subject"], format!("two?lines and ? {}", "x".repeat(83)));
    assert_eq!(message["MessageAttributes"]["severity"]["Value"], "critical");
    assert!(message["MessageAttributes"]["event-type"].is_null(), "there is no empty attribute");
}
