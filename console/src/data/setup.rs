//! Set-up of the stack: consumers, endpoints, subscribers of alerts, alarms, models in production.

use std::time::Duration;

use futures::FutureExt as _;
use hooks_aws::cause;
use hooks_aws::clock::now_ms;
use hooks_aws::secrets::{Source as _, Stage};
use hooks_operate::alerts::{Subscription, Topic};
use hooks_operate::endpoints::StackEndpoint;
use hooks_operate::models::{Alias, Models, end_of};
use hooks_operate::pause::{SourceState, source_state, switch};
use hooks_operate::stack::logical_id;
use hooks_webhook::Category;
use tokio::time::timeout;

use crate::console::Console;
use crate::{Failure, Result};
use hooks_operate::parallel::all;
use hooks_operate::timestamp::Timestamp;

/// Most alarms that are shown.
const MAX_SHOWN: i32 = 100;

/// Time that a page waits for a consumer to be switched. It goes on in any case.
const SWITCH_TIMEOUT: Duration = Duration::from_secs(15);

/// Time for which one process rotates a secret and others wait, in milliseconds.
const ROTATION_LEASE: i64 = 60_000;

/// The consumer of a category, by its event source.
pub(crate) async fn consumer(console: &Console, category: Category) -> Result<SourceState> {
    let function = console.stack.output(&format!("{}FunctionName", logical_id(category)))?;
    source_state(&console.aws, function, console.queue(category)?.queue_name()).await
}

/// Switches a consumer on or off. Lambda takes some seconds; the page does not wait longer than that.
pub(crate) async fn set_running(console: &Console, category: Category, running: bool) -> Result<()> {
    let state = consumer(console, category).await?;
    match timeout(SWITCH_TIMEOUT, switch(&console.aws, &state, running)).await {
        Ok(switched) => switched.map(drop),
        Err(_) => Ok(()),
    }
}

/// The alerts' topic.
pub(crate) fn topic(console: &Console) -> Result<Topic> {
    Ok(Topic::new(&console.aws, console.stack.output("AlertsTopicArn")?))
}

/// The subscribers of the alerts.
pub(crate) async fn subscribers(console: &Console) -> Result<Vec<Subscription>> {
    topic(console)?.subscriptions().await
}

/// Names of the stack's alarms that are raised, and the number of all. Needs `cloudwatch:DescribeAlarms`.
pub(crate) async fn alarms(console: &Console) -> Result<(Vec<String>, usize)> {
    let client = aws_sdk_cloudwatch::Client::new(console.aws.sdk());
    let request = client.describe_alarms().alarm_name_prefix(format!("{}-", console.stack.name));
    let found = request.max_records(MAX_SHOWN).send().await.map_err(|error| {
        Failure::service(format!("could not read the alarms: {}", cause(&error)))
            .hint("Your AWS identity needs cloudwatch:DescribeAlarms.")
    })?;
    let all = found.metric_alarms();
    let raised = all.iter().filter(|alarm| alarm.state_value().is_some_and(|state| state.as_str() == "ALARM"));
    Ok((raised.filter_map(|alarm| alarm.alarm_name().map(str::to_owned)).collect(), all.len()))
}

/// An endpoint of the stack.
#[derive(Clone, Debug)]
pub(crate) struct EndpointState {
    pub(crate) endpoint: StackEndpoint,
    /// When its signing secret was stored; `None` if it never was, or an error.
    pub(crate) secret: Result<Option<Timestamp>>,
}

/// The endpoints of the stack with the age of their secrets. Needs `secretsmanager:GetSecretValue` on them.
pub(crate) async fn endpoints(console: &Console) -> Result<Vec<EndpointState>> {
    let calls = console.stack.endpoints()?.into_iter().map(|endpoint| endpoint_state(console, endpoint).boxed());
    let calls: Vec<_> = calls.collect();
    let mut found = all(calls).await?;
    found.sort_by(|one, other| one.endpoint.url.cmp(&other.endpoint.url));
    Ok(found)
}

async fn endpoint_state(console: &Console, endpoint: StackEndpoint) -> Result<EndpointState> {
    let version = console.secrets.read(&endpoint.secret_id, Stage::Current).await.map_err(Failure::from);
    let stored = version.map(|version| {
        let set = version.filter(|version| version.text.trim() != hooks_aws::secrets::PLACEHOLDER);
        set.map(|version| Timestamp::from_seconds(version.created_at.cast_signed()))
    });
    Ok(EndpointState { endpoint, secret: stored })
}

/// The models in production.
pub(crate) async fn models(console: &Console) -> Result<Vec<Alias>> {
    Models::new(&console.aws, &console.stack.name).list().await
}

/// Has OpenAI make a new signing secret of an endpoint that delivers to the stack, and stores it. The old one is valid for
/// another 24 hours: should storing fail, nothing is refused, and it is done again.
pub(crate) async fn rotate(console: &Console, id: &str) -> Result<StackEndpoint> {
    let openai = console.openai().await?;
    let theirs = openai.webhook_endpoint(id, Console::deadline()).await?;
    let ours = console.stack.endpoints()?.into_iter().find(|endpoint| endpoint.url == theirs.url);
    let ours = ours.ok_or_else(|| {
        Failure::usage(format!("{id} delivers to {}, which is none of this stack's endpoints", theirs.url))
    })?;
    ours.takes_secret_of(id, &theirs.url, &console.secrets).await?;
    let until = now_ms() + ROTATION_LEASE;
    let lease = console.ledger.rotation_lease(&ours.secret_id, until).await?;
    let lease = lease.ok_or_else(|| {
        Failure::failed("somebody else is storing a new secret of this endpoint").hint("Look again in a minute.")
    })?;
    let (_, secret) = openai.rotate_webhook_secret(id, true, Console::deadline()).await?;
    let stored = console.secrets.put(&ours.secret_id, secret.expose()).await;
    // It ends by itself.
    let _ = console.ledger.end_lease(&lease).await;
    stored.map_err(|error| {
        Failure::service(format!("OpenAI made a new secret of {id}, but storing it failed: {error}"))
            .hint("The old one is valid for another 24 hours. Once storing works, rotate it again.")
    })?;
    Ok(ours)
}

/// Goes back to the model that an alias had before, or to that of a version, if OpenAI still has it.
pub(crate) async fn roll_back(console: &Console, alias: &str, version: Option<i64>, who: &str) -> Result<String> {
    let models = Models::new(&console.aws, &console.stack.name);
    let found = models.alias(alias).await?;
    let model = &found.earlier(version)?.value;
    if found.present().is_some_and(|present| present.value == *model) {
        return Err(Failure::failed(format!("{alias} is {model} already")));
    }
    let end = end_of(&console.openai().await?, model, Console::deadline()).await?;
    models.set(alias, model, end.as_deref(), Some(who)).await?;
    Ok(model.clone())
}
