//! `logs`: the log lines of a function.

use std::collections::HashSet;
use std::time::Duration;

use clap::Args;
use clap::builder::PossibleValuesParser;
use hooks_aws::clock::now_ms;
use hooks_operate::log_lines::{FUNCTIONS, FunctionLog, LogLine};
use serde_json::{Value, json};
use tokio::signal::ctrl_c;
use tokio::time::sleep;

use crate::context::Context;
use crate::error::{Exit, Result};
use crate::events::find;
use crate::output::printable;
use crate::timestamp::{self, Timestamp};

/// Default of `--since`, in seconds.
const DEFAULT_SINCE: i64 = 3_600;

/// Pause between two looks at the log.
const INTERVAL: Duration = Duration::from_secs(1);

/// How long CloudWatch may take to show a line, in milliseconds.
const LATE: i64 = 30_000;

/// Show the log of a function, or of the HTTP API
#[derive(Args, Debug)]
#[command(after_help = "Example: openai-webhooks logs batch --follow")]
pub(crate) struct LogsArgs {
    /// Function, or `api` for the log of the HTTP API itself
    #[arg(value_parser = PossibleValuesParser::new(FUNCTIONS))]
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
    let log = FunctionLog::new(context.aws().await?, &context.stack().await?.name, &args.function);
    let event = match &args.event {
        Some(id) => Some(find(context, &context.event_log().await?, id).await?),
        None => None,
    };
    let since = match (args.since, &event) {
        (Some(since), _) => since.0,
        (None, Some(event)) => event.received_at.0 - 60_000,
        (None, None) => Timestamp::from_seconds(Timestamp::now().seconds() - DEFAULT_SINCE).0,
    };
    let log = match &event {
        Some(event) => log.about(event),
        None => log,
    };
    tokio::select! {
        result = show(&log, args, since, context) => result,
        _ = ctrl_c() => Ok(Exit::Success),
    }
}

async fn show(log: &FunctionLog, args: &LogsArgs, mut since: i64, context: &Context) -> Result {
    let mut seen = HashSet::new();
    let mut is_first = true;
    loop {
        let begun = now_ms();
        let mut lines = log.lines(since, None, usize::MAX).await?;
        lines.retain(|line| seen.insert(line.clone()));
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

/// `2026-11-21 03:15:15 INFO  event handled  outcome=completed category=batch`
fn print(line: &LogLine, context: &Context) -> Result<()> {
    let (message, at) = (line.text.trim_end(), line.at);
    let parsed = line.fields().map(Value::Object);
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
