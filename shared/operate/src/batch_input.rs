//! Check of an input file, line by line, before it is uploaded. OpenAI checks a file only after the upload, and fails the
//! batch at its first error.

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::fmt;
use std::hash::BuildHasher as _;
use std::io::{self, BufRead};

use hooks_openai::for_display;
use serde::Serialize;
use serde_json::{Map, Value};

/// OpenAI's limit for an input file, in bytes.
pub const MAX_BYTES: u64 = 200 * 1024 * 1024;

/// OpenAI's limit for the number of requests.
const MAX_LINES: u64 = 50_000;

/// Path whose requests need not name a model.
const WITHOUT_MODEL: &str = "/v1/moderations";

/// Maximum number of errors that are shown. A mistake of the program that writes the file is in every line.
const MAX_SHOWN: usize = 20;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Summary of a file without errors.
#[derive(Debug, PartialEq, Eq)]
pub struct InputSummary {
    /// Number of lines.
    pub lines: u64,
    /// Path of all requests.
    pub endpoint: String,
    /// Model of all requests; `None` if they name none, where the path does without.
    pub model: Option<String>,
}

/// Errors of a file.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct InputErrors {
    /// The first errors.
    pub shown: Vec<LineError>,
    /// Number of all errors.
    pub count: u64,
}

/// Error of a line.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct LineError {
    /// Line number, from 1.
    pub line: u64,
    /// Short code.
    pub reason: &'static str,
    /// The error in words; it follows the line's number.
    pub message: String,
}

/// Checks the lines of a file; `progress` gets the number of bytes read. All requests must have the path `endpoint`, or
/// else that of the first.
pub fn check(
    mut file: impl BufRead,
    endpoint: Option<&str>,
    progress: impl Fn(u64),
) -> io::Result<Result<InputSummary, InputErrors>> {
    let mut check = Check { endpoint: endpoint.map(str::to_owned), ..Check::default() };
    let (mut line, mut bytes) = (Vec::new(), 0);
    while file.read_until(b'\n', &mut line)? > 0 {
        check.line += 1;
        if check.line > MAX_LINES {
            check.error("too_many_lines", format!("a batch has at most {MAX_LINES} requests; split the file"));
            break;
        }
        check.read(&line);
        bytes += line.len() as u64;
        progress(bytes);
        line.clear();
    }
    if check.line == 0 {
        check.line = 1;
        check.error("empty", "the file has no requests");
    }
    let Check { line: lines, errors, endpoint, model, .. } = check;
    Ok(match endpoint {
        Some(endpoint) if errors.count == 0 => Ok(InputSummary { lines, endpoint, model }),
        _ => Err(errors),
    })
}

#[derive(Default)]
struct Check {
    /// Number of the current line.
    line: u64,
    errors: InputErrors,
    endpoint: Option<String>,
    model: Option<String>,
    /// Line of each id, by its hash: ids can be long and many.
    ids: HashMap<u64, u64>,
    hasher: RandomState,
}

impl Check {
    fn error(&mut self, reason: &'static str, message: impl Into<String>) {
        self.errors.count += 1;
        if self.errors.shown.len() < MAX_SHOWN {
            self.errors.shown.push(LineError { line: self.line, reason, message: message.into() });
        }
    }

    fn read(&mut self, mut line: &[u8]) {
        if let Some(rest) = line.strip_prefix(BYTE_ORDER_MARK).filter(|_| self.line == 1) {
            self.error("byte_order_mark", "begins with a byte order mark; save the file as UTF-8 without one");
            line = rest;
        }
        if line.trim_ascii().is_empty() {
            return self.error("blank_line", "is blank");
        }
        match serde_json::from_slice(line) {
            Ok(Value::Object(request)) => self.request(&request),
            Ok(_) => self.error("not_an_object", "is not a JSON object"),
            // The JSON error's own line is always 1.
            Err(error) => {
                let error = error.to_string().replace(" at line 1 column", " at column");
                self.error("invalid_json", format!("is not JSON: {error}"));
            }
        }
    }

