//! Ids of OpenAI's shapes, and the clock.

use std::time::{SystemTime, UNIX_EPOCH};

/// `batch_`, `evt_`, `wh_`, `req_`... and 32 hex digits.
pub(crate) fn hex_id(prefix: &str) -> String {
    format!("{prefix}{:032x}", fastrand::u128(..))
}

/// `file-` and 22 letters or digits.
pub(crate) fn file_id() -> String {
    let mut id = String::from("file-");
    id.extend((0..22).map(|_| fastrand::alphanumeric()));
    id
}

/// Unix time, seconds.
pub(crate) fn now() -> i64 {
    now_ms() / 1000
}

/// Unix time, milliseconds.
pub(crate) fn now_ms() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}
