//! `dlq redrive` and `dlq purge`.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;

use clap::Args;
use hooks_webhook::Category;
use serde_json::{Value, json};

use super::{Filter, HEADINGS, Note, dead_letters, matching};
use crate::aws::{Deed, Done};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::{Consent, Decision, table};

/// Which letters, and whether to ask.
#[derive(Args, Debug)]
pub(crate) struct ActArgs {
    #[command(flatten)]
    filter: Filter,
    /// So many at most, the oldest first
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    #[command(flatten)]
    consent: Consent,
}

pub(crate) async fn run(deed: Deed, args: &ActArgs, context: &Context) -> Result<Exit, Failure> {
    args.filter.check()?;
    let (notes, more) = matching(context, &args.filter, args.limit).await?;
    if notes.is_empty() {
        let document = json!({"dry_run": args.consent.dry_run, "letters": 0});
        context.out.result(&document, || "There are no such dead letters.".to_owned())?;
        return Ok(Exit::Yes);
    }
    match context.out.consent(args.consent, &question(deed, &notes))? {
        Decision::Go => {}
        Decision::Rehearse => {
            rehearse(deed, &notes, more, context)?;
            return Ok(Exit::Yes);
        }
        Decision::Stop => return Ok(Exit::No),
    }
    let done = act(deed, &notes, context).await?;
    let gone = notes.len().saturating_sub(done.letters + done.copied + done.refused);
    let document = json!({
        "dry_run": false, "letters": done.letters, "copied": done.copied, "refused": done.refused, "gone": gone,
        "cause": done.cause,
    });
    context.out.result(&document, || text(deed, &done, gone))?;
    Ok(Exit::when(done.refused == 0))
}

/// Does it, one category after the other.
async fn act(deed: Deed, notes: &[Note], context: &Context) -> Result<Done, Failure> {
    let mut by_category = BTreeMap::<Category, HashSet<String>>::new();
    for note in notes {
        by_category.entry(note.category).or_default().insert(note.id.clone());
    }
    let bar = context.out.bar(if deed == Deed::Redrive { "Redriving" } else { "Deleting" }, notes.len() as u64);
    let (mut done, mut position) = (Done::default(), 0);
    for (category, ids) in by_category {
        let letters = dead_letters(context, category).await?;
        let acted = letters.act(deed, &ids, |count| {
            position += count;
            bar.at(position as u64);
        });
        match acted.await {
            Ok(acted) => done.merge(acted),
            Err(error) => {
                let all = notes.len();
                return Err(Failure::remote(format!(
                    "{position} of {all} dead letters are {}, then: {error}",
                    past(deed)
                ))
                .hint("Run the command again for the others: no event is handled twice."));
            }
        }
    }
    Ok(done)
}

fn question(deed: Deed, notes: &[Note]) -> String {
    let (count, s) = (notes.len(), if notes.len() == 1 { "" } else { "s" });
    let reasons = reasons(notes);
    match deed {
        Deed::Redrive => format!("Redrive {count} dead letter{s} ({reasons})?"),
        Deed::Purge => format!("Delete {count} dead letter{s} ({reasons}) for good?"),
    }
}

/// How many there are of each reason: `12 unauthorized, 1 none`.
fn reasons(notes: &[Note]) -> String {
    let mut counts = BTreeMap::<&str, usize>::new();
    for note in notes {
        *counts.entry(note.reason()).or_default() += 1;
    }
    counts.iter().map(|(reason, count)| format!("{count} {reason}")).collect::<Vec<_>>().join(", ")
}

fn rehearse(deed: Deed, notes: &[Note], more: bool, context: &Context) -> Result<(), Failure> {
    let letters: Vec<Value> = notes.iter().map(Note::document).collect();
    context.out.result(&json!({"dry_run": true, "letters": letters, "more": more}), || {
        let list = table(HEADINGS, &notes.iter().map(Note::row).collect::<Vec<_>>());
        format!("{list}\n{} would be {}: {}.", notes.len(), past(deed), reasons(notes))
    })
}

fn past(deed: Deed) -> &'static str {
    match deed {
        Deed::Redrive => "redriven",
        Deed::Purge => "deleted",
    }
}

fn text(deed: Deed, done: &Done, gone: usize) -> String {
    let mut text = format!("{} {}", done.letters + done.copied, past(deed));
    if done.refused > 0 {
        let cause = done.cause.as_deref().unwrap_or("SQS did not say why");
        let _ = write!(text, ", {} refused: {cause}", done.refused);
    }
    if gone > 0 {
        let _ = write!(text, ", {gone} gone meanwhile, or in somebody else's hands");
    }
    if done.copied > 0 {
        let left = done.copied;
        let _ = write!(text, "\n{left} of them could not be deleted afterwards. Redriven again, they do no harm.");
    }
    text
}
