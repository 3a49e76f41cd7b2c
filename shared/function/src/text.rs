//! Times and durations for people.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A time such as `2026-11-21T03:15:15Z`. After the year 9999 it stays a number.
#[must_use]
pub fn moment(unix_seconds: i64) -> String {
    OffsetDateTime::from_unix_timestamp(unix_seconds)
        .ok()
        .and_then(|moment| moment.format(&Rfc3339).ok())
        .unwrap_or_else(|| unix_seconds.to_string())
}

/// The day of a time in Unix seconds, such as `2026-11-21`.
#[must_use]
pub fn day_of(unix_seconds: i64) -> String {
    let mut text = moment(unix_seconds);
    text.truncate("2026-11-21".len());
    text
}

/// The begin of a day such as `2026-11-21` in Unix seconds; `None` for any other text.
#[must_use]
pub fn day(text: &str) -> Option<i64> {
    let begin = OffsetDateTime::parse(&format!("{}T00:00:00Z", text.trim()), &Rfc3339).ok()?;
    Some(begin.unix_timestamp())
}

/// A duration such as `45 s`, `3 min`, `2 h 5 min` or `1 d 2 h`: two units at most.
#[must_use]
pub fn duration(seconds: i64) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let Some(at) = units.iter().position(|(size, _)| seconds >= *size) else { return "0 s".to_owned() };
    let (size, unit) = units[at];
    let whole = seconds / size;
    match units.get(at + 1) {
        Some((smaller, smaller_unit)) if size > 60 && seconds % size >= *smaller => {
            format!("{whole} {unit} {} {smaller_unit}", seconds % size / smaller)
        }
        _ => format!("{whole} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_in_rfc_3339() {
        assert_eq!(moment(0), "1970-01-01T00:00:00Z");
        assert_eq!(moment(1_795_230_915), "2026-11-21T03:15:15Z");
        assert_eq!(moment(i64::MAX), i64::MAX.to_string());
    }

    #[test]
    fn a_day_is_a_date_and_nothing_else() {
        assert_eq!(day("2026-11-21").map(moment).as_deref(), Some("2026-11-21T00:00:00Z"));
        for other in ["", "2026-02-30", "soon", "2026-11-21T03:15:15Z", "1795230915"] {
            assert_eq!(day(other), None, "{other}");
        }
    }

    #[test]
    fn the_day_of_a_moment_is_its_date() {
        assert_eq!(day_of(1_795_230_915), "2026-11-21");
    }

    #[test]
    fn a_duration_has_two_units_at_most() {
        let cases = [
            (-5, "0 s"),
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (119, "1 min"),
            (3_600, "1 h"),
            (3_661, "1 h 1 min"),
            (86_399, "23 h 59 min"),
            (86_400, "1 d"),
            (93_600, "1 d 2 h"),
            (86_460, "1 d"),
        ];
        for (seconds, text) in cases {
            assert_eq!(duration(seconds), text);
        }
    }
}
