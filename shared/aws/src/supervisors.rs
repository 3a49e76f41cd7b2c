//! Messages that start and watch the supervisors of live sessions. The function `supervisor` reads both from its queue.

use std::time::Duration;

use serde_json::json;

/// Time after which the watchdog looks for the first time.
pub const FIRST_LOOK: Duration = Duration::from_secs(12);

/// The event that starts the first supervisor of a session.
#[must_use]
pub fn first_start(api: &str, id: &str) -> String {
    json!({"api": api, "id": id, "generation": 1, "accepted": true}).to_string()
}

/// The message that comes back until the session has ended.
#[must_use]
pub fn watchdog(api: &str, id: &str) -> String {
    json!({"api": api, "id": id}).to_string()
}
