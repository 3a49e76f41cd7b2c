//! The test delivery: an event of our own, signed with the pending secret, that no handler acts on.

use std::time::Duration;

use hooks_function::clock::now_seconds;
use hooks_openai::Url;
use hooks_webhook::Secret;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::error::RotationError;

/// An unknown type of a category that records unknown types and neither calls nor alerts anyone. See `docs/rotation.md`.
const EVENT_TYPE: &str = "realtime.signing_secret.tested";

/// Longest wait for an answer. OpenAI waits a few seconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Pause before the next attempt. A verifier that has just read its secrets reads them again after 30 seconds.
const PAUSE: Duration = Duration::from_secs(5);

/// Sends test deliveries to the project's webhook URL.
pub(crate) struct TestDelivery {
    http: hooks_openai::HttpClient,
    url: String,
}

impl TestDelivery {
    /// Deliveries to this URL. The error says what is wrong with it.
    pub(crate) fn new(url: &str) -> Result<Self, String> {
        let parsed: Url = url.parse().map_err(|_| "is not a URL".to_owned())?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err("is not an http:// or https:// URL".to_owned());
        }
        let http = hooks_openai::http_client().map_err(|error| error.to_string())?;
        Ok(Self { http, url: url.to_owned() })
    }

    /// Delivers an event about this version of the secret, signed with it, until it is answered with 200.
    ///
    /// Every attempt, of later invocations too, has the same `webhook-id`, as OpenAI's own repeats do: however often it
    /// is accepted, it is one event.
    pub(crate) async fn send(&self, secret: &Secret, version: &str, until: Instant) -> Result<(), RotationError> {
        loop {
            let last = match self.attempt(secret, version, until).await {
                Ok(200) => return Ok(()),
                Ok(status) => format!("it was answered with {status}"),
                Err(problem) => problem,
            };
            if Instant::now() + PAUSE >= until {
                return Err(RotationError::NotAccepted { url: self.url.clone(), last });
            }
            sleep(PAUSE).await;
        }
    }

    /// The answer's status, or why there is none.
    async fn attempt(&self, secret: &Secret, version: &str, until: Instant) -> Result<u16, String> {
        let now = now_seconds().cast_unsigned();
        let body = json!({
            "id": format!("evt_{version}"),
            "object": "event",
            "type": EVENT_TYPE,
            "created_at": now,
            "data": {"id": version},
        })
        .to_string();
        let id = format!("wh_{version}");
        let signature = secret.sign(&id, now, body.as_bytes());
        let request = self
            .http
            .post(&self.url)
            .header("content-type", "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", now)
            .header("webhook-signature", signature)
            .timeout(ANSWER_TIMEOUT.min(until.saturating_duration_since(Instant::now())))
            .body(body);
        match request.send().await {
            Ok(answer) => Ok(answer.status().as_u16()),
            Err(error) if error.is_timeout() => Err("no answer came in time".to_owned()),
            Err(error) if error.is_connect() => Err("it cannot be reached".to_owned()),
            Err(_) => Err("the connection broke".to_owned()),
        }
    }
}
