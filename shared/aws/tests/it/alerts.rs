//! Alerts of one kind: the first is sent at once, the others are told together.

use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;
use hooks_aws::alerts::Alerts;
use hooks_aws::ledger::Ledger;
use hooks_aws::outcomes::{Notice, Outcomes};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::stack::{Table, config, next, now, topic};

/// A table, a topic, and an ear on it.
struct People {
    table: Table,
    alerts: Alerts,
    sqs: aws_sdk_sqs::Client,
    url: String,
}

impl People {
    async fn new() -> Self {
        let (table, config) = (Table::new().await, config());
        let (topic, url) = topic(&config).await;
        let alerts = Alerts::new(table.ledger.clone(), Outcomes::new(&config, "unused", topic));
        Self { table, alerts, sqs: aws_sdk_sqs::Client::new(config.sdk()), url }
    }

    async fn tell(&self, id: &str) {
        self.alerts.tell(&notice(id)).await.unwrap();
    }

    /// The same with a topic that takes nothing.
    fn deaf(&self) -> Alerts {
        let nowhere = Outcomes::new(&config(), "unused", "arn:aws:sns:eu-central-1:000000000000:no-such-topic");
        Alerts::new(self.table.ledger.clone(), nowhere)
    }

    /// The alerts so far, each as subject and message.
    async fn heard(&self) -> Vec<(String, String)> {
        let request = self.sqs.get_queue_attributes().queue_url(&self.url);
        let request = request.attribute_names("ApproximateNumberOfMessages".into());
        let attributes = request.send().await.unwrap().attributes.unwrap_or_default();
        let waiting: usize = attributes.values().next().unwrap().parse().unwrap();
        let mut heard = Vec::new();
        for _ in 0..waiting {
            let message = next(&self.sqs, &self.url).await.unwrap();
            let body: Value = serde_json::from_str(&message.body.unwrap()).unwrap();
            let text = |name: &str| body[name].as_str().unwrap().to_owned();
            heard.push((text("Subject"), text("Message")));
            let request = self.sqs.delete_message().queue_url(&self.url);
            request.receipt_handle(message.receipt_handle.unwrap()).send().await.unwrap();
        }
        heard
    }

    /// Lets the time pass until every window is over.
    async fn windows_end(&self) {
        for mut item in self.table.items("alerts").await {
            item.insert("due_at".to_owned(), AttributeValue::N("1".to_owned()));
            let attributes: Vec<_> = item.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
            self.table.put(&attributes).await;
        }
    }
}

fn notice(id: &str) -> Notice<'_> {
    Notice {
        category: "batch",
        event_type: "batch.completed",
        reason: "quota_exhausted",
        id,
        severity: "critical",
        subject: "batch.completed could not be handled",
        message: "The whole story.",
    }
}

#[tokio::test]
async fn the_first_is_sent_at_once_and_the_others_are_told_when_the_window_is_over() {
    let people = People::new().await;
    for id in ["evt_1", "evt_2", "evt_3"] {
        people.tell(id).await;
    }
    let first = ("batch.completed could not be handled".to_owned(), "The whole story.".to_owned());
    assert_eq!(people.heard().await, std::slice::from_ref(&first));
    assert_eq!(people.alerts.tell_waiting().await.unwrap(), 0, "the window is open");

    people.windows_end().await;
    assert_eq!(people.alerts.tell_waiting().await.unwrap(), 1);
    assert_eq!(people.alerts.tell_waiting().await.unwrap(), 0, "told once");
    let told = people.heard().await;
    let [(subject, message)] = &told[..] else { panic!("{told:?}") };
    assert_eq!(subject, "2 alerts of batch: quota_exhausted");
    assert!(message.contains("Which  evt_2, evt_3\n"), "{message}");
    assert!(message.contains("When   from 20") && message.contains("--category batch"), "{message}");

    people.tell("evt_4").await;
    assert_eq!(people.heard().await, [first], "a new window begins");
}

#[tokio::test]
async fn of_twenty_at_the_same_moment_one_is_sent_and_the_others_are_counted() {
    let people = Arc::new(People::new().await);
    let mut told = JoinSet::new();
    for number in 0..20 {
        let people = Arc::clone(&people);
        told.spawn(async move { people.tell(&format!("evt_{number}")).await });
    }
    told.join_all().await;
    let sent: usize = people.heard().await.iter().map(|(subject, _)| number(subject)).sum();
    people.windows_end().await;
    assert_eq!(people.alerts.tell_waiting().await.unwrap(), 1);
    let waited = people.heard().await;
    assert_eq!((waited.len(), sent + number(&waited[0].0)), (1, 20));
    // One of the five was the first one's, unless it was told of before.
    let ids = waited[0].1.matches("evt_").count();
    assert!((4..=5).contains(&ids), "{}", waited[0].1);
    assert!(waited[0].1.contains(&format!(" and {} more\n", number(&waited[0].0) - ids)), "{}", waited[0].1);
}

