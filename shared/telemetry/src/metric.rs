//! The metrics of all functions, in one list.

/// The CloudWatch namespace of every metric.
pub const NAMESPACE: &str = "OpenAIWebhooks";

/// A metric with its unit and the fields that divide it. A line that carries a metric must carry its fields too, since
/// CloudWatch takes the dimensions' values from the line itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Deliveries answered, by `endpoint` and `outcome` (`accepted` or the reason of the refusal).
    Deliveries,
    /// Microseconds to check a delivery's signature and to read its type.
    VerifyTime,
    /// Microseconds until SQS had accepted an event, retries included.
    EnqueueTime,
    /// Milliseconds from the event's creation at OpenAI until its handling began, by `category`.
    EventAge,
    /// Events a consumer has finished with, by `category`, `event.type` and `outcome`.
    Handled,
    /// Milliseconds that a consumer worked on one event, by `category`.
    HandleTime,
    /// Events or effects that were done already, by `category`.
    Duplicates,
    /// Bytes stored in the bucket for one event, by `category`.
    ArtifactBytes,
    /// Events that OpenAI should have delivered and that reconciliation put into their queues.
    Reconciled,
    /// Expectations that were not met in time.
    Overdue,
}

impl Metric {
    /// Every metric, for documentation and tests.
    pub const ALL: [Self; 10] = [
        Self::Deliveries,
        Self::VerifyTime,
        Self::EnqueueTime,
        Self::EventAge,
        Self::Handled,
        Self::HandleTime,
        Self::Duplicates,
        Self::ArtifactBytes,
        Self::Reconciled,
        Self::Overdue,
    ];

    /// The name in CloudWatch.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.parts().0
    }

    /// The unit in CloudWatch's spelling.
    #[must_use]
    pub const fn unit(self) -> &'static str {
        self.parts().1
    }

    /// The fields of the line that divide the metric.
    #[must_use]
    pub const fn dimensions(self) -> &'static [&'static str] {
        self.parts().2
    }

    const fn parts(self) -> (&'static str, &'static str, &'static [&'static str]) {
        match self {
            Self::Deliveries => ("Deliveries", "Count", &["endpoint", "outcome"]),
            Self::VerifyTime => ("VerifyTime", "Microseconds", &[]),
            Self::EnqueueTime => ("EnqueueTime", "Microseconds", &[]),
            Self::EventAge => ("EventAge", "Milliseconds", &["category"]),
            Self::Handled => ("Handled", "Count", &["category", "event.type", "outcome"]),
            Self::HandleTime => ("HandleTime", "Milliseconds", &["category"]),
            Self::Duplicates => ("Duplicates", "Count", &["category"]),
            Self::ArtifactBytes => ("ArtifactBytes", "Bytes", &["category"]),
            Self::Reconciled => ("Reconciled", "Count", &[]),
            Self::Overdue => ("Overdue", "Count", &[]),
        }
    }
}
