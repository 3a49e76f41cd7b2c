//! Errors of calls, and what they mean for the caller.

use std::error::Error as _;
use std::fmt;
use std::time::{Duration, SystemTime};

use hooks_webhook::Json;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderValue, RETRY_AFTER};

use hooks_text::for_display;

/// Meaning of a failed call for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// A retry may help: a failed connection, 408, 409, 429, 5xx, or an unreadable answer.
    Retry,
    /// The object does not exist, or belongs to another project than the key (404).
    NotFound,
    /// The key is wrong or has no permission for the call (401, 403).
    Unauthorized,
    /// The account has no credit left (429 with `insufficient_quota`). A retry helps only after a payment.
    QuotaExhausted,
    /// The answer is longer than any that is read here. OpenAI did not refuse the call.
    TooLarge,
    /// A retry cannot help.
    Permanent,
}

/// A failed call: its name, the cause and OpenAI's request id.
///
/// It contains no secrets: OpenAI's message is cut to 300 characters, and whatever looks like a key is masked.
#[derive(Debug)]
pub struct OpenAiError(Box<Inner>);

#[derive(Debug)]
struct Inner {
    call: &'static str,
    cause: Cause,
    request_id: Option<String>,
}

#[derive(Debug)]
enum Cause {
    InvalidId,
    Connection(String),
    Timeout(&'static str),
    Interrupted(String),
    Unreadable(&'static str),
    TooLarge { limit: usize },
    Status(Refused),
}

#[derive(Debug)]
struct Refused {
    status: StatusCode,
    class: ErrorClass,
    code: Option<String>,
    message: Option<String>,
    retry_after: Option<Duration>,
}

impl OpenAiError {
    /// The error's class, which decides about a retry.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match &self.0.cause {
            Cause::Status(refused) => refused.class,
            Cause::InvalidId => ErrorClass::Permanent,
            Cause::TooLarge { .. } => ErrorClass::TooLarge,
            // An unreadable answer usually comes from a proxy between OpenAI and here.
            Cause::Connection(_) | Cause::Timeout(_) | Cause::Interrupted(_) | Cause::Unreadable(_) => {
                ErrorClass::Retry
            }
        }
    }

    /// The HTTP status that OpenAI refused the call with.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.refused().map(|refused| refused.status.as_u16())
    }

    /// OpenAI's name for the error: its `code`, or else its `type`.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.refused()?.code.as_deref()
    }

    /// The pause that OpenAI asks for: `retry-after-ms`, or else `Retry-After` in seconds or as a date.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.refused()?.retry_after
    }

    /// OpenAI's `x-request-id`, for its support.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    fn refused(&self) -> Option<&Refused> {
        match &self.0.cause {
            Cause::Status(refused) => Some(refused),
            _ => None,
        }
    }

    fn new(call: &'static str, cause: Cause) -> Self {
        Self(Box::new(Inner { call, cause, request_id: None }))
    }

    pub(crate) fn with_request_id(mut self, request_id: Option<String>) -> Self {
        self.0.request_id = request_id;
        self
    }

    pub(crate) fn invalid_id(call: &'static str) -> Self {
        Self::new(call, Cause::InvalidId)
    }

    pub(crate) fn timeout(call: &'static str, waiting_for: &'static str) -> Self {
        Self::new(call, Cause::Timeout(waiting_for))
    }

    pub(crate) fn unreadable(call: &'static str, what: &'static str) -> Self {
        Self::new(call, Cause::Unreadable(what))
    }

    pub(crate) fn too_large(call: &'static str, limit: usize) -> Self {
        Self::new(call, Cause::TooLarge { limit })
    }

    /// No answer came.
    pub(crate) fn connection(call: &'static str, error: reqwest::Error) -> Self {
        Self::new(call, Cause::Connection(chain(error)))
    }

    /// No answer came to a call that is not made by reqwest.
    pub(crate) fn no_answer(call: &'static str, error: &dyn fmt::Display) -> Self {
        Self::new(call, Cause::Connection(for_display(&error.to_string())))
    }

    /// The answer broke off.
    pub(crate) fn interrupted(call: &'static str, error: reqwest::Error) -> Self {
        Self::new(call, Cause::Interrupted(chain(error)))
    }

    /// OpenAI refused. `body` is the part of the answer that was read, JSON or not.
    pub(crate) fn refused_with(call: &'static str, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        // It may be cut off.
        let error = Json::of(body).get("error");
        let [code, kind, message] = error.map(|error| error.pick(["code", "type", "message"])).unwrap_or_default();
        let [code, kind, message] = [code, kind, message.or(error)].map(|part| part.and_then(Json::text));
        let quota_exhausted = [&code, &kind].iter().any(|name| name.as_deref() == Some("insufficient_quota"));
        Self::new(
            call,
            Cause::Status(Refused {
                status,
                class: class_of(status, quota_exhausted, headers),
                code: code.or(kind).as_deref().map(for_display),
                message: message.as_deref().map(for_display),
                retry_after: retry_after(headers, SystemTime::now()),
            }),
        )
    }
}

