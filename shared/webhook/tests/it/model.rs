//! The signature check, written a second time in the plainest way and with other means than the code under test.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// One signature as it stands in the header.
pub(crate) fn sign(key: &[u8], id: &str, timestamp: &str, body: &[u8]) -> String {
    let message = [id.as_bytes(), timestamp.as_bytes(), body].join(&b'.');
    let tag = Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(message).finalize().into_bytes();
    format!("v1,{}", STANDARD.encode(tag))
}

/// A secret as OpenAI shows it.
pub(crate) fn secret(key: &[u8]) -> String {
    format!("whsec_{}", STANDARD.encode(key))
}

/// Whether a delivery with one line of each header is to be accepted: in time, and signed with one of the keys.
pub(crate) fn accepts(keys: &[&[u8]], id: &str, timestamp: &str, signatures: &str, body: &[u8], now: u64) -> bool {
    let digits = !timestamp.is_empty() && timestamp.bytes().all(|byte| byte.is_ascii_digit());
    let significant = timestamp.trim_start_matches('0');
    let seconds = if significant.len() > 30 { u128::MAX } else { significant.parse().unwrap_or(0) };
    let in_time = digits && seconds.abs_diff(u128::from(now)) <= 300;
    let mut items = signatures.split_ascii_whitespace();
    !id.is_empty() && in_time && items.any(|item| keys.iter().any(|key| item == sign(key, id, timestamp, body)))
}
