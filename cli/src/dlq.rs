//! `dlq`: dead letters. Looking at them leaves them where they are, for everybody else after a moment.

mod act;
mod look;

use clap::{Args, Subcommand};
use hooks_aws::queue::{ENDPOINT, EVENT_TYPE, WEBHOOK_ID};
use hooks_webhook::{Category, Event};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::aws::{DeadLetters, Deed, Letter};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::when::Moment;

/// What stands for the reason of a letter that has none.
const NO_REASON: &str = "none";

/// Look at dead letters, redrive them once the cause is gone, or delete them
#[derive(Args, Debug)]
pub(crate) struct DlqArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    List(look::ListArgs),
    Show(look::ShowArgs),
    /// Put dead letters back into their queues: the events are handled as if they had just come
    ///
    /// Remove the cause first. Events that were handled meanwhile are recognised and not handled twice.
    Redrive(act::ActArgs),
    /// Delete dead letters: nobody handles their events any more
    ///
    /// The ledger still has the events for 35 days, and `events replay` brings them back. Only messages that are no
    /// events (`undecodable_message`) are lost for good.
    Purge(act::ActArgs),
}

/// Which letters.
#[derive(Args, Clone, Debug)]
struct Filter {
    /// Of this category, such as fine-tuning
    #[arg(long, value_name = "CATEGORY")]
    category: Option<Category>,
    /// With this reason, such as unauthorized; `none` for those that have none
    #[arg(long, value_name = "REASON")]
    reason: Option<String>,
    /// Of this event type, such as batch.completed; `batch.*` for all that begin so
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
}

/// What is known of a letter without its body.
#[derive(Clone, Debug)]
pub(crate) struct Note {
    category: Category,
    id: String,
    sent_at: Moment,
    reason: Option<String>,
    message: Option<String>,
    event_type: Option<String>,
    webhook_id: Option<String>,
    endpoint: Option<String>,
    object_id: Option<String>,
}

pub(crate) async fn run(args: &DlqArgs, context: &Context) -> Result<Exit, Failure> {
    match &args.command {
        Command::List(args) => look::list(args, context).await,
        Command::Show(args) => look::show(args, context).await,
        Command::Redrive(args) => act::run(Deed::Redrive, args, context).await,
        Command::Purge(args) => act::run(Deed::Purge, args, context).await,
    }
}

/// The URL of a category's queue.
pub(crate) async fn queue_url(context: &Context, category: Category) -> Result<&str, Failure> {
    context.output(&format!("{}QueueUrl", logical(category))).await
}

/// The dead letters of a category.
pub(crate) async fn dead_letters(context: &Context, category: Category) -> Result<DeadLetters, Failure> {
    let dead = context.output(&format!("{}DeadLetterQueueUrl", logical(category))).await?;
    Ok(DeadLetters::new(context.aws().await?, queue_url(context, category).await?, dead))
}

/// What the template's names of a category begin with, such as `FineTuning`.
pub(crate) fn logical(category: Category) -> String {
    let capitalised = |word: &str| match word.split_at_checked(1) {
        Some((first, rest)) => first.to_ascii_uppercase() + rest,
        None => String::new(),
    };
    category.as_str().split('-').map(capitalised).collect()
}

/// Looks through the categories that are asked for, all at the same time, for `limit` letters at most.
async fn find<T: Send + 'static>(
    context: &Context,
    only: Option<Category>,
    limit: usize,
    wanted: impl Fn(Category, Letter) -> Option<T> + Clone + Send + 'static,
) -> Result<Vec<T>, Failure> {
    let _spinner = context.out.spinner("Looking through the dead letters");
    let mut looks = JoinSet::new();
    for category in Category::ALL.into_iter().filter(|category| only.is_none_or(|only| only == *category)) {
        let (letters, wanted) = (dead_letters(context, category).await?, wanted.clone());
        looks.spawn(async move { letters.look(limit, move |letter| wanted(category, letter)).await });
    }
    let (mut found, mut fault) = (Vec::new(), None);
    while let Some(look) = looks.join_next().await {
        match look {
            Ok(Ok(letters)) => found.extend(letters),
            Ok(Err(error)) => fault = Some(Failure::from(error)),
            Err(error) => fault = Some(Failure::no(error.to_string())),
        }
    }
    fault.map_or(Ok(found), Err)
}

