//! How the time of an invocation is spent.

use std::time::Duration;

use tokio::time::Instant;

use crate::when::now;

/// What is left after the handler was stopped: to give event and effect back, to hide the message and to answer. Each
/// is one call of a few milliseconds that may be tried again once.
const REPORT_MARGIN: Duration = Duration::from_secs(5);

/// What is left after the last record was given up, to hand the answer to Lambda. Later than that Lambda would kill
/// the process and return every record of the batch, the good ones included.
const ANSWER_MARGIN: Duration = Duration::from_millis(500);

/// By how much a lease outlasts the invocation. Within it nobody takes an event over from a holder that is still at
/// work, although their clocks differ a little.
const LEASE_MARGIN: Duration = Duration::from_secs(2);

/// A day in milliseconds: longer than any invocation.
const DAY: u64 = 24 * 60 * 60 * 1_000;

/// The moments that matter to an invocation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    /// When handlers are stopped.
    pub(crate) handler: Instant,
    /// When the answer must be given, whatever is still going on.
    pub(crate) answer: Instant,
    /// When the leases taken now end, in milliseconds since the Unix epoch.
    pub(crate) lease_until: i64,
}

impl Deadline {
    /// From when Lambda will end the invocation, in milliseconds since the Unix epoch. `cargo lambda` says instead how
    /// many are left, which no real deadline can be mistaken for.
    pub(crate) fn new(invocation: u64) -> Self {
        let invocation = if invocation < DAY { invocation + now().cast_unsigned() } else { invocation };
        let left = invocation.saturating_sub(now().cast_unsigned());
        let end = Instant::now() + Duration::from_millis(left);
        let lease = invocation.saturating_add(LEASE_MARGIN.as_millis().try_into().unwrap_or(u64::MAX));
        Self {
            handler: end.checked_sub(REPORT_MARGIN).unwrap_or_else(Instant::now),
            answer: end.checked_sub(ANSWER_MARGIN).unwrap_or_else(Instant::now),
            lease_until: lease.try_into().unwrap_or(i64::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN_MINUTES: u64 = 600_000;

    #[test]
    fn a_deadline_is_a_moment_or_what_is_left_until_then() {
        let moment = Deadline::new(now().cast_unsigned() + TEN_MINUTES);
        let left = Deadline::new(TEN_MINUTES);
        let apart = left.handler.max(moment.handler) - left.handler.min(moment.handler);
        assert!(apart < Duration::from_secs(5), "{apart:?}");
        assert!(left.lease_until.abs_diff(moment.lease_until) < 5_000);
        assert!(left.handler > Instant::now() + Duration::from_secs(500));
    }

    #[test]
    fn a_deadline_that_is_over_leaves_no_time() {
        let over = Deadline::new(now().cast_unsigned() - 1_000);
        assert!(over.handler <= Instant::now() && over.answer <= Instant::now());
    }
}
