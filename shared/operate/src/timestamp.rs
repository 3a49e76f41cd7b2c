//! Points in time.

use hooks_aws::clock::now_seconds;
use serde::{Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Milliseconds of a day.
pub const DAY_MILLIS: i64 = 86_400_000;

/// Milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub i64);

impl Serialize for Timestamp {
    /// As in [`Timestamp::json`].
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.json())
    }
}

impl Timestamp {
    /// Now, to the second.
    #[must_use]
    pub fn now() -> Self {
        Self::from_seconds(now_seconds())
    }

    /// A time in Unix seconds.
    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Unix seconds.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// `2026-11-21 03:15:15`, in UTC.
    #[must_use]
    pub fn text(self) -> String {
        self.json().get(..19).map_or_else(|| self.0.to_string(), |text| text.replace('T', " "))
    }

    /// `2026-11-21T03:15:15.042Z`
    #[must_use]
    pub fn json(self) -> String {
        let timestamp = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000);
        timestamp.ok().and_then(|timestamp| timestamp.format(&Rfc3339).ok()).unwrap_or_else(|| self.0.to_string())
    }

    /// Time since then: `45 s ago`, `3 min ago`, `2 h ago`, `3 d ago`.
    #[must_use]
    pub fn ago(self) -> String {
        format!("{} ago", duration(Self::now().seconds() - self.seconds()))
    }
}

/// A number of seconds in one unit: `45 s`, `3 min`, `2 h`, `3 d`.
#[must_use]
pub fn duration(seconds: i64) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "min")];
    let fitting = units.into_iter().find(|(size, _)| seconds >= 2 * size || (seconds >= *size && seconds % size == 0));
    let (size, unit) = fitting.unwrap_or((1, "s"));
    format!("{} {unit}", seconds.max(0) / size)
}
