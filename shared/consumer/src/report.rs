//! The one line that every record leaves in the log.

use std::time::Duration;

use hooks_aws::queue::Delivered;
use hooks_function::clock::now_ms;
use hooks_telemetry::{Line, Metric};

use crate::walk::Walk;

/// Result of the work on a record, with what that means for its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Handled: acknowledged.
    Completed,
    /// The event's own object does not exist, and people were told: acknowledged.
    NotFound,
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

    /// The line, with the `outcome`.
    fn line(self) -> Line {
        let (outcome, line) = match self {
            Self::Completed => ("completed", Line::info("event handled")),
            Self::NotFound => ("not_found", Line::warn("event's object does not exist")),
            Self::Duplicate => ("duplicate", Line::info("event had been handled before")),
            Self::Busy => ("busy", Line::info("event is being handled already")),
            Self::Superseded => ("superseded", Line::warn("event was taken over by another invocation")),
            Self::Retry => ("retry", Line::warn("event will be tried again")),
            Self::Kept => ("kept", Line::warn("replay changed nothing: it failed or found less than before")),
            Self::Failed => ("failed", Line::error("event given up, it is in the dead-letter queue")),
        };
        line.text("outcome", outcome)
    }
}

impl Walk<'_> {
    pub(crate) fn report(&self, verdict: Verdict) {
        // A record that cannot be read has no type.
        let event_type = self.delivered.as_ref().map_or("unknown", |delivered| &delivered.event.event_type);
        let mut line = verdict.line().text("category", self.category.as_str()).text("event.type", event_type);
        if let Some(Delivered { message, event, .. }) = self.delivered.as_deref() {
            line = line
                .text("event.id", &event.id)
                .maybe("object.id", event.object_id())
                .text("webhook.id", &message.webhook_id)
                .text("endpoint", &message.endpoint)
                .text("source", message.source.as_str());
        }
        if let Some(outcome) = &self.outcome {
            line = line.text("object.status", &outcome.status);
        }
        line = line.number("receives", self.receives.into());
        if let Some((reason, message)) = &self.error {
            line = line.text("reason", reason).text("error", message);
        }
        line = line.metric(Metric::Handled, 1);
        if let Some(attempt) = self.attempt {
            let time = self.began.elapsed();
            line = line.number("attempt", attempt.into()).metric(Metric::HandleTime, millis(time));
            let created_at = self.delivered.as_ref().map_or(0, |delivered| delivered.event.created_at);
            let age = u64::try_from(now_ms().saturating_sub(created_at.saturating_mul(1000)));
            if let Some(age) = age.ok().filter(|_| created_at > 0) {
                line = line.metric(Metric::EventAge, age.saturating_sub(millis(time)));
            }
        }
        if let Some(outcome) = &self.outcome {
            line = line.metric(Metric::ArtifactBytes, outcome.artifact_bytes);
        }
        line.emit();
    }
}

fn millis(time: Duration) -> u64 {
    time.as_millis().try_into().unwrap_or(u64::MAX)
}
