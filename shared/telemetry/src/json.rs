//! Writing one JSON object per line, straight into bytes.

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A JSON object under construction. Names are ours and need no escaping; values are escaped.
pub(crate) struct Object(String);

impl Object {
    /// Opens the object with the members that every line has.
    pub(crate) fn new(level: &str, message: &str, now: SystemTime) -> Self {
        let mut object = Self(String::with_capacity(1_024));
        object.0.push_str("{\"timestamp\":\"");
        push_timestamp(&mut object.0, now);
        object.0.push('"');
        object.text("level", level);
        object.text("message", message);
        object
    }

    pub(crate) fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        self.0.push('"');
        escape(&mut self.0, value);
        self.0.push('"');
    }

    pub(crate) fn number(&mut self, name: &str, value: u64) {
        self.raw(name, format_args!("{value}"));
    }

    /// A value that is JSON already.
    pub(crate) fn raw(&mut self, name: &str, value: fmt::Arguments<'_>) {
        self.name(name);
        // Writing into a `String` cannot fail.
        let _ = self.0.write_fmt(value);
    }

    /// Writes the line in one call, so that lines of concurrent tasks never mix.
    pub(crate) fn print(self) {
        // Where nobody reads, nobody misses the line: a function must not fail for its log.
        let _ = std::io::stdout().lock().write_all(self.finish().as_bytes());
    }

    pub(crate) fn finish(mut self) -> String {
        self.0.push_str("}\n");
        self.0
    }

    fn name(&mut self, name: &str) {
        self.0.push_str(",\"");
        self.0.push_str(name);
        self.0.push_str("\":");
    }
}

/// Escapes what JSON demands: quotes, backslashes, control characters.
pub(crate) fn escape(into: &mut String, text: &str) {
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
        into.push_str(&rest[..at]);
        match rest.as_bytes()[at] {
            b'"' => into.push_str("\\\""),
            b'\\' => into.push_str("\\\\"),
            b'\n' => into.push_str("\\n"),
            byte => {
                let _ = write!(into, "\\u{byte:04x}");
            }
        }
        rest = &rest[at + 1..];
    }
    into.push_str(rest);
}

/// RFC 3339 in UTC with milliseconds, as Lambda's own lines have it.
fn push_timestamp(into: &mut String, now: SystemTime) {
    let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let seconds = since_epoch.as_secs();
    let (year, month, day) = civil_date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    let millis = u64::from(since_epoch.subsec_millis());
    let parts = [
        (year, 4, '-'),
        (month, 2, '-'),
        (day, 2, 'T'),
        (hour, 2, ':'),
        (minute, 2, ':'),
        (second, 2, '.'),
        (millis, 3, 'Z'),
    ];
    for (number, digits, end) in parts {
        for place in (0..digits).rev() {
            let digit = u8::try_from(number / 10_u64.pow(place) % 10).unwrap_or_default();
            into.push(char::from(b'0' + digit));
        }
        into.push(end);
    }
}

/// Year, month and day of a day counted from 1970-01-01, by Howard Hinnant's `civil_from_days`.
fn civil_date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timestamp(seconds: u64) -> String {
        let mut text = String::new();
        push_timestamp(&mut text, UNIX_EPOCH + Duration::from_millis(seconds * 1_000 + 42));
        text
    }

    #[test]
    fn timestamps_follow_the_calendar() {
        assert_eq!(timestamp(0), "1970-01-01T00:00:00.042Z");
        assert_eq!(timestamp(951_782_400), "2000-02-29T00:00:00.042Z");
        assert_eq!(timestamp(1_750_861_210), "2025-06-25T14:20:10.042Z");
        assert_eq!(timestamp(4_107_542_399), "2100-02-28T23:59:59.042Z");
        assert_eq!(timestamp(4_107_542_400), "2100-03-01T00:00:00.042Z");
    }

    #[test]
    fn whatever_the_text_the_line_stays_one_line_of_json() {
        let nasty = "a\"b\\c\nd\te\u{0}f\u{1f}\u{7f} ünïcode \u{2028}";
        let mut object = Object::new("INFO", nasty, UNIX_EPOCH);
        object.text("field", nasty);
        let line = object.finish();
        assert_eq!(line.matches('\n').count(), 1);
        let parsed: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(parsed["field"], nasty);
        assert_eq!(parsed["message"], nasty);
    }
}
