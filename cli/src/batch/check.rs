//! The check of an input file, line by line, before anything of it is sent. OpenAI checks a file only when it has it
//! all, and fails the batch for its first fault.

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::fmt;
use std::hash::BuildHasher as _;
use std::io::{self, BufRead};

use hooks_openai::for_display;
use serde_json::{Map, Value};

/// The largest input file that OpenAI takes, in bytes.
pub(super) const MAX_BYTES: u64 = 200 * 1024 * 1024;

/// The most requests that a batch may have.
const MAX_LINES: u64 = 50_000;

/// How many faults are kept to be shown. One mistake in a program that writes such files is in every line.
const MAX_SHOWN: usize = 20;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What a file without faults has.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Checked {
    pub(super) lines: u64,
    /// The path that all requests go to.
    pub(super) endpoint: String,
    /// The model that all requests ask.
    pub(super) model: String,
}

/// What is wrong with a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Faults {
    /// The first of them.
    pub(super) shown: Vec<Fault>,
    /// How many there are.
    pub(super) count: u64,
}

/// What is wrong with a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// From 1.
    line: u64,
    reason: Reason,
}

#[derive(Debug, PartialEq, Eq)]
enum Reason {
    Empty,
    ByteOrderMark,
    TooManyLines,
    BlankLine,
    InvalidJson(String),
    NoObject,
    NoCustomId,
    RepeatedCustomId { id: String, first: u64 },
    NotPost,
    NoUrl,
    OtherUrl { url: String, endpoint: String },
    NoBody,
    NoModel,
    OtherModel { model: String, first: String },
}

/// Checks the lines of a file, telling `progress` how many bytes have been read. With `endpoint` every line must go
/// there, else to where the first one goes.
pub(super) fn check(
    mut file: impl BufRead,
    endpoint: Option<&str>,
    progress: impl Fn(u64),
) -> io::Result<Result<Checked, Faults>> {
    let mut check = Check { endpoint: endpoint.map(str::to_owned), ..Check::default() };
    let (mut line, mut bytes) = (Vec::new(), 0);
    while file.read_until(b'\n', &mut line)? > 0 {
        check.line += 1;
        if check.line > MAX_LINES {
            check.fault(Reason::TooManyLines);
            break;
        }
        check.read(&line);
        bytes += line.len() as u64;
        progress(bytes);
        line.clear();
    }
    if check.line == 0 {
        check.line = 1;
        check.fault(Reason::Empty);
    }
    let Check { line: lines, faults, endpoint, model, .. } = check;
    Ok(match (endpoint, model) {
        (Some(endpoint), Some(model)) if faults.count == 0 => Ok(Checked { lines, endpoint, model }),
        _ => Err(faults),
    })
}

#[derive(Default)]
struct Check {
    /// The number of the line that is checked.
    line: u64,
    faults: Faults,
    endpoint: Option<String>,
    model: Option<String>,
    /// Where an id was first seen, by its hash: an id may be long, and there may be many.
    ids: HashMap<u64, u64>,
    hasher: RandomState,
}

impl Check {
    fn fault(&mut self, reason: Reason) {
        self.faults.count += 1;
        if self.faults.shown.len() < MAX_SHOWN {
            self.faults.shown.push(Fault { line: self.line, reason });
        }
    }

    fn read(&mut self, mut line: &[u8]) {
        if let Some(rest) = line.strip_prefix(BYTE_ORDER_MARK).filter(|_| self.line == 1) {
            self.fault(Reason::ByteOrderMark);
            line = rest;
        }
        if line.trim_ascii().is_empty() {
            return self.fault(Reason::BlankLine);
        }
        match serde_json::from_slice(line) {
            Ok(Value::Object(request)) => self.request(&request),
            Ok(_) => self.fault(Reason::NoObject),
            // The line of the error is always 1; the column is in it.
            Err(error) => self.fault(Reason::InvalidJson(error.to_string().replace(" at line 1 column", " at column"))),
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
                    let first = *entry.get();
                    self.fault(Reason::RepeatedCustomId { id: for_display(id), first });
                }
            },
            None => self.fault(Reason::NoCustomId),
        }
        if text("method") != Some("POST") {
            self.fault(Reason::NotPost);
        }
        match text("url") {
            Some(url) if is_path(url) => {
                let endpoint = self.endpoint.get_or_insert_with(|| url.to_owned());
                if endpoint != url {
                    let reason = Reason::OtherUrl { url: for_display(url), endpoint: for_display(endpoint) };
                    self.fault(reason);
                }
            }
            _ => self.fault(Reason::NoUrl),
        }
        let Some(body) = request.get("body").and_then(Value::as_object) else {
            return self.fault(Reason::NoBody);
        };
        match body.get("model").and_then(Value::as_str).filter(|model| !model.is_empty()) {
            Some(model) => {
                let first = self.model.get_or_insert_with(|| model.to_owned());
                if first != model {
                    let reason = Reason::OtherModel { model: for_display(model), first: for_display(first) };
                    self.fault(reason);
                }
            }
            None => self.fault(Reason::NoModel),
        }
    }
}

