//! A table and queues of a test's own.

use std::collections::HashMap;
use std::time::SystemTime;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType,
};
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName, QueueAttributeName};
use hooks_aws::Config;
use hooks_aws::ledger::{Claim, ClaimResult, IdempotencyRecord, Ledger};
use hooks_aws::queue::{Delivered, Source};
use hooks_protocol::Kind;
use hooks_testing::aws_config;
use hooks_webhook::{Category, Event};

/// The idempotency key of everything here.
pub(crate) const KEY: &str = "batch.completed/batch_1";

/// The distant future, for leases.
pub(crate) const LATER: i64 = 4_000_000_000_000;

/// The distant past, for leases.
pub(crate) const EARLIER: i64 = 1;

/// The local AWS that `make test` starts.
pub(crate) fn config() -> Config {
    let endpoint_url = std::env::var("AWS_ENDPOINT_URL").unwrap_or_else(|_| {
        panic!("AWS_ENDPOINT_URL is not set: run `make test`, which starts the AWS these tests need")
    });
    aws_config(&endpoint_url)
}

/// A name that no other test has.
pub(crate) fn name() -> String {
    format!("aws-{:016x}", fastrand::u64(..))
}

/// A ledger with a table of its own.
pub(crate) struct Table {
    pub(crate) ledger: Ledger,
    client: aws_sdk_dynamodb::Client,
    name: String,
}

impl Table {
    pub(crate) async fn new() -> Self {
        let config = config();
        let (client, name) = (aws_sdk_dynamodb::Client::new(config.sdk()), name());
        let mut request = client.create_table().table_name(&name).billing_mode(BillingMode::PayPerRequest);
        let element = |key: &str, kind| KeySchemaElement::builder().attribute_name(key).key_type(kind).build().unwrap();
        for (key, kind) in [("pk", "S"), ("sk", "S"), ("waiting", "S"), ("due_at", "N")] {
            let attribute = AttributeDefinition::builder().attribute_name(key).attribute_type(kind.into());
            request = request.attribute_definitions(attribute.build().unwrap());
        }
        let by_due = GlobalSecondaryIndex::builder()
            .index_name("by-due")
            .key_schema(element("waiting", KeyType::Hash))
            .key_schema(element("due_at", KeyType::Range))
            .projection(Projection::builder().projection_type(ProjectionType::All).build());
        request = request.key_schema(element("pk", KeyType::Hash)).key_schema(element("sk", KeyType::Range));
        request.global_secondary_indexes(by_due.build().unwrap()).send().await.unwrap();
        Self { ledger: Ledger::new(&config, &name), client, name }
    }

    /// Writes an item as another program does.
    pub(crate) async fn put(&self, attributes: &[(&str, AttributeValue)]) {
        let item = attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        self.client.put_item().table_name(&self.name).set_item(Some(item)).send().await.unwrap();
    }

    /// Every item whose sort key this is.
    pub(crate) async fn items(&self, sk: &str) -> Vec<HashMap<String, AttributeValue>> {
        let scan = self.client.scan().table_name(&self.name).consistent_read(true).send().await.unwrap();
        scan.items.unwrap_or_default().into_iter().filter(|item| item["sk"].as_s().unwrap() == sk).collect()
    }

    /// The item with these keys.
    pub(crate) async fn item(&self, pk: &str, sk: &str) -> HashMap<String, AttributeValue> {
        let request = self.client.get_item().table_name(&self.name).consistent_read(true);
        let request = request.key("pk", AttributeValue::S(pk.to_owned())).key("sk", AttributeValue::S(sk.to_owned()));
        request.send().await.unwrap().item.expect("there is such an item")
    }

    /// The text of an event's attribute.
    pub(crate) async fn event(&self, webhook_id: &str, attribute: &str) -> Option<String> {
        let item = self.item(&format!("event#project#{webhook_id}"), "event").await;
        item.get(attribute).map(|value| value.as_s().cloned().unwrap_or_else(|_| value.as_n().unwrap().clone()))
    }

    /// The record of the key that everything here claims.
    pub(crate) async fn record(&self) -> IdempotencyRecord {
        self.ledger.idempotency_record(KEY).await.unwrap().expect("there is a record")
    }

    /// Claims the key, which must be free, for an event.
    pub(crate) async fn claimed(&self, webhook_id: &str, lease_until: i64) -> Claim {
        match self.ledger.claim(claim(webhook_id), &Kind::Delivery, lease_until).await.unwrap() {
            ClaimResult::Granted(claim) => claim,
            other => panic!("{other:?}"),
        }
    }
}

/// Milliseconds since the Unix epoch.
pub(crate) fn now() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis().try_into().unwrap()
}

/// A claim that an event is about to make.
pub(crate) fn claim(webhook_id: &str) -> Claim {
    Claim::new(KEY, "project", webhook_id)
}

/// A delivery with this id.
pub(crate) fn delivery(webhook_id: &str) -> Delivered {
    let body = r#"{"id":"evt_1","type":"batch.completed","data":{"id":"batch_1"}}"#;
    let message = hooks_aws::queue::Message {
        body: body.to_owned(),
        webhook_id: webhook_id.to_owned(),
        webhook_timestamp: "1795300000".to_owned(),
        endpoint: "project".to_owned(),
        event_type: "batch.completed".to_owned(),
        received_at: 1_795_300_000_000,
        source: Source::OpenAi,
        failure: None,
        seen_token: None,
        asked_by: None,
    };
    Delivered { category: Category::Batch, message, event: Event::parse(body).unwrap() }
}

/// A queue of its own, by URL and ARN.
pub(crate) async fn queue(sqs: &aws_sdk_sqs::Client) -> (String, String) {
    let url = sqs.create_queue().queue_name(name()).send().await.unwrap().queue_url.unwrap();
    let request = sqs.get_queue_attributes().queue_url(&url).attribute_names(QueueAttributeName::QueueArn);
    let attributes = request.send().await.unwrap().attributes.unwrap();
    (url, attributes[&QueueAttributeName::QueueArn].clone())
}

/// A topic of its own, by ARN, and the URL of a queue that gets its messages.
pub(crate) async fn topic(config: &Config) -> (String, String) {
    let (sqs, sns) = (aws_sdk_sqs::Client::new(config.sdk()), aws_sdk_sns::Client::new(config.sdk()));
    let (url, arn) = queue(&sqs).await;
    let policy = serde_json::json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Action": "sqs:SendMessage", "Resource": arn, "Principal": {"Service": "sns.amazonaws.com"},
    }]});
    let request = sqs.set_queue_attributes().queue_url(&url);
    request.attributes(QueueAttributeName::Policy, policy.to_string()).send().await.unwrap();
    let topic = sns.create_topic().name(name()).send().await.unwrap().topic_arn.unwrap();
    sns.subscribe().topic_arn(&topic).protocol("sqs").endpoint(arn).send().await.unwrap();
    (topic, url)
}

/// The next message of a queue, waited for up to ten seconds.
pub(crate) async fn next(sqs: &aws_sdk_sqs::Client, url: &str) -> Option<Message> {
    let request = sqs.receive_message().queue_url(url).wait_time_seconds(10).message_attribute_names("All");
    let request = request.message_system_attribute_names(MessageSystemAttributeName::All);
    request.send().await.unwrap().messages.unwrap_or_default().pop()
}
