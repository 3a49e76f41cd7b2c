//! Reasons for rejecting a delivery.

use thiserror::Error;

/// Rejection of a delivery, one variant per reason.
///
/// `Display` and `Debug` show nothing of the request: no body, no header value, no signature.
#[derive(Clone, Copy, Debug, Eq, Error, Hash, PartialEq)]
#[non_exhaustive]
pub enum VerifyError {
    /// A required header is absent or empty, or the `webhook-id` is not UTF-8 (found when the body is parsed).
    #[error("the header {0} is missing")]
    MissingHeader(&'static str),
    /// A header that must be present once is repeated.
    #[error("the header {0} is present more than once")]
    DuplicateHeader(&'static str),
    /// The timestamp does not consist of ASCII digits.
    #[error("the timestamp is not a number of seconds")]
    MalformedTimestamp,
    /// The timestamp is more than [`TOLERANCE`](crate::TOLERANCE) before the clock.
    #[error("the timestamp is too old")]
    TimestampTooOld,
    /// The timestamp is more than [`TOLERANCE`](crate::TOLERANCE) after the clock.
    #[error("the timestamp is too new")]
    TimestampTooNew,
    /// No signature was made with a live secret over exactly these bytes.
    #[error("no signature matches")]
    NoMatchingSignature,
    /// The body is signed, but is not a JSON object with a `type` and an `id`.
    #[error("the body is not an event")]
    MalformedBody,
    /// The body is longer than [`MAX_BODY`](crate::MAX_BODY).
    #[error("the body is too large")]
    BodyTooLarge,
}

impl VerifyError {
    /// Short, stable code of the reason for responses, logs and metrics.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::MissingHeader(_) => "missing_header",
            Self::DuplicateHeader(_) => "duplicate_header",
            Self::MalformedTimestamp => "malformed_timestamp",
            Self::TimestampTooOld => "timestamp_too_old",
            Self::TimestampTooNew => "timestamp_too_new",
            Self::NoMatchingSignature => "no_matching_signature",
            Self::MalformedBody => "malformed_body",
            Self::BodyTooLarge => "body_too_large",
        }
    }

    /// HTTP status of the reason.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::MissingHeader(_) | Self::DuplicateHeader(_) | Self::MalformedTimestamp | Self::MalformedBody => 400,
            Self::TimestampTooOld | Self::TimestampTooNew | Self::NoMatchingSignature => 401,
            Self::BodyTooLarge => 413,
        }
    }
}
