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

/// Line by which a capture shows that it is `curl --verbose`'s, which prints no request body at all.
const CURL: &str = "curl --verbose prints the headers of a request and not its body";

impl Capture {
    /// Parses header lines, an empty line, and the body, as `nc` and proxies write them. A byte order mark, empty lines
    /// before the first header, request and status lines and HTTP/2's pseudo-headers are skipped, and chunks are joined.
    pub(super) fn from_request(request: &[u8]) -> Result<Self> {
        let mut capture = Self::default();
        let mut rest = without_mark(request);
        let is_curl = of_curl(rest);
        loop {
            let (line, after) = first_line(rest).ok_or_else(|| {
                CliError::usage("the capture has no empty line between the headers and the body")
                    .hint("For headers and body in separate files, use --headers and --body.")
            })?;
            rest = after;
            match (line.is_empty(), capture.headers.is_empty()) {
                (true, false) => break,
                (true, true) => {}
                _ if is_curl && !line.starts_with(b"> ") => {}
                _ => capture.add_line(line)?,
            }
            if is_curl && line == b">" {
                break;
            }
        }
        if is_curl && (rest.is_empty() || is_curls_own(rest)) {
            return Err(CliError::usage(CURL).hint(
                "Give both: --headers FILE with this file, and --body FILE with the bytes that were sent. Or capture with \
                 a proxy that writes the whole request.",
            ));
        }
        capture.body = match capture.headers.get("transfer-encoding") {
            Some(value) if value.as_bytes().eq_ignore_ascii_case(b"chunked") => {
                joined_chunks(rest).unwrap_or_else(|| rest.to_vec())
            }
            _ => rest.to_vec(),
        };
        Ok(capture)
    }

    /// Adds header lines; of what `curl --verbose` prints, those of the request.
    pub(super) fn add_lines(&mut self, lines: &[u8]) -> Result<()> {
        let mut rest = without_mark(lines);
        let is_curl = of_curl(rest);
        while !rest.is_empty() {
            let (line, after) = first_line(rest).unwrap_or((rest, b""));
            rest = after;
            if !line.is_empty() && (!is_curl || line.starts_with(b"> ")) {
                self.add_line(line)?;
            }
        }
        Ok(())
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
        let line = line.strip_prefix(b"> ").unwrap_or(line);
        if line.starts_with(b"HTTP/") || line.starts_with(b":") || is_request_line(line) {
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

/// The first line, without its end, and the rest. White space behind curl's mark of an empty line is not part of it.
fn first_line(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|byte| *byte == b'\n')?;
    let line = &text[..end];
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    Some((if line == b"> " { b">" } else { line }, &text[end + 1..]))
}

fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
}

/// Whether `curl --verbose` wrote it: it marks each line of the request's headers. A body has lines of any kind, so only
/// what comes before the first header without a mark counts.
fn of_curl(mut text: &[u8]) -> bool {
    while let Some((line, rest)) = first_line(text) {
        text = rest;
        if line.starts_with(b"> ") {
            return true;
        }
        if !line.is_empty() && !is_curls_own(line) {
            return false;
        }
    }
    false
}

/// Whether a text begins with a line of curl's own: about the connection, about data, or of the answer.
fn is_curls_own(text: &[u8]) -> bool {
    [b"* ".as_slice(), b"*  ", b"< ", b"} [", b"{ ["].iter().any(|mark| text.starts_with(mark))
}

/// The data of a chunked body; `None` if it is none.
fn joined_chunks(mut text: &[u8]) -> Option<Vec<u8>> {
    let mut joined = Vec::new();
    loop {
        let (line, rest) = first_line(text)?;
        let digits = str::from_utf8(line.split(|byte| *byte == b';').next()?).ok()?;
        let length = usize::from_str_radix(digits.trim(), 16).ok()?;
        if length == 0 {
            return Some(joined);
        }
        joined.extend_from_slice(rest.get(..length)?);
        let end = rest.get(length..)?;
        text = end.strip_prefix(b"\r\n").or_else(|| end.strip_prefix(b"\n"))?;
    }
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
            "\u{feff}POST / HTTP/1.1\nwebhook-id: wh_1\n\n{}\r\n",
            "\r\n\r\nPOST / HTTP/1.1\r\nwebhook-id: wh_1\r\n\r\n{}\r\n",
            ":method: POST\r\n:authority: a\r\nwebhook-id: wh_1\r\n\r\n{}\r\n",
            "* Connected to a\n> POST / HTTP/1.1\r\n> webhook-id: wh_1\r\n> \r\n{}\r\n",
            "webhook-id: wh_1\ntransfer-encoding: Chunked\n\n1;x=y\r\n{\r\n3\r\n}\r\n\r\n0\r\n\r\n",
        ] {
            let capture = Capture::from_request(dump.as_bytes()).unwrap();
            assert_eq!(capture.headers["webhook-id"], "wh_1", "{dump}");
            assert_eq!(capture.body, b"{}\r\n", "{dump}");
        }
    }

    #[test]
    fn curl_prints_no_body_and_its_headers_are_read_beside_one() {
        let request = "> POST / HTTP/1.1\r\n> webhook-id: wh_1\r\n> Content-Length: 2\r\n> \r\n";
        let answer = "} [2 bytes data]\n< HTTP/1.1 200 OK\r\n< webhook-id: other\r\n< \r\n{ [1 bytes data]\n{}";
        for before in ["* Connected to a\n", "*   Trying a...\n} [5 bytes data]\n* TLS\n{ [1 bytes data]\n", ""] {
            let dump = format!("{before}{request}{answer}");
            let refused = Capture::from_request(dump.as_bytes()).unwrap_err();
            assert_eq!(refused.message, CURL, "{dump}");
            let mut capture = Capture::default();
            capture.add_lines(dump.as_bytes()).unwrap();
            assert_eq!(capture.headers.len(), 2, "{dump}");
            assert_eq!(capture.headers["webhook-id"], "wh_1", "{dump}");
        }
        assert_eq!(Capture::from_request(request.as_bytes()).unwrap_err().message, CURL);
    }

    #[test]
    fn a_body_that_only_says_that_it_is_chunked_stays_as_it_is() {
        for body in ["{}", "5\r\n{}\r\n0\r\n", "zz\r\n{}\r\n", "ffffffffffffffff\r\n{}\r\n", "2\r\n{}"] {
            let dump = format!("transfer-encoding: chunked\n\n{body}");
            assert_eq!(Capture::from_request(dump.as_bytes()).unwrap().body, body.as_bytes());
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
