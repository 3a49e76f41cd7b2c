//! What one delivery carries, and the request that carries it.

use axum::http::header::{CONTENT_TYPE, USER_AGENT};
use axum::http::{HeaderName, HeaderValue, Request};
use bytes::Bytes;
use http_body_util::Full;
use serde::Deserialize;

use super::endpoint::Endpoint;
use super::event::Event;
use super::signing::Signature;

const OPENAI_USER_AGENT: &str = "OpenAI/1.0 (+https://platform.openai.com/docs/webhooks)";

/// What is not given is made as OpenAI makes it.
#[derive(Debug, Clone)]
pub(super) struct Parcel {
    pub(super) event_id: Option<String>,
    pub(super) event_type: Option<String>,
    body: String,
    /// The same for every attempt, whether given or made.
    pub(super) webhook_id: Option<String>,
    /// Instead of each attempt's time, as text.
    pub(super) timestamp: Option<String>,
    pub(super) signature: Signature,
    /// Set after signing; `None` takes the header away.
    pub(super) headers: Vec<(HeaderName, Option<HeaderValue>)>,
    pub(super) retry: bool,
}

/// What is known of a body that was given whole.
#[derive(Default, Deserialize)]
struct Envelope {
    id: Option<String>,
    r#type: Option<String>,
}

impl Parcel {
    pub(super) fn of(event: Event) -> Self {
        Self::new(Some(event.id), Some(event.kind), event.body)
    }

    /// Any body, even one that is no event.
    pub(super) fn raw(body: String) -> Self {
        let envelope: Envelope = serde_json::from_str(&body).unwrap_or_default();
        Self::new(envelope.id, envelope.r#type, body)
    }

    fn new(event_id: Option<String>, event_type: Option<String>, body: String) -> Self {
        Self {
            event_id,
            event_type,
            body,
            webhook_id: None,
            timestamp: None,
            signature: Signature::Genuine,
            headers: Vec::new(),
            retry: true,
        }
    }

    pub(super) fn request(
        &self,
        endpoint: &Endpoint,
        webhook_id: &str,
        timestamp: &str,
    ) -> Result<Request<Full<Bytes>>, axum::http::Error> {
        let signature = self.signature.header(&endpoint.secrets, webhook_id, timestamp, &self.body);
        let mut request = Request::post(&endpoint.url)
            .header(USER_AGENT, OPENAI_USER_AGENT)
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", webhook_id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signature)
            .body(Full::from(self.body.clone()))?;
        for (name, value) in &self.headers {
            match value {
                Some(value) => request.headers_mut().insert(name, value.clone()),
                None => request.headers_mut().remove(name),
            };
        }
        Ok(request)
    }
}
