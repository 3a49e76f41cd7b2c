//! Set-up of the stack: consumers, endpoints, subscribers of alerts, alarms, models in production.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::FutureExt as _;
use hooks_aws::cause;
use hooks_aws::outcomes::{Notice, Outcomes};
use hooks_aws::parameters::{Parameter, Parameters};
use hooks_aws::secrets::{Source as _, Stage};
use hooks_operate::endpoints::StackEndpoint;
use hooks_operate::pause::{SourceState, source_state, switch};
use hooks_operate::stack::logical_id;
use hooks_webhook::Category;
use serde::Serialize;
use tokio::time::timeout;
use utoipa::ToSchema;

use crate::console::Console;
use crate::{Failure, Result};
use hooks_operate::parallel::all;
use hooks_operate::timestamp::Timestamp;

/// Most models and alarms that are shown.
const MAX_SHOWN: i32 = 100;

const SNS_PERMISSIONS: &str =
    "Your AWS identity needs sns:ListSubscriptionsByTopic, sns:Subscribe and sns:Publish on the alerts' topic.";

/// Time that a page waits for a consumer to be switched. It goes on in any case.
const SWITCH_TIMEOUT: Duration = Duration::from_secs(15);

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

/// A subscriber of the alerts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Subscriber {
    /// `email`, `https`, `sqs`, `lambda`, ...
    pub protocol: String,
    /// Address.
    pub endpoint: String,
    /// Whether it was confirmed.
    pub confirmed: bool,
}

/// The subscribers of the alerts. Needs `sns:ListSubscriptionsByTopic`.
pub(crate) async fn subscribers(console: &Console) -> Result<Vec<Subscriber>> {
    let client = aws_sdk_sns::Client::new(console.aws.sdk());
    let request = client.list_subscriptions_by_topic().topic_arn(console.stack.output("AlertsTopicArn")?);
    let found =
        request.send().await.map_err(|error| sns_failure("read the subscribers of the alerts", &cause(&error)))?;
    Ok(found
        .subscriptions()
        .iter()
        .map(|one| Subscriber {
            protocol: one.protocol().unwrap_or_default().to_owned(),
            endpoint: one.endpoint().unwrap_or_default().to_owned(),
            confirmed: one.subscription_arn().is_some_and(|arn| arn.starts_with("arn:")),
        })
        .collect())
}

/// Subscribes an e-mail address to the alerts. AWS asks it for confirmation. Needs `sns:Subscribe`.
pub(crate) async fn subscribe(console: &Console, address: &str) -> Result<()> {
    let client = aws_sdk_sns::Client::new(console.aws.sdk());
    let request = client.subscribe().topic_arn(console.stack.output("AlertsTopicArn")?).protocol("email");
    let sent = request.endpoint(address).send().await;
    sent.map(drop).map_err(|error| sns_failure("subscribe the address", &cause(&error)))
}

/// Sends an alert that is only a test. Needs `sns:Publish`.
pub(crate) async fn test_alert(console: &Console, who: &str) -> Result<()> {
    let subject = format!("Test alert of {}", console.stack.name);
    let message = format!("{who} tested the alerts of the stack {}. Nothing is wrong.", console.stack.name);
    let (category, event_type) = ("test", "alerts.test");
    let notice = Notice {
        category,
        event_type,
        reason: event_type,
        id: "",
        severity: "info",
        subject: &subject,
        message: &message,
    };
    // Nothing is sent to the bus.
    let people = Outcomes::new(&console.aws, "", console.stack.output("AlertsTopicArn")?);
    people.alert(&notice).await.map_err(|error| Failure::service(error.to_string()).hint(SNS_PERMISSIONS))
}

fn sns_failure(action: &str, cause: &str) -> Failure {
    Failure::service(format!("could not {action}: {cause}")).hint(SNS_PERMISSIONS)
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

/// A model in production: its alias, and what was promoted, the latest last.
#[derive(Clone, Debug)]
pub(crate) struct Alias {
    pub(crate) name: String,
    pub(crate) history: Vec<Parameter>,
}

/// The models in production. Needs `ssm:GetParametersByPath` and `ssm:GetParameterHistory`.
pub(crate) async fn models(console: &Console) -> Result<Vec<Alias>> {
    let parameters = Parameters::new(&console.aws);
    let path = format!("/{}/models", console.stack.name);
    let failure = |error: hooks_aws::parameters::ParameterError| {
        Failure::service(error.to_string())
            .hint("Your AWS identity needs ssm:GetParametersByPath and ssm:GetParameterHistory.")
    };
    let found: BTreeMap<_, _> = parameters.below(&path).await.map_err(failure)?.into_iter().collect();
    let calls = found.into_keys().map(|name| {
        let parameters = &parameters;
        let read = async move {
            let history = parameters.history(&name).await.map_err(failure)?;
            Ok::<_, Failure>(Alias { name: name.rsplit('/').next().unwrap_or(&name).to_owned(), history })
        };
        read.boxed()
    });
    let calls: Vec<_> = calls.collect();
    let mut models = all(calls).await?;
    models.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(models)
}
