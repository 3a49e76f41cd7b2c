//! A stack of a test's own on the local AWS: table, queues, bus, topic, bucket, and ears on the bus and the topic.

use std::collections::HashMap;
use std::time::Duration;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType,
};
use aws_sdk_eventbridge::types::Target;
use aws_sdk_sqs::types::{Message, MessageAttributeValue, MessageSystemAttributeName, QueueAttributeName};
use hooks_consumer::{Category, Handler, Harness, Setup};
use hooks_function::clock::now_ms;
use hooks_function::{Config, Deadline};
use hooks_testing::{aws_config, environment};
use serde_json::{Value, json};

pub(crate) type Item = HashMap<String, AttributeValue>;

/// Everything that a consumer function has around it.
pub(crate) struct World {
    pub(crate) name: String,
    pub(crate) endpoint_url: String,
    config: Config,
    pub(crate) dynamodb: aws_sdk_dynamodb::Client,
    pub(crate) sqs: aws_sdk_sqs::Client,
    topic_arn: String,
    pub(crate) queue_url: String,
    dead_letter_queue_url: String,
    outcomes_queue_url: String,
    alerts_queue_url: String,
}

/// A delivery as the verifier puts it into the queue.
#[derive(Clone)]
pub(crate) struct Sent {
    pub(crate) body: String,
    pub(crate) attributes: Vec<(&'static str, String)>,
}

/// A `batch.completed` event about `object`, delivered as `webhook_id`.
pub(crate) fn completed(webhook_id: &str, object: &str) -> Sent {
    let body = json!({
        "id": format!("evt_{webhook_id}"), "object": "event", "type": "batch.completed", "created_at": millis() / 1000,
        "data": {"id": object},
    });
    Sent {
        body: body.to_string(),
        attributes: vec![
            ("webhook-id", webhook_id.to_owned()),
            ("webhook-timestamp", (millis() / 1000).to_string()),
            ("endpoint", "project".to_owned()),
            ("event-type", "batch.completed".to_owned()),
            ("received-at", millis().to_string()),
            ("source", "openai".to_owned()),
        ],
    }
}

/// The delivery of an event that is eleven minutes old: an object that is not there is believed to be missing.
pub(crate) fn aged(sent: &Sent) -> Sent {
    let mut body: Value = serde_json::from_str(&sent.body).unwrap();
    body["created_at"] = (body["created_at"].as_u64().unwrap() - 660).into();
    Sent { body: body.to_string(), attributes: sent.attributes.clone() }
}

impl Sent {
    /// With an attribute set to something else, or added.
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.attributes.retain(|(other, _)| *other != name);
        self.attributes.push((name, value.to_owned()));
        self
    }

    /// Without an attribute.
    pub(crate) fn without(mut self, name: &'static str) -> Self {
        self.attributes.retain(|(other, _)| *other != name);
        self
    }
}

/// Milliseconds since the Unix epoch.
pub(crate) fn millis() -> u64 {
    now_ms().cast_unsigned()
}

/// The deadline of an invocation with this much time.
pub(crate) fn in_seconds(seconds: u64) -> Deadline {
    Deadline::at(millis() + seconds * 1000)
}

/// The local AWS that `make test` starts.
fn endpoint_url() -> String {
    std::env::var("AWS_ENDPOINT_URL").unwrap_or_else(|_| {
        panic!("AWS_ENDPOINT_URL is not set: run `make test`, which starts the AWS these tests need")
    })
}

