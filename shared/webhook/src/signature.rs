//! The two schemes: which headers they read, which bytes they sign.

use http::HeaderMap;

use crate::encoding::{BASE64, from_base64, from_hex};
use crate::headers::only;
use crate::mac::Tag;
use crate::{Refusal, Scheme, Secret, TOLERANCE};

pub(crate) const WEBHOOK_ID: &str = "webhook-id";

/// What a signature of ours begins with in its header. Others, such as `v1a,`, may stand beside it.
const VERSION: &[u8] = b"v1,";

/// Bytes of one signature with its version.
const ITEM: usize = VERSION.len() + BASE64;

/// So many digits are less than `u64::MAX`, whichever they are.
const SAFE_DIGITS: usize = 19;

/// Standard Webhooks. Returns the id and the timestamp, both as they were signed.
pub(crate) fn standard_webhooks<'a>(
    secrets: &[Secret],
    headers: &'a HeaderMap,
    body: &[u8],
    now: u64,
) -> Result<(&'a [u8], &'a [u8]), Refusal> {
    let [id, timestamp, signatures] = only(headers, [WEBHOOK_ID, "webhook-timestamp", "webhook-signature"])?;
    check_time(timestamp, now)?;

    let mut matched = false;
    for key in secrets.iter().filter_map(|secret| secret.key(Scheme::StandardWebhooks)) {
        // No early exit: how long this takes tells nothing about which signature, or which secret, was the right one.
        matched |= any_is(signatures, &key.tag([id, timestamp, body]));
    }
    if matched { Ok((id, timestamp)) } else { Err(Refusal::NoMatchingSignature) }
}

/// Whether one of the signatures in the header is this tag.
#[inline]
fn any_is(header: &[u8], tag: &Tag) -> bool {
    let mut matched = false;
    let mut rest = Some(header);
    while let Some(signatures) = rest {
        // Exactly as long as one signature, what is left is that signature, or holds none.
        let end = if signatures.len() == ITEM { None } else { signatures.iter().position(u8::is_ascii_whitespace) };
        let (item, others) = match end {
            Some(end) => (&signatures[..end], Some(&signatures[end + 1..])),
            None => (signatures, None),
        };
        if let Some(given) = item.strip_prefix(VERSION).and_then(from_base64) {
            matched |= *tag == Tag::new(given.into());
        }
        rest = others;
    }
    matched
}

/// The legacy scheme. Returns the timestamp as it was signed.
pub(crate) fn timestamped_hex<'a>(
    secrets: &[Secret],
    headers: &'a HeaderMap,
    body: &[u8],
    now: u64,
) -> Result<&'a [u8], Refusal> {
    const OPENAI: [&str; 2] = ["x-openai-timestamp", "x-openai-signature"];
    const GENERIC: [&str; 2] = ["x-timestamp", "x-signature-256"];

    let (names, prefix) = match (headers.contains_key(OPENAI[1]), headers.contains_key(GENERIC[1])) {
        // Two spellings of one thing: whoever sent them may hope that we read the one and somebody else the other.
        (true, true) => return Err(Refusal::DuplicateHeader(GENERIC[1])),
        (false, true) => (GENERIC, b"sha256=".as_slice()),
        (_, false) => (OPENAI, b"".as_slice()),
    };
    let [timestamp, signature] = only(headers, names)?;
    check_time(timestamp, now)?;

    let given = signature.strip_prefix(prefix).and_then(from_hex).ok_or(Refusal::NoMatchingSignature)?;
    let given = Tag::new(given.into());
    let mut matched = false;
    for key in secrets.iter().filter_map(|secret| secret.key(Scheme::TimestampedHex)) {
        matched |= key.tag([timestamp, body]) == given;
    }
    if matched { Ok(timestamp) } else { Err(Refusal::NoMatchingSignature) }
}

/// Checks that a timestamp is digits and within the window.
fn check_time(timestamp: &[u8], now: u64) -> Result<(), Refusal> {
    let digits = timestamp.iter().map(|byte| match byte.wrapping_sub(b'0') {
        digit @ 0..=9 => Ok(u64::from(digit)),
        _ => Err(Refusal::MalformedTimestamp),
    });
    let seconds = if timestamp.len() <= SAFE_DIGITS {
        digits.into_iter().try_fold(0, |seconds, digit| Ok(10 * seconds + digit?))
    } else {
        digits.into_iter().try_fold(0_u64, |seconds, digit| Ok(seconds.saturating_mul(10).saturating_add(digit?)))
    }?;
    if seconds < now.saturating_sub(TOLERANCE) {
        Err(Refusal::TimestampTooOld)
    } else if seconds > now.saturating_add(TOLERANCE) {
        Err(Refusal::TimestampTooNew)
    } else {
        Ok(())
    }
}
