//! Why a delivery is refused.

use thiserror::Error;

/// Why a delivery is refused: one variant per reason.
///
/// Neither `Display` nor `Debug` carries anything of the request: no body, no header's value, no signature.
#[derive(Clone, Copy, Debug, Eq, Error, Hash, PartialEq)]
#[non_exhaustive]
pub enum Refusal {
    /// A required header is absent or empty; or the `webhook-id` is no text, which shows when the body is read.
    #[error("the header {0} is missing")]
    MissingHeader(&'static str),
    /// A header that must be there once is there more often.
    #[error("the header {0} is there more than once")]
    DuplicateHeader(&'static str),
    /// The timestamp is not a row of ASCII digits.
    #[error("the timestamp is not a number of seconds")]
    MalformedTimestamp,
    /// The timestamp is more than [`TOLERANCE`](crate::TOLERANCE) before the clock.
    #[error("the timestamp is too old")]
    TimestampTooOld,
    /// The timestamp is more than [`TOLERANCE`](crate::TOLERANCE) after the clock.
    #[error("the timestamp is too new")]
    TimestampTooNew,
    /// None of the signatures was made with a live secret over exactly these bytes.
    #[error("no signature matches")]
    NoMatchingSignature,
    /// The body is signed, but is no JSON object with a `type` and an `id`.
    #[error("the body is not an event")]
    MalformedBody,
    /// The body is longer than [`MAX_BODY`](crate::MAX_BODY).
    #[error("the body is too large")]
    BodyTooLarge,
}

impl Refusal {
    /// The reason as a short, stable code for answers, logs and metrics.
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

    /// The HTTP status that goes with the reason.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::MissingHeader(_) | Self::DuplicateHeader(_) | Self::MalformedTimestamp | Self::MalformedBody => 400,
            Self::TimestampTooOld | Self::TimestampTooNew | Self::NoMatchingSignature => 401,
            Self::BodyTooLarge => 413,
        }
    }
}
