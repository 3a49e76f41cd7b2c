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

mod chat;

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_eventbridge::config::timeout::TimeoutConfig;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use aws_sdk_sns::types::MessageAttributeValue;
use serde_json::{Map, Value, json};

use crate::queue::Delivered;
use crate::{AwsError, Config};

/// The `source` of every outcome.
pub const SOURCE: &str = "openai.webhooks";

/// Maximum length of `detail` in bytes. An `EventBridge` entry has at most 256 KB, its other members included.
const MAX_DETAIL: usize = 250_000;

/// Maximum length of a subject: SNS requires fewer than 100 characters.
const MAX_SUBJECT: usize = 99;

/// Maximum length of a message in bytes. SNS accepts 256 KB, mailboxes less. A longer message is truncated.
const MAX_MESSAGE: usize = 16 * 1024;

/// Maximum length of what SNS takes, in bytes: the messages for all protocols together.
#[cfg(test)]
const MAX_PUBLISHED: usize = 256 * 1024;

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

/// State of the object that an event is about, and what was kept of it.
///
/// It becomes the job's record, the event's outcome in the ledger and the announcement on the bus.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    /// Id of the object. Without one no job is recorded, only the event.
    pub object_id: Option<String>,
    /// Status of the object, in OpenAI's words.
    pub status: String,
    /// Whether that status is final. A job that reached a final status never goes back to another one.
    pub terminal: bool,
    /// Time of retrieval in milliseconds since the Unix epoch. Between two equally final states the later one stays.
    pub as_of: i64,
    /// Numbers by name.
    pub counts: Map<String, Value>,
    /// Moments in the object's life by name, as OpenAI gives them (Unix seconds).
    pub times: Map<String, Value>,
    /// Facts that a person or a program wants to know without opening an artifact.
    pub summary: Map<String, Value>,
    /// Entries of the summary as JSON, for those whose numbers must keep all digits. They are published in place of those in
    /// `summary`.
    pub exact: BTreeMap<&'static str, String>,
    /// Keys of what was stored in the bucket.
    pub artifacts: Vec<String>,
    /// Number of bytes stored, for the metric.
    pub artifact_bytes: u64,
    /// One sentence for whoever wonders why nothing was done.
    pub note: Option<String>,
    /// Fault of the object at OpenAI, in one sentence.
    pub error: Option<String>,
    /// Alert that a person should get at once.
    pub alert: Option<Alert>,
    /// Whether the event's own object is missing: the event is tried again while it is young, and then people are told.
    pub is_missing: bool,
}

impl Outcome {
    /// The status of an object whose id OpenAI does not know.
    pub const NOT_FOUND: &'static str = "not_found";

    /// An outcome with a status and nothing else; the rest is filled in with struct update syntax.
    pub fn new(status: impl Into<String>, as_of: i64) -> Self {
        Self { status: status.into(), as_of, ..Self::default() }
    }

    /// The end of an event whose object does not exist: OpenAI's test deliveries name such objects, and what was deleted,
    /// has expired or is another project's looks the same. While the event is young it is tried again; then people are
    /// told.
    ///
    /// It is not final, so a job that was recorded while its object still existed stays as it is.
    pub fn not_found(object_id: impl Into<String>, as_of: i64) -> Self {
        let object_id = object_id.into();
        let note = format!(
            "OpenAI has no object {object_id}: a test delivery, an object that was deleted or has expired, or one of \
             another project than the API key's"
        );
        Self { object_id: Some(object_id), note: Some(note), is_missing: true, ..Self::new(Self::NOT_FOUND, as_of) }
    }
}

/// Something a person should know, sent to the alerts topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// Severity; subscribers can filter by it.
    pub severity: Severity,
    /// One line, at most 100 ASCII characters: what does not fit is cut or replaced.
    pub subject: String,
    /// The whole story.
    pub message: String,
}

/// Severity of an [`Alert`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Worth knowing, nothing to do.
    Info,
    /// Something is lost or incomplete.
    Warning,
    /// Somebody must act.
    Critical,
}

impl Severity {
    /// All, the least severe first.
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Critical];

    /// The severity of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == name)
    }

    /// The value of the `severity` attribute of an alert.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// Outcome of an event, for other systems.
