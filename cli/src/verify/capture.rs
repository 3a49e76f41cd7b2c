//! A captured request.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::error::{CliError, Result};

/// Maximum number of header lines.
const MAX_HEADERS: usize = 1000;

/// Headers and body of a request.
#[derive(Debug, Default)]
pub(super) struct Capture {
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Capture {
    /// Parses header lines, an empty line, and the body, as `curl --include`, `nc` and proxies write them. Request and
    /// status lines, and the marks of `curl --verbose`, are skipped.
    pub(super) fn from_request(request: &[u8]) -> Result<Self> {
        let mut capture = Self::default();
        let mut rest = request;
        loop {
            let (line, after) = first_line(rest).ok_or_else(|| {
                CliError::usage("the capture has no empty line between the headers and the body")
                    .hint("For headers and body in separate files, use --headers and --body.")
            })?;
            rest = after;
            if line.is_empty() {
                break;
            }
            capture.add_line(line)?;
        }
        capture.body = rest.to_vec();
        Ok(capture)
    }

    /// Adds header lines.
    pub(super) fn add_lines(&mut self, lines: &[u8]) -> Result<()> {
        let mut rest = lines;
        while let Some((line, after)) = first_line(rest) {
            rest = after;
            if !line.is_empty() {
                self.add_line(line)?;
            }
        }
        if rest.is_empty() { Ok(()) } else { self.add_line(rest) }
    }

    /// Adds a header; `None` if it is not valid.
    pub(super) fn add(&mut self, name: &str, value: &[u8]) -> Option<()> {
        let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
        let value = HeaderValue::from_bytes(value.trim_ascii()).ok()?;
        if self.headers.len() >= MAX_HEADERS {
            return None;
        }
        self.headers.try_append(name, value).ok().map(drop)
    }

    fn add_line(&mut self, line: &[u8]) -> Result<()> {
        let is_skipped = line.starts_with(b"HTTP/") || line.starts_with(b"* ") || is_request_line(line);
        if is_skipped {
            return Ok(());
        }
        let added = line.iter().position(|byte| *byte == b':').and_then(|colon| {
            let name = str::from_utf8(&line[..colon]).ok()?;
            self.add(name, &line[colon + 1..])
        });
        // The line is not shown: it may be part of the body.
        added.ok_or_else(|| {
            CliError::usage("a line of the headers is not `name: value`")
                .hint("A capture has header lines, an empty line, and the body.")
        })
    }
}

/// The first line, without its end and the marks of `curl --verbose`, and the rest.
fn first_line(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|byte| *byte == b'\n')?;
    let line = &text[..end];
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let line = line.strip_prefix(b"> ").or_else(|| line.strip_prefix(b"< ")).unwrap_or(line);
    Some((if matches!(line, b">" | b"<") { b"" } else { line }, &text[end + 1..]))
}

/// `POST /webhooks/project HTTP/1.1`
fn is_request_line(line: &[u8]) -> bool {
    line.windows(6).any(|part| part == b" HTTP/") && line.first().is_some_and(u8::is_ascii_uppercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_as_tools_write_it() {
        for dump in [
            "webhook-id: wh_1\n\n{}\r\n",
            "POST /webhooks/project HTTP/1.1\r\nHost: a\r\nWebhook-Id:wh_1\r\n\r\n{}\r\n",
            "* Connected to a\n> POST / HTTP/1.1\r\n> webhook-id: wh_1\r\n>\r\n{}\r\n",
        ] {
            let capture = Capture::from_request(dump.as_bytes()).unwrap();
            assert_eq!(capture.headers["webhook-id"], "wh_1", "{dump}");
            assert_eq!(capture.body, b"{}\r\n", "{dump}");
        }
    }

    #[test]
    fn a_repeated_header_is_there_twice() {
        let capture = Capture::from_request(b"webhook-id: a\nwebhook-id: b\n\n").unwrap();
        assert_eq!(capture.headers.get_all("webhook-id").iter().count(), 2);
    }

    #[test]
    fn other_text_is_refused_without_showing_it() {
        for dump in ["", "{\"secret\": 1}", "webhook-id: a\n{\"secret\" 1}\n\n", "no header\n\n", "a b: c\n\n"] {
            let failure = Capture::from_request(dump.as_bytes()).unwrap_err();
            assert!(!failure.to_string().contains("secret"), "{dump:?}");
        }
    }
}
