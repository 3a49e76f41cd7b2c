//! `alerts`: who is told of failures.

use std::fmt;

use aws_sdk_sns::Client;
use aws_sdk_sns::error::{ProvideErrorMetadata, SdkError};
use clap::{Args, Subcommand, ValueEnum};
use hooks_aws::outcomes::{Notice, Outcomes};
use serde_json::json;

use crate::context::Context;
use crate::error::{CliError, Exit, Result};
use crate::output::{ConfirmArgs, Decision, printable, table};
use crate::values::category;

/// What SNS says instead of an ARN until the subscriber has confirmed.
const PENDING: &str = "PendingConfirmation";

/// Longest endpoint of a subscription.
const MAX_ENDPOINT: usize = 2048;

const PERMISSIONS: &str = "Your AWS identity needs sns:ListSubscriptionsByTopic, sns:GetSubscriptionAttributes, sns:Subscribe and \
                           sns:Publish on the stack's topic.";

/// List who is told of failures, subscribe somebody, or send a test
#[derive(Subcommand, Debug)]
pub(crate) enum AlertsCommand {
    /// List the subscriptions of the stack's alerts
    #[command(after_help = "Example: openai-webhooks alerts list")]
    List,
    Subscribe(SubscribeArgs),
    Test(TestArgs),
}

/// Send the alerts to an e-mail address, or to an HTTPS endpoint
///
/// AWS asks the subscriber to confirm. Slack, Teams and `PagerDuty`: see docs/operations.md.
#[derive(Args, Debug)]
#[command(after_help = "Example: openai-webhooks alerts subscribe oncall@example.com --severity critical")]
pub(crate) struct SubscribeArgs {
    /// E-mail address, or https URL
    #[arg(value_parser = endpoint)]
    endpoint: String,
    /// Only alerts of this severity; may be repeated [default: all]
    #[arg(long, value_name = "SEVERITY")]
    severity: Vec<Severity>,
    /// Only alerts of this category; may be repeated [default: all]
    #[arg(long, value_name = "CATEGORY", value_parser = category())]
    category: Vec<hooks_webhook::Category>,
    #[command(flatten)]
    confirm: ConfirmArgs,
}

/// Send a test alert to all who are subscribed
#[derive(Args, Debug)]
#[command(after_help = "Example: openai-webhooks alerts test --severity critical")]
pub(crate) struct TestArgs {
    /// Severity of the test
    #[arg(long, value_enum, default_value_t = Severity::Info)]
    severity: Severity,
    #[command(flatten)]
    confirm: ConfirmArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Severity {
    /// Worth knowing, nothing to do
    Info,
    /// Something is lost or incomplete
    Warning,
    /// Somebody must act
    Critical,
}

impl Severity {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// A subscription.
struct Subscription {
    protocol: String,
    endpoint: String,
    is_confirmed: bool,
    /// Filter by attributes, as SNS has it.
    filter: Option<String>,
}

pub(crate) async fn run(command: &AlertsCommand, context: &Context) -> Result {
    match command {
        AlertsCommand::List => list(context).await,
        AlertsCommand::Subscribe(args) => subscribe(args, context).await,
        AlertsCommand::Test(args) => test(args, context).await,
    }
}

async fn subscriptions(client: &Client, topic: &str) -> Result<Vec<Subscription>> {
    let mut pages = client.list_subscriptions_by_topic().topic_arn(topic).into_paginator().send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| failed("list the subscriptions", &error))?;
        for one in page.subscriptions.unwrap_or_default() {
            let arn = one.subscription_arn.filter(|arn| arn.starts_with("arn:"));
            let filter = match &arn {
                Some(arn) => {
                    let attributes = client.get_subscription_attributes().subscription_arn(arn).send().await;
                    attributes.ok().and_then(|found| found.attributes?.get("FilterPolicy").cloned())
                }
                None => None,
            };
            found.push(Subscription {
                protocol: one.protocol.unwrap_or_default(),
                endpoint: one.endpoint.unwrap_or_default(),
                is_confirmed: arn.is_some(),
                filter: filter.filter(|filter| !filter.is_empty() && filter != "{}"),
            });
        }
    }
    found.sort_by(|one, other| (&one.protocol, &one.endpoint).cmp(&(&other.protocol, &other.endpoint)));
    Ok(found)
}

async fn list(context: &Context) -> Result {
    let (client, topic) = access(context).await?;
    let found = subscriptions(&client, topic).await?;
    let line = |one: &Subscription| json!({"protocol": one.protocol, "endpoint": one.endpoint, "confirmed": one.is_confirmed, "filter": one.filter});
    context.out.lines(&found.iter().map(line).collect::<Vec<_>>(), || match found.as_slice() {
        [] => String::new(),
        found => {
            let row = |one: &Subscription| {
                let state = if one.is_confirmed { "confirmed" } else { "waits for confirmation" };
                let filter = one.filter.clone().unwrap_or_else(|| "all alerts".to_owned());
                [one.protocol.clone(), one.endpoint.clone(), state.to_owned(), filter]
            };
            table(["PROTOCOL", "ENDPOINT", "STATE", "FILTER"], &found.iter().map(row).collect::<Vec<_>>())
        }
    })?;
    let is_told = found.iter().any(|one| one.is_confirmed);
    if !is_told && !context.out.json {
        context.out.note("Nobody is told of failures. Subscribe: openai-webhooks alerts subscribe ADDRESS");
    }
    Ok(Exit::success_if(is_told))
}

