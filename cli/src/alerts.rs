//! `alerts`: who is told of failures.

use clap::{Args, Subcommand};
use hooks_aws::outcomes::Severity;
use hooks_operate::alerts::{Subscription, Topic, filter, is_endpoint, protocol};
use hooks_webhook::Category;
use serde_json::json;

use crate::context::Context;
use crate::error::{CliError, Exit, Result};
use crate::output::{ConfirmArgs, Decision, printable, table};
use crate::values::{category, severity};

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
    #[arg(long, value_name = "SEVERITY", value_parser = severity())]
    severity: Vec<Severity>,
    /// Only alerts of this category; may be repeated [default: all]
    #[arg(long, value_name = "CATEGORY", value_parser = category())]
    category: Vec<Category>,
    #[command(flatten)]
    confirm: ConfirmArgs,
}

/// Send a test alert to all who are subscribed
#[derive(Args, Debug)]
#[command(after_help = "Example: openai-webhooks alerts test --severity critical")]
pub(crate) struct TestArgs {
    /// Severity of the test
    #[arg(long, value_parser = severity(), default_value = "info")]
    severity: Severity,
    #[command(flatten)]
    confirm: ConfirmArgs,
}

pub(crate) async fn run(command: &AlertsCommand, context: &Context) -> Result {
    match command {
        AlertsCommand::List => list(context).await,
        AlertsCommand::Subscribe(args) => subscribe(args, context).await,
        AlertsCommand::Test(args) => test(args, context).await,
    }
}

async fn list(context: &Context) -> Result {
    let found = topic(context).await?.subscriptions().await?;
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
    let topic = topic(context).await?;
    let protocol = protocol(&args.endpoint);
    let filter = filter(&args.severity, &args.category);
    let question = format!("Send the alerts of {} to {}?", context.options.stack, args.endpoint);
    let decision = context.out.confirm(args.confirm, &question)?;
    let mut is_confirmed = false;
    match decision {
        Decision::Declined => return Ok(Exit::Failure),
        Decision::DryRun => {}
        Decision::Proceed => is_confirmed = topic.subscribe(&args.endpoint, filter.as_deref()).await?,
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
    let topic = topic(context).await?;
    let told = topic.subscriptions().await?.iter().filter(|one| one.is_confirmed).count();
    if told == 0 {
        return Err(CliError::failed("nobody is told of failures: there is no confirmed subscription")
            .hint("Subscribe: openai-webhooks alerts subscribe ADDRESS"));
    }
    let decision = context.out.confirm(args.confirm, &format!("Send a test alert to {told} subscribers?"))?;
    if decision == Decision::Declined {
        return Ok(Exit::Failure);
    }
    if decision == Decision::Proceed {
        topic.test(&context.options.stack, args.severity).await?;
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
    let (confirmed, waiting): (Vec<_>, Vec<_>) =
        topic(context).await?.subscriptions().await?.into_iter().partition(|one| one.is_confirmed);
    Ok((confirmed.len(), waiting.len()))
}

async fn topic(context: &Context) -> Result<Topic> {
    Ok(Topic::new(context.aws().await?, context.output("AlertsTopicArn").await?))
}

/// Parses an e-mail address or an https URL.
fn endpoint(text: &str) -> std::result::Result<String, String> {
    if is_endpoint(text) {
        Ok(text.to_owned())
    } else {
        Err(format!("{} is neither an e-mail address nor an https URL", printable(text)))
    }
}
