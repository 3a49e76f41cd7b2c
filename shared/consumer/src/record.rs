//! From an SQS record to an event.

use aws_lambda_events::sqs::SqsMessage;
use hooks_aws::queue::{Delivered, EVENT_TYPE, FAILURE_MESSAGE, Message, RECEIVED_AT, WEBHOOK_ID};
use hooks_webhook::{Category, Event};

/// The longest body, in bytes. The verifier takes half of that, and escaping what SQS refuses doubles at most.
const MAX_BODY: usize = 2 * hooks_webhook::MAX_BODY;

/// The longest id, in bytes. Ids are a few dozen characters; they become keys in the ledger and the bucket, which have
/// room for a thousand or two.
const MAX_ID: usize = 512;

/// The longest event type, in bytes: what `EventBridge` takes as `detail-type`.
const MAX_TYPE: usize = 128;

/// The longest of the other attributes, in bytes: a timestamp, the name of an endpoint, a number.
const MAX_WORD: usize = 64;

/// The end of the year 9999 in milliseconds since the Unix epoch. Later days have no name.
const LAST_MOMENT: u64 = 253_402_300_799_999;

/// The record is not one of ours. No retry can change that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Undecodable {
    #[error("the message has no body")]
    NoBody,
    #[error("the body is larger than any that is queued")]
    BodyTooLarge,
    #[error("the message attribute {0} is missing or unusable")]
    Attribute(&'static str),
    #[error("the body is {0}")]
    Body(#[from] hooks_webhook::EventError),
    #[error("the event's {0} is too long")]
    TooLong(&'static str),
}

pub(crate) fn decode(record: &SqsMessage, category: Category) -> Result<Delivered, Undecodable> {
    let body = record.body.as_deref().filter(|body| !body.is_empty()).ok_or(Undecodable::NoBody)?;
    if body.len() > MAX_BODY {
        return Err(Undecodable::BodyTooLarge);
    }
    let message = Message::decode(body.to_owned(), |name| attribute(record, name))
        .map_err(|malformed| Undecodable::Attribute(malformed.0))?;
    if message.received_at > LAST_MOMENT {
        return Err(Undecodable::Attribute(RECEIVED_AT));
    }
    let mut event = Event::parse(body)?;
    let received_at = (message.received_at / 1000).cast_signed();
    // Without a usable time of its own the event is as old as its receipt: unknown is not 1970, nor a later day.
    if !(1..=received_at).contains(&event.created_at) {
        event.created_at = received_at;
    }
    let too_long = [
        ("id", event.id.len() > MAX_ID),
        ("type", event.event_type.len() > MAX_TYPE),
        ("object id", event.object_id().is_some_and(|id| id.len() > MAX_ID)),
    ];
    match too_long.into_iter().find(|(_, too_long)| *too_long) {
        Some((what, _)) => Err(Undecodable::TooLong(what)),
        None => Ok(Delivered { category, message, event }),
    }
}

/// The text of a record's attribute, unless it is too long to be one of ours.
fn attribute<'a>(record: &'a SqsMessage, name: &str) -> Option<&'a str> {
    let longest = match name {
        WEBHOOK_ID => MAX_ID,
        // A type that is too long is told by the body.
        EVENT_TYPE | FAILURE_MESSAGE => usize::MAX,
        _ => MAX_WORD,
    };
    let attribute = record.message_attributes.get(name)?;
    // A number or a binary has another data type; `String.custom` is a string.
    let is_string = attribute.data_type.as_deref().is_some_and(|kind| kind.split('.').next() == Some("String"));
    attribute.string_value.as_deref().filter(|value| is_string && !value.is_empty() && value.len() <= longest)
}

