//! Counts the lines of a result file while it is streamed.
//!
//! A result file has one JSON object per line, in any order. No content can stop the stream: a line that is not such an
//! object is counted as malformed, and a line that is too long as oversized. Both are stored like the others.

mod tally;

pub(crate) use tally::{ErrorTally, Tally, Tokens};

/// Maximum length of a line that is parsed, in bytes. Results with images have lines of several megabytes, and the line
/// has to fit into a small function's memory beside the parts of the upload.
const MAX_LINE_BYTES: usize = 16 * 1024 * 1024;

/// Maximum capacity of the line buffer after a long line, so that one long line does not cost memory for good.
const MAX_IDLE_CAPACITY: usize = 256 * 1024;

/// Counts the lines of a file that comes in chunks of any size.
pub(crate) struct LineCounter {
    tally: Tally,
    /// The incomplete line at the end of the last chunk.
    partial: Vec<u8>,
    /// Whether the incomplete line is too long already: the rest of it is skipped.
    skipping: bool,
    limit: usize,
}

impl LineCounter {
    pub(crate) fn new() -> Self {
        Self::with_limit(MAX_LINE_BYTES)
    }

    fn with_limit(limit: usize) -> Self {
        Self { tally: Tally::default(), partial: Vec::new(), skipping: false, limit }
    }

    /// Counts the lines of the next chunk.
    pub(crate) fn push(&mut self, mut bytes: &[u8]) {
        self.tally.bytes += bytes.len() as u64;
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            self.end_line(&bytes[..end]);
            bytes = &bytes[end + 1..];
        }
        self.append(bytes);
    }

    /// Returns the counts at the end of the file. The last line does not need a line break.
    pub(crate) fn finish(mut self) -> Tally {
        self.end_line(&[]);
        self.tally
    }

    fn append(&mut self, bytes: &[u8]) {
        if self.skipping || self.partial.len() + bytes.len() > self.limit {
            self.skipping = true;
            self.partial = Vec::new();
        } else {
            self.partial.extend_from_slice(bytes);
        }
    }

    fn end_line(&mut self, rest: &[u8]) {
        // Most lines are within one chunk and are parsed in place.
        if self.partial.is_empty() && !self.skipping && rest.len() <= self.limit {
            return self.tally.line(rest);
        }
        self.append(rest);
        if self.skipping {
            self.tally.oversized_line();
            self.skipping = false;
        } else {
            self.tally.line(&self.partial);
            self.partial.clear();
            self.partial.shrink_to(MAX_IDLE_CAPACITY);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn count<'a>(limit: usize, chunks: impl IntoIterator<Item = &'a [u8]>) -> Tally {
        let mut counter = LineCounter::with_limit(limit);
        chunks.into_iter().for_each(|chunk| counter.push(chunk));
        counter.finish()
    }

    fn count_all(text: &str) -> Tally {
        count(MAX_LINE_BYTES, [text.as_bytes()])
    }

    const OK: &str = r#"{"custom_id":"a","response":{"status_code":200,"body":{"model":"m","usage":{"total_tokens":3}}},"error":null}"#;

    #[test]
    fn lines_are_counted_with_and_without_a_break_at_the_end() {
        for text in [
            format!("{OK}\n{OK}"),
            format!("{OK}\n{OK}\n"),
            format!("{OK}\r\n{OK}\r\n"),
            format!("\n{OK}\n \n{OK}\n\n"),
        ] {
            let tally = count_all(&text);
            assert_eq!((tally.lines, tally.succeeded, tally.malformed), (2, 2, 0), "{text:?}");
            assert_eq!(tally.bytes, text.len() as u64);
        }
    }

    #[test]
    fn an_empty_file_has_no_lines() {
        assert_eq!(count_all(""), Tally::default());
    }

    #[test]
    fn a_line_that_is_not_json_is_counted_and_stops_nothing() {
        let tally = count_all(&format!("{OK}\n{{\"custom_id\": \n{OK}\n"));
        assert_eq!((tally.lines, tally.succeeded, tally.malformed), (3, 2, 1));
    }

    #[test]
    fn a_line_beyond_the_limit_is_counted_as_oversized_however_it_is_cut() {
        let text = format!("{OK}\n{}\n{OK}\n{}", "x".repeat(OK.len() + 1), "y".repeat(2 * OK.len()));
        let whole = count(OK.len(), [text.as_bytes()]);
        assert_eq!((whole.lines, whole.succeeded, whole.oversized, whole.malformed), (4, 2, 2, 0));
        for size in [1, 2, 7, OK.len(), OK.len() + 1, OK.len() + 2] {
            assert_eq!(count(OK.len(), text.as_bytes().chunks(size)), whole, "{size}");
        }
    }

    #[test]
    fn the_memory_of_a_long_line_is_freed() {
        let mut counter = LineCounter::new();
        let long = format!("\"{}\"", "x".repeat(4 * MAX_IDLE_CAPACITY));
        counter.push(&long.as_bytes()[..10]);
        counter.push(&long.as_bytes()[10..]);
        assert!(counter.partial.capacity() > MAX_IDLE_CAPACITY);
        counter.push(b"\n");
        assert!(counter.partial.capacity() <= MAX_IDLE_CAPACITY);
        counter.push(&vec![b'x'; MAX_LINE_BYTES]);
        counter.push(b"x");
        assert_eq!(counter.partial.capacity(), 0);
    }

    /// Lines of all kinds: results, near results, and noise.
    fn line() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            Just(OK.as_bytes().to_vec()),
            Just(br#"{"custom_id":"b","response":{"status_code":400,"body":{"error":{"code":"c"}}}}"#.to_vec()),
            Just(br#"{"custom_id":"c","response":null,"error":{"code":"batch_expired","message":"m"}}"#.to_vec()),
            Just(br#"[{"response":{"status_code":200}}]"#.to_vec()),
            prop::collection::vec(any::<u8>(), 0..200),
        ]
    }

    proptest! {
        #[test]
        fn any_split_into_chunks_gives_the_same_counts(
            lines in prop::collection::vec(line(), 0..20),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
            limit in 0_usize..150,
        ) {
            let bytes = lines.join(&b'\n');
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let chunks = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]);
            prop_assert_eq!(count(limit, chunks), count(limit, [&bytes[..]]));
        }

        #[test]
        fn every_line_is_counted_once(lines in prop::collection::vec(line(), 0..20)) {
            let tally = count(MAX_LINE_BYTES, [&lines.join(&b'\n')[..]]);
            prop_assert_eq!(tally.lines, tally.succeeded + tally.failed + tally.malformed + tally.oversized);
        }
    }
}
