//! Deliveries by the verifier's answer and handled events by category, as CloudWatch has counted them.

use std::collections::BTreeMap;

use super::filter::hours;
use crate::Result;
use crate::console::Console;
use hooks_operate::metrics::buckets;
use hooks_operate::timestamp::{DAY_MILLIS, Timestamp};

/// Counts in buckets of an hour or a day.
pub(crate) struct Deliveries {
    /// Deliveries by outcome: `accepted`, or the reason of the refusal.
    pub(crate) outcomes: BTreeMap<String, Vec<u64>>,
    /// Attempts at events by category.
    pub(crate) handled: BTreeMap<String, Vec<u64>>,
    /// Names of the buckets.
    pub(crate) labels: Vec<String>,
    /// `Hour` or `Day`.
    pub(crate) unit: &'static str,
}

impl Deliveries {
    /// Of the last 24 hours, or of the last 14 days.
    pub(crate) async fn read(console: &Console, days: bool) -> Result<Self> {
        let (starts, period, unit) = if days {
            let today = Timestamp::now().0.div_euclid(DAY_MILLIS) * DAY_MILLIS;
            ((0..14).rev().map(|back| today - back * DAY_MILLIS).collect(), 86_400, "Day")
        } else {
            (hours(24), 3_600, "Hour")
        };
        let counted =
            |metric, dimension| buckets(&console.aws, &console.stack.name, metric, dimension, &starts, period);
        let (outcomes, handled) = tokio::try_join!(counted("Deliveries", "outcome"), counted("Handled", "category"))?;
        let label = |start: &i64| {
            let text = Timestamp(*start).text();
            if days { text[5..10].to_owned() } else { text[11..16].to_owned() }
        };
        Ok(Self { outcomes, handled, labels: starts.iter().map(label).collect(), unit })
    }

    /// Number of an outcome.
    pub(crate) fn sum(&self, outcome: &str) -> u64 {
        self.outcomes.get(outcome).map_or(0, |values| values.iter().sum())
    }

    /// Number of all.
    pub(crate) fn total(&self) -> u64 {
        self.outcomes.values().flatten().sum()
    }
}
