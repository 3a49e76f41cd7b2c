//! Reads a result file while it streams by: cuts it into lines and counts what they say.
//!
//! A result file has one JSON object per line, in any order. Nothing in it can stop the stream: a line that is no such
//! object is counted as malformed, and one too long to be held is counted as oversized. Both are stored like the rest.

mod record;
mod tally;

pub(crate) use tally::{ErrorTally, Tally, Tokens};

/// The longest line that is held in memory to be read. Results with images in them have lines of several megabytes;
/// this leaves them room and still fits, beside the parts of the upload, into a small function.
const MAX_LINE_BYTES: usize = 16 * 1024 * 1024;

/// What a line's buffer may keep after a long line, so that one long line does not cost its memory for good.
const KEPT_BYTES: usize = 256 * 1024;

/// Takes the bytes of a file in pieces of any size and counts its lines.
pub(crate) struct Scanner {
    tally: Tally,
    /// The beginning of a line whose end has not come yet.
    begun: Vec<u8>,
    /// Whether the line that has begun is too long already, so that only its end is looked for.
    skipping: bool,
    limit: usize,
}

impl Scanner {
    pub(crate) fn new() -> Self {
        Self::with_limit(MAX_LINE_BYTES)
    }

    fn with_limit(limit: usize) -> Self {
        Self { tally: Tally::default(), begun: Vec::new(), skipping: false, limit }
    }

    /// The next piece of the file.
    pub(crate) fn push(&mut self, mut bytes: &[u8]) {
        self.tally.bytes += bytes.len() as u64;
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            self.end_line(&bytes[..end]);
            bytes = &bytes[end + 1..];
        }
        self.begin_line(bytes);
    }

    /// The file is over. Its last line need not end in a line break.
    pub(crate) fn finish(mut self) -> Tally {
        self.end_line(&[]);
        self.tally
    }

    fn begin_line(&mut self, bytes: &[u8]) {
        if self.skipping || self.begun.len() + bytes.len() > self.limit {
            self.skipping = true;
            self.begun = Vec::new();
        } else {
            self.begun.extend_from_slice(bytes);
        }
    }

    fn end_line(&mut self, rest: &[u8]) {
        // Most lines lie within one piece, and are read where they are.
        if self.begun.is_empty() && !self.skipping && rest.len() <= self.limit {
            return self.tally.line(rest);
        }
        self.begin_line(rest);
        if self.skipping {
            self.tally.oversized_line();
            self.skipping = false;
        } else {
            self.tally.line(&self.begun);
            self.begun.clear();
            self.begun.shrink_to(KEPT_BYTES);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scan<'a>(limit: usize, pieces: impl IntoIterator<Item = &'a [u8]>) -> Tally {
        let mut scanner = Scanner::with_limit(limit);
        pieces.into_iter().for_each(|piece| scanner.push(piece));
        scanner.finish()
    }

    fn scan_all(text: &str) -> Tally {
        scan(MAX_LINE_BYTES, [text.as_bytes()])
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
            let tally = scan_all(&text);
            assert_eq!((tally.lines, tally.succeeded, tally.malformed), (2, 2, 0), "{text:?}");
            assert_eq!(tally.bytes, text.len() as u64);
        }
    }

    #[test]
    fn an_empty_file_has_no_lines() {
        assert_eq!(scan_all(""), Tally::default());
    }

    #[test]
    fn a_line_that_is_no_json_is_counted_and_stops_nothing() {
        let tally = scan_all(&format!("{OK}\n{{\"custom_id\": \n{OK}\n"));
        assert_eq!((tally.lines, tally.succeeded, tally.malformed), (3, 2, 1));
    }

    #[test]
    fn a_line_beyond_the_limit_is_counted_as_oversized_however_it_is_cut() {
        let text = format!("{OK}\n{}\n{OK}\n{}", "x".repeat(OK.len() + 1), "y".repeat(2 * OK.len()));
        let whole = scan(OK.len(), [text.as_bytes()]);
        assert_eq!((whole.lines, whole.succeeded, whole.oversized, whole.malformed), (4, 2, 2, 0));
        for size in [1, 2, 7, OK.len(), OK.len() + 1, OK.len() + 2] {
            assert_eq!(scan(OK.len(), text.as_bytes().chunks(size)), whole, "{size}");
        }
    }

    #[test]
    fn the_memory_of_a_long_line_is_given_back() {
        let mut scanner = Scanner::new();
        let long = format!("\"{}\"", "x".repeat(4 * KEPT_BYTES));
        scanner.push(&long.as_bytes()[..10]);
        scanner.push(&long.as_bytes()[10..]);
        assert!(scanner.begun.capacity() > KEPT_BYTES);
        scanner.push(b"\n");
        assert!(scanner.begun.capacity() <= KEPT_BYTES);
        scanner.push(&vec![b'x'; MAX_LINE_BYTES]);
        scanner.push(b"x");
        assert_eq!(scanner.begun.capacity(), 0);
    }

    /// Lines of all kinds: results, things that resemble them, and noise.
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
        fn any_cut_into_pieces_gives_the_same_counts(
            lines in prop::collection::vec(line(), 0..20),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
            limit in 0_usize..150,
        ) {
            let bytes = lines.join(&b'\n');
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]);
            prop_assert_eq!(scan(limit, pieces), scan(limit, [&bytes[..]]));
        }

        #[test]
        fn every_line_is_counted_once(lines in prop::collection::vec(line(), 0..20)) {
            let tally = scan(MAX_LINE_BYTES, [&lines.join(&b'\n')[..]]);
            prop_assert_eq!(tally.lines, tally.succeeded + tally.failed + tally.malformed + tally.oversized);
        }
    }
}
