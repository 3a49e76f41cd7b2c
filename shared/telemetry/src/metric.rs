//! Metrics of all functions.

/// The CloudWatch namespace of every metric.
pub const NAMESPACE: &str = "OpenAIWebhooks";

/// A metric with its unit and dimensions. CloudWatch charges for each combination of their values, so there are few. A
/// line with a metric must have the fields of its dimensions too, because CloudWatch reads the dimensions' values from
/// the line. The first one is always `stack`, which every line with a metric has by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Deliveries answered, by `endpoint` and `outcome` (`accepted` or the reason of the rejection).
    Deliveries,
    /// Deliveries refused, for any reason.
    Refused,
    /// Microseconds to check a delivery's signature and parse its envelope.
    VerifyTime,
    /// Microseconds until SQS accepted an event, including retries.
    EnqueueTime,
    /// Milliseconds from the event's creation at OpenAI to the start of its handling, by `category`.
    EventAge,
    /// Records that a consumer worked on, by `category` and `outcome` (`completed`, `duplicate`, `failed`, `retry` and so
    /// on).
    Handled,
    /// Milliseconds of a consumer's work on one event, by `category`.
    HandleTime,
    /// Bytes stored in the bucket for one event, by `category`.
    ArtifactBytes,
    /// Missed events that reconciliation put into their queues.
    Reconciled,
    /// Expectations not met in time.
    Overdue,
    /// Messages in all dead-letter queues together, looked at every 15 minutes.
    DeadLetters,
}

impl Metric {
    /// Every metric, for documentation and tests.
    pub const ALL: [Self; 11] = [
        Self::Deliveries,
        Self::Refused,
        Self::VerifyTime,
        Self::EnqueueTime,
        Self::EventAge,
        Self::Handled,
        Self::HandleTime,
        Self::ArtifactBytes,
        Self::Reconciled,
        Self::Overdue,
        Self::DeadLetters,
    ];

    /// Name in CloudWatch.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.parts().0
    }

    /// Unit in CloudWatch's spelling.
    #[must_use]
    pub const fn unit(self) -> &'static str {
        self.parts().1
    }

    /// Dimensions: names of fields of the line.
    #[must_use]
    pub const fn dimensions(self) -> &'static [&'static str] {
        self.parts().2
    }

    const fn parts(self) -> (&'static str, &'static str, &'static [&'static str]) {
        match self {
            Self::Deliveries => ("Deliveries", "Count", &["stack", "endpoint", "outcome"]),
            Self::Refused => ("Refused", "Count", &["stack"]),
            Self::VerifyTime => ("VerifyTime", "Microseconds", &["stack"]),
            Self::EnqueueTime => ("EnqueueTime", "Microseconds", &["stack"]),
            Self::EventAge => ("EventAge", "Milliseconds", &["stack", "category"]),
            Self::Handled => ("Handled", "Count", &["stack", "category", "outcome"]),
            Self::HandleTime => ("HandleTime", "Milliseconds", &["stack", "category"]),
            Self::ArtifactBytes => ("ArtifactBytes", "Bytes", &["stack", "category"]),
            Self::Reconciled => ("Reconciled", "Count", &["stack"]),
            Self::Overdue => ("Overdue", "Count", &["stack"]),
            Self::DeadLetters => ("DeadLetters", "Count", &["stack"]),
        }
    }
}