/// The letters that match, the oldest first, and whether there are more than `limit`.
async fn matching(context: &Context, filter: &Filter, limit: Option<u32>) -> Result<(Vec<Note>, bool), Failure> {
    let limit = limit.map_or(usize::MAX, |limit| limit as usize);
    let wanted = filter.clone();
    let wanted = move |category, letter: Letter| {
        let note = Note::of(category, &letter);
        wanted.takes(&note).then_some(note)
    };
    let mut found = find(context, filter.category, limit.saturating_add(1), wanted).await?;
    found.sort_by_key(|note| note.sent_at);
    let more = found.len() > limit;
    found.truncate(limit);
    Ok((found, more))
}

impl Filter {
    fn check(&self) -> Result<(), Failure> {
        if self.event_type.as_deref().is_some_and(|event_type| event_type.trim_end_matches('*').contains('*')) {
            return Err(Failure::usage("--type has a * that is not at its end").hint("Write `batch.*`, say."));
        }
        Ok(())
    }

    fn takes(&self, note: &Note) -> bool {
        let event_type = note.event_type.as_deref().unwrap_or_default();
        self.reason.as_deref().is_none_or(|wanted| wanted == note.reason())
            && self.event_type.as_deref().is_none_or(|wanted| match wanted.strip_suffix('*') {
                Some(prefix) => event_type.starts_with(prefix),
                None => event_type == wanted,
            })
    }
}

impl Note {
    pub(crate) fn of(category: Category, letter: &Letter) -> Self {
        let said = |name| letter.attribute(name).map(str::to_owned);
        let event = Event::parse(&letter.body).ok();
        Self {
            category,
            id: letter.id.clone(),
            sent_at: Moment(letter.sent_at),
            reason: letter.reason().map(str::to_owned),
            message: letter.message().map(str::to_owned),
            event_type: said(EVENT_TYPE).or_else(|| event.as_ref().map(|event| event.event_type.clone())),
            webhook_id: said(WEBHOOK_ID),
            endpoint: said(ENDPOINT),
            object_id: event.and_then(|event| event.object_id().map(str::to_owned)),
        }
    }

    /// The reason, or what stands for it.
    pub(crate) fn reason(&self) -> &str {
        self.reason.as_deref().unwrap_or(NO_REASON)
    }

    fn document(&self) -> Value {
        json!({
            "id": self.id,
            "category": self.category.as_str(),
            "reason": self.reason,
            "message": self.message,
            "type": self.event_type,
            "object_id": self.object_id,
            "webhook_id": self.webhook_id,
            "endpoint": self.endpoint,
            "sent_at": self.sent_at.json(),
        })
    }

    fn row(&self) -> [String; 7] {
        let message: String = self.message.as_deref().unwrap_or_default().chars().take(SHOWN_MESSAGE).collect();
        let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        [
            self.sent_at.text(),
            self.category.to_string(),
            self.reason().to_owned(),
            or_dash(&self.event_type),
            or_dash(&self.object_id),
            self.id.clone(),
            message,
        ]
    }
}

const HEADINGS: [&str; 7] = ["SINCE (UTC)", "CATEGORY", "REASON", "TYPE", "OBJECT", "MESSAGE ID", "MESSAGE"];

/// So many characters of a letter's message are shown in a list.
const SHOWN_MESSAGE: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outputs_of_a_category_have_its_name_in_capitals() {
        assert_eq!(
            Category::ALL.map(logical).join(" "),
            "Batch Response FineTuning Realtime Agent Safety File Archive"
        );
    }

    #[test]
    fn a_letter_matches_by_reason_and_by_type() {
        let note = Note {
            category: Category::Batch,
            id: String::new(),
            sent_at: Moment(0),
            reason: None,
            message: None,
            event_type: Some("batch.completed".to_owned()),
            webhook_id: None,
            endpoint: None,
            object_id: None,
        };
        let takes = |reason: Option<&str>, event_type: Option<&str>| {
            let (reason, event_type) = (reason.map(str::to_owned), event_type.map(str::to_owned));
            Filter { category: None, reason, event_type }.takes(&note)
        };
        assert!(takes(None, None) && takes(Some("none"), Some("batch.*")) && takes(None, Some("batch.completed")));
        assert!(!takes(Some("unauthorized"), None) && !takes(None, Some("batch")) && !takes(None, Some("file.*")));
    }
}