/// Number of times the record was received, this time included.
pub(crate) fn receives(record: &SqsMessage) -> u32 {
    record.attributes.get("ApproximateReceiveCount").and_then(|count| count.parse().ok()).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn attributes() -> Value {
        let text = |value: &str| json!({"stringValue": value, "dataType": "String"});
        json!({
            "webhook-id": text("wh_1"),
            "webhook-timestamp": text("1795300000"),
            "endpoint": text("project"),
            "event-type": text("batch.completed"),
            "received-at": text("1795300000000"),
            "source": text("openai"),
        })
    }

    fn body() -> Value {
        json!({"id": "evt_1", "type": "batch.completed", "created_at": 1_795_300_000, "data": {"id": "batch_1"}})
    }

    fn record(body: &str, attributes: &Value) -> SqsMessage {
        let record = json!({
            "messageId": "1", "receiptHandle": "handle", "body": body, "messageAttributes": attributes,
            "attributes": {"ApproximateReceiveCount": "3"},
        });
        serde_json::from_value(record).unwrap()
    }

    fn decoded_with(name: &str, attribute: Value) -> Result<Delivered, Undecodable> {
        let mut attributes = attributes();
        attributes[name] = attribute;
        decode(&record(&body().to_string(), &attributes), Category::Batch)
    }

    fn decoded_body(body: &Value) -> Result<Delivered, Undecodable> {
        decode(&record(&body.to_string(), &attributes()), Category::Batch)
    }

    #[test]
    fn a_record_of_the_verifier_is_read() {
        let record = record(&body().to_string(), &attributes());
        let Delivered { message, event, .. } = decode(&record, Category::Batch).unwrap();
        assert_eq!((message.webhook_id.as_str(), message.endpoint.as_str()), ("wh_1", "project"));
        assert_eq!((event.id.as_str(), event.object_id()), ("evt_1", Some("batch_1")));
        assert_eq!(receives(&record), 3);
    }

    #[test]
    fn an_event_without_a_usable_time_was_created_when_it_was_received() {
        for unusable in [json!(null), json!(0), json!(-1), json!("2026-11-21"), json!(1e300)] {
            let mut event = body();
            event["created_at"] = unusable;
            assert_eq!(decoded_body(&event).unwrap().event.created_at, 1_795_300_000);
            event["created_at"] = json!(1_795_200_000.75);
            assert_eq!(decoded_body(&event).unwrap().event.created_at, 1_795_200_000);
        }
    }

    #[test]
    fn a_record_that_lacks_an_attribute_says_which() {
        for name in ["webhook-id", "webhook-timestamp", "endpoint", "event-type", "received-at", "source"] {
            assert_eq!(decoded_with(name, json!({})).unwrap_err(), Undecodable::Attribute(name));
        }
    }

    #[test]
    fn an_attribute_of_another_kind_counts_as_missing() {
        for attribute in [
            json!({"stringValue": "wh_1", "dataType": "Number"}),
            json!({"stringValue": "wh_1"}),
            json!({"binaryValue": "d2hfMQ==", "dataType": "Binary"}),
            json!({"stringValue": "", "dataType": "String"}),
        ] {
            assert_eq!(decoded_with("webhook-id", attribute).unwrap_err(), Undecodable::Attribute("webhook-id"));
        }
    }

    #[test]
    fn an_attribute_that_is_too_long_for_a_key_is_refused() {
        let id = |length| json!({"stringValue": "x".repeat(length), "dataType": "String"});
        assert!(decoded_with("webhook-id", id(MAX_ID)).is_ok());
        assert_eq!(decoded_with("webhook-id", id(MAX_ID + 1)).unwrap_err(), Undecodable::Attribute("webhook-id"));
        assert_eq!(decoded_with("endpoint", id(MAX_WORD + 1)).unwrap_err(), Undecodable::Attribute("endpoint"));
    }

    #[test]
    fn a_time_without_a_day_is_refused() {
        for time in ["soon", "-1", "253402300800000", "18446744073709551615", "18446744073709551616"] {
            let attribute = json!({"stringValue": time, "dataType": "String"});
            assert_eq!(decoded_with("received-at", attribute).unwrap_err(), Undecodable::Attribute("received-at"));
        }
    }

    #[test]
    fn an_event_without_a_usable_time_is_as_old_as_its_receipt() {
        let created_at = |time: Option<Value>| {
            let mut event = body();
            event.as_object_mut().unwrap().remove("created_at");
            event.as_object_mut().unwrap().extend(time.map(|time| ("created_at".to_owned(), time)));
            decoded_body(&event).unwrap().event.created_at
        };
        for unusable in [None, Some(json!(null)), Some(json!("soon")), Some(json!(0)), Some(json!(-1))] {
            assert_eq!(created_at(unusable), 1_795_300_000);
        }
        assert_eq!(created_at(Some(json!(1_795_299_990))), 1_795_299_990);
        assert_eq!(created_at(Some(json!(1_795_300_000_000_u64))), 1_795_300_000, "in milliseconds");
    }

    #[test]
    fn a_body_that_is_not_an_event_is_refused() {
        for body in [json!([]), json!("text"), json!({"id": "evt_1"}), json!({"type": "batch.completed"})] {
            assert!(matches!(decoded_body(&body), Err(Undecodable::Body(_))), "{body}");
        }
        assert!(matches!(decode(&record("{", &attributes()), Category::Batch), Err(Undecodable::Body(_))));
        assert_eq!(decode(&record("", &attributes()), Category::Batch).unwrap_err(), Undecodable::NoBody);
    }

    #[test]
    fn a_body_beyond_anything_queued_is_not_even_parsed() {
        let body = "x".repeat(MAX_BODY + 1);
        assert_eq!(decode(&record(&body, &attributes()), Category::Batch).unwrap_err(), Undecodable::BodyTooLarge);
    }

    #[test]
    fn ids_that_are_too_long_for_a_key_are_refused() {
        let long = "x".repeat(MAX_ID + 1);
        let mut event = body();
        event["id"] = long.clone().into();
        assert_eq!(decoded_body(&event).unwrap_err(), Undecodable::TooLong("id"));
        let mut event = body();
        event["data"]["id"] = long.clone().into();
        assert_eq!(decoded_body(&event).unwrap_err(), Undecodable::TooLong("object id"));
        let mut event = body();
        event["type"] = format!("batch.{long}").into();
        assert_eq!(decoded_body(&event).unwrap_err(), Undecodable::TooLong("type"));
    }

    #[test]
    fn system_attributes_that_make_no_sense_are_harmless() {
        let mut record = record(&body().to_string(), &attributes());
        for count in ["", "-1", "many"] {
            record.attributes.insert("ApproximateReceiveCount".to_owned(), count.to_owned());
            assert_eq!(receives(&record), 1);
        }
        record.attributes.clear();
        assert_eq!(receives(&record), 1);
    }

    proptest! {
        #[test]
        fn no_record_makes_decoding_panic(
            body in ".*",
            name in "(webhook-id|webhook-timestamp|endpoint|event-type|received-at|source|failure-reason)",
            value in prop::option::of(".{0,700}"),
            kind in prop::option::of("(String|Number|Binary|String\\.x|.{0,10})"),
        ) {
            let mut attributes = attributes();
            attributes[name] = json!({"stringValue": value, "dataType": kind});
            let _ = decode(&record(&body, &attributes), Category::Batch);
            let _ = decode(&record(&tests::body().to_string(), &attributes), Category::Batch);
        }
    }
}
