//! Models, endpoints, alerts, consumers.

use std::borrow::Cow;

use axum::Json;
use axum::extract::Path;
use futures::FutureExt as _;
use hooks_aws::outcomes::Severity;
use hooks_operate::alerts::{filter, is_endpoint};
use hooks_operate::models::{Alias, shutdown_date};
use hooks_operate::timestamp::Timestamp;
use hooks_webhook::Category;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};

use super::ListPage;
use super::body::{Body, read};
use crate::Failure;
use crate::console::{App, Console};
use crate::data::setup;
use crate::http::problem::Problem;
use crate::pages::Seen;

/// A model in production.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ModelView {
    /// Alias.
    alias: String,
    /// What was promoted, the latest first.
    history: Vec<Promotion>,
}

/// A promotion.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Promotion {
    /// Version.
    version: i64,
    /// Model.
    model: String,
    /// How it came.
    description: String,
    /// When OpenAI ends it, if that was announced.
    shutdown_date: Option<String>,
}

impl From<&Alias> for ModelView {
    fn from(alias: &Alias) -> Self {
        let history = alias.history.iter().rev().map(|one| Promotion {
            version: one.version,
            model: one.value.clone(),
            description: one.description.clone(),
            shutdown_date: shutdown_date(&one.description).map(str::to_owned),
        });
        Self { alias: alias.name.clone(), history: history.collect() }
    }
}

/// List the models in production with their history
#[utoipa::path(get, path = "/api/models", responses(
    (status = 200, description = "The models", body = ListPage<ModelView>),
    Problem,
))]
pub(crate) async fn models(seen: Seen) -> Result<Json<ListPage<ModelView>>, Problem> {
    let found = setup::models(&seen.app.console).await?;
    Ok(Json(ListPage { items: found.iter().map(ModelView::from).collect(), next: None }))
}

/// Where to go back to.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Rollback {
    /// Version; the last one with another model without it.
    version: Option<i64>,
}

/// The model that an alias has.
#[derive(Serialize, ToSchema)]
pub(crate) struct RolledBack {
    /// Alias.
    alias: String,
    /// Model.
    model: String,
}

/// Go back to the model that an alias had before
#[utoipa::path(post, path = "/api/models/{alias}/rollback", params(("alias" = String, Path, description = "Alias")),
    request_body = Rollback, responses(
    (status = 200, description = "The model now", body = RolledBack),
    Problem,
))]
pub(crate) async fn roll_back(
    seen: Seen,
    Path(alias): Path<String>,
    body: Body<Rollback>,
) -> Result<Json<RolledBack>, Problem> {
    let Rollback { version } = read(body)?;
    let model = setup::roll_back(&seen.app.console, &alias, version, &seen.caller.name).await?;
    Ok(Json(RolledBack { alias, model }))
}

/// An endpoint of the stack.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct EndpointView {
    /// Name.
    name: String,
    /// URL.
    url: String,
    /// When its signing secret was stored; absent if it never was, or is not readable.
    secret_stored_at: Option<String>,
}

/// List the endpoints of the stack
#[utoipa::path(get, path = "/api/endpoints", responses(
    (status = 200, description = "The endpoints", body = ListPage<EndpointView>),
    Problem,
))]
pub(crate) async fn endpoints(seen: Seen) -> Result<Json<ListPage<EndpointView>>, Problem> {
    let found = setup::endpoints(&seen.app.console).await?;
    let view = |state: setup::EndpointState| EndpointView {
        name: state.endpoint.name,
        url: state.endpoint.url,
        secret_stored_at: state.secret.ok().flatten().map(Timestamp::json),
    };
    Ok(Json(ListPage { items: found.into_iter().map(view).collect(), next: None }))
}

/// Longest type of an event, in characters.
const MAX_TYPE: usize = 128;

/// A sample to deliver.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Sample {
    /// Type of the sample, such as `batch.completed`.
    #[serde(rename = "type")]
    #[schema(max_length = 128)]
    event_type: String,
}

/// Result of a test.
#[derive(Serialize, ToSchema)]
pub(crate) struct Tested {
    /// Status code that OpenAI got; 200 means accepted.
    status: u16,
}

/// Have OpenAI deliver a sample to an endpoint of the project
#[utoipa::path(post, path = "/api/endpoints/{id}/test", params(("id" = String, Path, description = "OpenAI's id of the endpoint")),
    request_body = Sample, responses(
    (status = 200, description = "What was answered", body = Tested),
    Problem,
))]
pub(crate) async fn test(seen: Seen, Path(id): Path<String>, body: Body<Sample>) -> Result<Json<Tested>, Problem> {
    let Sample { event_type } = read(body)?;
    if event_type.chars().count() > MAX_TYPE {
        let detail = format!("A type has at most {MAX_TYPE} characters.");
        return Err(Problem::bad_request("unusable_type", detail));
    }
    let openai = seen.app.console.openai().await?;
    let status = openai.test_webhook_endpoint(&id, &event_type, Console::deadline()).await.map_err(Failure::from)?;
    Ok(Json(Tested { status }))
}

