//! Metrics of all functions.

/// The CloudWatch namespace of every metric.
pub const NAMESPACE: &str = "OpenAIWebhooks";

/// A metric with its unit and dimensions. CloudWatch charges for each combination of their values, so there are few. A
/// line with a metric must have the fields of its dimensions too, because CloudWatch reads the dimensions' values from
/// the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Deliveries answered, by `endpoint` and `outcome` (`accepted` or the reason of the rejection).
    Deliveries,
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
}

impl Metric {
    /// Every metric, for documentation and tests.
    pub const ALL: [Self; 9] = [
        Self::Deliveries,
        Self::VerifyTime,
        Self::EnqueueTime,
        Self::EventAge,
        Self::Handled,
        Self::HandleTime,
        Self::ArtifactBytes,
        Self::Reconciled,
        Self::Overdue,
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
            Self::Deliveries => ("Deliveries", "Count", &["endpoint", "outcome"]),
            Self::VerifyTime => ("VerifyTime", "Microseconds", &[]),
            Self::EnqueueTime => ("EnqueueTime", "Microseconds", &[]),
            Self::EventAge => ("EventAge", "Milliseconds", &["category"]),
            Self::Handled => ("Handled", "Count", &["category", "outcome"]),
            Self::HandleTime => ("HandleTime", "Milliseconds", &["category"]),
            Self::ArtifactBytes => ("ArtifactBytes", "Bytes", &["category"]),
            Self::Reconciled => ("Reconciled", "Count", &[]),
            Self::Overdue => ("Overdue", "Count", &[]),
        }
    }
}