/// OpenAI's own clients retry the same statuses. They also follow `x-should-retry`, but within seconds: `false` with a rate
/// limit tells them to give up, and does not concern a queue that retries minutes later.
fn class_of(status: StatusCode, quota_exhausted: bool, headers: &HeaderMap) -> ErrorClass {
    let by_status = match status.as_u16() {
        429 if quota_exhausted => ErrorClass::QuotaExhausted,
        408 | 409 | 429 | 500.. => ErrorClass::Retry,
        404 => ErrorClass::NotFound,
        401 | 403 => ErrorClass::Unauthorized,
        _ => ErrorClass::Permanent,
    };
    match headers.get("x-should-retry").map(HeaderValue::as_bytes) {
        Some(b"true") => ErrorClass::Retry,
        Some(b"false") if by_status == ErrorClass::Retry && status != StatusCode::TOO_MANY_REQUESTS => {
            ErrorClass::Permanent
        }
        _ => by_status,
    }
}

fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let seconds = |text: &str| Duration::try_from_secs_f64(text.parse().ok()?).ok();
    if let Some(pause) = text("retry-after-ms").and_then(seconds) {
        return Some(pause / 1000);
    }
    let value = text(RETRY_AFTER.as_str())?;
    seconds(value).or_else(|| httpdate::parse_http_date(value).ok()?.duration_since(now).ok())
}

/// The error and its causes: reqwest's own text says only that the request could not be sent.
fn chain(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    for_display(&text)
}

impl fmt::Display for OpenAiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { call, cause, request_id } = &*self.0;
        match cause {
            Cause::InvalidId => write!(f, "{call}: the id has characters that no OpenAI id has")?,
            Cause::Connection(error) => write!(f, "{call}: no answer: {error}")?,
            Cause::Timeout(waiting_for) => write!(f, "{call}: timed out waiting for {waiting_for}")?,
            Cause::Interrupted(error) => write!(f, "{call}: the answer broke off: {error}")?,
            Cause::Unreadable(what) => write!(f, "{call}: the answer is not {what}")?,
            Cause::TooLarge { limit } => write!(f, "{call}: the answer is longer than {limit} bytes")?,
            Cause::Status(refused) => {
                write!(f, "{call}: OpenAI answered {}", refused.status.as_u16())?;
                if let Some(code) = &refused.code {
                    write!(f, " {code}")?;
                }
                if let Some(message) = &refused.message {
                    write!(f, ": {message}")?;
                }
            }
        }
        match request_id {
            Some(id) => write!(f, " (request {id})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for OpenAiError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn retry_after_is_read_in_each_of_its_forms() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000);
        let in_90_s = httpdate::fmt_http_date(now + Duration::from_secs(90));
        let long_ago = httpdate::fmt_http_date(now - Duration::from_secs(90));
        let pause = |pairs: &[(&'static str, &str)]| retry_after(&headers(pairs), now);

        assert_eq!(pause(&[]), None);
        assert_eq!(pause(&[("retry-after", "7")]), Some(Duration::from_secs(7)));
        assert_eq!(pause(&[("retry-after", " 0.5 ")]), Some(Duration::from_millis(500)));
        assert_eq!(pause(&[("retry-after", &in_90_s)]), Some(Duration::from_secs(90)));
        assert_eq!(pause(&[("retry-after-ms", "1500"), ("retry-after", "7")]), Some(Duration::from_millis(1500)));
        assert_eq!(pause(&[("retry-after-ms", "soon"), ("retry-after", "7")]), Some(Duration::from_secs(7)));
        for nonsense in ["", "soon", "-1", "1e300", "nan", &long_ago] {
            assert_eq!(pause(&[("retry-after", nonsense)]), None, "{nonsense:?}");
        }
    }

    #[test]
    fn x_should_retry_overrides_the_status_except_that_a_rate_limit_always_passes() {
        let no = headers(&[("x-should-retry", "false")]);
        let yes = headers(&[("x-should-retry", "true")]);
        assert_eq!(class_of(StatusCode::INTERNAL_SERVER_ERROR, false, &no), ErrorClass::Permanent);
        assert_eq!(class_of(StatusCode::NOT_FOUND, false, &no), ErrorClass::NotFound);
        assert_eq!(class_of(StatusCode::TOO_MANY_REQUESTS, false, &no), ErrorClass::Retry);
        assert_eq!(class_of(StatusCode::TOO_MANY_REQUESTS, true, &no), ErrorClass::QuotaExhausted);
        assert_eq!(class_of(StatusCode::BAD_REQUEST, false, &yes), ErrorClass::Retry);
    }
}
