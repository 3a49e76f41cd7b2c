//! The two ways in which a tag is written down.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::mac::{TAG, Tag};

/// Reads a tag in standard base64 with its padding.
pub(crate) fn from_base64(text: &[u8]) -> Option<Tag> {
    let mut bytes = [0; TAG];
    (STANDARD.decode_slice(text, &mut bytes) == Ok(TAG)).then(|| Tag::new(bytes.into()))
}

/// Reads a tag in hex, of either case.
pub(crate) fn from_hex(text: &[u8]) -> Option<Tag> {
    let text: &[u8; 2 * TAG] = text.try_into().ok()?;
    let mut bytes = [0; TAG];
    for (byte, [high, low]) in bytes.iter_mut().zip(text.as_chunks().0) {
        let digits = char::from(*high).to_digit(16)? << 4 | char::from(*low).to_digit(16)?;
        *byte = u8::try_from(digits).ok()?;
    }
    Some(Tag::new(bytes.into()))
}
