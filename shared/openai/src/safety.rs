//! Safety alerts and cases, reduced to what people are told.

use bytes::Bytes;
use serde_json::Value;
use tokio::time::Instant;

use crate::client::{Call, Client};
use crate::error::OpenAiError;
use crate::objects::{text, time};

/// A safety alert: OpenAI saw a model do something that was perhaps not intended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SafetyAlert {
    /// `alert_...`
    pub id: String,
    /// What it looked like, such as `potentially_unintended_data_transfer`.
    pub error_type: Option<String>,
    /// Whether the request was registered to be blocked. Its execution need not have stopped by that.
    pub request_paused: Option<bool>,
    /// The model.
    pub model: Option<String>,
    /// The request, `req_...`
    pub request_id: Option<String>,
    /// The response, `resp_...`
    pub response_id: Option<String>,
    /// A sentence that follows from the `error_type`.
    pub reason: Option<String>,
    /// What happened, in some detail. OpenAI keeps it for a while only.
    pub detailed_explanation: Option<String>,
    /// When it was created, in seconds since the epoch.
    pub created_at: Option<i64>,
    /// The whole object, byte for byte.
    pub json: Bytes,
}

/// A safety case: a warning or a deactivation that OpenAI has issued for one of the organization's safety identifiers.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SafetyCase {
    /// `C-...`
    pub id: String,
    /// `warning` or `deactivation`, or something newer.
    pub notice: Option<String>,
    /// Who it is about: the safety identifier that came with the requests.
    pub entity_identifier: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// When it was created, in seconds since the epoch.
    pub created_at: Option<i64>,
    /// The whole object, byte for byte.
    pub json: Bytes,
}

impl Client {
    /// Retrieves a safety alert: `GET /safety/alerts/{id}`. The key needs `api.safety.alerts.read`.
    pub async fn safety_alert(&self, id: &str, deadline: Instant) -> Result<SafetyAlert, OpenAiError> {
        let path = ["safety", "alerts", id];
        let answer = self.get(Call::new("retrieve safety alert", &path), deadline).await?;
        let json = answer.bytes.clone();
        answer.read("a safety alert", |raw| SafetyAlert::from_json(&raw, json))
    }

    /// Retrieves a safety case: `GET /safety/cases/{id}`. The key needs `api.safety.read` and must be of the same
    /// organization.
    pub async fn safety_case(&self, id: &str, deadline: Instant) -> Result<SafetyCase, OpenAiError> {
        let path = ["safety", "cases", id];
        let answer = self.get(Call::new("retrieve safety case", &path), deadline).await?;
        let json = answer.bytes.clone();
        answer.read("a safety case", |raw| SafetyCase::from_json(&raw, json))
    }
}

impl SafetyAlert {
    /// `None` when it has no id.
    fn from_json(raw: &Value, json: Bytes) -> Option<Self> {
        Some(Self {
            id: text(raw, "id")?,
            error_type: text(raw, "error_type"),
            request_paused: raw.get("request_paused").and_then(Value::as_bool),
            model: text(raw, "model"),
            request_id: text(raw, "request_id"),
            response_id: text(raw, "response_id"),
            reason: text(raw, "reason"),
            detailed_explanation: text(raw, "detailed_explanation"),
            created_at: time(raw, "created_at"),
            json,
        })
    }
}

impl SafetyCase {
    /// `None` when it has no id.
    fn from_json(raw: &Value, json: Bytes) -> Option<Self> {
        Some(Self {
            id: text(raw, "id")?,
            notice: raw.get("notice").and_then(|notice| text(notice, "type")),
            entity_identifier: text(raw, "entity_identifier"),
            reason: text(raw, "reason"),
            created_at: time(raw, "created_at"),
            json,
        })
    }
}
