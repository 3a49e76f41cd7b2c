//! The end of an invocation.

use std::time::Duration;

use tokio::time::Instant;

use crate::clock::now_ms;

/// Time by which a lease outlasts the invocation: the clocks of two invocations may differ a little.
const LEASE_MARGIN_MS: i64 = 2_000;

/// A day in milliseconds: longer than any invocation.
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// When Lambda ends the invocation.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    unix_ms: i64,
    end: Instant,
}

impl Deadline {
    /// The deadline in a Lambda context, in milliseconds since the Unix epoch. `cargo lambda` gives the milliseconds left
    /// instead: a number far below any real deadline.
    #[must_use]
    pub fn at(deadline: u64) -> Self {
        let now = now_ms();
        let given = i64::try_from(deadline).unwrap_or(i64::MAX);
        let unix_ms = if deadline < DAY_MS { now + given } else { given };
        let left = u64::try_from(unix_ms - now).unwrap_or(0);
        Self { unix_ms, end: Instant::now() + Duration::from_millis(left) }
    }

    /// The end itself. Lambda kills a process that has not answered by then.
    #[must_use]
    pub fn end(self) -> Instant {
        self.end
    }

    /// The end less a reserve for what comes after; the present where that is over already.
    #[must_use]
    pub fn before(self, reserve: Duration) -> Instant {
        self.end.checked_sub(reserve).unwrap_or_else(Instant::now)
    }

    /// When a lease of this invocation ends, in milliseconds since the Unix epoch: a little after the invocation.
    #[must_use]
    pub fn lease_until(self) -> i64 {
        self.unix_ms.saturating_add(LEASE_MARGIN_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN_MINUTES: u64 = 600_000;

    #[test]
    fn a_deadline_is_a_time_or_the_milliseconds_left() {
        let time = Deadline::at(now_ms().cast_unsigned() + TEN_MINUTES);
        let left = Deadline::at(TEN_MINUTES);
        let apart = left.end().max(time.end()) - left.end().min(time.end());
        assert!(apart < Duration::from_secs(5), "{apart:?}");
        assert!(left.lease_until().abs_diff(time.lease_until()) < 5_000);
        assert!(left.before(Duration::from_secs(5)) > Instant::now() + Duration::from_secs(500));
    }

    #[test]
    fn a_deadline_that_is_over_leaves_no_time() {
        let over = Deadline::at(now_ms().cast_unsigned() - 1_000);
        assert!(over.end() <= Instant::now() && over.before(Duration::from_secs(1)) <= Instant::now());
    }
}
