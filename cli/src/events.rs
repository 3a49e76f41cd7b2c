//! `events`: what the ledger knows of the events that came, and having them handled again.

mod list;
mod replay;
mod show;

use clap::{Args, Subcommand, ValueEnum};
use hooks_aws::ledger::Ledger;
use hooks_webhook::Category;
use serde_json::{Value, json};

use crate::aws::{Entry, EventLog, Wanted};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::when::{self, Moment};

/// What is listed when nothing is said of the time: a day.
const DEFAULT_SINCE: i64 = 86_400;

/// The endpoints that a stack has.
const ENDPOINTS: [&str; 2] = ["project", "organization"];

/// Look at events, and have them handled again
#[derive(Args, Debug)]
pub(crate) struct EventsArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    List(list::ListArgs),
    Show(show::ShowArgs),
    Replay(replay::ReplayArgs),
}

/// Which events.
#[derive(Args, Debug)]
struct Filter {
    /// Received since then: a span (30m, 24h, 7d), a date or a time in UTC
    #[arg(long, value_name = "TIME", value_parser = when::past)]
    since: Option<Moment>,
    /// Received until then
    #[arg(long, value_name = "TIME", value_parser = when::past)]
    until: Option<Moment>,
    /// Of this category, such as fine-tuning
    #[arg(long, value_name = "CATEGORY")]
    category: Option<Category>,
    /// Of this type, such as batch.completed; `batch.*` for all that begin so
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// In this state
    #[arg(long, value_name = "STATE")]
    state: Option<State>,
    /// About this object, such as `batch_123`
    #[arg(long, value_name = "ID")]
    object: Option<String>,
}

/// Where an event is.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum State {
    /// Being handled, or waiting for its next try
    #[value(name = "in_progress", alias = "in-progress")]
    InProgress,
    /// Handled
    #[value(alias = "done")]
    Completed,
    /// Given up; its message is a dead letter
    Failed,
    /// Its object does not exist
    #[value(name = "not_found", alias = "not-found")]
    NotFound,
}

pub(crate) async fn run(args: &EventsArgs, context: &Context) -> Result<Exit, Failure> {
    match &args.command {
        Command::List(args) => list::run(args, context).await,
        Command::Show(args) => show::run(args, context).await,
        Command::Replay(args) => replay::run(args, context).await,
    }
}

impl Filter {
    /// What to ask the ledger for.
    fn wanted(&self) -> Result<Wanted, Failure> {
        let since = self.since.unwrap_or_else(|| Moment::ago(DEFAULT_SINCE));
        // An event that was received this very moment counts.
        let until = self.until.map_or(Moment::now().0 + 999, |until| until.0);
        if until < since.0 {
            return Err(Failure::usage("--until is before --since").hint("Without --since it is 24 hours ago."));
        }
        if self.event_type.as_deref().is_some_and(|event_type| event_type.trim_end_matches('*').contains('*')) {
            return Err(Failure::usage("--type has a * that is not at its end").hint("Write `batch.*`, say."));
        }
        if self.event_type.as_deref() == Some("") || self.object.as_deref() == Some("") {
            return Err(Failure::usage("--type or --object is empty").hint("Leave it out to have all."));
        }
        Ok(Wanted {
            since: since.0,
            until,
            category: self.category.map(|category| category.as_str().to_owned()),
            event_type: self.event_type.clone(),
            state: self.state.map(|state| {
                match state {
                    State::InProgress => "in_progress",
                    State::Completed => "completed",
                    State::Failed => "failed",
                    State::NotFound => "not_found",
                }
                .to_owned()
            }),
            object_id: self.object.clone(),
            ..Wanted::default()
        })
    }

    fn is_given(&self) -> bool {
        let Self { since, until, category, event_type, state, object } = self;
        since.is_some()
            || until.is_some()
            || category.is_some()
            || event_type.is_some()
            || state.is_some()
            || object.is_some()
    }
}

/// The stack's ledger.
pub(crate) async fn ledger(context: &Context) -> Result<Ledger, Failure> {
    Ok(Ledger::new(context.aws().await?, context.output("TableName").await?))
}

/// The stack's ledger, read as a log.
pub(crate) async fn event_log(context: &Context) -> Result<EventLog, Failure> {
    ledger(context).await.map(EventLog::new)
}

/// The event with this webhook id or event id, with its body. An event id is searched in all that the ledger keeps.
async fn find(context: &Context, log: &EventLog, id: &str) -> Result<Entry, Failure> {
    for endpoint in ENDPOINTS {
        if let Some(entry) = log.entry(endpoint, id).await? {
            return Ok(entry);
        }
    }
    let _spinner = context.out.spinner(format!("Searching the ledger for {id}"));
    let wanted = Wanted { until: i64::MAX, event_id: Some(id.to_owned()), ..Wanted::default() };
    let found = match log.entries(wanted).next().await? {
        Some(entry) => log.entry(&entry.endpoint, &entry.webhook_id).await?,
        None => None,
    };
    found.ok_or_else(|| {
        Failure::no(format!("the ledger of {} has no event {id}", context.options.stack)).hint(
            "Give a webhook id (wh_...) or an event id (evt_...). The ledger forgets an event 35 days after it was \
             handled last; `openai-webhooks events list` shows what it has.",
        )
    })
}

/// An event for programs, without its body.
pub(crate) fn document(entry: &Entry) -> Value {
    json!({
        "webhook_id": entry.webhook_id,
        "endpoint": entry.endpoint,
        "event_id": entry.event_id,
        "type": entry.event_type,
        "category": entry.category,
        "object_id": entry.object_id,
        "source": entry.source,
        "received_at": Moment(entry.received_at).json(),
        "state": entry.state,
        "claims": entry.claims,
        "handled_at": entry.handled_at.map(|at| Moment(at).json()),
        "outcome": entry.outcome,
        "error": entry.error.as_ref().map(|error| json!({"reason": error.reason, "message": error.message})),
        "duplicate_of": entry.duplicate_of.as_ref().map(|(endpoint, webhook_id)| {
            json!({"endpoint": endpoint, "webhook_id": webhook_id})
        }),
        "body_omitted": entry.body_omitted,
    })
}

/// How an event ended, in a word: what the object's status was, or what went wrong.
pub(crate) fn result(entry: &Entry) -> String {
    let status = || Some(entry.outcome.as_ref()?.get("status")?.as_str()?.to_owned());
    match (&entry.duplicate_of, &entry.error) {
        (Some(_), _) => "duplicate".to_owned(),
        (None, Some(error)) => error.reason.clone(),
        (None, None) => status().unwrap_or_default(),
    }
}