/// Have OpenAI make a new signing secret, and store it; the old one is valid for another 24 hours
#[utoipa::path(post, path = "/api/endpoints/{id}/rotate", params(("id" = String, Path, description = "OpenAI's id of the endpoint")), responses(
    (status = 204, description = "The new secret is stored"),
    Problem,
))]
pub(crate) async fn rotate(seen: Seen, Path(id): Path<String>) -> Result<axum::http::StatusCode, Problem> {
    setup::rotate(&seen.app.console, &id).await?;
    Ok(axum::http::StatusCode::NO_CONTENT)
}

/// A subscription to the alerts.
#[derive(Deserialize, ToSchema)]
pub(crate) struct NewSubscription {
    /// E-mail address or https URL.
    #[schema(max_length = 2048)]
    endpoint: String,
    /// `info`, `warning`, `critical`; all without it.
    #[serde(default)]
    severities: Vec<SeverityName>,
    /// Categories; all without it.
    #[serde(default)]
    categories: Vec<String>,
}

/// Severity of an alert, by its name.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct SeverityName(Severity);

impl TryFrom<String> for SeverityName {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        Severity::named(&name).map(Self).ok_or("there is no such severity")
    }
}

impl utoipa::PartialSchema for SeverityName {
    fn schema() -> RefOr<Schema> {
        let names = Severity::ALL.map(Severity::as_str);
        let description = "Worth knowing, nothing to do; something is lost or incomplete; somebody must act.";
        let object = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names));
        object.description(Some(description)).into()
    }
}

impl ToSchema for SeverityName {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Severity")
    }
}

/// Whether a subscription is confirmed.
#[derive(Serialize, ToSchema)]
pub(crate) struct Subscribed {
    /// Whether it is; else AWS has asked for confirmation.
    confirmed: bool,
}

/// Subscribe an e-mail address or an https URL to the alerts
#[utoipa::path(post, path = "/api/alerts/subscriptions", request_body = NewSubscription, responses(
    (status = 200, description = "The subscription", body = Subscribed),
    Problem,
))]
pub(crate) async fn subscribe(seen: Seen, body: Body<NewSubscription>) -> Result<Json<Subscribed>, Problem> {
    let NewSubscription { endpoint, severities, categories } = read(body)?;
    let categories = categories.iter().map(|one| one.parse::<Category>()).collect::<Result<Vec<_>, _>>();
    let (true, Ok(categories)) = (is_endpoint(&endpoint), categories) else {
        let detail = "The endpoint is an e-mail address or an https URL, and the categories are known ones.";
        return Err(Problem::bad_request("no_endpoint", detail));
    };
    let severities: Vec<_> = severities.into_iter().map(|SeverityName(one)| one).collect();
    let filter = filter(&severities, &categories);
    let confirmed = setup::topic(&seen.app.console)?.subscribe(&endpoint, filter.as_deref()).await?;
    Ok(Json(Subscribed { confirmed }))
}

/// A test of the alerts.
#[derive(Deserialize, ToSchema)]
pub(crate) struct AlertTest {
    /// Severity.
    severity: SeverityName,
}

/// Send a test alert
#[utoipa::path(post, path = "/api/alerts/test", request_body = AlertTest, responses(
    (status = 204, description = "It is sent to the topic"),
    Problem,
))]
pub(crate) async fn test_alert(seen: Seen, body: Body<AlertTest>) -> Result<axum::http::StatusCode, Problem> {
    let AlertTest { severity: SeverityName(severity) } = read(body)?;
    let console = &seen.app.console;
    setup::topic(console)?.test(&console.stack.name, severity).await?;
    Ok(axum::http::StatusCode::NO_CONTENT)
}

/// The consumer of a category.
#[derive(Serialize, ToSchema)]
pub(crate) struct ConsumerView {
    /// Category.
    category: String,
    /// Whether it runs; absent if that is not readable.
    running: Option<bool>,
}

/// List the consumers, and which are paused
#[utoipa::path(get, path = "/api/consumers", responses(
    (status = 200, description = "The consumers", body = ListPage<ConsumerView>),
    Problem,
))]
pub(crate) async fn consumers(seen: Seen) -> Result<Json<ListPage<ConsumerView>>, Problem> {
    let app: &App = &seen.app;
    let read = Category::ALL.map(|category| {
        let running = async move { setup::consumer(&app.console, category).await.ok().map(|state| state.is_on()) };
        async move { ConsumerView { category: category.to_string(), running: running.await } }.boxed()
    });
    Ok(Json(ListPage { items: futures::future::join_all(read).await, next: None }))
}
