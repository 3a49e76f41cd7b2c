//! How the time of an invocation is spent.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// What is left to store a secret that OpenAI has made.
const FOR_STORING: Duration = Duration::from_secs(30);

/// What is left to say how it ended. Later than that Lambda would kill the process.
const FOR_ANSWERING: Duration = Duration::from_secs(2);

/// By how much a lease outlasts the invocation: clocks differ a little.
const LEASE_MARGIN_MS: i64 = 2_000;

/// The moments that matter to an invocation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Time {
    /// When Lambda ends it, in milliseconds since the Unix epoch.
    over: i64,
    end: Instant,
}

impl Time {
    /// From when Lambda ends the invocation, in milliseconds since the Unix epoch.
    pub(crate) fn until(deadline: u64) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let left = Duration::from_millis(deadline).saturating_sub(now);
        Self { over: i64::try_from(deadline).unwrap_or(i64::MAX), end: Instant::now() + left }
    }

    /// Until when OpenAI must have answered with the new secret.
    pub(crate) fn to_rotate(self) -> Instant {
        self.without(FOR_STORING)
    }

    /// Until when the last try may be made of whatever is repeated.
    pub(crate) fn to_try(self) -> Instant {
        self.without(FOR_ANSWERING)
    }

    /// When a lease ends that nobody gives back, in milliseconds since the Unix epoch.
    pub(crate) fn lease(self) -> i64 {
        self.over.saturating_add(LEASE_MARGIN_MS)
    }

    fn without(self, reserve: Duration) -> Instant {
        self.end.checked_sub(reserve).unwrap_or_else(Instant::now)
    }
}
