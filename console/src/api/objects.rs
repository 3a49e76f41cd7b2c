//! Objects, expectations, dead letters, alerts.

use axum::Json;
use axum::extract::Path;
use hooks_webhook::Category;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::ListPage;
use crate::Failure;
use crate::data::filter::before;
use crate::data::letters::{self, Letter};
use crate::data::objects::{self, Object};
use crate::data::setup;
use crate::http::problem::Problem;
use crate::pages::Seen;
use hooks_operate::alerts::Subscription;
use hooks_operate::timestamp::Timestamp;

/// An object.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ObjectView {
    /// Id.
    id: String,
    /// Status, in OpenAI's words.
    status: String,
    /// Whether that is final.
    ended: bool,
    /// When this was known.
    as_of: Option<String>,
    /// Counts.
    counts: Value,
    /// Times in Unix seconds.
    times: Value,
    /// Summary, as in the outcome.
    summary: Value,
    /// Keys in the stack's bucket.
    artifacts: Vec<String>,
}

/// What is expected.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ExpectationView {
    /// Category.
    category: String,
    /// Object.
    object_id: String,
    /// Status.
    status: String,
    /// By when it must have ended.
    due_at: String,
}

/// A subscriber of the alerts.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct SubscriberView {
    /// `email`, `https`, `sqs`, `lambda`, ...
    protocol: String,
    /// Address.
    endpoint: String,
    /// Whether it was confirmed.
    confirmed: bool,
    /// Filter by attributes; all alerts without it.
    filter: Option<String>,
}

impl From<Subscription> for SubscriberView {
    fn from(Subscription { protocol, endpoint, is_confirmed, filter }: Subscription) -> Self {
        Self { protocol, endpoint, confirmed: is_confirmed, filter }
    }
}

/// Who gets the alerts, and which alarms are raised.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Alerts {
    /// Subscribers.
    subscribers: Vec<SubscriberView>,
    /// Names of the alarms that are raised.
    raised: Vec<String>,
    /// Number of alarms.
    alarms: usize,
}

impl From<&Object> for ObjectView {
    fn from(object: &Object) -> Self {
        let value = |name: &str| object.job.get(name).cloned().unwrap_or_else(|| Value::Object(serde_json::Map::new()));
        Self {
            id: object.id.clone(),
            status: object.status().to_owned(),
            ended: object.is_terminal(),
            as_of: object.as_of().map(Timestamp::json),
            counts: value("counts"),
            times: value("times"),
            summary: value("summary"),
            artifacts: object.artifacts().into_iter().map(str::to_owned).collect(),
        }
    }
}

fn category(name: &str) -> Result<Category, Problem> {
    name.parse().map_err(|_| Problem::not_found("such category"))
}

/// List the objects of a category that events told of, newest first
#[utoipa::path(get, path = "/api/objects/{category}", params(
    ("category" = String, Path, description = "Category"),
    ("before" = Option<i64>, Query, description = "`next` of the page before"),
), responses(
    (status = 200, description = "A page of objects", body = ListPage<ObjectView>),
    Problem,
))]
pub(crate) async fn list(seen: Seen, Path(name): Path<String>) -> Result<Json<ListPage<ObjectView>>, Problem> {
    let found = objects::list(&seen.app.console, category(&name)?, before(&seen.parameters)?).await?;
    Ok(Json(ListPage { items: found.objects.iter().map(ObjectView::from).collect(), next: found.next }))
}

/// Show one object
#[utoipa::path(get, path = "/api/objects/{category}/{id}", params(
    ("category" = String, Path, description = "Category"),
    ("id" = String, Path, description = "Object id"),
), responses(
    (status = 200, description = "The object", body = ObjectView),
    Problem,
))]
pub(crate) async fn one(seen: Seen, Path((name, id)): Path<(String, String)>) -> Result<Json<ObjectView>, Problem> {
    let found = objects::one(&seen.app.console, category(&name)?, &id).await?;
    let (object, _) = found.ok_or_else(|| Problem::not_found("such object"))?;
    Ok(Json(ObjectView::from(&object)))
}

/// List what is expected, due first
#[utoipa::path(get, path = "/api/expectations", responses(
    (status = 200, description = "What is expected", body = ListPage<ExpectationView>),
    Problem,
))]
pub(crate) async fn expectations(seen: Seen) -> Result<Json<ListPage<ExpectationView>>, Problem> {
    let mut items = Vec::new();
    for category in [Category::Response, Category::Batch, Category::FineTuning] {
        for (object, due) in objects::expected(&seen.app.console, category).await? {
            let status = object.status().to_owned();
            items.push(ExpectationView {
                category: category.to_string(),
                object_id: object.id,
                status,
                due_at: due.json(),
            });
        }
    }
    items.sort_by(|one, other| one.due_at.cmp(&other.due_at));
    Ok(Json(ListPage { items, next: None }))
}

/// List dead letters, oldest first
#[utoipa::path(get, path = "/api/dead-letters", params(
    ("category" = Option<String>, Query, description = "Category"),
    ("reason" = Option<String>, Query, description = "Reason"),
), responses(
    (status = 200, description = "Dead letters, at most 500 of a category", body = ListPage<Letter>),
    Problem,
))]
pub(crate) async fn dead_letters(seen: Seen) -> Result<Json<ListPage<Letter>>, Problem> {
    let category = seen.get("category").map(category).transpose();
    let category = category.map_err(|_| Failure::usage("there is no such category"))?;
    let items = letters::list(&seen.app.console, category, seen.get("reason")).await?;
    Ok(Json(ListPage { items, next: None }))
}

/// Show who gets the alerts, and which alarms are raised
#[utoipa::path(get, path = "/api/alerts", responses(
    (status = 200, description = "Subscribers and alarms", body = Alerts),
    Problem,
))]
pub(crate) async fn alerts(seen: Seen) -> Result<Json<Alerts>, Problem> {
    let console = &seen.app.console;
    let (subscribers, alarms) = tokio::join!(setup::subscribers(console), setup::alarms(console));
    let (raised, alarms) = alarms?;
    Ok(Json(Alerts { subscribers: subscribers?.into_iter().map(SubscriberView::from).collect(), raised, alarms }))
}
