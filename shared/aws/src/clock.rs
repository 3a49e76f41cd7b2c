//! The current time.

use std::sync::OnceLock;
use std::time::SystemTime;

static CLOCK: OnceLock<fn() -> SystemTime> = OnceLock::new();

/// Replaces the clock of this process, for simulations. The first call counts.
pub fn replace(clock: fn() -> SystemTime) {
    let _ = CLOCK.set(clock);
}

/// Milliseconds since the Unix epoch.
#[must_use]
pub fn now_ms() -> i64 {
    let now = CLOCK.get().map_or_else(SystemTime::now, |clock| clock());
    let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}

/// Seconds since the Unix epoch.
#[must_use]
pub fn now_seconds() -> i64 {
    now_ms() / 1_000
}
