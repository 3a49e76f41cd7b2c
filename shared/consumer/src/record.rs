//! From an SQS record to an event.

use aws::queue::Message;
use aws_lambda_events::sqs::SqsMessage;
use webhook::Event;

/// The longest body, in bytes. The verifier takes half of that, and escaping what SQS refuses doubles at most.
const MAX_BODY: usize = 2 * webhook::MAX_BODY;

/// The longest id, in bytes. Ids are a few dozen characters; they become keys in the ledger and the bucket, which have
/// room for a thousand or two.
const MAX_ID: usize = 512;

/// The longest event type, in bytes: what `EventBridge` takes as `detail-type`.
const MAX_TYPE: usize = 128;

/// The longest of the other attributes, in bytes: a timestamp, the name of an endpoint, a number.
const MAX_WORD: usize = 64;

/// The end of the year 9999 in milliseconds since the Unix epoch. Later days have no name.
const LAST_MOMENT: u64 = 253_402_300_799_999;

/// A record that the harness can work on.
#[derive(Debug)]
pub(crate) struct Delivered {
    pub(crate) message: Message,
    pub(crate) event: Event,
}

/// Why a record is none of ours. No retry can change that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Undecodable {
    #[error("the message has no body")]
    NoBody,
    #[error("the body is larger than any that is queued")]
    BodyTooLarge,
    #[error("the message attribute {0} is missing or unusable")]
    Attribute(&'static str),
    #[error("the body is {0}")]
    Body(#[from] webhook::MalformedEvent),
    #[error("the event's {0} is too long")]
    TooLong(&'static str),
}

/// Reads a record.
pub(crate) fn decode(record: &SqsMessage) -> Result<Delivered, Undecodable> {
    let body = record.body.as_deref().filter(|body| !body.is_empty()).ok_or(Undecodable::NoBody)?;
    if body.len() > MAX_BODY {
        return Err(Undecodable::BodyTooLarge);
    }
    let message = Message::decode(body.to_owned(), |name| attribute(record, name))
        .map_err(|malformed| Undecodable::Attribute(malformed.0))?;
    if message.received_at > LAST_MOMENT {
        return Err(Undecodable::Attribute(aws::queue::RECEIVED_AT));
    }
    let event = Event::parse(body)?;
    let too_long = [
        ("id", event.id.len() > MAX_ID),
        ("type", event.event_type.len() > MAX_TYPE),
        ("object id", event.object_id().is_some_and(|id| id.len() > MAX_ID)),
    ];
    match too_long.into_iter().find(|(_, too_long)| *too_long) {
        Some((what, _)) => Err(Undecodable::TooLong(what)),
        None => Ok(Delivered { message, event }),
    }
}

/// The text of a record's attribute, unless it is too long to be one of ours.
pub(crate) fn attribute<'a>(record: &'a SqsMessage, name: &str) -> Option<&'a str> {
    let longest = match name {
        aws::queue::WEBHOOK_ID => MAX_ID,
        // A type that is too long is told by the body.
        aws::queue::EVENT_TYPE | aws::queue::FAILURE_MESSAGE => usize::MAX,
        _ => MAX_WORD,
    };
    let attribute = record.message_attributes.get(name)?;
    // A number or a binary has another data type; `String.custom` is a string.
    let is_string = attribute.data_type.as_deref().is_some_and(|kind| kind.split('.').next() == Some("String"));
    attribute.string_value.as_deref().filter(|value| is_string && !value.is_empty() && value.len() <= longest)
}

/// How many times the record was received, this time included.
pub(crate) fn receives(record: &SqsMessage) -> u32 {
    record.attributes.get("ApproximateReceiveCount").and_then(|count| count.parse().ok()).unwrap_or(1)
}

/// When SQS accepted the record's message, in milliseconds since the Unix epoch.
pub(crate) fn sent_at(record: &SqsMessage) -> Option<i64> {
    record.attributes.get("SentTimestamp")?.parse().ok()
}