impl World {
    /// Makes a stack with a name that no other test has.
    pub(crate) async fn new() -> Self {
        let endpoint_url = endpoint_url();
        let name = format!("consumer-{:016x}", fastrand::u64(..));
        let config = aws_config(&endpoint_url);
        let sqs = aws_sdk_sqs::Client::new(config.sdk());
        let dynamodb = aws_sdk_dynamodb::Client::new(config.sdk());
        create_table(&dynamodb, &name).await;
        let s3 = aws_sdk_s3::config::Builder::from(config.sdk()).force_path_style(true).build();
        aws_sdk_s3::Client::from_conf(s3).create_bucket().bucket(&name).send().await.unwrap();

        let (queue_url, _) = create_queue(&sqs, &name).await;
        let (dead_letter_queue_url, _) = create_queue(&sqs, &format!("{name}-dead")).await;
        let (outcomes_queue_url, outcomes_arn) = create_queue(&sqs, &format!("{name}-outcomes")).await;
        let (alerts_queue_url, alerts_arn) = create_queue(&sqs, &format!("{name}-alerts")).await;
        let listeners = [(&outcomes_queue_url, &outcomes_arn, "events"), (&alerts_queue_url, &alerts_arn, "sns")];
        for (url, arn, service) in listeners {
            let policy = json!({"Version": "2012-10-17", "Statement": [{
                "Effect": "Allow", "Action": "sqs:SendMessage", "Resource": arn,
                "Principal": {"Service": format!("{service}.amazonaws.com")},
            }]});
            let request = sqs.set_queue_attributes().queue_url(url);
            request.attributes(QueueAttributeName::Policy, policy.to_string()).send().await.unwrap();
        }

        let events = aws_sdk_eventbridge::Client::new(config.sdk());
        events.create_event_bus().name(&name).send().await.unwrap();
        let pattern = json!({"source": ["openai.webhooks"]}).to_string();
        events.put_rule().name(&name).event_bus_name(&name).event_pattern(pattern).send().await.unwrap();
        let target = Target::builder().id("ear").arn(outcomes_arn).build().unwrap();
        events.put_targets().rule(&name).event_bus_name(&name).targets(target).send().await.unwrap();

        let sns = aws_sdk_sns::Client::new(config.sdk());
        let topic_arn = sns.create_topic().name(&name).send().await.unwrap().topic_arn.unwrap();
        sns.subscribe().topic_arn(&topic_arn).protocol("sqs").endpoint(alerts_arn).send().await.unwrap();

        Self {
            name,
            endpoint_url,
            config,
            dynamodb,
            sqs,
            topic_arn,
            queue_url,
            dead_letter_queue_url,
            outcomes_queue_url,
            alerts_queue_url,
        }
    }

    /// A harness as the function would make it, for a handler that needs nothing.
    pub(crate) fn harness<H: Handler>(&self, handler: H) -> Harness<H> {
        self.harness_at(&self.endpoint_url, "12", |_| Some(handler))
    }

