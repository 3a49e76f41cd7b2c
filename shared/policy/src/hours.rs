//! Working hours in a time zone.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Weekday};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// Days of the week, as policies name them.
pub(crate) const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Working hours. Outside of them it is closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hours {
    /// Name of the time zone in the IANA database, such as `Europe/Berlin`.
    pub zone: String,
    /// When it is open.
    pub open: Vec<Opening>,
}

/// A part of the working hours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// The days on which it begins: `mon` to `sun`.
    pub days: Vec<String>,
    /// Begin, `09:00`.
    pub from: String,
    /// End, `17:30`; `24:00` is midnight. An end that is not after the begin is on the next day.
    pub to: String,
}

impl Hours {
    /// Whether it is open at a time, in Unix seconds.
    #[must_use]
    pub fn is_open(&self, now: i64) -> bool {
        self.closes_at(now).is_some()
    }

    /// End of the opening in which `now` lies; both in Unix seconds. `None` when it is closed.
    #[must_use]
    pub fn closes_at(&self, now: i64) -> Option<i64> {
        let zone = zone(&self.zone)?;
        let now = zone.to_datetime(Timestamp::from_second(now).ok()?);
        let today = now.date();
        let ends = [Some(today), today.yesterday().ok()].into_iter().flatten().flat_map(|day| {
            let openings = self.open.iter().filter(move |opening| opening.begins_on(day));
            openings.filter_map(move |opening| {
                let (from, to) = (minute(&opening.from)?, minute(&opening.to)?);
                let end = if to > from { day } else { day.tomorrow().ok()? };
                let (begin, end) = (at_minute(day, from), at_minute(end, to));
                (begin <= now && now < end).then_some(end)
            })
        });
        let end = ends.max()?;
        Some(zone.to_timestamp(end).ok()?.as_second())
    }
}

impl Opening {
    fn begins_on(&self, day: Date) -> bool {
        let day = match day.weekday() {
            Weekday::Monday => 0,
            Weekday::Tuesday => 1,
            Weekday::Wednesday => 2,
            Weekday::Thursday => 3,
            Weekday::Friday => 4,
            Weekday::Saturday => 5,
            Weekday::Sunday => 6,
        };
        self.days.iter().any(|name| name == DAYS[day])
    }
}

fn at_minute(day: Date, minute: i16) -> DateTime {
    let [hour, minute] = [minute / 60, minute % 60].map(|part| i8::try_from(part).unwrap_or_default());
    day.at(hour, minute, 0, 0)
}

pub(crate) fn zone(name: &str) -> Option<TimeZone> {
    TimeZone::get(name).ok().filter(|_| name != "local")
}

/// Minutes since midnight in a time such as `09:00`; 0 for `24:00`.
pub(crate) fn minute(text: &str) -> Option<i16> {
    let (hour, minute) = text.split_once(':')?;
    let number =
        |text: &str| text.parse::<i16>().ok().filter(|_| text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit()));
    match (number(hour)?, number(minute)?) {
        (24, 0) => Some(0),
        (hour @ 0..24, minute @ 0..60) => Some(hour * 60 + minute),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(days: &[&str], from: &str, to: &str) -> Hours {
        let days = days.iter().map(|&day| day.to_owned()).collect();
        let open = vec![Opening { days, from: from.to_owned(), to: to.to_owned() }];
        Hours { zone: "Europe/Berlin".to_owned(), open }
    }

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_second()
    }

    #[test]
    fn hours_follow_the_clock_of_their_zone() {
        let office = hours(&["mon", "fri"], "09:00", "17:30");
        // 2026-06-05 is a Friday in summer time, 2026-12-04 one in winter time.
        for (time, open) in [
            ("2026-06-05T06:59:59Z", false),
            ("2026-06-05T07:00:00Z", true),
            ("2026-06-05T15:29:59Z", true),
            ("2026-06-05T15:30:00Z", false),
            ("2026-12-04T07:30:00Z", false),
            ("2026-12-04T08:00:00Z", true),
            ("2026-12-03T10:00:00Z", false),
        ] {
            assert_eq!(office.is_open(at(time)), open, "{time}");
        }
        assert_eq!(office.closes_at(at("2026-12-04T08:00:00Z")), Some(at("2026-12-04T16:30:00Z")));
    }

    #[test]
    fn hours_may_go_past_midnight() {
        let bar = hours(&["sat"], "20:00", "02:00");
        for (time, open) in [
            ("2026-06-06T18:00:00Z", true),
            ("2026-06-06T23:59:00Z", true),
            ("2026-06-07T00:00:00Z", false),
            ("2026-06-06T00:30:00Z", false),
        ] {
            assert_eq!(bar.is_open(at(time)), open, "{time}");
        }
        assert!(hours(&["sat"], "00:00", "24:00").is_open(at("2026-06-06T21:59:00Z")));
    }

    #[test]
    fn a_time_is_two_digits_and_two_digits() {
        assert_eq!([minute("09:05"), minute("24:00"), minute("23:59")], [Some(545), Some(0), Some(1439)]);
        for wrong in ["9:00", "24:01", "12:60", "12", "+1:00", "-1:00", "aa:bb", "012:00"] {
            assert_eq!(minute(wrong), None, "{wrong}");
        }
    }
}
