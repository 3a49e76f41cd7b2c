//! A delivery of our own, which nobody acts on.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hooks_openai::Url;
use hooks_webhook::Secret;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::failure::Failure;

/// Of the category that records what it does not know, and asks and alerts nobody. See `docs/rotation.md`.
const EVENT_TYPE: &str = "realtime.signing_secret.tested";

/// How long an answer may take. OpenAI waits a few seconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// The pause before the next try. A verifier that has just looked for new secrets does so again after 30 seconds.
const PAUSE: Duration = Duration::from_secs(5);

/// Delivers to the project's webhook URL.
pub(crate) struct Probe {
    http: hooks_openai::HttpClient,
    url: String,
}

impl Probe {
    /// To this URL; fails with what is wrong with it.
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
    /// Every try, of later invocations too, is the same delivery under the same `webhook-id`, as OpenAI's own repeats
    /// are: however often it is accepted, it is one event.
    pub(crate) async fn deliver(&self, secret: &Secret, version: &str, until: Instant) -> Result<(), Failure> {
        loop {
            let last = match self.attempt(secret, version, until).await {
                Ok(200) => return Ok(()),
                Ok(status) => format!("it was answered with {status}"),
                Err(problem) => problem,
            };
            if Instant::now() + PAUSE >= until {
                return Err(Failure::NotAccepted { url: self.url.clone(), last });
            }
            sleep(PAUSE).await;
        }
    }

    /// The status of the answer, or why there is none.
    async fn attempt(&self, secret: &Secret, version: &str, until: Instant) -> Result<u16, String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
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
