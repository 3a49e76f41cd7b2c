//! The everyday delivery, in one go: a short body, and exactly one signature.
//!
//! The general way, part by part and with a decoder for any length, takes longer than a check may
//! (`docs/decisions/short-deliveries.md` has the numbers). Here the message is put together on the stack and compressed
//! at once, and the signature is decoded without a branch, between the two steps of the HMAC. Everything else goes the
//! plain way in [`crate::mac`], and the tests hold the two against each other.

use std::hint::black_box;

use sha2::block_api::compress256;

/// Bytes of a block, the unit that SHA-256 works in.
pub(crate) const BLOCK: usize = 64;

/// The most that is put together on the stack: room for an ordinary event with the id and the timestamp before it.
const SHORT: usize = 4 * BLOCK;

/// The least that ends a message: a byte that begins with a one bit, and the length in eight bytes.
const PADDING: usize = 9;

/// Bytes of a hash.
const HASH: usize = 32;

/// Characters of a hash in base64, the last of which is the padding.
const BASE64: usize = 44;

/// SHA-256's state before the first block (FIPS 180-4, section 5.3.3).
const INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// What a base64 character stands for, at each of the four places in a group of 24 bits, above eight bits that stay
/// zero unless the character is none of base64's.
static VALUES: [[u32; 256]; 4] = {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut values = [[INVALID; 256]; 4];
    let mut value = 0;
    while value < 64 {
        let character = alphabet[value as usize] as usize;
        values[0][character] = value << 26;
        values[1][character] = value << 20;
        values[2][character] = value << 14;
        values[3][character] = value << 8;
        value += 1;
    }
    values
};

const INVALID: u32 = 0xff;

/// The states in which HMAC's two hashes (RFC 2104) begin: those after the padded key's block.
#[derive(Clone)]
pub(crate) struct Short {
    inner: [u32; 8],
    outer: [u32; 8],
}

impl Short {
    /// Takes in a key that was filled up with zeros to a whole block.
    pub(crate) fn new(key: &[u8; BLOCK]) -> Self {
        let begin = |pad: u8| {
            let mut state = INITIAL;
            compress256(&mut state, &[key.map(|byte| byte ^ pad)]);
            state
        };
        Self { inner: begin(0x36), outer: begin(0x5c) }
    }

    /// Whether `signature` is the base64 of the HMAC over the three parts with dots between them. `None` when this is no
    /// everyday delivery.
    #[inline(never)]
    pub(crate) fn is_signed(&self, [id, timestamp, body]: [&[u8]; 3], signature: &[u8]) -> Option<bool> {
        let signature: &[u8; BASE64] = signature.strip_prefix(b"v1,")?.try_into().ok()?;
        let (first_dot, second_dot) = (id.len(), id.len() + 1 + timestamp.len());
        let length = second_dot + 1 + body.len();
        if length > SHORT - PADDING {
            return None;
        }
        let mut message = [0; SHORT];
        message[..first_dot].copy_from_slice(id);
        message[first_dot] = b'.';
        message[first_dot + 1..second_dot].copy_from_slice(timestamp);
        message[second_dot] = b'.';
        message[second_dot + 1..length].copy_from_slice(body);
        let hash = finish(self.inner, &mut message, length);
        let given = decode(signature);

        let mut block = [0; BLOCK];
        block[..HASH].copy_from_slice(hash.map(u32::to_be_bytes).as_flattened());
        let tag = finish(self.outer, &mut block, HASH);
        let mut difference = given.invalid;
        for (given, tag) in given.words.iter().zip(tag.as_chunks().0) {
            let [high, low] = tag.map(u64::from);
            difference |= given ^ (high << 32 | low);
        }
        Some(black_box(difference) == 0)
    }
}

/// Pads a message of `length` bytes that follows the key's block, and that nothing but zeros follow. Returns the state.
#[inline]
fn finish<const N: usize>(mut state: [u32; 8], message: &mut [u8; N], length: usize) -> [u32; 8] {
    let end = (length + PADDING).next_multiple_of(BLOCK);
    let bits = 8 * (BLOCK + length) as u64;
    message[length] = 0x80;
    message[end - 8..end].copy_from_slice(&bits.to_be_bytes());
    compress256(&mut state, message[..end].as_chunks().0);
    state
}

