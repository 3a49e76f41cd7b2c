//! The content of a file: stored bytes, or a repeated line that is generated while it is read.

use axum::body::Body;
use bytes::Bytes;
use futures::stream;

/// The size of the blocks in which a repeated line is sent, bytes.
const BLOCK: usize = 64 * 1024;

#[derive(Debug, Clone)]
pub(crate) enum Content {
    Stored(Bytes),
    /// `block` holds whole lines and is sent repeatedly, up to `length` bytes in `lines` lines.
    Repeated {
        block: Bytes,
        length: u64,
        lines: u64,
    },
}

impl Content {
    /// `line` and a line feed, `lines` times; `None` when the length overflows.
    pub(crate) fn repeated(line: &str, lines: u64) -> Option<Self> {
        let line = format!("{line}\n");
        let length = lines.checked_mul(u64::try_from(line.len()).ok()?)?;
        let block = Bytes::from(line.repeat((BLOCK / line.len()).max(1)));
        Some(Self::Repeated { block, length, lines })
    }

    /// The length in bytes.
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Stored(bytes) => bytes.len() as u64,
            Self::Repeated { length, .. } => *length,
        }
    }

    /// The number of lines that are not blank.
    pub(crate) fn lines(&self) -> u64 {
        match self {
            Self::Stored(bytes) => lines_of(bytes).count() as u64,
            Self::Repeated { lines, .. } => *lines,
        }
    }

    pub(crate) fn into_body(self) -> Body {
        match self {
            Self::Stored(bytes) => Body::from(bytes),
            Self::Repeated { block, length, .. } => {
                Body::from_stream(stream::unfold((block, length), |(block, left)| async move {
                    if left == 0 {
                        return None;
                    }
                    let share = usize::try_from(left).map_or(block.len(), |left| left.min(block.len()));
                    let chunk = block.slice(..share);
                    Some((Ok::<_, axum::Error>(chunk), (block, left - share as u64)))
                }))
            }
        }
    }
}

/// The lines of a JSONL file that are not blank.
pub(crate) fn lines_of(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    async fn read(content: Content) -> Bytes {
        content.into_body().collect().await.unwrap().to_bytes()
    }

    #[tokio::test]
    async fn a_repeated_line_reads_as_so_many_lines() {
        let content = Content::repeated("abc", 3).unwrap();
        assert_eq!((content.len(), content.lines()), (12, 3));
        assert_eq!(read(content).await, "abc\nabc\nabc\n");
    }

    #[tokio::test]
    async fn repeated_lines_go_on_over_many_blocks() {
        let content = Content::repeated("0123456", 100_000).unwrap();
        let bytes = read(content).await;
        assert_eq!(bytes.len(), 800_000);
        assert!(lines_of(&bytes).all(|line| line == b"0123456"));
    }

    #[tokio::test]
    async fn a_line_longer_than_a_block_stays_whole() {
        let line = "x".repeat(BLOCK + 1);
        assert_eq!(read(Content::repeated(&line, 2).unwrap()).await.len(), 2 * (BLOCK + 2));
    }

    #[test]
    fn more_bytes_than_can_be_counted_are_refused() {
        assert!(Content::repeated("ab", u64::MAX / 2).is_none());
    }

    #[test]
    fn empty_lines_hold_no_request() {
        assert_eq!(Content::Stored(Bytes::from("a\n\n \r\nb")).lines(), 2);
    }
}
