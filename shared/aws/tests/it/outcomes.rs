//! Telling people. What is told to other systems is tested with the harness.

use hooks_aws::outcomes::{Notice, Outcomes};
use serde_json::{Value, json};

use crate::stack::{config, name, next, queue};

#[tokio::test]
async fn an_alert_arrives_whatever_its_texts_are() {
    let config = config();
    let sqs = aws_sdk_sqs::Client::new(config.sdk());
    let sns = aws_sdk_sns::Client::new(config.sdk());
    let (url, arn) = queue(&sqs).await;
    let policy = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Action": "sqs:SendMessage", "Resource": arn, "Principal": {"Service": "sns.amazonaws.com"},
    }]});
    let request = sqs.set_queue_attributes().queue_url(&url);
    let request = request.attributes(aws_sdk_sqs::types::QueueAttributeName::Policy, policy.to_string());
    request.send().await.unwrap();
    let topic = sns.create_topic().name(name()).send().await.unwrap().topic_arn.unwrap();
    sns.subscribe().topic_arn(&topic).protocol("sqs").endpoint(arn).send().await.unwrap();

    let outcomes = Outcomes::new(&config, "unused", topic);
    let subject = format!("two\nlines and \u{1f600} {}", "x".repeat(200));
    let notice = Notice { category: "batch", event_type: "", severity: "critical", subject: &subject, message: "" };
    outcomes.alert(&notice).await.unwrap();

    let message: Value = serde_json::from_str(&next(&sqs, &url).await.unwrap().body.unwrap()).unwrap();
    assert_eq!(message["Subject"], format!("two?lines and ? {}", "x".repeat(83)));
    assert_eq!(message["MessageAttributes"]["severity"]["Value"], "critical");
    assert!(message["MessageAttributes"]["event-type"].is_null(), "there is no empty attribute");
}
