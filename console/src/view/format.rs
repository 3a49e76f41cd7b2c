//! Numbers and spans of time as people read them.

use std::fmt::Display;

/// A count with thousands: `9,412`.
pub(crate) fn count(number: impl TryInto<i64>) -> String {
    let number = number.try_into().unwrap_or(i64::MAX);
    let digits = number.unsigned_abs().to_string();
    let mut text = if number < 0 { "-".to_owned() } else { String::new() };
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count with its noun: `1 event`, `3 events`, `2 batches`.
pub(crate) fn counted(number: impl TryInto<i64>, noun: &str) -> String {
    let number = number.try_into().unwrap_or(i64::MAX);
    let ending = match noun {
        _ if number == 1 => "",
        _ if noun.ends_with("ch") || noun.ends_with('s') => "es",
        _ => "s",
    };
    format!("{} {noun}{ending}", count(number))
}

/// Milliseconds in two units at most: `7 ms`, `2.1 s`, `2 h 7 min`, `12 d`.
pub(crate) fn span(millis: i64) -> String {
    let millis = millis.max(0);
    let seconds = millis / 1000;
    let two = |large: i64, unit: &str, small: i64, small_unit: &str| match small {
        0 => format!("{large} {unit}"),
        small => format!("{large} {unit} {small} {small_unit}"),
    };
    match seconds {
        0 => format!("{millis} ms"),
        1..60 => format!("{}.{} s", seconds, millis % 1000 / 100),
        60..3_600 => two(seconds / 60, "min", seconds % 60, "s"),
        3_600..172_800 => two(seconds / 3_600, "h", seconds % 3_600 / 60, "min"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
    }
}

/// A span between times that are known to the second: `under 1 s`, `2 s`, `2 h 7 min`.
pub(crate) fn span_of_seconds(millis: i64) -> String {
    match millis / 1000 {
        ..1 => "under 1 s".to_owned(),
        seconds @ 1..60 => format!("{seconds} s"),
        _ => span(millis),
    }
}

/// Microseconds: `43 µs`, `5.7 ms`, then as a [`span`].
pub(crate) fn micros(micros: i64) -> String {
    match micros {
        ..1_000 => format!("{} µs", micros.max(0)),
        1_000..10_000 => format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100),
        _ => span(micros / 1_000),
    }
}

/// Age in one unit: `45 s`, `3 min`, `2 h`, `3 d`.
pub(crate) fn age(millis: i64) -> String {
    hooks_operate::timestamp::duration(millis.max(0) / 1000)
}

/// Bytes: `176 bytes`, `670 kB`, `1.2 MB`.
pub(crate) fn bytes(number: u64) -> String {
    match number {
        0..10_000 => format!("{} bytes", count(number)),
        10_000..1_000_000 => format!("{} kB", number / 1000),
        _ => format!("{}.{} MB", number / 1_000_000, number % 1_000_000 / 100_000),
    }
}

/// Share in percent with one digit: `99.5 %`.
#[expect(clippy::cast_precision_loss, reason = "a share of a count")]
pub(crate) fn share(part: u64, all: u64) -> String {
    if all == 0 { "–".to_owned() } else { format!("{:.1} %", part as f64 * 100.0 / all as f64) }
}

/// An id for a list: its prefix, eight characters, an ellipsis, the last four.
pub(crate) fn short(id: &str) -> String {
    let prefix = id.find(['_', '-']).map_or(0, |at| at + 1);
    let characters: Vec<char> = id.chars().collect();
    let head = id[..prefix].chars().count() + 8;
    if characters.len() <= head + 6 {
        return id.to_owned();
    }
    let start: String = characters[..head].iter().collect();
    let end: String = characters[characters.len() - 4..].iter().collect();
    format!("{start}…{end}")
}

/// A field's name or a value of OpenAI's as words: `in_progress` is `in progress`.
pub(crate) fn words(text: impl Display) -> String {
    text.to_string().replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_thousands() {
        assert_eq!([0, 7, 999, 1000, 9412, 1_000_000].map(count), ["0", "7", "999", "1,000", "9,412", "1,000,000"]);
        assert_eq!(
            [counted(1, "batch"), counted(2, "batch"), counted(0, "event")],
            ["1 batch", "2 batches", "0 events"]
        );
    }

    #[test]
    fn a_span_has_two_units_at_most() {
        let shown =
            [(7, "7 ms"), (2_107, "2.1 s"), (60_000, "1 min"), (7_620_000, "2 h 7 min"), (1_036_800_000, "12 d")];
        for (millis, text) in shown {
            assert_eq!(span(millis), text);
        }
    }

    #[test]
    fn a_span_of_seconds_shows_no_parts_of_them() {
        for (millis, text) in [(0, "under 1 s"), (2_107, "2 s"), (7_620_000, "2 h 7 min")] {
            assert_eq!(span_of_seconds(millis), text);
        }
    }

    #[test]
    fn microseconds_are_told_as_what_they_are() {
        assert_eq!([43, 5_725, 88_000, 2_107_000].map(micros), ["43 µs", "5.7 ms", "88 ms", "2.1 s"]);
    }

    #[test]
    fn a_long_id_keeps_its_prefix_and_its_end() {
        assert_eq!(short("batch_940129a0151061a96dc258379d52bdaa"), "batch_940129a0…bdaa");
        assert_eq!(short("thing_1"), "thing_1");
        assert_eq!(short("äöü-ßßßßßßßßßßßßßßßßßßßß"), "äöü-ßßßßßßßß…ßßßß");
        assert_eq!(short(""), "");
    }
}