async fn subscribe(args: &SubscribeArgs, context: &Context) -> Result {
    let (client, topic) = access(context).await?;
    let protocol = if args.endpoint.contains("://") { "https" } else { "email" };
    let mut filter = serde_json::Map::new();
    if !args.severity.is_empty() {
        filter.insert("severity".to_owned(), args.severity.iter().map(|severity| severity.as_str()).collect());
    }
    if !args.category.is_empty() {
        filter.insert("category".to_owned(), args.category.iter().map(|category| category.as_str()).collect());
    }
    let filter = (!filter.is_empty()).then(|| json!(filter).to_string());
    let question = format!("Send the alerts of {} to {}?", context.options.stack, args.endpoint);
    let decision = context.out.confirm(args.confirm, &question)?;
    let mut is_confirmed = false;
    match decision {
        Decision::Declined => return Ok(Exit::Failure),
        Decision::DryRun => {}
        Decision::Proceed => {
            let mut request = client.subscribe().topic_arn(topic).protocol(protocol).endpoint(&args.endpoint);
            if let Some(filter) = &filter {
                request = request.attributes("FilterPolicy", filter);
            }
            let made = request.send().await.map_err(|error| failed("subscribe", &error))?;
            is_confirmed =
                made.subscription_arn.is_some_and(|arn| !arn.eq_ignore_ascii_case(PENDING) && arn.starts_with("arn:"));
        }
    }
    let dry_run = decision == Decision::DryRun;
    let document = json!({
        "dry_run": dry_run, "protocol": protocol, "endpoint": args.endpoint, "filter": filter, "confirmed": is_confirmed,
    });
    context.out.result(&document, || match (dry_run, is_confirmed) {
        (true, _) => format!("{} would be subscribed by {protocol}.", args.endpoint),
        (false, true) => format!("{} is told of failures from now on.", args.endpoint),
        (false, false) => {
            format!("AWS has asked {} to confirm. Once that is done: openai-webhooks alerts test", args.endpoint)
        }
    })
}

async fn test(args: &TestArgs, context: &Context) -> Result {
    let (client, topic) = access(context).await?;
    let told = subscriptions(&client, topic).await?.iter().filter(|one| one.is_confirmed).count();
    if told == 0 {
        return Err(CliError::failed("nobody is told of failures: there is no confirmed subscription")
            .hint("Subscribe: openai-webhooks alerts subscribe ADDRESS"));
    }
    let decision = context.out.confirm(args.confirm, &format!("Send a test alert to {told} subscribers?"))?;
    if decision == Decision::Declined {
        return Ok(Exit::Failure);
    }
    if decision == Decision::Proceed {
        let stack = &context.options.stack;
        let message = format!(
            "A test of the alerts of {stack}.\n\nWhat   nothing happened\nTo do  nothing: you are told of failures\n\
             Where  `openai-webhooks alerts list`\n"
        );
        let notice = Notice {
            category: "test",
            event_type: "alerts.test",
            reason: "alerts.test",
            id: "",
            severity: args.severity.as_str(),
            subject: &format!("Test of the alerts of {stack}"),
            message: &message,
        };
        // Nothing is sent to the bus.
        let people = Outcomes::new(context.aws().await?, "", topic);
        people.alert(&notice).await.map_err(|error| CliError::from(error).hint(PERMISSIONS))?;
    }
    let dry_run = decision == Decision::DryRun;
    let document = json!({"dry_run": dry_run, "subscribers": told, "severity": args.severity.as_str()});
    context.out.result(&document, || {
        let verb = if dry_run { "would be sent" } else { "is sent" };
        format!(
            "A test {verb} to the topic, with {told} confirmed subscriptions; those with a filter get it if it fits."
        )
    })
}

/// Numbers of confirmed subscriptions, and of those that wait for confirmation.
pub(crate) async fn subscribers(context: &Context) -> Result<(usize, usize)> {
    let (client, topic) = access(context).await?;
    let (confirmed, waiting): (Vec<_>, Vec<_>) =
        subscriptions(&client, topic).await?.into_iter().partition(|one| one.is_confirmed);
    Ok((confirmed.len(), waiting.len()))
}

async fn access(context: &Context) -> Result<(Client, &str)> {
    Ok((Client::new(context.aws().await?.sdk()), context.output("AlertsTopicArn").await?))
}

fn failed<E, R>(action: &str, error: &SdkError<E, R>) -> CliError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: fmt::Debug + 'static,
{
    CliError::service(format!("could not {action}: {}", hooks_aws::cause(error))).hint(PERMISSIONS)
}

/// Parses an e-mail address or an https URL.
fn endpoint(text: &str) -> std::result::Result<String, String> {
    let is_short = !text.is_empty() && text.len() <= MAX_ENDPOINT && text.bytes().all(|byte| byte.is_ascii_graphic());
    let is_url = text.starts_with("https://") && text.len() > "https://".len();
    let is_address =
        text.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.') && !host.contains('@'));
    if is_short && (is_url || (is_address && !text.contains('/'))) {
        Ok(text.to_owned())
    } else {
        Err(format!("{} is neither an e-mail address nor an https URL", printable(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_an_address_or_an_https_url() {
        for good in ["a@example.com", "https://events.pagerduty.com/integration/x/enqueue"] {
            assert!(endpoint(good).is_ok(), "{good}");
        }
        for bad in
            ["", "a", "a@b", "http://example.com", "https://", "a b@example.com", "a@b@example.com", "mailto://a@b.c"]
        {
            assert!(endpoint(bad).is_err(), "{bad}");
        }
    }
}