    /// A harness that finds AWS at `endpoint_url` and gives up at the `max_receives`th receive.
    pub(crate) fn harness_at<H: Handler>(
        &self,
        endpoint_url: &str,
        max_receives: &str,
        handler: impl FnOnce(&mut Setup<'_>) -> Option<H>,
    ) -> Harness<H> {
        let environment = environment(
            endpoint_url,
            [
                ("TABLE_NAME", &self.name),
                ("BUCKET_NAME", &self.name),
                ("BUS_NAME", &self.name),
                ("ALERTS_TOPIC_ARN", &self.topic_arn),
                ("QUEUE_URL", &self.queue_url),
                ("DEAD_LETTER_QUEUE_URL", &self.dead_letter_queue_url),
                ("MAX_RECEIVES", max_receives),
                ("OPENAI_API_KEY_SECRET", &self.name),
                ("OPENAI_BASE_URL", "http://127.0.0.1:1/v1"),
            ],
        );
        Harness::new(Category::Batch, environment, handler).unwrap()
    }

    /// Creates or replaces the secret with the API key.
    pub(crate) async fn api_key(&self, text: &str) {
        let secrets = aws_sdk_secretsmanager::Client::new(self.config.sdk());
        let put = secrets.put_secret_value().secret_id(&self.name).secret_string(text).send().await;
        if put.is_err() {
            secrets.create_secret().name(&self.name).secret_string(text).send().await.unwrap();
        }
    }

    /// Puts a delivery into the queue.
    pub(crate) async fn send(&self, sent: &Sent) {
        let mut request = self.sqs.send_message().queue_url(&self.queue_url).message_body(&sent.body);
        for (name, value) in &sent.attributes {
            let value = MessageAttributeValue::builder().data_type("String").string_value(value).build().unwrap();
            request = request.message_attributes(*name, value);
        }
        request.send().await.unwrap();
    }

    /// Receives up to ten messages, as Lambda hands them to the function.
    pub(crate) async fn receive(&self) -> SqsEvent {
        let request = self.sqs.receive_message().queue_url(&self.queue_url).max_number_of_messages(10);
        let request = request.visibility_timeout(120).message_attribute_names("All");
        let request = request.message_system_attribute_names(MessageSystemAttributeName::All);
        let messages = request.send().await.unwrap().messages.unwrap_or_default();
        let records: Vec<_> = messages.iter().map(record).collect();
        serde_json::from_value(json!({ "Records": records })).unwrap()
    }

    /// What Lambda does after the function's answer: messages that need not come again are deleted.
    pub(crate) async fn settle(&self, batch: &SqsEvent, response: &SqsBatchResponse) {
        let failed: Vec<_> = response.batch_item_failures.iter().map(|failure| &failure.item_identifier).collect();
        for record in &batch.records {
            if !failed.contains(&record.message_id.as_ref().unwrap()) {
                let handle = record.receipt_handle.as_deref().unwrap();
                self.sqs.delete_message().queue_url(&self.queue_url).receipt_handle(handle).send().await.unwrap();
            }
        }
    }

    /// One invocation from end to end. Says how many records must come again.
    pub(crate) async fn invoke<H: Handler>(&self, harness: &Harness<H>) -> usize {
        self.invoke_until(harness, in_seconds(60)).await
    }

    /// One invocation that ends at `deadline`.
    pub(crate) async fn invoke_until<H: Handler>(&self, harness: &Harness<H>, deadline: Deadline) -> usize {
        let batch = self.receive().await;
        assert!(!batch.records.is_empty(), "nothing to receive");
        let response = harness.handle(batch.clone(), deadline).await;
        self.settle(&batch, &response).await;
        response.batch_item_failures.len()
    }

    /// Lets the time pass that the hidden messages must wait for.
    pub(crate) async fn messages_come_back(&self, batch: &SqsEvent) {
        for record in &batch.records {
            let handle = record.receipt_handle.as_deref().unwrap();
            let request = self.sqs.change_message_visibility().queue_url(&self.queue_url);
            // A message that was deleted has no visibility.
            let _ = request.receipt_handle(handle).visibility_timeout(0).send().await;
        }
    }

    /// Lets the time pass that every lease lasts.
    pub(crate) async fn leases_end(&self) {
        for item in self.items().await {
            // Who tells of an alert has a lease, too.
            let lease = if item["sk"].as_s().unwrap() == "alerts" { "due_at" } else { "lease_until" };
            if !item.contains_key(lease) {
                continue;
            }
            let request = self.dynamodb.update_item().table_name(&self.name);
            let request = request.key("pk", item["pk"].clone()).key("sk", item["sk"].clone());
            let request = request.update_expression(format!("SET {lease} = :past"));
            request.expression_attribute_values(":past", AttributeValue::N("1".to_owned())).send().await.unwrap();
        }
    }

    /// Records what an object's outcome shall carry, as the program does that created the object.
    pub(crate) async fn expect(&self, category: &str, object_id: &str, context: &str) {
        let mut request = self.dynamodb.put_item().table_name(&self.name);
        let attributes = [
            ("pk", &*format!("job#{category}#{object_id}")),
            ("sk", "job"),
            ("waiting", category),
            ("context", context),
        ];
        for (name, value) in attributes {
            request = request.item(name, AttributeValue::S(value.to_owned()));
        }
        request.send().await.unwrap();
    }

    /// The idempotency record of a batch's end.
    pub(crate) async fn idempotency(&self, object_id: &str) -> Value {
        self.item(&format!("idempotency#batch.completed/{object_id}")).await.expect("the key was claimed")
    }

    /// The results of the attempts at an event.
    pub(crate) async fn attempts(&self, webhook_id: &str) -> Vec<String> {
        let event = self.event(webhook_id).await;
        let attempts = event["attempts"].as_array().unwrap().iter();
        attempts.map(|attempt| attempt["result"].as_str().unwrap().to_owned()).collect()
    }

    /// A replay of a delivery, asked for now.
    pub(crate) async fn replay(&self, sent: &Sent, object_id: &str) -> Sent {
        let token = self.idempotency(object_id).await["token"].as_str().unwrap().to_owned();
        sent.clone().with("source", "replay").with("seen-token", &token).with("asked-by", "ada")
    }

    /// Everything in the table.
    pub(crate) async fn items(&self) -> Vec<Item> {
        let scan = self.dynamodb.scan().table_name(&self.name).consistent_read(true).send().await.unwrap();
        scan.items.unwrap_or_default()
    }

    /// The item with these keys, as plain JSON.
    pub(crate) async fn item(&self, pk: &str) -> Option<Value> {
        let found = self.items().await.into_iter().find(|item| item["pk"].as_s().unwrap() == pk)?;
        Some(plain(&AttributeValue::M(found)))
    }

    /// The item of the event delivered as `webhook_id` to the project's endpoint.
    pub(crate) async fn event(&self, webhook_id: &str) -> Value {
        self.item(&format!("event#project#{webhook_id}")).await.expect("the event has an item")
    }

    /// What stands in the queue itself, hidden or not.
    pub(crate) async fn queued(&self) -> Vec<Value> {
        self.peek(&self.queue_url).await
    }

    /// The dead letters.
    pub(crate) async fn dead_letters(&self) -> Vec<Value> {
        self.peek(&self.dead_letter_queue_url).await
    }

    /// What was published on the bus.
    pub(crate) async fn outcomes(&self) -> Vec<Value> {
        self.bodies(&self.outcomes_queue_url).await
    }

    /// What was published on the topic.
    pub(crate) async fn alerts(&self) -> Vec<Value> {
        self.bodies(&self.alerts_queue_url).await
    }

    async fn bodies(&self, queue_url: &str) -> Vec<Value> {
        let messages = self.peek(queue_url).await;
        messages.iter().map(|message| serde_json::from_str(message["Body"].as_str().unwrap()).unwrap()).collect()
    }

    /// The messages of a queue, looked at without receiving them.
    async fn peek(&self, queue_url: &str) -> Vec<Value> {
        let url = format!("{}/_ministack/sqs/messages", self.endpoint_url);
        let url = reqwest::Url::parse_with_params(&url, [("QueueUrl", queue_url)]).unwrap();
        let answer: Value = http().get(url).send().await.unwrap().json().await.unwrap();
        let accounts = answer["messages"].as_object().unwrap().values();
        let regions = accounts.flat_map(|account| account.as_object().unwrap().values());
        let queues = regions.flat_map(|region| region.as_object().unwrap().values());
        queues.flat_map(|queue| queue.as_array().unwrap().clone()).collect()
    }
}

/// A dead letter's or queued message's attribute.
pub(crate) fn attribute<'a>(message: &'a Value, name: &str) -> Option<&'a str> {
    message["MessageAttributes"][name]["StringValue"].as_str()
}

