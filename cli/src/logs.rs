//! `logs`: the log lines of a function.

use std::collections::HashSet;
use std::time::Duration;

use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::operation::filter_log_events::FilterLogEventsError;
use aws_sdk_cloudwatchlogs::types::FilteredLogEvent;
use clap::Args;
use hooks_aws::clock::now_ms;
use hooks_operate::event_log::Entry;
use serde_json::{Value, json};
use tokio::signal::ctrl_c;
use tokio::time::sleep;

use crate::context::Context;
use crate::error::{CliError, Exit, Result};
use crate::events::find;
use crate::output::printable;
use crate::timestamp::{self, Timestamp};

/// Default of `--since`, in seconds.
const DEFAULT_SINCE: i64 = 3_600;

/// Pause between two looks at the log.
const INTERVAL: Duration = Duration::from_secs(1);

/// How long CloudWatch may take to show a line, in milliseconds.
const LATE: i64 = 30_000;

/// The log group's name begins so; API Gateway's own differs.
const PREFIX: &str = "/aws/lambda/";

/// The functions' names behind the stack's, and the HTTP API's log.
const FUNCTIONS: [&str; 14] = [
    "verifier",
    "batch",
    "response",
    "fine-tuning",
    "realtime",
    "supervisor",
    "agent",
    "safety",
    "file",
    "archive",
    "reconcile",
    "register",
    "rotate",
    "console",
    "api",
];

/// Show the log of a function, or of the HTTP API
#[derive(Args, Debug)]
#[command(after_help = "Example: openai-webhooks logs batch --follow")]
pub(crate) struct LogsArgs {
    /// verifier, a category, supervisor, reconcile, register, rotate, console, or api for the HTTP API's own
    function: String,
    /// Go on with the lines that come
    #[arg(long, short)]
    follow: bool,
    /// Only the lines about this event: its webhook id or event id, or the beginning of one
    #[arg(long, value_name = "ID")]
    event: Option<String>,
    /// Earliest time: a span (30m, 24h, 7d), a date or a time in UTC [default: an hour ago, of an event its receipt]
    #[arg(long, value_name = "TIME", value_parser = timestamp::past)]
    since: Option<Timestamp>,
    /// Show at most N lines, the newest ones
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
}

pub(crate) async fn run(args: &LogsArgs, context: &Context) -> Result {
    let group = group(&args.function, context).await?;
    let event = match &args.event {
        Some(id) => Some(find(context, &context.event_log().await?, id).await?),
        None => None,
    };
    let since = match (args.since, &event) {
        (Some(since), _) => since.0,
        (None, Some(event)) => event.received_at.0 - 60_000,
        (None, None) => Timestamp::from_seconds(Timestamp::now().seconds() - DEFAULT_SINCE).0,
    };
    let log = Log { client: Client::new(context.aws().await?.sdk()), group, event };
    tokio::select! {
        result = show(&log, args, since, context) => result,
        _ = ctrl_c() => Ok(Exit::Success),
    }
}

async fn show(log: &Log, args: &LogsArgs, mut since: i64, context: &Context) -> Result {
    let mut seen = HashSet::new();
    let mut is_first = true;
    loop {
        let begun = now_ms();
        let mut lines = log.lines(since).await?;
        lines.retain(|line| seen.insert((line.event_id.clone(), line.timestamp, line.message.clone())));
        if is_first {
            let limit = args.limit as usize;
            if lines.len() > limit {
                lines.drain(..lines.len() - limit);
                context.out.note("There are older lines: raise --limit, or narrow --since.");
            }
            if lines.is_empty() && !args.follow && !context.out.json {
                context.out.note("There are no such lines. See --since.");
            }
        }
        is_first = false;
        for line in &lines {
            print(line, context)?;
        }
        if !args.follow {
            return Ok(Exit::Success);
        }
        since = since.max(begun - LATE);
        sleep(INTERVAL).await;
    }
}

/// A function's log, or an event's part of it.
struct Log {
    client: Client,
    group: String,
    event: Option<Entry>,
}

impl Log {
    /// The lines since then, oldest first.
    async fn lines(&self, since: i64) -> Result<Vec<FilteredLogEvent>> {
        let mut request = self.client.filter_log_events().log_group_name(&self.group).start_time(since);
        if let Some(event) = &self.event {
            // A quoted term matches any line that has it.
            request = request.filter_pattern(format!("?\"{}\" ?\"{}\"", event.webhook_id, event.event_id));
        }
        let mut pages = request.into_paginator().send();
        let mut lines = Vec::new();
        while let Some(page) = pages.next().await {
            let page = match page {
                Ok(page) => page,
                Err(error)
                    if error.as_service_error().is_some_and(FilterLogEventsError::is_resource_not_found_exception) =>
                {
                    return Err(CliError::failed(format!("there is no log group {}", self.group))
                        .hint("A function that is not deployed has none, such as register without RegisterEndpoint."));
                }
                Err(error) => {
                    let cause = hooks_aws::cause(&error);
                    return Err(CliError::service(format!("could not read the log: {cause}"))
                        .hint("Your AWS identity needs logs:FilterLogEvents on the function's log group."));
                }
            };
            lines.extend(page.events.unwrap_or_default().into_iter().filter(|line| self.is_about(line)));
        }
        lines.sort_by_key(|line| line.timestamp);
        Ok(lines)
    }

    fn is_about(&self, line: &FilteredLogEvent) -> bool {
        let Some(event) = &self.event else { return true };
        let message = line.message.as_deref().unwrap_or_default();
        [&event.webhook_id, &event.event_id].into_iter().any(|id| !id.is_empty() && message.contains(id.as_str()))
    }
}

/// The log group of a function by its short name.
async fn group(function: &str, context: &Context) -> Result<String> {
    let stack = context.stack().await?;
    if !FUNCTIONS.contains(&function) {
        return Err(CliError::usage(format!("{} is no function of the stack", printable(function)))
            .hint(format!("The functions are {}.", FUNCTIONS.join(", "))));
    }
    Ok(match function {
        "api" => format!("/aws/vendedlogs/{}/api", stack.name),
        function => format!("{PREFIX}{}-{function}", stack.name),
    })
}

/// `2026-11-21 03:15:15 INFO  event handled  outcome=completed category=batch`
fn print(line: &FilteredLogEvent, context: &Context) -> Result<()> {
    let message = line.message.as_deref().unwrap_or_default().trim_end();
    let at = Timestamp(line.timestamp.unwrap_or_default());
    let parsed = serde_json::from_str::<Value>(message).ok().filter(Value::is_object);
    if context.out.json {
        context.out.line(&json!({"at": at, "line": parsed.unwrap_or_else(|| message.into())}))?;
        return Ok(());
    }
    let text = match parsed.as_ref().and_then(Value::as_object) {
        Some(fields) => {
            let said = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
            let others =
                fields.iter().filter(|(name, _)| !["timestamp", "level", "message", "_aws"].contains(&name.as_str()));
            let others = others.map(|(name, value)| match value {
                Value::String(text) => format!("{name}={text}"),
                other => format!("{name}={other}"),
            });
            let others = others.collect::<Vec<_>>().join(" ");
            format!("{:5} {}  {others}", said("level"), said("message"))
        }
        None => message.to_owned(),
    };
    context.out.raw(format!("{}  {}\n", at.text(), printable(text.trim_end())).as_bytes())?;
    Ok(())
}
