//! HMAC-SHA256 with a key schedule computed once, and the two text encodings of a tag.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::digest::CtOutput;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Length of a tag in bytes.
const TAG: usize = 32;

/// An authentication tag. Comparison is constant-time.
pub(crate) type Tag = CtOutput<Hmac<Sha256>>;

/// An HMAC key, ready to use.
#[derive(Clone)]
pub(crate) struct Key(Hmac<Sha256>);

impl Key {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length (RFC 2104)")]
    pub(crate) fn new(key: &[u8]) -> Self {
        Self(Hmac::new_from_slice(key).expect("HMAC takes keys of any length"))
    }

    /// The tag of the parts, joined by dots.
    pub(crate) fn tag<const N: usize>(&self, parts: [&[u8]; N]) -> Tag {
        let mut hmac = self.0.clone();
        for (index, part) in parts.into_iter().enumerate() {
            if index > 0 {
                hmac.update(b".");
            }
            hmac.update(part);
        }
        hmac.finalize()
    }
}

/// Decodes a tag from standard base64 with padding.
pub(crate) fn from_base64(text: &[u8]) -> Option<Tag> {
    let mut bytes = [0; TAG];
    (STANDARD.decode_slice(text, &mut bytes) == Ok(TAG)).then(|| Tag::new(bytes.into()))
}

/// Decodes a tag from hexadecimal digits of either case.
pub(crate) fn from_hex(text: &[u8]) -> Option<Tag> {
    let text: &[u8; 2 * TAG] = text.try_into().ok()?;
    let mut bytes = [0; TAG];
    for (byte, [high, low]) in bytes.iter_mut().zip(text.as_chunks().0) {
        let digits = char::from(*high).to_digit(16)? << 4 | char::from(*low).to_digit(16)?;
        *byte = u8::try_from(digits).ok()?;
    }
    Some(Tag::new(bytes.into()))
}
