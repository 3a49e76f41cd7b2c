//! Every answer that the verifier gives.
//!
//! | status | reason |
//! |---|---|
//! | 200 | none: accepted and queued |
//! | 400 | `missing_header` `duplicate_header` `malformed_timestamp` `malformed_body` |
//! | 401 | `timestamp_too_old` `timestamp_too_new` `no_matching_signature` |
//! | 404 | `unknown_endpoint` |
//! | 405 | `method_not_allowed` |
//! | 413 | `body_too_large` |
//! | 503 | `secret_unavailable` `queue_unavailable` |
//!
//! OpenAI repeats what is not answered 2xx for 72 hours, so 503 loses nothing. 410 would end the deliveries for good and
//! a redirect is not followed, so neither is ever given.

use hooks_webhook::Refusal;
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};

/// Seconds after which an unavailable service is worth another try.
const RETRY_SECONDS: HeaderValue = HeaderValue::from_static("10");

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Accepted,
    Refused(Refusal),
    UnknownEndpoint,
    MethodNotAllowed,
    SecretUnavailable,
    QueueUnavailable,
}

impl Outcome {
    /// A short, stable code: the `reason` of the answer and the metric's dimension.
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused(refusal) => refusal.reason(),
            Self::UnknownEndpoint => "unknown_endpoint",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::SecretUnavailable => "secret_unavailable",
            Self::QueueUnavailable => "queue_unavailable",
        }
    }

    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::Accepted => StatusCode::OK,
            Self::Refused(refusal) => StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST),
            Self::UnknownEndpoint => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::SecretUnavailable | Self::QueueUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// What the sender can do about it.
    fn detail(self) -> String {
        match self {
            Self::Accepted => String::new(),
            Self::Refused(refusal) => refused(refusal),
            Self::UnknownEndpoint => {
                "Deliveries go to /webhooks/{endpoint}, and no endpoint of this name is set up.".into()
            }
            Self::MethodNotAllowed => "Deliveries are POST requests.".into(),
            Self::SecretUnavailable => {
                "The signing secret cannot be read, or was never set. The delivery can be repeated.".into()
            }
            Self::QueueUnavailable => "The event could not be queued. The delivery can be repeated.".into(),
        }
    }

    /// The answer: `{"received":true}`, or problem details (RFC 9457) with the reason.
    pub(crate) fn response(self) -> Response<String> {
        if self == Self::Accepted {
            return respond(StatusCode::OK, "application/json", "{\"received\":true}".to_owned());
        }
        let status = self.status();
        let (code, title) = (status.as_u16(), status.canonical_reason().unwrap_or_default());
        let (reason, detail) = (self.reason(), self.detail());
        // None of these texts has a character that JSON would escape.
        let body =
            format!("{{\"title\":\"{title}\",\"status\":{code},\"detail\":\"{detail}\",\"reason\":\"{reason}\"}}");
        let mut response = respond(status, "application/problem+json", body);
        match self {
            Self::MethodNotAllowed => response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST")),
            Self::SecretUnavailable | Self::QueueUnavailable => {
                response.headers_mut().insert(RETRY_AFTER, RETRY_SECONDS)
            }
            _ => None,
        };
        response
    }
}

fn respond(status: StatusCode, content_type: &'static str, body: String) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn refused(refusal: Refusal) -> String {
    match refusal {
        Refusal::MissingHeader(name) => format!("The header {name} is missing or empty."),
        Refusal::DuplicateHeader(name) => format!("The header {name} must be there exactly once."),
        Refusal::MalformedTimestamp => "The timestamp must be whole seconds since 1970, in ASCII digits.".into(),
        Refusal::TimestampTooOld => {
            "The timestamp is more than 300 seconds old. A delivery must be signed anew to be repeated.".into()
        }
        Refusal::TimestampTooNew => {
            "The timestamp is more than 300 seconds ahead. The sender's clock may be wrong.".into()
        }
        Refusal::NoMatchingSignature => "No signature was made with this endpoint's secret over exactly these bytes. \
             Check that the secret stored here is the one that OpenAI shows for this endpoint."
            .into(),
        Refusal::MalformedBody => "The signed body is not a JSON object with a type and an id.".into(),
        Refusal::BodyTooLarge => "The body is larger than 262144 bytes.".into(),
        _ => "The delivery was refused.".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    const REFUSALS: [Refusal; 8] = [
        Refusal::MissingHeader("webhook-id"),
        Refusal::DuplicateHeader("webhook-id"),
        Refusal::MalformedTimestamp,
        Refusal::TimestampTooOld,
        Refusal::TimestampTooNew,
        Refusal::NoMatchingSignature,
        Refusal::MalformedBody,
        Refusal::BodyTooLarge,
    ];

    #[test]
    fn every_problem_is_valid_json_that_names_its_reason_and_says_more() {
        let others = [
            Outcome::UnknownEndpoint,
            Outcome::MethodNotAllowed,
            Outcome::SecretUnavailable,
            Outcome::QueueUnavailable,
        ];
        for outcome in REFUSALS.map(Outcome::Refused).into_iter().chain(others) {
            let response = outcome.response();
            let problem: Value = serde_json::from_str(response.body()).unwrap();
            assert_eq!(problem["reason"], outcome.reason());
            assert_eq!(problem["status"], response.status().as_u16());
            assert!(problem["detail"].as_str().unwrap().len() > 20, "{problem}");
            assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        }
    }

    #[test]
    fn no_answer_is_gone_or_a_redirect() {
        for refusal in REFUSALS {
            let status = Outcome::Refused(refusal).status();
            assert!(status.is_client_error() && status != StatusCode::GONE);
        }
    }
}
