//! Outcomes for other systems (`EventBridge`) and alerts for people (SNS).
//!
//! An outcome goes to the stack's event bus with `source` `openai.webhooks` and the event's type as `detail-type`. Rules on
//! that bus connect other systems in any language. `detail.id` is the event's id. An outcome is published before its event
//! is marked completed, so a process that dies in between publishes it again: a target that must not act twice
//! deduplicates by that id.
//!
//! # Permissions
//!
//! `events:PutEvents` on the bus, `sns:Publish` on the topic.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_eventbridge::config::timeout::TimeoutConfig;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use aws_sdk_sns::types::MessageAttributeValue;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::Config;
use crate::cause::cause;

/// The `source` of every outcome.
pub const SOURCE: &str = "openai.webhooks";

/// Maximum length of `detail` in bytes. An `EventBridge` entry has at most 256 KB, its other members included.
const MAX_DETAIL: usize = 250_000;

/// Maximum length of a subject: SNS requires fewer than 100 characters.
const MAX_SUBJECT: usize = 99;

/// Maximum length of a message in bytes. SNS accepts 256 KB, mailboxes less. A longer message is truncated.
const MAX_MESSAGE: usize = 16 * 1024;

/// Time limit of one attempt.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(3);

/// Publisher of outcomes and alerts. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Outcomes {
    events: aws_sdk_eventbridge::Client,
    sns: aws_sdk_sns::Client,
    bus: String,
    topic: String,
}

/// Outcome of an event, for other systems.
#[derive(Clone, Copy, Debug)]
pub struct Announcement<'a> {
    /// Type of the event.
    pub event_type: &'a str,
    /// Id of the event.
    pub id: &'a str,
    /// Idempotency key, which all events that mean the same share.
    pub idempotency_key: &'a str,
    /// Id of the event's object.
    pub object_id: Option<&'a str>,
    /// Endpoint that received the event.
    pub endpoint: &'a str,
    /// Source of the event: `openai`, `reconcile` or `replay`.
    pub source: &'a str,
    /// Status of the object.
    pub status: &'a str,
    /// Keys of the stored artifacts.
    pub artifacts: &'a [String],
    /// Bucket of these keys.
    pub bucket: &'a str,
    /// Summary of the object. Omitted, with `summary_omitted` set, when it is too large for the bus.
    pub summary: &'a Map<String, Value>,
    /// Entries that replace those of the summary, digit for digit.
    pub exact: &'a BTreeMap<&'static str, Box<RawValue>>,
    /// Reason, if nothing was done.
    pub note: Option<&'a str>,
    /// Context set by the object's creator: `context`, or `context_omitted` with the reason.
    pub context: Option<&'a Result<Map<String, Value>, &'static str>>,
}

/// Alert for people.
#[derive(Clone, Copy, Debug)]
pub struct Notice<'a> {
    /// Category of the event.
    pub category: &'a str,
    /// Type of the event.
    pub event_type: &'a str,
    /// Severity.
    pub severity: &'a str,
    /// Subject of the e-mail. Characters that SNS rejects are replaced; a long subject is truncated.
    pub subject: &'a str,
    /// Text of the alert.
    pub message: &'a str,
}

/// A failure to publish, after the SDK's retries. Retryable.
#[derive(Debug, thiserror::Error)]
#[error("could not {action}: {cause}")]
pub struct OutcomesError {
    action: &'static str,
    cause: String,
}

