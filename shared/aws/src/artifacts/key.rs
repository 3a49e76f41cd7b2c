//! Keys of artifacts.

use std::fmt;

/// Maximum length of a segment in bytes: longer than any OpenAI id, and far below S3's 1,024 bytes for a whole key.
const MAX_SEGMENT_LENGTH: usize = 128;

/// The key of an artifact, such as `batch/batch_67ae1f5cc0/output.jsonl`.
///
/// Ids come from events, so they are untrusted: an id is always one segment and cannot point at another object's key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(String);

/// A segment of a key is empty, too long, begins with a dot, or has a character beyond `A-Z a-z 0-9 - _ .`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the id cannot be part of a key: it is empty, too long, or has characters that OpenAI ids do not have")]
pub struct KeyError;

impl Key {
    /// Joins the segments with slashes.
    pub fn new(segments: &[&str]) -> Result<Self, KeyError> {
        if segments.is_empty() || !segments.iter().all(|segment| is_segment(segment)) {
            return Err(KeyError);
        }
        Ok(Self(segments.join("/")))
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_segment(text: &str) -> bool {
    (1..=MAX_SEGMENT_LENGTH).contains(&text.len())
        && !text.starts_with('.')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        key.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_joins_its_segments() {
        let key = Key::new(&["batch", "batch_67ae-1F", "output.jsonl"]).unwrap();
        assert_eq!(key.as_str(), "batch/batch_67ae-1F/output.jsonl");
    }

    #[test]
    fn an_id_cannot_lead_elsewhere() {
        let long = "a".repeat(129);
        for id in ["", ".", "..", ".hidden", "a/b", "/", "a\\b", "a b", "a\n", "a%2fb", "\u{e4}", "a?b", &long] {
            assert_eq!(Key::new(&["batch", id, "output.jsonl"]), Err(KeyError), "{id:?}");
        }
        assert_eq!(Key::new(&[]), Err(KeyError));
    }
}
