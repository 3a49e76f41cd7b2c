//! Digits that a caller enters while a tool call waits for them.

use hooks_aws::ledger::ToolClaim;
use tokio::time::Instant;

use crate::settings::DIGITS_TIME;

/// Pause after which a number without a fixed length is taken to be complete.
const PAUSE: std::time::Duration = std::time::Duration::from_secs(5);

/// Longest number.
const MAX_LENGTH: usize = 64;

/// A tool call that waits for digits.
pub(crate) struct Collecting {
    pub(crate) claim: ToolClaim,
    pub(crate) call_id: String,
    entry: Entry,
}

/// What was entered so far.
#[derive(Debug)]
struct Entry {
    length: Option<usize>,
    digits: String,
    until: Instant,
    last: Option<Instant>,
}

impl Collecting {
    pub(crate) fn new(claim: ToolClaim, call_id: String, length: Option<usize>) -> Self {
        let until = Instant::now() + DIGITS_TIME;
        Self { claim, call_id, entry: Entry { length, digits: String::new(), until, last: None } }
    }

    /// Takes a key. The digits, once they are complete.
    pub(crate) fn key(&mut self, key: &str) -> Option<String> {
        self.entry.key(key)
    }

    /// The digits, once nothing more is to be waited for. They may be none.
    pub(crate) fn tick(&self) -> Option<String> {
        self.entry.tick()
    }
}

impl Entry {
    fn key(&mut self, key: &str) -> Option<String> {
        self.last = Some(Instant::now());
        for key in key.chars() {
            if key == '#' {
                return Some(self.digits.clone());
            }
            if key.is_ascii_digit() || key == '*' {
                self.digits.push(key);
            }
            if self.digits.len() >= self.length.unwrap_or(MAX_LENGTH).clamp(1, MAX_LENGTH) {
                return Some(self.digits.clone());
            }
        }
        None
    }

    fn tick(&self) -> Option<String> {
        let now = Instant::now();
        let paused = self.length.is_none() && self.last.is_some_and(|last| now >= last + PAUSE);
        (paused || now >= self.until).then(|| self.digits.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::advance;

    use super::*;

    fn entry(length: Option<usize>) -> Entry {
        Entry { length, digits: String::new(), until: Instant::now() + Duration::from_secs(30), last: None }
    }

    #[tokio::test(start_paused = true)]
    async fn digits_end_with_their_number_or_with_the_hash_key() {
        let mut fixed = entry(Some(4));
        for key in ["1", "2", "A", "3"] {
            assert_eq!(fixed.key(key), None);
        }
        assert_eq!(fixed.key("4").as_deref(), Some("1234"));
        let mut open = entry(None);
        assert_eq!(open.key("7"), None);
        assert_eq!(open.key("#").as_deref(), Some("7"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_number_without_a_length_ends_with_a_pause_and_every_one_with_its_time() {
        let mut open = entry(None);
        open.key("7");
        advance(Duration::from_secs(4)).await;
        assert_eq!(open.tick(), None);
        open.key("8");
        advance(Duration::from_secs(5)).await;
        assert_eq!(open.tick().as_deref(), Some("78"));
        let fixed = entry(Some(4));
        advance(Duration::from_secs(30)).await;
        assert_eq!(fixed.tick().as_deref(), Some(""), "nothing was entered");
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_who_holds_a_key_down_fills_no_memory() {
        let mut open = entry(None);
        let digits = open.key(&"1".repeat(10_000)).unwrap();
        assert_eq!(digits.len(), MAX_LENGTH);
    }
}
