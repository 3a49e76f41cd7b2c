//! `dlq`: list, show, redrive and purge dead letters.

mod redrive;

use clap::{Args, Subcommand};
use hooks_aws::queue::{ENDPOINT, EVENT_TYPE, WEBHOOK_ID};
use hooks_webhook::{Category, Event};
use serde::Serialize;
use serde_json::json;

use crate::aws::DeadLetter;
use crate::context::Context;
use crate::error::{CliError, Exit, Result};
use crate::event_type::EventTypePattern;
use crate::events::check_reason;
use crate::output::{display, key_values, or_dash, printable, table};
use crate::timestamp::Timestamp;
use crate::values::category;
use hooks_operate::parallel::all;

/// Stands for the reason of a message that has none.
const NO_REASON: &str = "none";

/// Shortest beginning of a message id that is searched for.
const SHORTEST_ID: usize = 4;

/// Maximum number of characters of a failure message in a list.
const SHOWN_MESSAGE: usize = 60;

const HEADINGS: [&str; 7] = ["SINCE (UTC)", "CATEGORY", "REASON", "TYPE", "OBJECT", "MESSAGE ID", "MESSAGE"];

/// List dead letters, redrive them once the cause is gone, or delete them
#[derive(Subcommand, Debug)]
pub(crate) enum DlqCommand {
    List(ListArgs),
    Show(ShowArgs),
    /// Move dead letters back into their queues: the events are handled again
    ///
    /// Remove the cause first. The ledger recognises events that were handled meanwhile, so none is handled twice.
    Redrive(redrive::RedriveArgs),
    /// Delete dead letters: their events are not handled any more
    ///
    /// The ledger keeps the events for 35 days (parameter `EventRetentionDays`), and `events replay` handles them again. Only messages that are not
    /// events (`undecodable_message`) are lost for good.
    Purge(redrive::PurgeArgs),
}

/// List dead letters, oldest first
#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// Show at most N
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

/// Show one dead letter with its reason and body
#[derive(Args, Debug)]
pub(crate) struct ShowArgs {
    /// Message id, as in `dlq list`, or its beginning
    #[arg(value_name = "MESSAGE_ID")]
    id: String,
}

/// Selection of dead letters.
#[derive(Args, Debug)]
struct FilterArgs {
    /// Category, such as fine-tuning
    #[arg(long, value_name = "CATEGORY", value_parser = category())]
    category: Option<Category>,
    /// Failure reason, such as unauthorized; `none` for messages without one
    #[arg(long, value_name = "REASON")]
    reason: Option<String>,
    /// Event type, such as batch.completed, or a prefix, such as `batch.*`
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<EventTypePattern>,
}

/// A dead letter without its body.
#[derive(Clone, Debug, Serialize)]
struct Summary {
    #[serde(serialize_with = "display")]
    category: Category,
    id: String,
    sent_at: Timestamp,
    reason: Option<String>,
    message: Option<String>,
    #[serde(rename = "type")]
    event_type: Option<String>,
    webhook_id: Option<String>,
    endpoint: Option<String>,
    object_id: Option<String>,
}

pub(crate) async fn run(command: &DlqCommand, context: &Context) -> Result {
    match command {
        DlqCommand::List(args) => list(args, context).await,
        DlqCommand::Show(args) => show(args, context).await,
        DlqCommand::Redrive(args) => redrive::redrive(args, context).await,
        DlqCommand::Purge(args) => redrive::purge(args, context).await,
    }
}

async fn list(args: &ListArgs, context: &Context) -> Result {
    let (summaries, more) = matching(context, &args.filter, Some(args.limit)).await?;
    if summaries.is_empty() {
        args.filter.check_reason()?;
    }
    context.out.lines(&summaries, || list_text(&summaries))?;
    if more {
        context.out.more("raise --limit, or narrow the filter.");
    }
    Ok(Exit::Success)
}

async fn show(args: &ShowArgs, context: &Context) -> Result {
    if args.id.len() < SHORTEST_ID {
        return Err(CliError::usage(format!("give at least {SHORTEST_ID} characters of the message id")));
    }
    let select = |category, letter: DeadLetter| letter.id.starts_with(&args.id).then_some((category, letter));
    let mut found = peek(context, None, 2, select).await?;
    if let [(_, one), (_, other), ..] = found.as_slice() {
        return Err(CliError::usage(format!("{} is the beginning of several ids: {}, {}", args.id, one.id, other.id))
            .hint("Give more characters."));
    }
    let Some((category, letter)) = found.pop() else {
        let message = format!("no dead-letter queue of {} has the message {}", context.options.stack, args.id);
        return Err(CliError::failed(message).hint(
            "`openai-webhooks dlq list` lists the ids. A message that another reader has received is visible again \
             within a minute.",
        ));
    };
    let summary = Summary::new(category, &letter);
    let mut document = json!(summary);
    document["body"] = letter.body.as_str().into();
    context.out.result(&document, || summary.text(&letter.body))
}

/// Reason of a dead letter, or what stands for it.
pub(crate) fn reason(letter: &DeadLetter) -> String {
    letter.reason().unwrap_or(NO_REASON).to_owned()
}

