//! The signature check, and the two steps a delivery takes: [`Signed`], then [`Verified`].

use std::borrow::Cow;
use std::fmt;

use http::HeaderMap;
use serde::Deserialize;

use crate::signature::{WEBHOOK_ID, standard_webhooks, timestamped_hex};
use crate::{Category, Refusal, Scheme, Secret};

/// How far a delivery's timestamp may lie before or after the clock, in seconds, bounds included. As in OpenAI's own
/// libraries.
///
/// Every retry carries a fresh timestamp and signature, so the window bounds a replay, never a retry.
pub const TOLERANCE: u64 = 300;

/// The longest body that is looked at, in bytes, bound included. Events are below 1 kB; only those of phone calls are
/// longer, since they carry the caller's SIP headers.
pub const MAX_BODY: usize = 256 * 1024;

/// Checks that a delivery was signed with one of `secrets`, within the time window around `now` (Unix seconds).
///
/// The body is taken as the bytes that came over the wire: decoded where the front door wrapped it in base64, and never
/// re-serialised. Secrets of another scheme than the endpoint's never match.
///
/// The steps are taken in this order: size, headers, timestamp, signature. Nothing of the body is interpreted;
/// [`Signed::parse`] does that afterwards.
pub fn verify<'a>(
    scheme: Scheme,
    secrets: &[Secret],
    headers: &'a HeaderMap,
    body: &'a [u8],
    now: u64,
) -> Result<Signed<'a>, Refusal> {
    if body.len() > MAX_BODY {
        return Err(Refusal::BodyTooLarge);
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

/// A delivery whose signature is right. What it says has not been looked at yet.
///
/// Only [`verify`] makes one:
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
    /// The `webhook-id` header, for a log line about a body that turns out to be malformed. The legacy scheme has none.
    #[must_use]
    pub fn webhook_id(&self) -> Option<&'a str> {
        self.webhook_id.and_then(|id| str::from_utf8(id).ok())
    }

    /// Reads the two fields that every event has; everything else of the body is only checked to be JSON.
    ///
    /// Any other body than a UTF-8 JSON object with a non-empty string `type` and a non-empty string `id` is refused as
    /// [`Refusal::MalformedBody`]. Nesting of any depth is fine: what is skipped is skipped without recursion.
    pub fn parse(self) -> Result<Verified<'a>, Refusal> {
        let webhook_id = self.webhook_id.map(str::from_utf8).transpose();
        let webhook_id = webhook_id.map_err(|_| Refusal::MissingHeader(WEBHOOK_ID))?;
        let timestamp = str::from_utf8(self.timestamp).map_err(|_| Refusal::MalformedTimestamp)?;
        let body = str::from_utf8(self.body).map_err(|_| Refusal::MalformedBody)?;
        let envelope: Envelope<'a> = serde_json::from_str(body).map_err(|_| Refusal::MalformedBody)?;
        if envelope.event_type.is_empty() || envelope.id.is_empty() {
            return Err(Refusal::MalformedBody);
        }
        Ok(Verified { webhook_id, timestamp, body, envelope })
    }
}

impl fmt::Debug for Signed<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Signed").field("webhook_id", &self.webhook_id()).finish_non_exhaustive()
    }
}

/// The part of an event that decides where it goes. Borrows from the body wherever no JSON escape stands in the way.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, rename = "type")]
    event_type: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
}

/// A genuine event: rightly signed, in time, and an event by its shape.
///
/// Whoever takes a `Verified` needs no check of his own, because only [`Signed::parse`] makes one:
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
    /// What stays the same over all attempts at one delivery: the `webhook-id` header. The legacy scheme signs no such
    /// header, so there it is the event's id.
    #[must_use]
    pub fn webhook_id(&self) -> &str {
        self.webhook_id.unwrap_or(&self.envelope.id)
    }

    /// When this attempt was made, in Unix seconds: the text exactly as it was signed.
    #[must_use]
    pub const fn timestamp(&self) -> &'a str {
        self.timestamp
    }

    /// The body, unchanged.
    #[must_use]
    pub const fn body(&self) -> &'a str {
        self.body
    }

    /// The event's type, such as `batch.completed`. It may be one that nobody has seen yet.
    #[must_use]
    pub fn event_type(&self) -> &str {
        &self.envelope.event_type
    }

    /// The event's own id (`evt_…`), which is another than the delivery's.
    #[must_use]
    pub fn event_id(&self) -> &str {
        &self.envelope.id
    }

    /// Where the event goes.
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
