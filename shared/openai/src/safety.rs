//! Safety alerts and cases, reduced to the fields that are used.

use bytes::Bytes;
use hooks_webhook::Json;
use tokio::time::Instant;

use crate::client::{Call, Client};
use crate::error::OpenAiError;
use crate::objects::{text, time};

/// A safety alert: OpenAI noticed an activity of a model that may be unintended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SafetyAlert {
    /// `alert_...`
    pub id: String,
    /// The kind of activity, such as `potentially_unintended_data_transfer`.
    pub error_type: Option<String>,
    /// Whether the request was marked to be blocked, which may not have stopped its execution.
    pub request_paused: Option<bool>,
    /// The model.
    pub model: Option<String>,
    /// The request, `req_...`
    pub request_id: Option<String>,
    /// The response, `resp_...`
    pub response_id: Option<String>,
    /// A sentence about the `error_type`.
    pub reason: Option<String>,
    /// The details. OpenAI keeps them for a limited time.
    pub detailed_explanation: Option<String>,
    /// When it was created, in seconds since the epoch.
    pub created_at: Option<i64>,
    /// The whole object, byte for byte.
    pub json: Bytes,
}

/// A safety case: OpenAI's warning about one of the organization's safety identifiers, or its deactivation.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SafetyCase {
    /// `C-...`
    pub id: String,
    /// `warning` or `deactivation`, or a newer one.
    pub notice: Option<String>,
    /// The safety identifier of the requests.
    pub entity_identifier: Option<String>,
    /// The reason.
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
        answer.read("a safety alert", SafetyAlert::from_json)
    }

    /// Retrieves a safety case: `GET /safety/cases/{id}`. The key needs `api.safety.read` and must be of the same
    /// organization.
    pub async fn safety_case(&self, id: &str, deadline: Instant) -> Result<SafetyCase, OpenAiError> {
        let path = ["safety", "cases", id];
        let answer = self.get(Call::new("retrieve safety case", &path), deadline).await?;
        answer.read("a safety case", SafetyCase::from_json)
    }
}

impl SafetyAlert {
    /// `None` without an id.
    fn from_json(json: Bytes) -> Option<Self> {
        let raw = Json::of(&json);
        Some(Self {
            id: text(raw, "id")?,
            error_type: text(raw, "error_type"),
            request_paused: raw.get("request_paused").and_then(Json::flag),
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
    /// `None` without an id.
    fn from_json(json: Bytes) -> Option<Self> {
        let raw = Json::of(&json);
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
