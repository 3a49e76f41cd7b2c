//! HMAC-SHA256 with the key taken in beforehand.

use hmac::digest::CtOutput;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::short::{BLOCK, Short};

/// Bytes of a tag.
pub(crate) const TAG: usize = 32;

/// An authentication tag. Comparing two takes the same time whatever they hold.
pub(crate) type Tag = CtOutput<Hmac<Sha256>>;

/// A key that has been taken in.
#[derive(Clone)]
pub(crate) struct Key {
    keyed: Hmac<Sha256>,
    pub(crate) short: Short,
}

impl Key {
    pub(crate) fn new(key: &[u8]) -> Self {
        let mut block = [0; BLOCK];
        match block.get_mut(..key.len()) {
            Some(start) => start.copy_from_slice(key),
            None => block[..TAG].copy_from_slice(&Sha256::digest(key)),
        }
        Self { keyed: Hmac::new(&block.into()), short: Short::new(&block) }
    }

    /// The tag of the parts with a dot between each two.
    pub(crate) fn tag(&self, parts: &[&[u8]]) -> Tag {
        let mut keyed = self.keyed.clone();
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                keyed.update(b".");
            }
            keyed.update(part);
        }
        keyed.finalize()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_any_length_are_taken_in_as_the_hmac_crate_does() {
        for length in 0..200 {
            let key = vec![7; length];
            let reference = Hmac::<Sha256>::new_from_slice(&key).unwrap().chain_update(b"a.b").finalize();
            assert_eq!(Key::new(&key).tag(&[b"a", b"b"]), reference, "{length}");
        }
    }
}
