//! `dlq list` and `dlq show`.

use clap::Args;
use serde_json::{Value, json};

use super::{Filter, HEADINGS, Note, find, matching};
use crate::aws::Letter;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::{pairs, table, visible};

/// List dead letters, the oldest first
#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    filter: Filter,
    /// Show so many at most
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

/// Show one dead letter: why it is one, and its body
#[derive(Args, Debug)]
pub(crate) struct ShowArgs {
    /// The message's id, as `dlq list` has it
    #[arg(value_name = "MESSAGE_ID")]
    id: String,
}

pub(crate) async fn list(args: &ListArgs, context: &Context) -> Result<Exit, Failure> {
    args.filter.check()?;
    let (notes, more) = matching(context, &args.filter, Some(args.limit)).await?;
    let letters: Vec<Value> = notes.iter().map(Note::document).collect();
    context.out.result(&json!({"letters": letters, "more": more}), || match notes.as_slice() {
        [] => "There are no such dead letters.".to_owned(),
        notes => table(HEADINGS, &notes.iter().map(Note::row).collect::<Vec<_>>()),
    })?;
    if more && !context.out.json {
        context.out.note("There are more: raise --limit, or ask for less.");
    }
    Ok(Exit::Yes)
}

pub(crate) async fn show(args: &ShowArgs, context: &Context) -> Result<Exit, Failure> {
    let wanted = args.id.clone();
    let mut found =
        find(context, None, 1, move |category, letter| (letter.id == wanted).then_some((category, letter))).await?;
    let Some((category, letter)) = found.pop() else {
        return Err(Failure::no(format!(
            "no dead-letter queue of {} has the message {}",
            context.options.stack, args.id
        ))
        .hint(
            "`openai-webhooks dlq list` has the ids. A message that somebody else looks at now is back in a minute.",
        ));
    };
    let note = Note::of(category, &letter);
    let mut document = note.document();
    document["body"] = letter.body.as_str().into();
    context.out.result(&document, || text(&note, &letter))?;
    Ok(Exit::Yes)
}

fn text(note: &Note, letter: &Letter) -> String {
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".to_owned());
    let message = note.message.clone().unwrap_or_else(|| {
        "The function died again and again before it could say why. Its log may tell; it may need more memory or time."
            .to_owned()
    });
    let rows = [
        ("reason", note.reason().to_owned()),
        ("message", message),
        ("category", note.category.to_string()),
        ("type", or_none(&note.event_type)),
        ("object", or_none(&note.object_id)),
        ("webhook", or_none(&note.webhook_id)),
        ("endpoint", or_none(&note.endpoint)),
        ("since", format!("{} UTC, {}", note.sent_at.text(), note.sent_at.since())),
        ("message id", note.id.clone()),
    ];
    format!("{}\n{}", pairs(&rows), visible(&letter.body))
}
