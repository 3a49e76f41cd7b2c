//! Events.

use axum::Json;
use axum::extract::Path;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::ListPage;
use crate::data::filter::{Filter, before};
use crate::http::problem::Problem;
use crate::pages::Seen;
use hooks_operate::event_log::Entry;
use hooks_operate::timestamp::Timestamp;

/// Events of a page.
const PAGE: usize = 100;

/// Most pages of the index that are read for one page.
const MAX_READS: usize = 160;

/// An event, without its body.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct EventView {
    /// Endpoint that it was delivered to.
    endpoint: String,
    /// Webhook id.
    webhook_id: String,
    /// Event id.
    event_id: String,
    /// Type.
    #[serde(rename = "type")]
    event_type: String,
    /// Category.
    category: String,
    /// Object that it is about.
    object_id: Option<String>,
    /// `openai`, `reconcile` or `replay`.
    source: String,
    /// When it was received.
    received_at: String,
    /// `in_progress`, `completed`, `failed` or `not_found`.
    state: String,
    /// Number of attempts.
    attempts: i64,
    /// When handling ended.
    handled_at: Option<String>,
    /// What it found.
    result: Option<String>,
    /// Why it failed, or is tried again.
    reason: Option<String>,
    /// The event that was handled in its place, as `ENDPOINT/WEBHOOK_ID`.
    duplicate_of: Option<String>,
}

/// An event with everything that is kept of it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct WholeEvent {
    /// The event.
    #[serde(flatten)]
    event: EventView,
    /// The reason in words.
    message: Option<String>,
    /// Outcome: `status`, `artifacts`, `summary`, `note`.
    outcome: Option<Value>,
    /// Attempts, oldest first.
    history: Vec<Value>,
    /// Body, as it was delivered.
    body: Option<String>,
    /// When the ledger forgets it.
    expires_at: String,
}

impl From<Entry> for EventView {
    fn from(entry: Entry) -> Self {
        let result = entry.outcome.as_ref().and_then(|outcome| outcome.get("status")?.as_str()).map(str::to_owned);
        Self {
            result,
            reason: entry.error.map(|error| error.reason),
            duplicate_of: entry.duplicate_of.map(|key| format!("{}/{}", key.endpoint, key.webhook_id)),
            endpoint: entry.endpoint,
            webhook_id: entry.webhook_id,
            event_id: entry.event_id,
            event_type: entry.event_type,
            category: entry.category,
            object_id: entry.object_id,
            source: entry.source,
            received_at: entry.received_at.json(),
            state: entry.state,
            attempts: entry.attempts,
            handled_at: entry.handled_at.map(Timestamp::json),
        }
    }
}

/// List events, newest first
///
/// Each parameter may be given several times: one of its values must match. With `not.` before its name, none may.
#[utoipa::path(get, path = "/api/events", params(
    ("since" = Option<String>, Query, description = "Beginning: a span (24h, 7d), a date or a time; 24h"),
    ("until" = Option<String>, Query, description = "End, likewise; now"),
    ("category" = Option<String>, Query, description = "Category"),
    ("type" = Option<String>, Query, description = "Type, or a prefix such as batch.*"),
    ("state" = Option<String>, Query, description = "State"),
    ("reason" = Option<String>, Query, description = "Reason"),
    ("object" = Option<String>, Query, description = "Object id"),
    ("source" = Option<String>, Query, description = "Source"),
    ("metadata" = Option<String>, Query, description = "An entry of the object's metadata, NAME=VALUE"),
    ("before" = Option<i64>, Query, description = "`next` of the page before"),
), responses(
    (status = 200, description = "A page of events", body = ListPage<EventView>),
    Problem,
))]
pub(crate) async fn list(seen: Seen) -> Result<Json<ListPage<EventView>>, Problem> {
    let (filter, before) = (Filter::read(&seen.parameters)?, before(&seen.parameters)?);
    let found = seen.app.console.log.list(filter.to_events(before)?, PAGE, MAX_READS).await?;
    Ok(Json(ListPage { items: found.entries.into_iter().map(EventView::from).collect(), next: found.next }))
}

/// Show one event with its body and its attempts
#[utoipa::path(get, path = "/api/events/{endpoint}/{webhook_id}", params(
    ("endpoint" = String, Path, description = "Endpoint"),
    ("webhook_id" = String, Path, description = "Webhook id"),
), responses(
    (status = 200, description = "The event", body = WholeEvent),
    Problem,
))]
pub(crate) async fn one(
    seen: Seen,
    Path((endpoint, webhook_id)): Path<(String, String)>,
) -> Result<Json<WholeEvent>, Problem> {
    if endpoint.len() + webhook_id.len() > 1024 {
        return Err(Problem::not_found("such event"));
    }
    let found = seen.app.console.log.entry(&format!("{endpoint}#{webhook_id}")).await?;
    let entry = found.ok_or_else(|| Problem::not_found("such event"))?;
    Ok(Json(WholeEvent {
        message: entry.error.as_ref().and_then(|error| error.message.clone()),
        outcome: entry.outcome.clone(),
        history: entry.history.clone(),
        body: entry.body.clone(),
        expires_at: entry.expires_at.json(),
        event: entry.into(),
    }))
}