/// A client for plain HTTP to this machine. It cannot be made without saying who does the cryptography.
pub(crate) fn http() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

async fn create_table(dynamodb: &aws_sdk_dynamodb::Client, name: &str) {
    let text = |name: &str| {
        AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S).build().unwrap()
    };
    let number = |name: &str| {
        AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::N).build().unwrap()
    };
    let key = |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build().unwrap();
    let by_day = GlobalSecondaryIndex::builder()
        .index_name("by-day")
        .key_schema(key("day", KeyType::Hash))
        .key_schema(key("received_at", KeyType::Range))
        .projection(Projection::builder().projection_type(ProjectionType::KeysOnly).build())
        .build()
        .unwrap();
    let request = dynamodb.create_table().table_name(name).billing_mode(BillingMode::PayPerRequest);
    let request = request.attribute_definitions(text("pk")).attribute_definitions(text("sk"));
    let request = request.attribute_definitions(text("day")).attribute_definitions(number("received_at"));
    let request = request.key_schema(key("pk", KeyType::Hash)).key_schema(key("sk", KeyType::Range));
    request.global_secondary_indexes(by_day).send().await.unwrap();
}

async fn create_queue(sqs: &aws_sdk_sqs::Client, name: &str) -> (String, String) {
    let url = sqs.create_queue().queue_name(name).send().await.unwrap().queue_url.unwrap();
    let request = sqs.get_queue_attributes().queue_url(&url).attribute_names(QueueAttributeName::QueueArn);
    let attributes = request.send().await.unwrap().attributes.unwrap();
    (url, attributes[&QueueAttributeName::QueueArn].clone())
}

/// A received message in the shape of Lambda's events.
fn record(message: &Message) -> Value {
    let attributes =
        message.message_attributes.iter().flatten().map(|(name, value)| {
            (name.clone(), json!({"stringValue": value.string_value, "dataType": value.data_type}))
        });
    let system =
        message.attributes.iter().flatten().map(|(name, value)| (name.as_str().to_owned(), value.as_str().into()));
    json!({
        "messageId": message.message_id,
        "receiptHandle": message.receipt_handle,
        "body": message.body,
        "attributes": system.collect::<serde_json::Map<_, _>>(),
        "messageAttributes": attributes.collect::<serde_json::Map<_, _>>(),
        "eventSource": "aws:sqs",
    })
}

/// An attribute value as plain JSON.
fn plain(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => text.as_str().into(),
        AttributeValue::N(number) => serde_json::from_str(number).unwrap(),
        AttributeValue::Bool(value) => (*value).into(),
        AttributeValue::L(values) => values.iter().map(plain).collect(),
        AttributeValue::M(map) => map.iter().map(|(name, value)| (name.clone(), plain(value))).collect(),
        _ => Value::Null,
    }
}

/// Waits for what comes true in a moment.
pub(crate) async fn eventually(mut check: impl AsyncFnMut() -> bool) {
    for _ in 0..200 {
        if check().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it did not come true within ten seconds");
}
