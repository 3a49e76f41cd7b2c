//! How the time of an invocation is spent.

use std::time::Duration;

use tokio::time::Instant;

/// What is left after the handler was stopped: to give event and effect back, to hide the message and to answer. Each
/// is one call of a few milliseconds that may be tried again once.
const REPORT_MARGIN: Duration = Duration::from_secs(5);

/// What is left after the last record was given up, to hand the answer to Lambda. Later than that Lambda would kill
/// the process and return every record of the batch, the good ones included.
const ANSWER_MARGIN: Duration = Duration::from_millis(500);

/// The times that matter to an invocation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    /// When handlers are stopped.
    pub(crate) handler: Instant,
    /// When the answer must be given, whatever is still going on.
    pub(crate) answer: Instant,
    /// When the leases taken now end, in milliseconds since the Unix epoch.
    pub(crate) lease_until: i64,
}

impl From<hooks_function::Deadline> for Deadline {
    fn from(end: hooks_function::Deadline) -> Self {
        Self { handler: end.before(REPORT_MARGIN), answer: end.before(ANSWER_MARGIN), lease_until: end.lease_until() }
    }
}
