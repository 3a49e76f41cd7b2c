//! The services, as far as the consumers ask them.

use std::time::Duration;

use serde_json::{Value, json};

use crate::dynamodb::{Item, Update, number, text};
use crate::network::{Call, Life, Reply, Service};
use crate::sqs::event;
use crate::world::State;

impl State {
    /// Carries out a request.
    pub(crate) fn apply(&mut self, life: Life, call: &Call) -> Reply {
        let json = &call.json;
        match (call.service, call.operation.as_str()) {
            (Service::DynamoDb, "UpdateItem") => self.update_item(life, json),
            (Service::DynamoDb, "GetItem") => match self.table.item(json) {
                Some(item) => Reply::json(200, &json!({ "Item": item })),
                None => Reply::json(200, &json!({})),
            },
            (Service::DynamoDb, "Query") => match self.table.query(json) {
                Ok(items) => Reply::json(200, &json!({"Items": items, "Count": items.len()})),
                Err(why) => {
                    self.violated(why);
                    Reply::error(call.service, 400, "ValidationException")
                }
            },
            (Service::Lambda, kind) => self.invoke(life, kind, &call.path, json),
            (Service::OpenAi, _) if self.calls.is_some() => self.session_asked(life, &call.path, json),
            (Service::EventBridge, "PutEvents") if self.calls.is_some() => {
                self.call_told(&json["Entries"][0]);
                Reply::json(200, &json!({"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}))
            }
            (Service::Sqs, "SendMessage") => {
                let attributes = json["MessageAttributes"].as_object().into_iter().flatten();
                let value = |value: &Value| value["StringValue"].as_str().unwrap_or_default().to_owned();
                let attributes = attributes.map(|(name, given)| (name.clone(), value(given))).collect();
                self.next_id += 1;
                self.checks.dead_letter(life, event(&attributes));
                self.letters.send(
                    self.next_id,
                    json["MessageBody"].as_str().unwrap_or_default().to_owned(),
                    attributes,
                );
                self.count("dead letters");
                Reply::json(200, &json!({"MessageId": self.next_id.to_string()}))
            }
            (Service::Sqs, "ChangeMessageVisibility") => {
                let time = Duration::from_secs(json["VisibilityTimeout"].as_u64().unwrap_or_default());
                if self.queue.change_visibility(json["ReceiptHandle"].as_str().unwrap_or_default(), time) {
                    Reply::json(200, &json!({}))
                } else {
                    Reply::error(call.service, 400, "MessageNotInflight")
                }
            }
            (Service::EventBridge, "PutEvents") => {
                let detail = json["Entries"][0]["Detail"].as_str().and_then(|detail| serde_json::from_str(detail).ok());
                let result = self.check_outcome(life, &detail.unwrap_or_default());
                self.check(result);
                Reply::json(200, &json!({"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}))
            }
            (Service::Sns, _) => Reply::text(
                200,
                "<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>",
            ),
            (Service::S3, "PUT") => {
                let key = call.path.trim_start_matches("/sim/").to_owned();
                self.bucket.insert(key, call.body.clone());
                Reply { headers: vec![("etag", "\"1\"".to_owned())], ..Reply::text(200, "") }
            }
            (Service::Ssm, "GetParameter") => match self.parameters.get(json["Name"].as_str().unwrap_or_default()) {
                Some(values) => {
                    let (value, _) = &values[values.len() - 1];
                    Reply::json(200, &json!({"Parameter": {"Value": value, "Version": values.len()}}))
                }
                None => Reply::error(call.service, 400, "ParameterNotFound"),
            },
            (Service::Ssm, "GetParameterHistory") => {
                match self.parameters.get(json["Name"].as_str().unwrap_or_default()) {
                    Some(values) => {
                        let values = (1..).zip(values).map(|(version, (value, description))| {
                            json!({"Value": value, "Version": version, "Description": description})
                        });
                        Reply::json(200, &json!({"Parameters": values.collect::<Vec<_>>()}))
                    }
                    None => Reply::error(call.service, 400, "ParameterNotFound"),
                }
            }
            (Service::Ssm, "PutParameter") => {
                let field = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
                let values = self.parameters.entry(field("Name")).or_default();
                values.push((field("Value"), field("Description")));
                Reply::json(200, &json!({"Version": values.len()}))
            }
            (Service::Secrets, "GetSecretValue") => Reply::json(
                200,
                &json!({"SecretString": "sk-simulation", "VersionId": "1", "CreatedDate": 1_795_000_000}),
            ),
            (Service::OpenAi, method) => self.openai.answer(method, &call.path),
            (service, operation) => {
                self.violated(format!("{service:?} {operation} is not played here"));
                Reply::error(service, 400, "ValidationException")
            }
        }
    }

    fn update_item(&mut self, life: Life, request: &Value) -> Reply {
        match self.table.update(request) {
            Err(why) => {
                self.violated(format!("DynamoDB would refuse an expression: {why}"));
                Reply::error(Service::DynamoDb, 400, "ValidationException")
            }
            Ok(Update::Refused(item)) => {
                let pk = request["Key"]["pk"]["S"].as_str().unwrap_or_default();
                self.note(|| format!("{life}  {pk} stays: {}", described(item.as_ref())));
                let mut refusal = json!({"__type": "ConditionalCheckFailedException", "message": "No."});
                if let Some(item) = item {
                    refusal["Item"] = Value::Object(item);
                }
                Reply::json(400, &refusal)
            }
            Ok(Update::Written { before, after }) => {
                let pk = request["Key"]["pk"]["S"].as_str().unwrap_or_default();
                if let Some(key) = pk.strip_prefix("idempotency#") {
                    self.note(|| {
                        format!("{life}  {key}: {} -> {}", described(before.as_ref()), described(Some(&after)))
                    });
                    let result = self.check_record(life, key, before.as_ref(), &after);
                    self.check(result);
                    let result = self.check_nowhere();
                    self.check(result);
                }
                if pk.starts_with("session#") {
                    let sk = request["Key"]["sk"]["S"].as_str().unwrap_or_default();
                    let result = self.check_call_item(life, sk, before.as_ref(), &after);
                    self.check(result);
                }
                let attributes = match request["ReturnValues"].as_str() {
                    Some("UPDATED_OLD") => before.unwrap_or_default(),
                    _ => after,
                };
                Reply::json(200, &json!({ "Attributes": attributes }))
            }
        }
    }
}

fn described(record: Option<&Item>) -> String {
    let Some(record) = record else { return "nothing".to_owned() };
    let word = |name| text(record, name).unwrap_or("-").chars().take(6).collect::<String>();
    let leased = if number(record, "lease_until").unwrap_or(0) > 0 { ", leased" } else { "" };
    format!("{} of {}{leased}", text(record, "status").or(text(record, "state")).unwrap_or("-"), word("token"))
}
