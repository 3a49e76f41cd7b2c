//! The two signature schemes: the headers they read and the bytes they sign.

use http::{HeaderMap, HeaderName};

use crate::mac::{Tag, from_base64, from_hex};
use crate::{Scheme, Secret, TOLERANCE, VerifyError};

pub(crate) const WEBHOOK_ID: &str = "webhook-id";

/// The headers of both schemes: those of Standard Webhooks come first.
pub(crate) const SIGNATURE_HEADERS: [&str; 7] = [
    WEBHOOK_ID,
    "webhook-timestamp",
    "webhook-signature",
    "x-openai-timestamp",
    "x-openai-signature",
    "x-timestamp",
    "x-signature-256",
];

static STANDARD_WEBHOOKS: [HeaderName; 3] = [
    HeaderName::from_static(WEBHOOK_ID),
    HeaderName::from_static("webhook-timestamp"),
    HeaderName::from_static("webhook-signature"),
];

static OPENAI: [HeaderName; 2] =
    [HeaderName::from_static("x-openai-timestamp"), HeaderName::from_static("x-openai-signature")];

static GENERIC: [HeaderName; 2] = [HeaderName::from_static("x-timestamp"), HeaderName::from_static("x-signature-256")];

/// Version prefix of a symmetric signature. Signatures of other versions, such as `v1a,`, may stand beside it.
const VERSION: &[u8] = b"v1,";

/// Checks a Standard Webhooks delivery. Returns the id and the timestamp, both as they were signed.
pub(crate) fn standard_webhooks<'a>(
    secrets: &[Secret],
    headers: &'a HeaderMap,
    body: &[u8],
    now: u64,
) -> Result<(&'a [u8], &'a [u8]), VerifyError> {
    let [id, timestamp, signatures] = single_values(headers, &STANDARD_WEBHOOKS)?;
    check_time(timestamp, now)?;

    let mut matched = false;
    for key in secrets.iter().filter_map(|secret| secret.key(Scheme::StandardWebhooks)) {
        // No early exit: the time taken must not depend on which signature or which secret matches.
        matched |= any_matches(signatures, &key.tag([id, timestamp, body]));
    }
    if matched { Ok((id, timestamp)) } else { Err(VerifyError::NoMatchingSignature) }
}

/// Whether one of the signatures in the header is this tag.
fn any_matches(signatures: &[u8], tag: &Tag) -> bool {
    let matches = |item: &[u8]| item.strip_prefix(VERSION).and_then(from_base64).is_some_and(|given| *tag == given);
    signatures.split(u8::is_ascii_whitespace).fold(false, |matched, item| matched | matches(item))
}

/// Checks a delivery of the legacy scheme. Returns the timestamp as it was signed.
pub(crate) fn timestamped_hex<'a>(
    secrets: &[Secret],
    headers: &'a HeaderMap,
    body: &[u8],
    now: u64,
) -> Result<&'a [u8], VerifyError> {
    let (names, prefix) = match (headers.contains_key(&OPENAI[1]), headers.contains_key(&GENERIC[1])) {
        // Both spellings at once are ambiguous: another verifier may read the one that this one ignores.
        (true, true) => return Err(VerifyError::DuplicateHeader(GENERIC[1].as_str())),
        (false, true) => (&GENERIC, b"sha256=".as_slice()),
        (_, false) => (&OPENAI, b"".as_slice()),
    };
    let [timestamp, signature] = single_values(headers, names)?;
    check_time(timestamp, now)?;

    let given = signature.strip_prefix(prefix).and_then(from_hex).ok_or(VerifyError::NoMatchingSignature)?;
    let mut matched = false;
    for key in secrets.iter().filter_map(|secret| secret.key(Scheme::TimestampedHex)) {
        matched |= key.tag([timestamp, body]) == given;
    }
    if matched { Ok(timestamp) } else { Err(VerifyError::NoMatchingSignature) }
}

/// Values of headers that must be present exactly once. An empty value counts as missing.
fn single_values<'a, const N: usize>(
    headers: &'a HeaderMap,
    names: &'static [HeaderName; N],
) -> Result<[&'a [u8]; N], VerifyError> {
    let mut values: [Option<&'a [u8]>; N] = [None; N];
    // One pass over all headers, since a look-up hashes its name.
    for (name, value) in headers {
        if let Some(place) = names.iter().position(|wanted| wanted == name)
            && values[place].replace(value.as_bytes()).is_some()
        {
            return Err(VerifyError::DuplicateHeader(names[place].as_str()));
        }
    }
    let values = values.map(Option::unwrap_or_default);
    match values.iter().position(|value| value.is_empty()) {
        Some(place) => Err(VerifyError::MissingHeader(names[place].as_str())),
        None => Ok(values),
    }
}

/// Checks that a timestamp consists of digits and lies within the window.
fn check_time(timestamp: &[u8], now: u64) -> Result<(), VerifyError> {
    let seconds = parse_decimal(timestamp).ok_or(VerifyError::MalformedTimestamp)?;
    if seconds < now.saturating_sub(TOLERANCE) {
        Err(VerifyError::TimestampTooOld)
    } else if seconds > now.saturating_add(TOLERANCE) {
        Err(VerifyError::TimestampTooNew)
    } else {
        Ok(())
    }
}

/// Parses decimal digits. A number too large for the type becomes its maximum.
fn parse_decimal(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        Some(number.saturating_mul(10).saturating_add(digit))
    })
}
