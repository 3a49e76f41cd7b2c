//! Ids in OpenAI's formats, the clock, and the wire names of enums.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

/// `batch_`, `evt_`, `wh_`, `req_`... and 32 hex digits.
pub(crate) fn hex_id(prefix: &str) -> String {
    format!("{prefix}{:032x}", fastrand::u128(..))
}

/// `file-`, `ftjob-`... and `length` letters or digits.
pub(crate) fn alphanumeric_id(prefix: &str, length: usize) -> String {
    prefix.chars().chain((0..length).map(|_| fastrand::alphanumeric())).collect()
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

/// The name that an enum variant without fields has in JSON.
pub(crate) fn name(variant: impl Serialize) -> String {
    match serde_json::to_value(variant) {
        Ok(serde_json::Value::String(name)) => name,
        _ => String::new(),
    }
}
