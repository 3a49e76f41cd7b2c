//! Points in time, as arguments and in output.

use hooks_aws::clock::now_seconds;
use serde::{Serialize, Serializer};
use time::format_description::well_known::{Iso8601, Rfc3339};
use time::{Date, OffsetDateTime};

/// Milliseconds of a day.
pub const DAY_MILLIS: i64 = 86_400_000;

/// Milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Serialize for Timestamp {
    /// As in [`Timestamp::json`].
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.json())
    }
}

impl Timestamp {
    /// The current time, to the second.
    #[must_use]
    pub fn now() -> Self {
        Self::from_seconds(now_seconds())
    }

    /// From Unix seconds.
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

/// The current time in Unix seconds.
#[must_use]
pub fn now() -> u64 {
    now_seconds().cast_unsigned()
}

/// A number of seconds in one unit: `45 s`, `3 min`, `2 h`, `3 d`.
#[must_use]
pub fn duration(seconds: i64) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "min")];
    let fitting = units.into_iter().find(|(size, _)| seconds >= 2 * size || (seconds >= *size && seconds % size == 0));
    let (size, unit) = fitting.unwrap_or((1, "s"));
    format!("{} {unit}", seconds.max(0) / size)
}

/// Parses a time in the past: `30m`, `24h` or `7d` ago, a date or a time.
pub fn past(text: &str) -> Result<Timestamp, String> {
    parse(text, -1)
}

/// Parses a time in the future: in `30m`, `2h` or `7d`, a date or a time.
pub fn future(text: &str) -> Result<Timestamp, String> {
    parse(text, 1)
}

fn parse(text: &str, direction: i64) -> Result<Timestamp, String> {
    let date = || Date::parse(text, &Iso8601::DATE).ok().map(|date| date.midnight().assume_utc());
    let absolute = || OffsetDateTime::parse(text, &Rfc3339).ok().or_else(date);
    span(text)
        .and_then(|seconds| Timestamp::now().seconds().checked_add(direction * seconds))
        .or_else(|| absolute().map(OffsetDateTime::unix_timestamp))
        .map(Timestamp::from_seconds)
        .ok_or_else(|| {
            "a time is a span (30m, 24h, 7d), a date (2026-11-21) or RFC 3339 (2026-11-21T03:15:00Z)".to_owned()
        })
}

/// Seconds of a span such as `30m`, `24h` or `7d`, bounded at about a hundred years.
fn span(text: &str) -> Option<i64> {
    let units = [('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400)];
    let (number, size) = units.into_iter().find_map(|(unit, size)| Some((text.strip_suffix(unit)?, size)))?;
    let plain = (1..=9).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
    number.parse::<i64>().ok().filter(|_| plain)?.checked_mul(size).filter(|seconds| *seconds <= 4_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_is_a_span_from_now_a_date_or_a_time() {
        let now = Timestamp::now().seconds();
        assert!((now - 86_401..=now - 86_399).contains(&past("24h").unwrap().seconds()));
        assert!((now + 119..=now + 122).contains(&future("2m").unwrap().seconds()));
        assert_eq!(past("2026-11-21"), Ok(Timestamp(1_795_219_200_000)));
        assert_eq!(past("2026-11-21T03:15:15+01:00"), Ok(Timestamp(1_795_227_315_000)));
        for text in ["", "h", "-1h", "+1h", "1.5h", "1w", "24", "yesterday", "2026-13-01", "9999999999d", "999999999d"]
        {
            assert!(past(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_timestamp_is_written_for_people_and_for_programs() {
        let timestamp = Timestamp(1_795_230_915_042);
        assert_eq!(
            (timestamp.text().as_str(), timestamp.json().as_str()),
            ("2026-11-21 03:15:15", "2026-11-21T03:15:15.042Z")
        );
        assert_eq!(Timestamp(i64::MAX).text(), i64::MAX.to_string());
    }

    #[test]
    fn a_duration_has_one_unit() {
        let shown = [(-1, "0 s"), (90, "90 s"), (60, "1 min"), (7_200, "2 h"), (86_400, "1 d"), (100_000, "27 h")];
        for (seconds, text) in shown {
            assert_eq!(duration(seconds), text);
        }
    }
}