#[derive(Clone, Copy, Debug)]
pub struct Announcement<'a> {
    /// The event.
    pub delivered: &'a Delivered,
    /// Its outcome. The summary is omitted, with `summary_omitted` set, when it is too large for the bus.
    pub outcome: &'a Outcome,
    /// Idempotency key, which all events that mean the same share.
    pub idempotency_key: &'a str,
    /// Bucket of the artifacts.
    pub bucket: &'a str,
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
    /// Reason: a short code, or the event's type. Alerts of one category and reason are grouped.
    pub reason: &'a str,
    /// Id of the event.
    pub id: &'a str,
    /// Severity.
    pub severity: &'a str,
    /// Subject of the e-mail. Characters that SNS rejects are replaced; a long subject is truncated.
    pub subject: &'a str,
    /// Text of the alert.
    pub message: &'a str,
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
    pub async fn announce(&self, announcement: &Announcement<'_>) -> Result<(), AwsError> {
        self.put(&announcement.delivered.event.event_type, detail(announcement)).await
    }

    /// Publishes an outcome of no event, such as the end of a call.
    pub async fn publish(&self, detail_type: &str, detail: &Value) -> Result<(), AwsError> {
        self.put(detail_type, detail.to_string()).await
    }

    async fn put(&self, detail_type: &str, detail: String) -> Result<(), AwsError> {
        const ACTION: &str = "publish the outcome";
        let entry = PutEventsRequestEntry::builder()
            .event_bus_name(&self.bus)
            .source(SOURCE)
            .detail_type(detail_type)
            .detail(detail)
            .build();
        let answer = self.events.put_events().entries(entry).send().await.map_err(AwsError::of(ACTION))?;
        if answer.failed_entry_count == 0 {
            return Ok(());
        }
        // The call succeeds even if the entry is rejected.
        let rejected = answer.entries().iter().find(|entry| entry.error_code.is_some());
        let code = rejected.and_then(|entry| entry.error_code()).unwrap_or_default();
        let message = rejected.and_then(|entry| entry.error_message()).unwrap_or_default();
        Err(AwsError::new(ACTION, format!("{code}: {message}")))
    }

    /// Publishes an alert: as text for a mailbox, and as a notification for a chat, which comes by HTTPS.
    pub async fn alert(&self, notice: &Notice<'_>) -> Result<(), AwsError> {
        const ACTION: &str = "publish the alert";
        let mut request = self.sns.publish().topic_arn(&self.topic).subject(subject(notice.subject));
        request = request.message_structure("json").message(by_protocol(notice));
        let attributes =
            [("category", notice.category), ("event-type", notice.event_type), ("severity", notice.severity)];
        // SNS rejects an attribute without a value.
        for (name, value) in attributes.into_iter().filter(|(_, value)| !value.is_empty()) {
            let value = MessageAttributeValue::builder().data_type("String").string_value(value).build();
            request =
                request.message_attributes(name, value.map_err(|error| AwsError::new(ACTION, error.to_string()))?);
        }
        request.send().await.map(drop).map_err(AwsError::of(ACTION))
    }
}

/// The `detail` of an outcome, within the bus's limit.
fn detail(announcement: &Announcement<'_>) -> String {
    let Announcement { delivered: Delivered { message, event, .. }, outcome, .. } = *announcement;
    let mut detail = json!({
        "id": event.id,
        "idempotency_key": announcement.idempotency_key,
        "object_id": outcome.object_id,
        "endpoint": message.endpoint,
        "source": message.source.as_str(),
        "status": outcome.status,
        "artifacts": outcome.artifacts,
        "bucket": announcement.bucket,
    });
    if let Some(note) = &outcome.note {
        detail["note"] = note.as_str().into();
    }
    match announcement.context {
        Some(Ok(context)) => detail["context"] = Value::Object(context.clone()),
        Some(Err(why)) => detail["context_omitted"] = (*why).into(),
        None => {}
    }
    let mut whole = detail.to_string();
    whole.truncate(whole.len() - 1);
    whole.extend([",\"summary\":", summary(outcome).as_str(), "}"]);
    if whole.len() <= MAX_DETAIL {
        return whole;
    }
    detail["summary"] = json!({});
    detail["summary_omitted"] = true.into();
    detail.to_string()
}

/// The summary as JSON.
fn summary(outcome: &Outcome) -> String {
    let entries = outcome.summary.iter().map(|(name, value)| {
        let value = outcome.exact.get(name.as_str()).cloned().unwrap_or_else(|| value.to_string());
        format!("{}:{value}", Value::from(name.as_str()))
    });
    format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
}

/// A subject valid for SNS: printable ASCII without leading spaces, of fewer than 100 characters.
fn subject(text: &str) -> String {
    let ascii = text.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' });
    let subject: String = ascii.skip_while(|c| *c == ' ').take(MAX_SUBJECT).collect();
    if subject.is_empty() { "OpenAI webhooks".to_owned() } else { subject }
}

/// The message of an alert by the protocol of its subscribers.
fn by_protocol(notice: &Notice<'_>) -> String {
    // What somebody outside wrote is shown to people by a mail program or a terminal.
    let text = hooks_text::lines(notice.message);
    let text = message(&text);
    let chat = chat::notification(notice, &subject(notice.subject), text);
    json!({"default": text, "https": chat.to_string()}).to_string()
}

/// A message valid for SNS: not empty and not too long.
fn message(text: &str) -> &str {
    if text.is_empty() { "(no message)" } else { &text[..text.floor_char_boundary(MAX_MESSAGE)] }
}

#[cfg(test)]
mod tests {
    use hooks_webhook::{Category, Event};

    use super::*;
    use crate::queue::{Message, Source};

