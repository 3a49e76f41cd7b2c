//! Contents of a delivery, and its HTTP request.

use axum::http::header::{CONTENT_TYPE, USER_AGENT};
use axum::http::{HeaderName, HeaderValue, Request};
use bytes::Bytes;
use http_body_util::Full;
use serde::Deserialize;

use super::endpoint::Endpoint;
use super::event::Event;

const OPENAI_USER_AGENT: &str = "OpenAI/1.0 (+https://platform.openai.com/docs/webhooks)";

/// Contents of a delivery. Missing fields are made as OpenAI makes them.
#[derive(Debug, Clone)]
pub(super) struct DeliverySpec {
    pub(super) event_id: Option<String>,
    pub(super) event_type: Option<String>,
    pub(super) body: String,
    /// Identical for every attempt, whether given or made.
    pub(super) webhook_id: Option<String>,
    /// Instead of each attempt's time.
    pub(super) timestamp: Option<String>,
    /// Signed with a key that the endpoint does not have.
    pub(super) forged: bool,
    /// Set after signing; `None` removes the header.
    pub(super) headers: Vec<(HeaderName, Option<HeaderValue>)>,
    pub(super) retry: bool,
}

/// The id and type of a body that was given whole.
#[derive(Default, Deserialize)]
struct Envelope {
    id: Option<String>,
    r#type: Option<String>,
}

impl DeliverySpec {
    pub(super) fn of(event: Event) -> Self {
        Self::new(Some(event.id), Some(event.kind), event.body)
    }

    /// Any body, even one that is not an event.
    pub(super) fn raw(body: String) -> Self {
        let envelope: Envelope = serde_json::from_str(&body).unwrap_or_default();
        Self::new(envelope.id, envelope.r#type, body)
    }

    fn new(event_id: Option<String>, event_type: Option<String>, body: String) -> Self {
        let headers = Vec::new();
        Self { event_id, event_type, body, webhook_id: None, timestamp: None, forged: false, headers, retry: true }
    }

    pub(super) fn request(
        &self,
        endpoint: &Endpoint,
        webhook_id: &str,
        timestamp: &str,
    ) -> Result<Request<Full<Bytes>>, axum::http::Error> {
        let mut request =
            Request::post(&endpoint.url).header(USER_AGENT, OPENAI_USER_AGENT).header(CONTENT_TYPE, "application/json");
        let Endpoint { scheme, secrets, .. } = endpoint;
        for (name, value) in scheme.headers(secrets, self.forged, webhook_id, timestamp, &self.body) {
            request = request.header(name, value);
        }
        let mut request = request.body(Full::from(self.body.clone()))?;
        for (name, value) in &self.headers {
            match value {
                Some(value) => request.headers_mut().insert(name, value.clone()),
                None => request.headers_mut().remove(name),
            };
        }
        Ok(request)
    }
}