/// Whether it is a path of the API, such as `/v1/responses`. Which of them take batches, OpenAI knows.
pub(super) fn is_path(url: &str) -> bool {
    url.strip_prefix("/v1/").is_some_and(|rest| {
        !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/_-.".contains(&byte))
    })
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Fault { line, reason } in &self.shown {
            writeln!(f, "  line {line}: {reason} ({})", reason.name())?;
        }
        match self.count - self.shown.len() as u64 {
            0 => Ok(()),
            more => writeln!(f, "  and {more} more"),
        }
    }
}

impl Reason {
    const fn name(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::ByteOrderMark => "byte_order_mark",
            Self::TooManyLines => "too_many_lines",
            Self::BlankLine => "blank_line",
            Self::InvalidJson(_) => "invalid_json",
            Self::NoObject => "no_object",
            Self::NoCustomId => "no_custom_id",
            Self::RepeatedCustomId { .. } => "repeated_custom_id",
            Self::NotPost => "not_post",
            Self::NoUrl => "no_url",
            Self::OtherUrl { .. } => "other_url",
            Self::NoBody => "no_body",
            Self::NoModel => "no_model",
            Self::OtherModel { .. } => "other_model",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "the file has no request"),
            Self::ByteOrderMark => write!(f, "begins with a byte order mark; save the file as UTF-8 without one"),
            Self::TooManyLines => write!(f, "a batch has {MAX_LINES} requests at most; split the file"),
            Self::BlankLine => write!(f, "is blank"),
            Self::InvalidJson(error) => write!(f, "is no JSON: {error}"),
            Self::NoObject => write!(f, "is no JSON object"),
            Self::NoCustomId => write!(f, "has no custom_id that is a text"),
            Self::RepeatedCustomId { id, first } => write!(f, "its custom_id {id} is that of line {first}"),
            Self::NotPost => write!(f, "its method is not \"POST\""),
            Self::NoUrl => write!(f, "its url is no path such as /v1/responses"),
            Self::OtherUrl { url, endpoint } => write!(f, "its url {url} is not the batch's endpoint {endpoint}"),
            Self::NoBody => write!(f, "has no body that is an object"),
            Self::NoModel => write!(f, "its body names no model"),
            Self::OtherModel { model, first } => {
                write!(f, "its model {model} is not {first}; a batch has one, so split the file")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: &str, url: &str, model: &str) -> String {
        format!(r#"{{"custom_id":"{id}","method":"POST","url":"{url}","body":{{"model":"{model}"}}}}"#)
    }

    fn checked(content: &str, endpoint: Option<&str>) -> Result<Checked, Faults> {
        check(content.as_bytes(), endpoint, |_| ()).unwrap()
    }

    #[test]
    fn a_file_without_faults_says_what_it_asks() {
        let (one, two) = (line("a", "/v1/responses", "m"), line("b", "/v1/responses", "m"));
        let good = Checked { lines: 2, endpoint: "/v1/responses".to_owned(), model: "m".to_owned() };
        for content in [format!("{one}\n{two}\n"), format!("{one}\n{two}"), format!("{one}\r\n {two} \r\n")] {
            assert_eq!(checked(&content, None).as_ref(), Ok(&good), "{content}");
            assert_eq!(checked(&content, Some("/v1/responses")).as_ref(), Ok(&good), "{content}");
        }
    }

    #[test]
    fn the_first_faults_are_shown_and_all_are_counted() {
        let faults = checked(&"x\n".repeat(25), None).unwrap_err();
        assert_eq!((faults.shown.len(), faults.count), (MAX_SHOWN, 25));
        assert!(faults.to_string().ends_with("  and 5 more\n"), "{faults}");
    }

    #[test]
    fn a_line_beyond_the_most_stops_the_check() {
        let lines = |count: u64| {
            (0..count)
                .fold(String::new(), |text, number| text + &line(&number.to_string(), "/v1/embeddings", "m") + "\n")
        };
        assert_eq!(checked(&lines(MAX_LINES), None).unwrap().lines, MAX_LINES);
        let faults = checked(&lines(MAX_LINES + 2), None).unwrap_err();
        assert_eq!(faults.shown, [Fault { line: MAX_LINES + 1, reason: Reason::TooManyLines }]);
    }
}