/// The number of alerts that a message tells of.
fn number(subject: &str) -> usize {
    subject.split(' ').next().unwrap().parse().unwrap_or(1)
}

#[tokio::test]
async fn what_waits_longer_than_its_window_is_told_with_the_next_one() {
    let people = People::new().await;
    people.tell("evt_1").await;
    people.tell("evt_2").await;
    people.windows_end().await;
    people.tell("evt_3").await;
    people.tell("evt_4").await;
    let heard = people.heard().await;
    assert_eq!((heard.len(), heard[1].0.as_str()), (2, "2 alerts of batch: quota_exhausted"));
    assert!(heard[1].1.contains("evt_2, evt_3\n"), "{heard:?}");
    assert!(heard[1].1.ends_with("The latest: batch.completed could not be handled\n\nThe whole story."), "{heard:?}");
}

#[tokio::test]
async fn what_sns_did_not_take_is_not_taken_for_told() {
    let people = People::new().await;
    let deaf = people.deaf();
    assert!(deaf.tell(&notice("evt_1")).await.is_err());
    assert!(deaf.tell_waiting().await.is_err());
    people.tell("evt_2").await;
    let heard = people.heard().await;
    assert_eq!((heard.len(), heard[0].0.as_str()), (1, "2 alerts of batch: quota_exhausted"));
    assert!(heard[0].1.contains("evt_1, evt_2\n"), "{heard:?}");
}

#[tokio::test]
async fn no_alert_hides_behind_another_category_reason_or_a_lesser_severity() {
    let people = People::new().await;
    people.tell("evt_1").await;
    for notice in [
        Notice { category: "response", ..notice("evt_2") },
        Notice { reason: "unauthorized", ..notice("evt_3") },
        Notice { severity: "info", ..notice("evt_4") },
    ] {
        people.alerts.tell(&notice).await.unwrap();
    }
    assert_eq!(people.heard().await.len(), 4);
}

#[tokio::test]
async fn safety_notices_and_calls_are_never_grouped() {
    let people = People::new().await;
    for category in ["safety", "realtime", "safety", "realtime"] {
        people.alerts.tell(&Notice { category, ..notice("evt_1") }).await.unwrap();
    }
    assert_eq!(people.heard().await.len(), 4);
    assert!(people.table.items("alerts").await.is_empty());

    let (deaf, safety) = (people.deaf(), |id| Notice { category: "safety", ..notice(id) });
    for id in ["evt_1", "evt_2"] {
        assert!(deaf.tell(&safety(id)).await.is_err());
    }
    people.alerts.tell(&safety("evt_3")).await.unwrap();
    assert_eq!(people.alerts.tell_waiting().await.unwrap(), 1, "what SNS did not take is told later");
    let heard = people.heard().await;
    assert!(heard.iter().any(|(subject, message)| number(subject) == 2 && message.contains("evt_1, evt_2\n")));
    assert!(heard.contains(&("batch.completed could not be handled".to_owned(), "The whole story.".to_owned())));
}

#[tokio::test]
async fn without_a_ledger_each_alert_is_sent() {
    let people = People::new().await;
    let config = config();
    let (topic, url) = topic(&config).await;
    let alerts = Alerts::new(Ledger::new(&config, "no-such-table"), Outcomes::new(&config, "unused", topic));
    for id in ["evt_1", "evt_2"] {
        alerts.tell(&notice(id)).await.unwrap();
    }
    assert_eq!(People { url, ..people }.heard().await.len(), 2);
}

#[tokio::test]
async fn a_group_expires_by_itself() {
    let people = People::new().await;
    people.tell("evt_1").await;
    let item = people.table.items("alerts").await.remove(0);
    let expires_at: i64 = item["expires_at"].as_n().unwrap().parse().unwrap();
    let left = expires_at - now() / 1000;
    assert!((14 * 86_400 - 60..=14 * 86_400).contains(&left), "{left}");
    assert!(!item.contains_key("waiting") && !item.contains_key("count"), "nothing waits: {item:?}");
}