/// Reads the dead letters of one category or all, in parallel, until `limit` of each are selected.
pub(crate) async fn peek<T>(
    context: &Context,
    category: Option<Category>,
    limit: usize,
    select: impl Fn(Category, DeadLetter) -> Option<T>,
) -> Result<Vec<T>> {
    let _spinner = context.out.spinner("Reading the dead letters");
    let categories = Category::ALL.into_iter().filter(|one| category.is_none_or(|only| only == *one));
    let calls = categories.map(async |category| {
        let queue = context.dead_letter_queue(category).await?;
        Ok::<_, CliError>(queue.peek(limit, |letter| select(category, letter)).await?)
    });
    Ok(all(calls).await?.into_iter().flatten().collect())
}

/// The dead letters that match, oldest first, and whether there are more than `limit`.
async fn matching(context: &Context, filter: &FilterArgs, limit: Option<u32>) -> Result<(Vec<Summary>, bool)> {
    let limit = limit.map_or(usize::MAX, |limit| limit as usize);
    let select =
        |category, letter: DeadLetter| Some(Summary::new(category, &letter)).filter(|summary| filter.matches(summary));
    let mut found = peek(context, filter.category, limit.saturating_add(1), select).await?;
    found.sort_by_key(|summary| summary.sent_at);
    let more = found.len() > limit;
    found.truncate(limit);
    Ok((found, more))
}

fn list_text(summaries: &[Summary]) -> String {
    match summaries {
        [] => "There are no such dead letters.".to_owned(),
        summaries => table(HEADINGS, &summaries.iter().map(Summary::row).collect::<Vec<_>>()),
    }
}

impl FilterArgs {
    /// The error for a reason that no letter has and that is not known either.
    fn check_reason(&self) -> Result<()> {
        self.reason.as_deref().map_or(Ok(()), check_reason)
    }

    fn matches(&self, summary: &Summary) -> bool {
        let event_type = summary.event_type.as_deref().unwrap_or_default();
        self.reason.as_deref().is_none_or(|reason| reason == summary.reason())
            && self.event_type.as_ref().is_none_or(|pattern| pattern.matches(event_type))
    }
}

impl Summary {
    fn new(category: Category, letter: &DeadLetter) -> Self {
        let attribute = |name| letter.attribute(name).map(str::to_owned);
        let event = Event::parse(&letter.body).ok();
        Self {
            category,
            id: letter.id.clone(),
            sent_at: Timestamp(letter.sent_at),
            reason: letter.reason().map(str::to_owned),
            message: letter.message().map(str::to_owned),
            event_type: attribute(EVENT_TYPE).or_else(|| event.as_ref().map(|event| event.event_type.clone())),
            webhook_id: attribute(WEBHOOK_ID),
            endpoint: attribute(ENDPOINT),
            object_id: event.and_then(|event| event.object_id().map(str::to_owned)),
        }
    }

    fn reason(&self) -> &str {
        self.reason.as_deref().unwrap_or(NO_REASON)
    }

    fn row(&self) -> [String; 7] {
        [
            self.sent_at.text(),
            self.category.to_string(),
            self.reason().to_owned(),
            or_dash(self.event_type.as_deref()),
            or_dash(self.object_id.as_deref()),
            self.id.clone(),
            self.message.as_deref().unwrap_or_default().chars().take(SHOWN_MESSAGE).collect(),
        ]
    }

    fn text(&self, body: &str) -> String {
        let message = self.message.as_deref().unwrap_or(
            "The function died again and again before it could report a reason. See its log; it may need more memory or \
             time.",
        );
        let rows = [
            ("reason", self.reason().to_owned()),
            ("message", message.to_owned()),
            ("category", self.category.to_string()),
            ("type", or_dash(self.event_type.as_deref())),
            ("object", or_dash(self.object_id.as_deref())),
            ("webhook", or_dash(self.webhook_id.as_deref())),
            ("endpoint", or_dash(self.endpoint.as_deref())),
            ("since", format!("{} UTC, {}", self.sent_at.text(), self.sent_at.ago())),
            ("message id", self.id.clone()),
        ];
        format!("{}\n{}", key_values(&rows), printable(body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_letter_matches_by_reason_and_by_type() {
        let summary = Summary {
            category: Category::Batch,
            id: String::new(),
            sent_at: Timestamp(0),
            reason: None,
            message: None,
            event_type: Some("batch.completed".to_owned()),
            webhook_id: None,
            endpoint: None,
            object_id: None,
        };
        let matches = |reason: Option<&str>, event_type: Option<&str>| {
            let event_type = event_type.map(|pattern| pattern.parse().unwrap());
            FilterArgs { category: None, reason: reason.map(str::to_owned), event_type }.matches(&summary)
        };
        assert!(
            matches(None, None) && matches(Some("none"), Some("batch.*")) && matches(None, Some("batch.completed"))
        );
        assert!(
            !matches(Some("unauthorized"), None) && !matches(None, Some("batch")) && !matches(None, Some("file.*"))
        );
    }
}
