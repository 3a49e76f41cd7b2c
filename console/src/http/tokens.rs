//! Random tokens, and their hashes. Only hashes are kept.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use crate::{Failure, Result};

/// A token of 256 bits from the operating system, in hexadecimal.
pub(crate) fn random() -> Result<String> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::service(format!("the operating system gave no random number: {error}")))?;
    Ok(hex(&bytes))
}

/// SHA-256 in hexadecimal.
#[must_use]
pub(crate) fn hash(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Whether two texts are the same, in a time that does not depend on where they differ.
pub(crate) fn same(one: &str, other: &str) -> bool {
    let (one, other) = (Sha256::digest(one.as_bytes()), Sha256::digest(other.as_bytes()));
    one.iter().zip(other.iter()).fold(0, |differences, (one, other)| differences | (one ^ other)) == 0
}

/// Signs texts with a key (HMAC-SHA256).
pub(crate) struct Signer(Hmac<Sha256>);

impl Signer {
    pub(crate) fn new(key: &str) -> Result<Self> {
        let hmac = Hmac::new_from_slice(key.as_bytes());
        hmac.map(Self).map_err(|_| Failure::service("the console's key cannot be used"))
    }

    /// The signature of a text for a purpose, in hexadecimal. The same text has another one for another purpose.
    pub(crate) fn sign(&self, purpose: &str, text: &str) -> String {
        let mut hmac = self.0.clone();
        for part in [purpose, "\0", text] {
            hmac.update(part.as_bytes());
        }
        hex(&hmac.finalize().into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_long_and_no_two_are_the_same() {
        let (one, other) = (random().unwrap(), random().unwrap());
        assert!(one.len() == 64 && one != other && same(&one, &one.clone()) && !same(&one, &other));
    }
}