/// 32 bytes that somebody wrote in base64, and zero, unless it was no strict base64.
struct Decoded {
    words: [u64; 4],
    invalid: u64,
}

/// No branch, whatever the text holds.
#[inline]
fn decode(text: &[u8; BASE64]) -> Decoded {
    let value = |place: usize, at: usize| VALUES[place][usize::from(text[at])];
    let mut seen = 0;
    let mut group = |at: usize| {
        // Where the padding stands is nothing to decode.
        let last = if at + 4 == BASE64 { 0 } else { value(3, at + 3) };
        let group = value(0, at) | value(1, at + 1) | value(2, at + 2) | last;
        seen |= group & INVALID;
        u64::from(group >> 8)
    };
    let bits: [u64; 11] = [
        group(0),
        group(4),
        group(8),
        group(12),
        group(16),
        group(20),
        group(24),
        group(28),
        group(32),
        group(36),
        group(40),
    ];
    let words = [
        bits[0] << 40 | bits[1] << 16 | bits[2] >> 8,
        bits[2] << 56 | bits[3] << 32 | bits[4] << 8 | bits[5] >> 16,
        bits[5] << 48 | bits[6] << 24 | bits[7],
        bits[8] << 40 | bits[9] << 16 | bits[10] >> 8,
    ];
    let stray_bits = bits[10] & 0xff;
    let padding = text[BASE64 - 1] ^ b'=';
    Decoded { words, invalid: stray_bits | u64::from(seen) | u64::from(padding) }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use crate::mac::Key;

    const PARTS: [&[u8]; 3] = [b"wh_1", b"1795219200", b"{}"];

    fn signature(key: &Key, parts: &[&[u8]]) -> String {
        format!("v1,{}", STANDARD.encode(key.tag(parts).into_bytes()))
    }

    #[test]
    fn the_short_way_agrees_with_the_plain_one_at_every_length() {
        let body: Vec<u8> = (0..=255).cycle().take(300).collect();
        let id = [b'i'; 300];
        let key = Key::new(b"some key");
        let mut short = 0;
        for length in 0..body.len() {
            for parts in [[PARTS[0], PARTS[1], &body[..length]], [&id[..length], b"", b"{}"]] {
                let right = signature(&key, &parts);
                let wrong = signature(&Key::new(b"another"), &parts);
                let verdicts = [&right, &wrong].map(|text| key.short.is_signed(parts, text.as_bytes()));
                let is_short = parts.concat().len() + 2 <= 247;
                assert_eq!(verdicts, if is_short { [Some(true), Some(false)] } else { [None, None] }, "{length}");
                short += usize::from(is_short);
            }
        }
        assert!(short > 400, "only {short} were short");
    }

    #[test]
    fn keys_of_any_length_agree() {
        for length in 0..200 {
            let key = Key::new(&vec![7; length]);
            assert_eq!(key.short.is_signed(PARTS, signature(&key, &PARTS).as_bytes()), Some(true), "{length}");
        }
    }

    #[test]
    fn base64_is_as_strict_as_the_base64_crate() {
        let key = Key::new(b"some key");
        let tag = key.tag(&PARTS).into_bytes();
        let right = signature(&key, &PARTS).into_bytes();
        let mut accepted = 0;
        for at in 3..right.len() {
            for byte in 0..=255 {
                let mut text = right.clone();
                text[at] = byte;
                let expected = STANDARD.decode(&text[3..]).is_ok_and(|decoded| decoded == tag[..]);
                assert_eq!(key.short.is_signed(PARTS, &text), Some(expected), "{byte} at {at}");
                accepted += usize::from(expected);
            }
        }
        assert_eq!(accepted, 44, "the right character at every place, and no other");
    }

    #[test]
    fn other_shapes_of_the_header_go_the_plain_way() {
        let key = Key::new(b"some key");
        let right = signature(&key, &PARTS);
        for header in [format!("{right} "), format!(" {right}"), format!("{right} {right}"), right[1..].to_owned()] {
            assert_eq!(key.short.is_signed(PARTS, header.as_bytes()), None, "{header}");
        }
    }
}
