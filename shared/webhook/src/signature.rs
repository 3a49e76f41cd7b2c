//! The two schemes: which headers they read, which bytes they sign.

use http::{HeaderMap, HeaderName};

use crate::encoding::{from_base64, from_hex};
use crate::headers::only;
use crate::mac::Tag;
use crate::{Refusal, Scheme, Secret, TOLERANCE};

pub(crate) const WEBHOOK_ID: &str = "webhook-id";

static STANDARD_WEBHOOKS: [HeaderName; 3] = [
    HeaderName::from_static(WEBHOOK_ID),
    HeaderName::from_static("webhook-timestamp"),
    HeaderName::from_static("webhook-signature"),
];

static OPENAI: [HeaderName; 2] =
    [HeaderName::from_static("x-openai-timestamp"), HeaderName::from_static("x-openai-signature")];

static GENERIC: [HeaderName; 2] = [HeaderName::from_static("x-timestamp"), HeaderName::from_static("x-signature-256")];

/// What a signature of ours begins with in its header. Others, such as `v1a,`, may stand beside it.
const VERSION: &[u8] = b"v1,";

/// Standard Webhooks. Returns the id and the timestamp, both as they were signed.
pub(crate) fn standard_webhooks<'a>(
    secrets: &[Secret],
    headers: &'a HeaderMap,
    body: &[u8],
    now: u64,
) -> Result<(&'a [u8], &'a [u8]), Refusal> {
    let [id, timestamp, signatures] = only(headers, &STANDARD_WEBHOOKS)?;
    check_time(timestamp, now)?;

    let mut matched = false;
    for key in secrets.iter().filter_map(|secret| secret.key(Scheme::StandardWebhooks)) {
        // No early exit: how long this takes tells nothing about which signature, or which secret, was the right one.
        let parts = [id, timestamp, body];
        matched |= key.short.is_signed(parts, signatures).unwrap_or_else(|| any_is(signatures, &key.tag(&parts)));
    }
    if matched { Ok((id, timestamp)) } else { Err(Refusal::NoMatchingSignature) }
}

/// Whether one of the signatures in the header is this tag.
fn any_is(signatures: &[u8], tag: &Tag) -> bool {
    let is_tag = |item: &[u8]| item.strip_prefix(VERSION).and_then(from_base64).is_some_and(|given| *tag == given);
    signatures.split(u8::is_ascii_whitespace).fold(false, |matched, item| matched | is_tag(item))
}

/// The legacy scheme. Returns the timestamp as it was signed.
pub(crate) fn timestamped_hex<'a>(
    secrets: &[Secret],
    headers: &'a HeaderMap,
    body: &[u8],
    now: u64,
) -> Result<&'a [u8], Refusal> {
    let (names, prefix) = match (headers.contains_key(&OPENAI[1]), headers.contains_key(&GENERIC[1])) {
        // Two spellings of one thing: whoever sent them may hope that we read the one and somebody else the other.
        (true, true) => return Err(Refusal::DuplicateHeader(GENERIC[1].as_str())),
        (false, true) => (&GENERIC, b"sha256=".as_slice()),
        (_, false) => (&OPENAI, b"".as_slice()),
    };
    let [timestamp, signature] = only(headers, names)?;
    check_time(timestamp, now)?;

    let given = signature.strip_prefix(prefix).and_then(from_hex).ok_or(Refusal::NoMatchingSignature)?;
    let mut matched = false;
    for key in secrets.iter().filter_map(|secret| secret.key(Scheme::TimestampedHex)) {
        matched |= key.tag(&[timestamp, body]) == given;
    }
    if matched { Ok(timestamp) } else { Err(Refusal::NoMatchingSignature) }
}

/// Checks that a timestamp is digits and within the window.
fn check_time(timestamp: &[u8], now: u64) -> Result<(), Refusal> {
    // From 2001 to 2286 it has ten digits: a loop of known length costs half.
    let seconds = match timestamp.as_array::<10>() {
        Some(timestamp) => number(timestamp),
        None => number(timestamp),
    };
    let seconds = seconds.ok_or(Refusal::MalformedTimestamp)?;
    if seconds < now.saturating_sub(TOLERANCE) {
        Err(Refusal::TimestampTooOld)
    } else if seconds > now.saturating_add(TOLERANCE) {
        Err(Refusal::TimestampTooNew)
    } else {
        Ok(())
    }
}

/// Reads decimal digits. What is too large for the type is its maximum.
#[inline]
fn number(digits: &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    let mut is_decimal = true;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        is_decimal &= digit <= 9;
        number = number.saturating_mul(10).saturating_add(digit.into());
    }
    is_decimal.then_some(number)
}