    fn request(&mut self, request: &Map<String, Value>) {
        let text = |name| request.get(name).and_then(Value::as_str);
        match text("custom_id") {
            Some(id) => match self.ids.entry(self.hasher.hash_one(id)) {
                Entry::Vacant(entry) => {
                    entry.insert(self.line);
                }
                Entry::Occupied(entry) => {
                    let message = format!("its custom_id {} is also on line {}", for_display(id), entry.get());
                    self.error("repeated_custom_id", message);
                }
            },
            None => self.error("missing_custom_id", "its custom_id is missing or not a string"),
        }
        if text("method") != Some("POST") {
            self.error("not_post", "its method is not \"POST\"");
        }
        match text("url") {
            Some(url) if is_path(url) => {
                let endpoint = self.endpoint.get_or_insert_with(|| url.to_owned());
                if endpoint != url {
                    let (url, endpoint) = (for_display(url), for_display(endpoint));
                    self.error("other_url", format!("its url {url} is not the batch's endpoint {endpoint}"));
                }
            }
            _ => self.error("missing_url", "its url is missing or not a path such as /v1/responses"),
        }
        let Some(body) = request.get("body").and_then(Value::as_object) else {
            return self.error("missing_body", "its body is missing or not an object");
        };
        match body.get("model").and_then(Value::as_str).filter(|model| !model.is_empty()) {
            Some(model) => {
                let first = self.model.get_or_insert_with(|| model.to_owned());
                if first != model {
                    let (model, first) = (for_display(model), for_display(first));
                    let message = format!("its model {model} is not {first}; a batch has one model, so split the file");
                    self.error("other_model", message);
                }
            }
            None if text("url") == Some(WITHOUT_MODEL) => {}
            None => self.error("missing_model", "its body has no model"),
        }
    }
}

/// Whether it is a path of the API, such as `/v1/responses`. OpenAI decides which paths take batches.
#[must_use]
pub fn is_path(url: &str) -> bool {
    url.strip_prefix("/v1/").is_some_and(|rest| {
        !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/_-.".contains(&byte))
    })
}

impl fmt::Display for InputErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for LineError { line, reason, message } in &self.shown {
            writeln!(f, "  line {line}: {message} ({reason})")?;
        }
        match self.count - self.shown.len() as u64 {
            0 => Ok(()),
            more => writeln!(f, "  and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: &str, url: &str, model: &str) -> String {
        format!(r#"{{"custom_id":"{id}","method":"POST","url":"{url}","body":{{"model":"{model}"}}}}"#)
    }

    fn checked(content: &str, endpoint: Option<&str>) -> Result<InputSummary, InputErrors> {
        check(content.as_bytes(), endpoint, |_| ()).unwrap()
    }

    #[test]
    fn a_file_without_errors_is_summarised() {
        let (one, two) = (line("a", "/v1/responses", "m"), line("b", "/v1/responses", "m"));
        let good = InputSummary { lines: 2, endpoint: "/v1/responses".to_owned(), model: Some("m".to_owned()) };
        for content in [format!("{one}\n{two}\n"), format!("{one}\n{two}"), format!("{one}\r\n {two} \r\n")] {
            assert_eq!(checked(&content, None).as_ref(), Ok(&good), "{content}");
            assert_eq!(checked(&content, Some("/v1/responses")).as_ref(), Ok(&good), "{content}");
        }
    }

    #[test]
    fn a_moderation_needs_no_model() {
        let line = r#"{"custom_id":"a","method":"POST","url":"/v1/moderations","body":{"input":"Hello"}}"#;
        assert_eq!(checked(line, None).unwrap().model, None);
        let errors = checked(&line.replace("moderations", "embeddings"), None).unwrap_err();
        assert_eq!(errors.shown.first().map(|error| error.reason), Some("missing_model"));
    }

    #[test]
    fn the_first_errors_are_shown_and_all_are_counted() {
        let errors = checked(&"x\n".repeat(25), None).unwrap_err();
        assert_eq!((errors.shown.len(), errors.count), (MAX_SHOWN, 25));
        assert!(errors.to_string().ends_with("  and 5 more\n"), "{errors}");
    }

    #[test]
    fn a_line_beyond_the_limit_stops_the_check() {
        let lines = |count: u64| {
            (0..count)
                .fold(String::new(), |text, number| text + &line(&number.to_string(), "/v1/embeddings", "m") + "\n")
        };
        assert_eq!(checked(&lines(MAX_LINES), None).unwrap().lines, MAX_LINES);
        let errors = checked(&lines(MAX_LINES + 2), None).unwrap_err();
        let [LineError { line, reason, .. }] = errors.shown.as_slice() else { panic!("{errors}") };
        assert_eq!((*line, *reason), (MAX_LINES + 1, "too_many_lines"));
    }
}
