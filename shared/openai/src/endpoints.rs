//! Webhook endpoints: the URLs that OpenAI delivers a project's events to, and their signing secrets.
//!
//! Reading needs the permission `api.webhooks.read`; writing needs `api.webhooks.write` and an owner of the project. OpenAI
//! refuses admin keys. An organization's endpoints can be managed in the dashboard only.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use hooks_webhook::Json;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::client::{Call, Client};
use crate::error::OpenAiError;
use crate::objects::{count, text, time};
use crate::page::Page;

/// A webhook endpoint of a project.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WebhookEndpoint {
    /// `whe_...`
    pub id: String,
    /// Its name, 1 to 256 characters.
    pub name: String,
    /// The URL that events are delivered to.
    pub url: String,
    /// The event types that are delivered.
    pub event_types: Vec<String>,
    /// When it was created, in seconds since the epoch.
    pub created_at: Option<i64>,
    /// When its configuration or its secret last changed, in seconds since the epoch.
    pub updated_at: Option<i64>,
    /// A few characters of its signing secret.
    pub signing_secret_hint: Option<String>,
}

/// A signing secret (`whsec_...`). OpenAI shows it once, when it is made.
#[derive(Clone, PartialEq, Eq)]
pub struct EndpointSecret(String);

impl EndpointSecret {
    /// The secret's text, to be stored.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for EndpointSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EndpointSecret(..)")
    }
}

/// A change of an endpoint. `None` leaves a field as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct EndpointChange<'a> {
    /// The new name.
    pub name: Option<&'a str>,
    /// The new URL.
    pub url: Option<&'a str>,
    /// The new event types, which replace all others.
    pub event_types: Option<&'a [String]>,
}

impl Client {
    /// Lists the project's endpoints: `GET /webhook_endpoints`, at most `limit` (1 to 100) of those after `after`.
    pub async fn webhook_endpoints(
        &self,
        after: Option<&str>,
        limit: u8,
        deadline: Instant,
    ) -> Result<Page<WebhookEndpoint>, OpenAiError> {
        let call = Call::new("list webhook endpoints", &["webhook_endpoints"]);
        let page = self.page(call, after, limit, deadline).await?;
        page.read("a list of webhook endpoints", |json| Page::from_json(&json, WebhookEndpoint::from_json))
    }

    /// Retrieves an endpoint: `GET /webhook_endpoints/{id}`.
    pub async fn webhook_endpoint(&self, id: &str, deadline: Instant) -> Result<WebhookEndpoint, OpenAiError> {
        let path = ["webhook_endpoints", id];
        let answer = self.get(Call::new("retrieve webhook endpoint", &path), deadline).await?;
        answer.read("a webhook endpoint", WebhookEndpoint::from_json)
    }

    /// Creates an endpoint: `POST /webhook_endpoints`. Not idempotent.
    pub async fn create_webhook_endpoint(
        &self,
        name: &str,
        url: &str,
        event_types: &[String],
        deadline: Instant,
    ) -> Result<(WebhookEndpoint, EndpointSecret), OpenAiError> {
        let body = json!({ "name": name, "url": url, "event_types": event_types });
        let answer = self.post(Call::new("create webhook endpoint", &["webhook_endpoints"]), Some(&body), deadline);
        answer.await?.read("a webhook endpoint with its secret", with_secret)
    }

    /// Changes an endpoint: `POST /webhook_endpoints/{id}`.
    pub async fn update_webhook_endpoint(
        &self,
        id: &str,
        change: EndpointChange<'_>,
        deadline: Instant,
    ) -> Result<WebhookEndpoint, OpenAiError> {
        let mut body = Map::new();
        body.extend(change.name.map(|name| ("name".to_owned(), name.into())));
        body.extend(change.url.map(|url| ("url".to_owned(), url.into())));
        body.extend(change.event_types.map(|types| ("event_types".to_owned(), types.into())));
        let path = ["webhook_endpoints", id];
        let call = Call::new("update webhook endpoint", &path);
        let answer = self.post(call, Some(&Value::Object(body)), deadline).await?;
        answer.read("a webhook endpoint", WebhookEndpoint::from_json)
    }

    /// Deletes an endpoint: `DELETE /webhook_endpoints/{id}`.
    pub async fn delete_webhook_endpoint(&self, id: &str, deadline: Instant) -> Result<(), OpenAiError> {
        let path = ["webhook_endpoints", id];
        self.delete(Call::new("delete webhook endpoint", &path), deadline).await.map(drop)
    }

    /// Gives an endpoint a new secret: `POST /webhook_endpoints/{id}/rotate_secret`. Not idempotent.
    ///
    /// With `keep_old` OpenAI signs with both secrets for 24 hours; without, the old one ends at once.
    pub async fn rotate_webhook_secret(
        &self,
        id: &str,
        keep_old: bool,
        deadline: Instant,
    ) -> Result<(WebhookEndpoint, EndpointSecret), OpenAiError> {
        let path = ["webhook_endpoints", id, "rotate_secret"];
        let body = json!({ "keep_old_secret_active_for_24_hours": keep_old });
        let answer = self.post(Call::new("rotate webhook secret", &path), Some(&body), deadline).await?;
        answer.read("a webhook endpoint with its secret", with_secret)
    }

    /// Has OpenAI deliver a sample event: `POST /webhook_endpoints/{id}/test`. Returns the status of the endpoint's answer.
    pub async fn test_webhook_endpoint(
        &self,
        id: &str,
        event_type: &str,
        deadline: Instant,
    ) -> Result<u16, OpenAiError> {
        let path = ["webhook_endpoints", id, "test"];
        let body = json!({ "event_type": event_type });
        let answer = self.post(Call::new("test webhook endpoint", &path), Some(&body), deadline).await?;
        answer.read("a test's result", |json| count(Json::of(&json), "status_code")?.try_into().ok())
    }

    /// Lists the event types that the project may subscribe to: `GET /webhook_event_types`.
    pub async fn webhook_event_types(&self, deadline: Instant) -> Result<Vec<String>, OpenAiError> {
        let answer = self.get(Call::new("list webhook event types", &["webhook_event_types"]), deadline).await?;
        answer.read("a list of event types", |json| texts(Json::of(&json), "data"))
    }
}

impl WebhookEndpoint {
    /// `None` without an id.
    #[expect(clippy::needless_pass_by_value, reason = "as of every object")]
    fn from_json(json: Bytes) -> Option<Self> {
        let raw = Json::of(&json);
        Some(Self {
            id: text(raw, "id")?,
            name: text(raw, "name").unwrap_or_default(),
            url: text(raw, "url").unwrap_or_default(),
            event_types: texts(raw, "event_types").unwrap_or_default(),
            created_at: time(raw, "created_at"),
            updated_at: time(raw, "updated_at"),
            signing_secret_hint: text(raw, "signing_secret_hint"),
        })
    }
}

fn with_secret(json: Bytes) -> Option<(WebhookEndpoint, EndpointSecret)> {
    let secret = EndpointSecret(text(Json::of(&json), "signing_secret")?);
    Some((WebhookEndpoint::from_json(json)?, secret))
}

fn texts(object: Json<'_>, name: &str) -> Option<Vec<String>> {
    let list = object.get(name).filter(|list| list.is_list())?;
    Some(list.items().filter_map(|item| item.text().map(Cow::into_owned)).collect())
}
