//! The two schemes: which headers they read, which bytes they sign.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::Mac;
use hmac::digest::CtOutput;
use http::HeaderMap;

use crate::{Refusal, Scheme, Secret, TOLERANCE};

/// Bytes of an HMAC-SHA256, and so of every signature.
const TAG_BYTES: usize = 32;

const WEBHOOK_ID: &str = "webhook-id";
const WEBHOOK_TIMESTAMP: &str = "webhook-timestamp";
const WEBHOOK_SIGNATURE: &str = "webhook-signature";

type Tag = CtOutput<hmac::Hmac<sha2::Sha256>>;

/// Standard Webhooks. Returns the id and the timestamp, both as they were signed.
pub(crate) fn standard_webhooks<'a>(
    secrets: &[Secret],
    headers: &'a HeaderMap,
    body: &[u8],
    now: u64,
) -> Result<(&'a str, &'a str), Refusal> {
    let [id, timestamp, signatures] = only(headers, [WEBHOOK_ID, WEBHOOK_TIMESTAMP, WEBHOOK_SIGNATURE])?;
    let id = ascii(id).ok_or(Refusal::MissingHeader(WEBHOOK_ID))?;
    let timestamp = in_time(timestamp, now)?;

    let mut matched = false;
    for secret in of_scheme(secrets, Scheme::StandardWebhooks) {
        let tag = secret
            .keyed()
            .chain_update(id)
            .chain_update(b".")
            .chain_update(timestamp)
            .chain_update(b".")
            .chain_update(body)
            .finalize();
        // No early exit: how long this takes tells nothing about which signature, or which secret, was the right one.
        for signature in signatures.split(u8::is_ascii_whitespace) {
            matched |= is_tag(&tag, signature);
        }
    }
    if matched { Ok((id, timestamp)) } else { Err(Refusal::NoMatchingSignature) }
}

/// Whether a `v1,` item holds this tag. Items of other versions are none of ours.
fn is_tag(tag: &Tag, signature: &[u8]) -> bool {
    let Some(encoded) = signature.strip_prefix(b"v1,") else { return false };
    let mut decoded = [0; TAG_BYTES];
    match STANDARD.decode_slice(encoded, &mut decoded) {
        Ok(TAG_BYTES) => *tag == Tag::new(decoded.into()),
        _ => false,
    }
}

/// The legacy scheme. Returns the timestamp as it was signed.
pub(crate) fn timestamped_hex<'a>(
    secrets: &[Secret],
    headers: &'a HeaderMap,
    body: &[u8],
    now: u64,
) -> Result<&'a str, Refusal> {
    const SIGNATURE: &str = "x-openai-signature";
    const TIMESTAMP: &str = "x-openai-timestamp";
    const GENERIC_SIGNATURE: &str = "x-signature-256";
    const GENERIC_TIMESTAMP: &str = "x-timestamp";

    // Two spellings of one thing in one request: whoever sent it may hope that we read the one and a proxy the other.
    let generic = match (headers.contains_key(SIGNATURE), headers.contains_key(GENERIC_SIGNATURE)) {
        (true, true) => return Err(Refusal::DuplicateHeader(GENERIC_SIGNATURE)),
        (_, generic) => generic,
    };
    let (timestamp, signature) = if generic {
        let [timestamp, signature] = only(headers, [GENERIC_TIMESTAMP, GENERIC_SIGNATURE])?;
        (timestamp, signature.strip_prefix(b"sha256="))
    } else {
        let [timestamp, signature] = only(headers, [TIMESTAMP, SIGNATURE])?;
        (timestamp, Some(signature))
    };
    let timestamp = in_time(timestamp, now)?;
    let signature = signature.and_then(unhex).ok_or(Refusal::NoMatchingSignature)?;
    let signature = Tag::new(signature.into());

    let mut matched = false;
    for secret in of_scheme(secrets, Scheme::TimestampedHex) {
        let tag = secret.keyed().chain_update(timestamp).chain_update(b".").chain_update(body).finalize();
        matched |= tag == signature;
    }
    if matched { Ok(timestamp) } else { Err(Refusal::NoMatchingSignature) }
}

fn of_scheme(secrets: &[Secret], scheme: Scheme) -> impl Iterator<Item = &Secret> {
    secrets.iter().filter(move |secret| secret.scheme() == scheme)
}

/// The values of headers that must be there exactly once. An empty one is as good as none.
fn only<'a, const N: usize>(headers: &'a HeaderMap, names: [&'static str; N]) -> Result<[&'a [u8]; N], Refusal> {
    let mut found: [Option<&'a [u8]>; N] = [None; N];
    for (name, value) in headers {
        let name = name.as_str();
        for (slot, wanted) in found.iter_mut().zip(names) {
            if name == wanted && slot.replace(value.as_bytes()).is_some() {
                return Err(Refusal::DuplicateHeader(wanted));
            }
        }
    }
    let values = found.map(Option::unwrap_or_default);
    match names.iter().zip(values).find(|(_, value)| value.is_empty()) {
        Some((name, _)) => Err(Refusal::MissingHeader(name)),
        None => Ok(values),
    }
}

/// A header's value as text, which it is when all of it is ASCII.
fn ascii(value: &[u8]) -> Option<&str> {
    if value.is_ascii() { str::from_utf8(value).ok() } else { None }
}

/// The timestamp's text, once it is known to be digits and within the window.
fn in_time(value: &[u8], now: u64) -> Result<&str, Refusal> {
    let text = ascii(value).ok_or(Refusal::MalformedTimestamp)?;
    let mut seconds: u64 = 0;
    for byte in text.bytes() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return Err(Refusal::MalformedTimestamp);
        }
        // Saturated, any number of digits is what it is in truth: far in the future.
        seconds = seconds.saturating_mul(10).saturating_add(u64::from(digit));
    }
    if seconds < now.saturating_sub(TOLERANCE) {
        Err(Refusal::TimestampTooOld)
    } else if seconds > now.saturating_add(TOLERANCE) {
        Err(Refusal::TimestampTooNew)
    } else {
        Ok(text)
    }
}

fn unhex(hex: &[u8]) -> Option<[u8; TAG_BYTES]> {
    let mut bytes = [0; TAG_BYTES];
    if hex.len() != 2 * TAG_BYTES {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = u8::try_from(high << 4 | low).ok()?;
    }
    Some(bytes)
}
