//! The signature check and the two states of a delivery: [`Signed`], then [`Verified`].

use std::fmt;

use http::HeaderMap;

use crate::event::Envelope;
use crate::signature::{WEBHOOK_ID, standard_webhooks, timestamped_hex};
use crate::{Category, EventData, Scheme, Secret, VerifyError};

/// Maximum distance of a delivery's timestamp from the clock in seconds, before or after, inclusive. As in OpenAI's
/// libraries.
///
/// Every retry has a new timestamp and signature, so the window limits replays and never a retry.
pub const TOLERANCE: u64 = 300;

/// Maximum body length in bytes, inclusive. Events are below 1 kB; only those of phone calls are longer, because they
/// carry the caller's SIP headers.
pub const MAX_BODY: usize = 256 * 1024;

/// Checks that a delivery was signed with one of `secrets`, within the time window around `now` (Unix seconds).
///
/// `body` is the bytes from the wire: base64-decoded where API Gateway encoded them, and never re-serialised. Secrets of
/// another scheme never match.
///
/// The order of the checks: size, headers, timestamp, signature. The body is not parsed before [`Signed::parse`].
pub fn verify<'a>(
    scheme: Scheme,
    secrets: &[Secret],
    headers: &'a HeaderMap,
    body: &'a [u8],
    now: u64,
) -> Result<Signed<'a>, VerifyError> {
    if body.len() > MAX_BODY {
        return Err(VerifyError::BodyTooLarge);
    }
    let (webhook_id, timestamp) = match scheme {
        Scheme::StandardWebhooks => {
            let (id, timestamp) = standard_webhooks(secrets, headers, body, now)?;
            (Some(id), timestamp)
        }
        Scheme::TimestampedHex => (None, timestamped_hex(secrets, headers, body, now)?),
    };
    Ok(Signed { webhook_id, timestamp, body })
}

/// Delivery with a valid signature and an unparsed body.
///
/// Only [`verify`] creates one:
///
/// ```compile_fail,E0451
/// let signed = hooks_webhook::Signed { webhook_id: None, timestamp: b"1750861210", body: b"{}" };
/// ```
#[must_use]
pub struct Signed<'a> {
    webhook_id: Option<&'a [u8]>,
    timestamp: &'a [u8],
    body: &'a [u8],
}

impl<'a> Signed<'a> {
    /// The `webhook-id` header, for logging a malformed body. The legacy scheme has none.
    #[must_use]
    pub fn webhook_id(&self) -> Option<&'a str> {
        self.webhook_id.and_then(|id| str::from_utf8(id).ok())
    }

    /// Parses the envelope; everything else in the body is only checked to be JSON.
    ///
    /// A body that is not a UTF-8 JSON object with a non-empty string `type` and a non-empty string `id` is rejected as
    /// [`VerifyError::MalformedBody`]. Any nesting depth is accepted: skipped values are skipped without recursion.
    pub fn parse(self) -> Result<Verified<'a>, VerifyError> {
        let webhook_id = self.webhook_id.map(str::from_utf8).transpose();
        let webhook_id = webhook_id.map_err(|_| VerifyError::MissingHeader(WEBHOOK_ID))?;
        let timestamp = str::from_utf8(self.timestamp).map_err(|_| VerifyError::MalformedTimestamp)?;
        let body = str::from_utf8(self.body).map_err(|_| VerifyError::MalformedBody)?;
        let envelope = Envelope::parse(body).ok_or(VerifyError::MalformedBody)?;
        Ok(Verified { webhook_id, timestamp, body, envelope })
    }
}

impl fmt::Debug for Signed<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Signed").field("webhook_id", &self.webhook_id()).finish_non_exhaustive()
    }
}

/// Verified event: signed with a live secret, within the time window, and well-formed.
///
/// A function that takes a `Verified` needs no check of its own, because only [`Signed::parse`] creates one:
///
/// ```compile_fail,E0451
/// fn forge(verified: hooks_webhook::Verified<'_>) -> hooks_webhook::Verified<'_> {
///     hooks_webhook::Verified { body: "{}", ..verified }
/// }
/// ```
#[must_use]
pub struct Verified<'a> {
    webhook_id: Option<&'a str>,
    timestamp: &'a str,
    body: &'a str,
    envelope: Envelope<'a>,
}

impl<'a> Verified<'a> {
    /// The `webhook-id` header, which is the same in all attempts at one delivery. The legacy scheme does not sign one, so
    /// there it is the event's id.
    #[must_use]
    pub fn webhook_id(&self) -> &str {
        self.webhook_id.unwrap_or(&self.envelope.id)
    }

    /// Time of this attempt in Unix seconds, as the text that was signed.
    #[must_use]
    pub const fn timestamp(&self) -> &'a str {
        self.timestamp
    }

    /// The body, unchanged.
    #[must_use]
    pub const fn body(&self) -> &'a str {
        self.body
    }

    /// Type of the event, such as `batch.completed`; possibly an unknown one.
    #[must_use]
    pub fn event_type(&self) -> &str {
        &self.envelope.event_type
    }

    /// Id of the event (`evt_…`), which differs from the delivery's.
    #[must_use]
    pub fn event_id(&self) -> &str {
        &self.envelope.id
    }

    /// Id of the event's object, as [`EventData::object_id`].
    #[must_use]
    pub fn object_id(&self) -> Option<String> {
        EventData::read(self.event_type(), self.envelope.data).object_id().map(str::to_owned)
    }

    /// Category of the event.
    #[must_use]
    pub fn category(&self) -> Category {
        Category::of(self.event_type())
    }
}

impl fmt::Debug for Verified<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Verified")
            .field("webhook_id", &self.webhook_id())
            .field("event_type", &self.event_type())
            .field("event_id", &self.event_id())
            .finish_non_exhaustive()
    }
}