impl Outcomes {
    /// A publisher to the bus with this name and the topic with this ARN.
    #[must_use]
    pub fn new(config: &Config, bus: impl Into<String>, topic: impl Into<String>) -> Self {
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_TIMEOUT).build();
        let events = aws_sdk_eventbridge::config::Builder::from(config.sdk()).timeout_config(timeouts.clone()).build();
        let sns = aws_sdk_sns::config::Builder::from(config.sdk()).timeout_config(timeouts).build();
        Self {
            events: aws_sdk_eventbridge::Client::from_conf(events),
            sns: aws_sdk_sns::Client::from_conf(sns),
            bus: bus.into(),
            topic: topic.into(),
        }
    }

    /// Publishes an outcome.
    pub async fn announce(&self, announcement: &Announcement<'_>) -> Result<(), OutcomesError> {
        const ACTION: &str = "publish the outcome";
        let entry = PutEventsRequestEntry::builder()
            .event_bus_name(&self.bus)
            .source(SOURCE)
            .detail_type(announcement.event_type)
            .detail(detail(announcement))
            .build();
        let answer = self
            .events
            .put_events()
            .entries(entry)
            .send()
            .await
            .map_err(|error| OutcomesError { action: ACTION, cause: cause(&error) })?;
        if answer.failed_entry_count == 0 {
            return Ok(());
        }
        // The call succeeds even if the entry is rejected.
        let rejected = answer.entries().iter().find(|entry| entry.error_code.is_some());
        let part = |text: Option<&String>| text.cloned().unwrap_or_default();
        let code = part(rejected.and_then(|entry| entry.error_code.as_ref()));
        let message = part(rejected.and_then(|entry| entry.error_message.as_ref()));
        Err(OutcomesError { action: ACTION, cause: format!("{code}: {message}") })
    }

    /// Publishes an alert.
    pub async fn alert(&self, notice: &Notice<'_>) -> Result<(), OutcomesError> {
        const ACTION: &str = "publish the alert";
        let mut request = self.sns.publish().topic_arn(&self.topic).subject(subject(notice.subject));
        request = request.message(message(notice.message));
        let attributes =
            [("category", notice.category), ("event-type", notice.event_type), ("severity", notice.severity)];
        // SNS rejects an attribute without a value.
        for (name, value) in attributes.into_iter().filter(|(_, value)| !value.is_empty()) {
            let value = MessageAttributeValue::builder().data_type("String").string_value(value).build();
            request = request.message_attributes(
                name,
                value.map_err(|error| OutcomesError { action: ACTION, cause: error.to_string() })?,
            );
        }
        request.send().await.map(drop).map_err(|error| OutcomesError { action: ACTION, cause: cause(&error) })
    }
}

/// The `detail` of an outcome, within the bus's limit.
fn detail(announcement: &Announcement<'_>) -> String {
    let mut detail = Map::new();
    detail.insert("id".to_owned(), announcement.id.into());
    detail.insert("idempotency_key".to_owned(), announcement.idempotency_key.into());
    detail.insert("object_id".to_owned(), announcement.object_id.into());
    detail.insert("endpoint".to_owned(), announcement.endpoint.into());
    detail.insert("source".to_owned(), announcement.source.into());
    detail.insert("status".to_owned(), announcement.status.into());
    detail.insert("artifacts".to_owned(), announcement.artifacts.into());
    detail.insert("bucket".to_owned(), announcement.bucket.into());
    if let Some(note) = announcement.note {
        detail.insert("note".to_owned(), note.into());
    }
    match announcement.context {
        Some(Ok(context)) => drop(detail.insert("context".to_owned(), Value::Object(context.clone()))),
        Some(Err(why)) => drop(detail.insert("context_omitted".to_owned(), (*why).into())),
        None => {}
    }
    let mut whole = Value::Object(detail.clone()).to_string();
    whole.truncate(whole.len() - 1);
    whole.extend([",\"summary\":", summary(announcement).as_str(), "}"]);
    if whole.len() <= MAX_DETAIL {
        return whole;
    }
    detail.insert("summary".to_owned(), json!({}));
    detail.insert("summary_omitted".to_owned(), true.into());
    Value::Object(detail).to_string()
}

/// The summary as JSON.
fn summary(announcement: &Announcement<'_>) -> String {
    let entries = announcement.summary.iter().map(|(name, value)| {
        let exact = announcement.exact.get(name.as_str());
        format!("{}:{}", Value::from(name.as_str()), exact.map_or_else(|| value.to_string(), ToString::to_string))
    });
    format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
}

/// A subject valid for SNS: printable ASCII without leading spaces, of fewer than 100 characters.
fn subject(text: &str) -> String {
    let ascii = text.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' });
    let subject: String = ascii.skip_while(|c| *c == ' ').take(MAX_SUBJECT).collect();
    if subject.is_empty() { "OpenAI webhooks".to_owned() } else { subject }
}