    fn delivered() -> Delivered {
        let body = r#"{"id":"evt_1","type":"batch.completed","created_at":1,"data":{"id":"batch_1"}}"#;
        let message = Message {
            body: body.to_owned(),
            webhook_id: "wh_1".to_owned(),
            webhook_timestamp: "1".to_owned(),
            endpoint: "project".to_owned(),
            event_type: "batch.completed".to_owned(),
            received_at: 1,
            source: Source::OpenAi,
            failure: None,
            seen_token: None,
            asked_by: None,
        };
        Delivered { category: Category::Batch, message, event: Event::parse(body).unwrap() }
    }

    fn outcome(summary: Value, artifacts: &[&str]) -> Outcome {
        let Value::Object(summary) = summary else { panic!("not an object") };
        let artifacts = artifacts.iter().map(ToString::to_string).collect();
        Outcome { object_id: Some("batch_1".to_owned()), summary, artifacts, ..Outcome::new("completed", 1) }
    }

    fn detail_of(outcome: &Outcome, context: Option<&Result<Map<String, Value>, &'static str>>) -> String {
        let (delivered, idempotency_key) = (&delivered(), "batch.completed/batch_1");
        detail(&Announcement { delivered, outcome, idempotency_key, bucket: "results", context })
    }

    #[test]
    fn an_outcome_says_what_became_of_the_object_and_where_the_results_are() {
        let outcome = outcome(json!({"lines": 3}), &["batch/batch_1/output.jsonl"]);
        let detail: Value = serde_json::from_str(&detail_of(&outcome, None)).unwrap();
        let expected = json!({
            "id": "evt_1", "idempotency_key": "batch.completed/batch_1", "object_id": "batch_1", "endpoint": "project", "source": "openai", "status": "completed",
            "artifacts": ["batch/batch_1/output.jsonl"], "bucket": "results", "summary": {"lines": 3},
        });
        assert_eq!(detail, expected);
    }

    #[test]
    fn exact_entries_keep_their_digits() {
        let digits = "1000000000000000000001";
        let exact = [("wei", digits.to_owned()), ("unknown", digits.to_owned())].into_iter().collect();
        let outcome = Outcome { exact, ..outcome(json!({"a": 1, "wei": digits}), &[]) };
        let detail = detail_of(&outcome, None);
        assert!(detail.ends_with(r#","summary":{"a":1,"wei":1000000000000000000001}}"#), "{detail}");
    }

    #[test]
    fn a_summary_that_is_too_large_for_the_bus_is_left_out_with_a_mark() {
        let detail = detail_of(&outcome(json!({"long": "x".repeat(MAX_DETAIL)}), &[]), None);
        assert!(detail.len() < 1000);
        let detail: Value = serde_json::from_str(&detail).unwrap();
        assert_eq!((&detail["summary"], &detail["summary_omitted"]), (&json!({}), &json!(true)));
        assert_eq!(detail["id"], "evt_1");
    }

    #[test]
    fn a_context_is_returned_as_it_is_or_said_to_be_missing() {
        let context = json!({"order": 7}).as_object().unwrap().clone();
        let carried = |context: &Result<Map<String, Value>, &'static str>| -> Value {
            serde_json::from_str(&detail_of(&outcome(json!({}), &[]), Some(context))).unwrap()
        };
        let whole = carried(&Ok(context));
        assert_eq!((&whole["context"], whole.get("context_omitted")), (&json!({"order": 7}), None));
        let without = carried(&Err("is not a JSON object"));
        assert_eq!((without.get("context"), &without["context_omitted"]), (None, &json!("is not a JSON object")));
    }

    #[test]
    fn a_subject_is_what_sns_takes() {
        assert_eq!(subject("Batch failed"), "Batch failed");
        assert_eq!(subject("  two\nlines \u{e4}\u{1f600}"), "two?lines ??");
        assert_eq!(subject(""), "OpenAI webhooks");
        assert_eq!(subject(&"x".repeat(500)).len(), MAX_SUBJECT);
    }

    #[test]
    fn the_longest_alert_fits_into_a_message_of_sns() {
        for piece in ["\"", "\\", "\n", "\u{1b}", "\u{20ac}"] {
            let long = piece.repeat(MAX_MESSAGE);
            let notice = Notice {
                category: &long,
                event_type: &long,
                reason: &long,
                id: &long,
                severity: "critical",
                subject: &long,
                message: &long,
            };
            assert!(by_protocol(&notice).len() < MAX_PUBLISHED, "{}", by_protocol(&notice).len());
        }
    }

    #[test]
    fn a_message_is_never_empty_and_is_cut_between_characters() {
        assert_eq!(message(""), "(no message)");
        assert_eq!(message(&"\u{e4}".repeat(MAX_MESSAGE)).len(), MAX_MESSAGE);
        assert!(message(&"\u{20ac}".repeat(MAX_MESSAGE)).len() > MAX_MESSAGE - 3);
    }
}
