//! The clock of a run: tokio's paused one, and what a process makes of it.

use std::cell::Cell;
use std::pin::pin;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// When every run begins, in milliseconds since the Unix epoch.
const BEGINNING: u64 = 1_795_300_000_000;

thread_local! {
    static BEGAN: Cell<Option<Instant>> = const { Cell::new(None) };
    /// How far the clock of the process is off that is running now, in milliseconds.
    static SKEW: Cell<i64> = const { Cell::new(0) };
}

/// Begins a run on this thread.
pub(crate) fn begin() {
    hooks_aws::clock::replace(now);
    BEGAN.set(Some(Instant::now()));
}

fn now() -> SystemTime {
    let since = BEGAN.get().map(|began| began.elapsed()).unwrap_or_default();
    let time = SystemTime::UNIX_EPOCH + Duration::from_millis(BEGINNING) + since;
    let skew = Duration::from_millis(SKEW.get().unsigned_abs());
    if SKEW.get() < 0 { time - skew } else { time + skew }
}

/// The true time, in milliseconds since the Unix epoch.
pub(crate) fn true_ms() -> i64 {
    hooks_aws::clock::now_ms() - SKEW.get()
}

/// The work of a process whose clock is off by this much.
pub(crate) async fn with_skew<T>(skew: i64, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    std::future::poll_fn(|context| {
        SKEW.set(skew);
        let polled = work.as_mut().poll(context);
        SKEW.set(0);
        polled
    })
    .await
}
