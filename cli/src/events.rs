//! `events`: list and show the events in the ledger, and replay them.

mod replay;
mod show;

pub(crate) use self::replay::asked_by;

use clap::{Args, Subcommand, ValueEnum};
use hooks_webhook::Category;
use serde_json::json;

use crate::aws::{Entry, EventFilter, EventLog};
use crate::context::Context;
use crate::error::{CliError, Exit, Result};
use crate::event_type::EventTypePattern;
use crate::output::{or_dash, table};
use crate::timestamp::{self, Timestamp};

/// Default of `--since`, in seconds: a day.
const DEFAULT_SINCE: i64 = 86_400;

/// List and show events, and replay them
#[derive(Subcommand, Debug)]
pub(crate) enum EventsCommand {
    List(ListArgs),
    Show(show::ShowArgs),
    Replay(replay::ReplayArgs),
}

/// List events, newest first (default: the last 24 hours)
#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// Show at most N
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

/// Selection of events.
#[derive(Args, Debug)]
struct FilterArgs {
    /// Earliest time of receipt: a span (30m, 24h, 7d), a date or a time in UTC
    #[arg(long, value_name = "TIME", value_parser = timestamp::past)]
    since: Option<Timestamp>,
    /// Latest time of receipt
    #[arg(long, value_name = "TIME", value_parser = timestamp::past)]
    until: Option<Timestamp>,
    /// Category, such as fine-tuning
    #[arg(long, value_name = "CATEGORY")]
    category: Option<Category>,
    /// Event type, such as batch.completed, or a prefix, such as `batch.*`
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<EventTypePattern>,
    /// State
    #[arg(long, value_name = "STATE")]
    state: Option<State>,
    /// Id of the object, such as `batch_123`
    #[arg(long, value_name = "ID", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    object: Option<String>,
}

/// State of an event.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum State {
    /// Being handled, or waiting for the next attempt
    #[value(name = "in_progress", alias = "in-progress")]
    InProgress,
    /// Handled
    Completed,
    /// Given up; its message is a dead letter
    Failed,
    /// Its object does not exist
    #[value(name = "not_found", alias = "not-found")]
    NotFound,
}

pub(crate) async fn run(command: &EventsCommand, context: &Context) -> Result {
    match command {
        EventsCommand::List(args) => list(args, context).await,
        EventsCommand::Show(args) => show::run(args, context).await,
        EventsCommand::Replay(args) => replay::run(args, context).await,
    }
}

impl FilterArgs {
    fn to_filter(&self) -> Result<EventFilter> {
        let now = Timestamp::now();
        let since = self.since.unwrap_or_else(|| Timestamp::from_seconds(now.seconds() - DEFAULT_SINCE));
        // Include events received within the current second.
        let until = self.until.map_or(now.0 + 999, |until| until.0);
        if until < since.0 {
            return Err(CliError::usage("--until is before --since").hint("The default of --since is 24 hours ago."));
        }
        let attributes = [
            ("category", self.category.map(|category| category.as_str().to_owned())),
            ("event_type", self.event_type.as_ref().map(|pattern| pattern.as_str().to_owned())),
            ("state", self.state.and_then(|state| Some(state.to_possible_value()?.get_name().to_owned()))),
            ("object_id", self.object.clone()),
        ];
        let attributes = attributes.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        Ok(EventFilter { since: since.0, until, attributes, ..EventFilter::default() })
    }

    fn is_given(&self) -> bool {
        let Self { since, until, category, event_type, state, object } = self;
        since.or(*until).is_some() || category.is_some() || event_type.is_some() || state.is_some() || object.is_some()
    }
}

async fn list(args: &ListArgs, context: &Context) -> Result {
    let filter = args.filter.to_filter()?;
    let mut entries = context.event_log().await?.entries(filter);
    let spinner = context.out.spinner("Reading the ledger");
    let (mut found, mut more) = (Vec::new(), false);
    while let Some(entry) = entries.next().await? {
        more = found.len() >= args.limit as usize;
        if more {
            break;
        }
        found.push(entry);
    }
    drop(spinner);
    context.out.result(&json!({"events": found, "more": more}), || {
        let row = |entry: &Entry| {
            [
                entry.received_at.text(),
                entry.state.clone(),
                entry.event_type.clone(),
                or_dash(entry.object_id.as_deref()),
                entry.attempts.to_string(),
                result(entry),
                entry.webhook_id.clone(),
            ]
        };
        let headings = ["RECEIVED (UTC)", "STATE", "TYPE", "OBJECT", "ATTEMPTS", "RESULT", "ID"];
        table(headings, &found.iter().map(row).collect::<Vec<_>>())
    })?;
    match (context.out.json, found.is_empty(), more) {
        (false, true, _) => context.out.note("No event matches. The default of --since is 24 hours ago."),
        (false, _, true) => context.out.note("There are more: raise --limit, or narrow the filter."),
        _ => {}
    }
    Ok(Exit::Success)
}

/// Finds an event with its body, by webhook id or event id. An event id is searched for in all events.
async fn find(context: &Context, log: &EventLog, id: &str) -> Result<Entry> {
    for endpoint in context.stack().await?.endpoints()? {
        if let Some(entry) = log.entry(&format!("{}#{id}", endpoint.name)).await? {
            return Ok(entry);
        }
    }
    let _spinner = context.out.spinner(format!("Searching the ledger for {id}"));
    let filter =
        EventFilter { until: i64::MAX, attributes: vec![("event_id", id.to_owned())], ..EventFilter::default() };
    let found = match log.entries(filter).next().await? {
        Some(entry) => log.entry(&entry.key()).await?,
        None => None,
    };
    found.ok_or_else(|| {
        CliError::failed(format!("the ledger of {} has no event {id}", context.options.stack)).hint(
            "Give a webhook id (wh_...) or an event id (evt_...), as in `openai-webhooks events list`. Events expire 35 \
             days after they were last handled.",
        )
    })
}

/// Result of an event in one word: the object's status, or the failure reason.
pub(crate) fn result(entry: &Entry) -> String {
    let status = || Some(entry.outcome.as_ref()?.get("status")?.as_str()?.to_owned());
    match (&entry.duplicate_of, &entry.error) {
        (Some(_), _) => "duplicate".to_owned(),
        (None, Some(error)) => error.reason.clone(),
        (None, None) => status().unwrap_or_default(),
    }
}
