//! HMAC-SHA256 with the key taken in beforehand.
//!
//! The `hmac` crate computes it. For a message of a few blocks, which is what nearly every event is, feeding it part by
//! part costs a third of what the hashing itself does; such a message is put together on the stack and compressed in one
//! go instead. The tests hold the two ways against each other at every length.

use hmac::digest::CtOutput;
use hmac::{Hmac, KeyInit, Mac};
use sha2::block_api::compress256;
use sha2::{Digest, Sha256};

/// Bytes of a tag.
pub(crate) const TAG: usize = 32;

/// Bytes of a block, the unit that SHA-256 works in.
const BLOCK: usize = 64;

/// The most that is put together on the stack: room for an ordinary event with the id and the timestamp before it.
const SHORT: usize = 4 * BLOCK;

/// The least that ends a message: a byte that begins with a one bit, and the length in eight bytes.
const PADDING: usize = 9;

/// SHA-256's state before the first block (FIPS 180-4, section 5.3.3).
const INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// An authentication tag. Comparing two takes the same time whatever they hold.
pub(crate) type Tag = CtOutput<Hmac<Sha256>>;

/// A key that has been taken in.
#[derive(Clone)]
pub(crate) struct Key {
    keyed: Hmac<Sha256>,
    /// The states in which HMAC's two hashes (RFC 2104) begin: those after the padded key's block.
    inner: [u32; 8],
    outer: [u32; 8],
}

impl Key {
    pub(crate) fn new(key: &[u8]) -> Self {
        let mut block = [0; BLOCK];
        match block.get_mut(..key.len()) {
            Some(start) => start.copy_from_slice(key),
            None => block[..TAG].copy_from_slice(&Sha256::digest(key)),
        }
        let begin = |pad: u8| {
            let mut state = INITIAL;
            compress256(&mut state, &[block.map(|byte| byte ^ pad)]);
            state
        };
        Self { keyed: Hmac::new(&block.into()), inner: begin(0x36), outer: begin(0x5c) }
    }

    /// The tag of the parts with a dot between each two.
    #[inline]
    pub(crate) fn tag<const N: usize>(&self, parts: [&[u8]; N]) -> Tag {
        let dots = N.saturating_sub(1);
        let length = parts.iter().map(|part| part.len()).sum::<usize>() + dots;
        if length > SHORT - PADDING {
            return self.tag_of_any_length(&parts);
        }

        let mut message = [0; SHORT];
        let mut filled = 0;
        for (index, part) in parts.into_iter().enumerate() {
            if index > 0 {
                message[filled] = b'.';
                filled += 1;
            }
            message[filled..filled + part.len()].copy_from_slice(part);
            filled += part.len();
        }
        let hash = finish(self.inner, &mut message, length);

        let mut block = [0; BLOCK];
        block[..TAG].copy_from_slice(&hash);
        Tag::new(finish(self.outer, &mut block, TAG).into())
    }

    #[inline(never)]
    fn tag_of_any_length(&self, parts: &[&[u8]]) -> Tag {
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

/// Pads a message of `length` bytes that follows the key's block, and that nothing but zeros follow. Returns the hash.
#[inline]
fn finish(mut state: [u32; 8], message: &mut [u8], length: usize) -> [u8; TAG] {
    let end = (length + PADDING).next_multiple_of(BLOCK);
    let bits = 8 * (BLOCK + length) as u64;
    message[length] = 0x80;
    message[end - 8..end].copy_from_slice(&bits.to_be_bytes());
    compress256(&mut state, message[..end].as_chunks().0);

    let mut hash = [0; TAG];
    hash.copy_from_slice(state.map(u32::to_be_bytes).as_flattened());
    hash
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reference(key: &[u8], message: &[u8]) -> Tag {
        Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(message).finalize()
    }

    proptest! {
        #[test]
        fn the_tag_is_what_the_hmac_crate_computes(
            key in prop::collection::vec(any::<u8>(), 0..200),
            parts in prop::array::uniform3(prop::collection::vec(any::<u8>(), 0..200)),
        ) {
            let tag = Key::new(&key).tag(parts.each_ref().map(Vec::as_slice));
            prop_assert_eq!(tag, reference(&key, &parts.join(&b'.')));
        }
    }

    #[test]
    fn a_message_of_any_length_is_padded_rightly() {
        let message: Vec<u8> = (0..=255).cycle().take(2 * SHORT).collect();
        let key = Key::new(b"key");
        for length in 0..message.len() {
            let message = &message[..length];
            assert_eq!(key.tag([message]), reference(b"key", message), "{length} bytes");
        }
    }
}