/// A message valid for SNS: not empty and not too long.
fn message(text: &str) -> &str {
    if text.is_empty() { "(no message)" } else { &text[..text.floor_char_boundary(MAX_MESSAGE)] }
}

#[cfg(test)]
mod tests {
    use super::*;

    static NONE: BTreeMap<&'static str, Box<RawValue>> = BTreeMap::new();

    fn announcement<'a>(summary: &'a Map<String, Value>, artifacts: &'a [String]) -> Announcement<'a> {
        Announcement {
            event_type: "batch.completed",
            id: "evt_1",
            idempotency_key: "batch.completed/batch_1",
            object_id: Some("batch_1"),
            endpoint: "project",
            source: "openai",
            status: "completed",
            artifacts,
            bucket: "results",
            summary,
            exact: &NONE,
            note: None,
            context: None,
        }
    }

    #[test]
    fn an_outcome_says_what_became_of_the_object_and_where_the_results_are() {
        let summary = json!({"lines": 3}).as_object().unwrap().clone();
        let artifacts = ["batch/batch_1/output.jsonl".to_owned()];
        let detail: Value = serde_json::from_str(&detail(&announcement(&summary, &artifacts))).unwrap();
        let expected = json!({
            "id": "evt_1", "idempotency_key": "batch.completed/batch_1", "object_id": "batch_1", "endpoint": "project", "source": "openai", "status": "completed",
            "artifacts": ["batch/batch_1/output.jsonl"], "bucket": "results", "summary": {"lines": 3},
        });
        assert_eq!(detail, expected);
    }

    #[test]
    fn exact_entries_keep_their_digits() {
        let summary = json!({"a": 1, "wei": "1000000000000000000001"}).as_object().unwrap().clone();
        let number = RawValue::from_string("1000000000000000000001".to_owned()).unwrap();
        let exact = BTreeMap::from([("wei", number.clone()), ("unknown", number)]);
        let detail = detail(&Announcement { exact: &exact, ..announcement(&summary, &[]) });
        assert!(detail.ends_with(r#","summary":{"a":1,"wei":1000000000000000000001}}"#), "{detail}");
    }

    #[test]
    fn a_summary_that_is_too_large_for_the_bus_is_left_out_with_a_mark() {
        let summary = json!({"long": "x".repeat(MAX_DETAIL)}).as_object().unwrap().clone();
        let detail = detail(&announcement(&summary, &[]));
        assert!(detail.len() < 1000);
        let detail: Value = serde_json::from_str(&detail).unwrap();
        assert_eq!((&detail["summary"], &detail["summary_omitted"]), (&json!({}), &json!(true)));
        assert_eq!(detail["id"], "evt_1");
    }

    #[test]
    fn a_context_is_returned_as_it_is_or_said_to_be_missing() {
        let (summary, context) = (Map::new(), json!({"order": 7}).as_object().unwrap().clone());
        let carried = |context: &Result<Map<String, Value>, &'static str>| -> Value {
            let announcement = Announcement { context: Some(context), ..announcement(&summary, &[]) };
            serde_json::from_str(&detail(&announcement)).unwrap()
        };
        let whole = carried(&Ok(context));
        assert_eq!((&whole["context"], whole.get("context_omitted")), (&json!({"order": 7}), None));
        let without = carried(&Err("is no JSON object"));
        assert_eq!((without.get("context"), &without["context_omitted"]), (None, &json!("is no JSON object")));
    }

    #[test]
    fn a_subject_is_what_sns_takes() {
        assert_eq!(subject("Batch failed"), "Batch failed");
        assert_eq!(subject("  two\nlines \u{e4}\u{1f600}"), "two?lines ??");
        assert_eq!(subject(""), "OpenAI webhooks");
        assert_eq!(subject(&"x".repeat(500)).len(), MAX_SUBJECT);
    }

    #[test]
    fn a_message_is_never_empty_and_is_cut_between_characters() {
        assert_eq!(message(""), "(no message)");
        assert_eq!(message(&"\u{e4}".repeat(MAX_MESSAGE)).len(), MAX_MESSAGE);
        assert!(message(&"\u{20ac}".repeat(MAX_MESSAGE)).len() > MAX_MESSAGE - 3);
    }
}
