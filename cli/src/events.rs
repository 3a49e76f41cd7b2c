//! `events`: list and show the events in the ledger, and replay them.

mod replay;
mod show;

pub(crate) use replay::asked_by;

use clap::{Args, Subcommand, ValueEnum};
use hooks_webhook::Category;

use crate::aws::{Entry, EventFilter, EventLog, Field};
use crate::context::Context;
use crate::error::{CliError, Exit, Result};
use crate::event_type::EventTypePattern;
use crate::output::{or_dash, printable, table};
use crate::timestamp::{self, Timestamp};
use crate::values::category;

/// Default of `--since`, in seconds: a day.
const DEFAULT_SINCE: i64 = 86_400;

/// Maximum number of `--exclude` and of `--metadata`.
const MAX_CONDITIONS: (usize, usize) = (20, 16);

/// Maximum length of a value to filter by, in bytes.
const MAX_VALUE: usize = 512;

/// Reasons of failures that docs/operations.md describes; `retry` is that of an event which is tried again.
const REASONS: [&str; 12] = [
    "unauthorized",
    "quota_exhausted",
    "retries_exhausted",
    "not_found",
    "file_gone",
    "too_large",
    "refused_by_openai",
    "undecodable_message",
    "no_object",
    "unusable_id",
    "retry",
    "none",
];

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
pub(crate) struct FilterArgs {
    /// Earliest time of receipt: a span (30m, 24h, 7d), a date or a time in UTC
    #[arg(long, value_name = "TIME", value_parser = timestamp::past)]
    since: Option<Timestamp>,
    /// Latest time of receipt
    #[arg(long, value_name = "TIME", value_parser = timestamp::past)]
    until: Option<Timestamp>,
    /// Category, such as fine-tuning
    #[arg(long, value_name = "CATEGORY", value_parser = category())]
    category: Option<Category>,
    /// Event type, such as batch.completed, or a prefix, such as `batch.*`
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<EventTypePattern>,
    /// State
    #[arg(long, value_name = "STATE")]
    state: Option<State>,
    /// Failed events: the same as --state failed
    #[arg(long, conflicts_with = "state")]
    failed: bool,
    /// Reason of the failure, such as unauthorized
    #[arg(long, value_name = "REASON", value_parser = word)]
    reason: Option<String>,
    /// Id of the object, such as `batch_123`
    #[arg(long, value_name = "ID", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    object: Option<String>,
    /// Entry of the object's metadata; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = metadata)]
    metadata: Vec<(String, String)>,
    /// What to leave out, such as reason=unauthorized or `type=eval.*`; may be repeated
    #[arg(long, value_name = "FIELD=VALUE", value_parser = excluded)]
    exclude: Vec<(Field, String)>,
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
    /// The filter, with absolute times.
    fn to_filter(&self) -> Result<EventFilter> {
        let (most_excluded, most_metadata) = MAX_CONDITIONS;
        if self.exclude.len() > most_excluded || self.metadata.len() > most_metadata {
            return Err(CliError::usage(format!(
                "at most {most_excluded} --exclude and {most_metadata} --metadata can be given"
            )));
        }
        let now = Timestamp::now();
        let since = self.since.unwrap_or_else(|| Timestamp::from_seconds(now.seconds() - DEFAULT_SINCE));
        // Include events received within the current second.
        let until = self.until.map_or(now.0 + 999, |until| until.0);
        if until < since.0 {
            let error = CliError::usage("--until is before --since");
            return Err(match self.since {
                Some(_) => error,
                None => error.hint("The default of --since is 24 hours ago."),
            });
        }
        let state = if self.failed { Some(State::Failed) } else { self.state };
        let include = [
            (Field::Category, self.category.map(|category| category.as_str().to_owned())),
            (Field::Type, self.event_type.as_ref().map(|pattern| pattern.as_str().to_owned())),
            (Field::State, state.and_then(|state| Some(state.to_possible_value()?.get_name().to_owned()))),
            (Field::Reason, self.reason.clone()),
            (Field::Object, self.object.clone()),
        ];
        Ok(EventFilter {
            since: since.0,
            until,
            include: include.into_iter().filter_map(|(field, value)| Some((field, value?))).collect(),
            exclude: self.exclude.clone(),
            metadata: self.metadata.clone(),
        })
    }

    fn is_given(&self) -> bool {
        let Self { since, until, category, event_type, state, failed, reason, object, metadata, exclude } = self;
        since.or(*until).is_some()
            || category.is_some()
            || event_type.is_some()
            || state.is_some()
            || *failed
            || reason.is_some()
            || object.is_some()
            || !metadata.is_empty()
            || !exclude.is_empty()
    }

    /// The error for a reason that no event has and that is not known either, such as a misspelt one.
    fn check_reason(&self) -> Result<()> {
        match &self.reason {
            Some(reason) => check_reason(reason),
            None => Ok(()),
        }
    }
}

/// The error for a reason that nothing was found with, and that is not known.
pub(crate) fn check_reason(reason: &str) -> Result<()> {
    if REASONS.contains(&reason) {
        return Ok(());
    }
    Err(CliError::usage(format!("{} is not a known reason, and nothing failed for it", printable(reason)))
        .hint(format!("The reasons are {}.", REASONS.join(", "))))
}

/// Parses a value of a filter: short, and of printable characters.
fn word(text: &str) -> std::result::Result<String, String> {
    let fits = !text.is_empty() && text.len() <= MAX_VALUE && !text.chars().any(char::is_control);
    if fits {
        Ok(text.to_owned())
    } else {
        Err(format!("a value has 1 to {MAX_VALUE} bytes and no control characters"))
    }
}

fn metadata(text: &str) -> std::result::Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("metadata is NAME=VALUE")?;
    Ok((word(name)?, word(value)?))
}

fn excluded(text: &str) -> std::result::Result<(Field, String), String> {
    let names = Field::NAMED.map(|(name, _)| name).join(", ");
    let (name, value) =
        text.split_once('=').ok_or_else(|| format!("what is left out is FIELD=VALUE; the fields are {names}"))?;
    let field = Field::NAMED.into_iter().find(|(known, _)| *known == name);
    let (_, field) = field.ok_or_else(|| format!("{} is not a field; the fields are {names}", printable(name)))?;
    if field == Field::Type {
        value.parse::<EventTypePattern>()?;
    }
    Ok((field, word(value)?))
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
    if found.is_empty() {
        args.filter.check_reason()?;
    }
    context.out.lines(&found, || {
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
    if more {
        context.out.more("raise --limit, or narrow the filter.");
    } else if found.is_empty() && !context.out.json {
        let default = if args.filter.since.is_none() { " The default of --since is 24 hours ago." } else { "" };
        context.out.note(&format!("No event matches.{default}"));
    }
    Ok(Exit::Success)
}

/// Finds an event with its body, by webhook id, event id, or the beginning of one.
pub(crate) async fn find(context: &Context, log: &EventLog, id: &str) -> Result<Entry> {
    let endpoints: Vec<_> = context.stack().await?.endpoints()?.into_iter().map(|endpoint| endpoint.name).collect();
    let mut spinner = None;
    let searching = || spinner = Some(context.out.spinner(format!("Searching the ledger for {}", printable(id))));
    let found = log.find(&endpoints, id, searching).await;
    drop(spinner);
    found?.ok_or_else(|| {
        CliError::failed(format!("the ledger of {} has no event {}", context.options.stack, printable(id))).hint(
            "Give a webhook id (wh_...) or an event id (evt_...), or the beginning of one, as in `openai-webhooks events \
             list --since 35d`.",
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
