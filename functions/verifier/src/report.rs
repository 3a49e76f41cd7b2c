//! Boundary line of a request, with its metrics.

use crate::outcome::Outcome;
use hooks_telemetry::{Line, Metric};
use std::time::Duration;

/// Name of every unknown endpoint in logs and metrics. Anyone can request any name, and each name would be a metric that
/// costs money.
const UNKNOWN_ENDPOINT: &str = "unknown";

/// Outcome in logs and metrics of an event that is about no HTTP request, and the type of its error.
pub(crate) const NO_REQUEST: &str = "no_request";

/// Known facts about a request. Headers and body of an unverified request are never among them, because anybody can
/// write them.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) request_id: String,
    pub(crate) endpoint: Option<String>,
    pub(crate) webhook_id: Option<String>,
    pub(crate) event_id: Option<String>,
    pub(crate) event_type: Option<String>,
    pub(crate) object_id: Option<String>,
    pub(crate) body_bytes: u64,
    pub(crate) verify_time: Option<Duration>,
    pub(crate) enqueue_time: Option<Duration>,
}

impl Report {
    /// The line about an event that is about no HTTP request.
    pub(crate) fn emit_no_request(&self) {
        let line = Line::error("event is not a delivery").text("aws.request_id", &self.request_id);
        line.text("endpoint", UNKNOWN_ENDPOINT).text("outcome", NO_REQUEST).metric(Metric::Deliveries, 1).emit();
    }

    pub(crate) fn emit(&self, outcome: Outcome) {
        let line = match outcome {
            Outcome::Accepted => Line::info("delivery accepted"),
            Outcome::SecretUnavailable | Outcome::QueueUnavailable => Line::error("delivery not taken"),
            _ => Line::warn("delivery refused"),
        };
        let mut line = line
            .text("aws.request_id", &self.request_id)
            .text("endpoint", self.endpoint.as_deref().unwrap_or(UNKNOWN_ENDPOINT))
            .text("outcome", outcome.reason())
            .maybe("webhook.id", self.webhook_id.as_deref())
            .maybe("event.id", self.event_id.as_deref())
            .maybe("event.type", self.event_type.as_deref())
            .maybe("object.id", self.object_id.as_deref())
            .number("body.size_bytes", self.body_bytes)
            .metric(Metric::Deliveries, 1);
        if ![Outcome::Accepted, Outcome::SecretUnavailable, Outcome::QueueUnavailable].contains(&outcome) {
            line = line.metric(Metric::Refused, 1);
        }
        for (metric, time) in [(Metric::VerifyTime, self.verify_time), (Metric::EnqueueTime, self.enqueue_time)] {
            if let Some(time) = time {
                line = line.metric(metric, u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
            }
        }
        line.emit();
    }
}
