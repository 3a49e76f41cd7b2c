//! The one line that every record leaves in the log.

use std::time::Duration;

use hooks_function::clock::now_ms;
use hooks_telemetry::{Line, Metric};
use hooks_webhook::Category;
use tokio::time::Instant;

use crate::record::Delivered;

/// What became of a record, with what that means for its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Handled: acknowledged.
    Done,
    /// It, or another event that means the same, had ended before: acknowledged.
    Duplicate,
    /// A replay failed or found less, and changed nothing: acknowledged.
    Kept,
    /// Given up, with a dead letter: acknowledged.
    Failed,
    /// Failed for now: returned.
    Retry,
    /// Somebody else is on it, or on another event that means the same: returned until they must have ended.
    Busy,
    /// Its lease ended while it was worked on, and somebody else has it: returned, and theirs is the word that counts.
    Superseded,
}

impl Verdict {
    /// Whether the message must come again.
    pub(crate) fn is_returned(self) -> bool {
        matches!(self, Self::Retry | Self::Busy | Self::Superseded)
    }

    /// The value of the `outcome` field.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Duplicate => "duplicate",
            Self::Kept => "kept",
            Self::Failed => "failed",
            Self::Retry => "retry",
            Self::Busy => "busy",
            Self::Superseded => "superseded",
        }
    }

    fn line(self) -> Line {
        match self {
            Self::Done => Line::info("event handled"),
            Self::Duplicate => Line::info("event had been handled before"),
            Self::Busy => Line::info("event is being handled already"),
            Self::Superseded => Line::warn("event was taken over by another invocation"),
            Self::Retry => Line::warn("event will be tried again"),
            Self::Kept => Line::warn("replay changed nothing: it failed or found less than before"),
            Self::Failed => Line::error("event given up, it is in the dead-letter queue"),
        }
    }
}

/// What is learned about a record while it is worked on. It outlives the work, so that a record whose work panics or
/// runs out of time leaves its line too.
pub(crate) struct Report {
    category: Category,
    began: Instant,
    receives: u32,
    webhook_id: Option<String>,
    endpoint: Option<String>,
    source: Option<&'static str>,
    event_id: Option<String>,
    event_type: Option<String>,
    object_id: Option<String>,
    age: Option<Duration>,
    /// Which try this was, once the event is claimed.
    pub(crate) attempt: Option<u32>,
    /// The object's status, once the handler has said it.
    pub(crate) status: Option<String>,
    pub(crate) artifact_bytes: u64,
    reason: Option<&'static str>,
    message: Option<String>,
}

impl Report {
    pub(crate) fn new(category: Category, receives: u32) -> Self {
        Self {
            category,
            began: Instant::now(),
            receives,
            webhook_id: None,
            endpoint: None,
            source: None,
            event_id: None,
            event_type: None,
            object_id: None,
            age: None,
            attempt: None,
            status: None,
            artifact_bytes: 0,
            reason: None,
            message: None,
        }
    }

    /// Notes whose record it is.
    pub(crate) fn identify(&mut self, delivered: &Delivered) {
        let Delivered { message, event } = delivered;
        self.webhook_id = Some(message.webhook_id.clone());
        self.endpoint = Some(message.endpoint.clone());
        self.source = Some(message.source.as_str());
        self.event_id = Some(event.id.clone());
        self.event_type = Some(event.event_type.clone());
        self.object_id = event.object_id().map(str::to_owned);
        let age = now_ms().checked_sub(event.created_at.saturating_mul(1000)).filter(|_| event.created_at > 0);
        self.age = age.and_then(|millis| u64::try_from(millis).ok()).map(Duration::from_millis);
    }

    /// Notes why it is not done.
    pub(crate) fn because(&mut self, reason: &'static str, message: &str) {
        self.reason = Some(reason);
        self.message = Some(message.to_owned());
    }

    /// Writes the line.
    pub(crate) fn emit(self, verdict: Verdict) {
        // A record that cannot be read has no type.
        let event_type = self.event_type.as_deref().unwrap_or("unknown");
        let mut line = verdict
            .line()
            .text("category", self.category.as_str())
            .text("event.type", event_type)
            .text("outcome", verdict.as_str())
            .maybe("event.id", self.event_id.as_deref())
            .maybe("object.id", self.object_id.as_deref())
            .maybe("object.status", self.status.as_deref())
            .maybe("webhook.id", self.webhook_id.as_deref())
            .maybe("endpoint", self.endpoint.as_deref())
            .maybe("source", self.source)
            .number("receives", self.receives.into())
            .maybe("reason", self.reason)
            .maybe("error", self.message.as_deref())
            .metric(Metric::Handled, 1);
        if let Some(attempt) = self.attempt {
            line = line.number("attempt", attempt.into()).metric(Metric::HandleTime, millis(self.began.elapsed()));
            if let Some(age) = self.age {
                line = line.metric(Metric::EventAge, millis(age));
            }
        }
        if self.artifact_bytes > 0 {
            line = line.metric(Metric::ArtifactBytes, self.artifact_bytes);
        }
        if verdict == Verdict::Duplicate {
            line = line.metric(Metric::Duplicates, 1);
        }
        line.emit();
    }
}

fn millis(time: Duration) -> u64 {
    time.as_millis().try_into().unwrap_or(u64::MAX)
}
