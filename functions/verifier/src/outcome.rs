//! Responses of the verifier.
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
//! OpenAI retries for 72 hours until a response is 2xx, so 503 loses nothing. 410 would end the deliveries permanently, and
//! redirects are not followed, so neither is ever sent.

use hooks_webhook::VerifyError;
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};

/// Value of `Retry-After` in seconds.
const RETRY_SECONDS: HeaderValue = HeaderValue::from_static("10");

/// Outcome of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Accepted,
    Rejected(VerifyError),
    UnknownEndpoint,
    MethodNotAllowed,
    SecretUnavailable,
    QueueUnavailable,
}

impl Outcome {
    /// Short, stable code: the `reason` of the response and the metric's dimension.
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Rejected(error) => error.reason(),
            Self::UnknownEndpoint => "unknown_endpoint",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::SecretUnavailable => "secret_unavailable",
            Self::QueueUnavailable => "queue_unavailable",
        }
    }

    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::Accepted => StatusCode::OK,
            Self::Rejected(error) => StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST),
            Self::UnknownEndpoint => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::SecretUnavailable | Self::QueueUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Explanation for the sender, with the next step.
    fn detail(self) -> String {
        match self {
            Self::Accepted => String::new(),
            Self::Rejected(error) => rejection_detail(error),
            Self::UnknownEndpoint => "Deliveries go to /webhooks/{endpoint}. No endpoint of this name exists.".into(),
            Self::MethodNotAllowed => "Deliveries are POST requests.".into(),
            Self::SecretUnavailable => "The signing secret cannot be read or was never set. Retry the delivery.".into(),
            Self::QueueUnavailable => "The event could not be queued. Retry the delivery.".into(),
        }
    }

    /// HTTP response: `{"received":true}`, or problem details (RFC 9457) with the reason.
    pub(crate) fn response(self) -> Response<String> {
        if self == Self::Accepted {
            return respond(StatusCode::OK, "application/json", "{\"received\":true}".to_owned());
        }
        let status = self.status();
        let (code, title) = (status.as_u16(), status.canonical_reason().unwrap_or_default());
        let (reason, detail) = (self.reason(), self.detail());
        // None of these texts needs JSON escapes.
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

fn rejection_detail(error: VerifyError) -> String {
    match error {
        VerifyError::MissingHeader(name) => format!("The header {name} is missing or empty."),
        VerifyError::DuplicateHeader(name) => format!("The header {name} must be present exactly once."),
        VerifyError::MalformedTimestamp => "The timestamp must be whole seconds since 1970, in ASCII digits.".into(),
        VerifyError::TimestampTooOld => {
            "The timestamp is more than 300 seconds old. Sign the delivery again to retry it.".into()
        }
        VerifyError::TimestampTooNew => {
            "The timestamp is more than 300 seconds ahead. The sender's clock may be wrong.".into()
        }
        VerifyError::NoMatchingSignature => "No signature matches this endpoint's secret and exactly these bytes. \
             Check that the stored secret is the one that OpenAI shows for this endpoint."
            .into(),
        VerifyError::MalformedBody => "The signed body is not a JSON object with a type and an id.".into(),
        VerifyError::BodyTooLarge => "The body is larger than 262144 bytes.".into(),
        _ => "The delivery was rejected.".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    const REJECTIONS: [VerifyError; 8] = [
        VerifyError::MissingHeader("webhook-id"),
        VerifyError::DuplicateHeader("webhook-id"),
        VerifyError::MalformedTimestamp,
        VerifyError::TimestampTooOld,
        VerifyError::TimestampTooNew,
        VerifyError::NoMatchingSignature,
        VerifyError::MalformedBody,
        VerifyError::BodyTooLarge,
    ];

    #[test]
    fn every_problem_is_valid_json_that_names_its_reason_and_says_more() {
        let others = [
            Outcome::UnknownEndpoint,
            Outcome::MethodNotAllowed,
            Outcome::SecretUnavailable,
            Outcome::QueueUnavailable,
        ];
        for outcome in REJECTIONS.map(Outcome::Rejected).into_iter().chain(others) {
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
        for error in REJECTIONS {
            let status = Outcome::Rejected(error).status();
            assert!(status.is_client_error() && status != StatusCode::GONE);
        }
    }
}
