//! How long a record that failed for now stays hidden before its queue hands it out again.

use std::time::Duration;

/// The wait after the first failure; it doubles with every further one.
const BASE: Duration = Duration::from_secs(15);

/// Longest wait of the doubling. Twelve receives then span about four hours, longer than most outages of the other side
/// and well within the days that a queue keeps a message.
const LONGEST: Duration = Duration::from_hours(1);

/// Longest wait that is believed when the other side asks for it. SQS allows 12 hours of invisibility counted from the
/// receive, and a record may have been worked on for up to 15 minutes of that before it failed.
const LONGEST_ASKED: Duration = Duration::from_mins(11 * 60 + 30);

/// The wait before a record that was received `receives` times is tried again, at least `asked`.
///
/// Half of the wait is random, so that records that failed together do not come back together. What the other side
/// asked for is stretched by up to a tenth for the same reason, never shortened.
pub(crate) fn backoff(receives: u32, asked: Option<Duration>, random: &mut fastrand::Rng) -> Duration {
    let doublings = receives.saturating_sub(1).min(16);
    let whole = BASE.saturating_mul(1 << doublings).min(LONGEST);
    let own = whole.mul_f64(0.5 + random.f64() / 2.0);
    let asked = asked.unwrap_or_default().min(LONGEST_ASKED).mul_f64(1.0 + random.f64() / 10.0);
    own.max(asked).min(LONGEST_ASKED)
}

/// The wait before a record is tried again that somebody else works on for another `left` milliseconds. A little
/// longer than that, and not the same for all, since their clock may differ and others may wait for the same.
pub(crate) fn until(left: i64, random: &mut fastrand::Rng) -> Duration {
    let left = Duration::from_millis(left.max(0).unsigned_abs());
    (left + Duration::from_millis(random.u64(1_000..5_000))).min(LONGEST_ASKED)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_wait_doubles_until_an_hour() {
        let longest = |receives| {
            let mut random = fastrand::Rng::with_seed(7);
            (0..1000).map(|_| backoff(receives, None, &mut random).as_secs()).max().unwrap()
        };
        assert_eq!([1, 2, 3, 4].map(longest), [14, 29, 59, 119]);
        assert_eq!([9, 10, 12, u32::MAX].map(longest), [3599; 4]);
    }

    proptest! {
        #[test]
        fn every_wait_lies_between_half_and_the_whole_of_its_step(receives: u32, seed: u64) {
            let whole = BASE.saturating_mul(1 << receives.clamp(1, 17).saturating_sub(1)).min(LONGEST);
            let wait = backoff(receives, None, &mut fastrand::Rng::with_seed(seed));
            prop_assert!(wait >= whole / 2 && wait <= whole, "{wait:?} of {whole:?}");
        }

        #[test]
        fn what_the_other_side_asks_for_is_never_undercut(receives: u32, seed: u64, asked in 0_u64..100_000) {
            let asked = Duration::from_secs(asked);
            let wait = backoff(receives, Some(asked), &mut fastrand::Rng::with_seed(seed));
            prop_assert!(wait >= asked.min(LONGEST_ASKED));
            prop_assert!(wait <= LONGEST_ASKED);
        }

        #[test]
        fn who_is_waited_for_has_ended_by_then(left: i64, seed: u64) {
            let wait = until(left, &mut fastrand::Rng::with_seed(seed));
            prop_assert!(wait >= Duration::from_secs(1) && wait <= LONGEST_ASKED);
            let left = Duration::from_millis(left.max(0).unsigned_abs());
            prop_assert!(wait > left || wait == LONGEST_ASKED);
        }

        #[test]
        fn no_wait_is_longer_than_sqs_allows_after_the_longest_invocation(receives: u32, seed: u64, asked: u64) {
            let wait = backoff(receives, Some(Duration::from_secs(asked)), &mut fastrand::Rng::with_seed(seed));
            prop_assert!(wait + Duration::from_mins(15) <= Duration::from_hours(12));
        }
    }
}
