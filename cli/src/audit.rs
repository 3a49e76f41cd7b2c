//! `audit`: whether the books close, that is, whether every event is where it belongs. Changes nothing.

mod judge;
mod survey;

use std::fmt::Write as _;

use clap::Args;
use serde_json::{Value, json};

use crate::context::Context;
use crate::error::{CliError, Exit, Result};
use crate::output::{counted, printable};
use crate::timestamp::{self, Timestamp};

use judge::State;
use survey::{Books, Finding, survey};

/// Check that no event is lost: ledger, queues, dead letters and artifacts fit together
///
/// Exits with 0 if the books close, with 1 if something does not fit, and with 3 if that is not certain yet. Changes
/// nothing, except that dead letters are received and are invisible to others for up to a minute.
#[derive(Args, Debug)]
pub(crate) struct AuditArgs {
    /// Audit only the events received since then: a span (30m, 24h, 7d), a date or a time in UTC [default: the whole
    /// ledger]
    #[arg(long, value_name = "TIME", value_parser = timestamp::past)]
    since: Option<Timestamp>,
}

pub(crate) async fn run(args: &AuditArgs, context: &Context) -> Result {
    let books = Box::pin(survey(args.since, context)).await?;
    let is_certain = books.uncertain.is_empty() && books.more == 0;
    let closed = if books.mismatches.is_empty() { is_certain.then_some(true) } else { Some(false) };
    let document = json!({
        "closed": closed,
        "since": args.since,
        "events": State::ALL.map(|(state, name)| (name, books.count(state))).into_iter().collect::<Value>(),
        "messages": books.messages,
        "dead_letters": books.dead_letters,
        "mismatches": books.mismatches,
        "uncertain": books.uncertain,
        "notes": books.notes,
        "more": books.more,
    });
    context.out.result(&document, || text(&books))?;
    match closed {
        Some(closed) => Ok(Exit::success_if(closed)),
        None => Err(CliError::service("it is not certain that the books close").hint("Audit again in a minute.")),
    }
}

fn text(books: &Books) -> String {
    let counts = State::ALL.into_iter().filter(|(state, _)| books.count(*state) > 0);
    let counts = counts.map(|(state, name)| format!("{} {}", books.count(state), name.replace('_', " ")));
    let counts = counts.collect::<Vec<_>>().join(", ");
    let (events, messages) = (counted(books.counts.values().sum::<u64>(), "event"), counted(books.messages, "message"));
    let letters = counted(books.dead_letters as u64, "dead letter");
    let mut text = format!("{events}: {counts}\nqueues: {messages}, {letters}\n");
    for (mark, findings) in [("ERROR", &books.mismatches), ("?", &books.uncertain), ("note", &books.notes)] {
        for Finding { event, idempotency_key, detail, fix, .. } in findings {
            let event = printable(&format!("{event}  {idempotency_key}"));
            let _ = write!(text, "\n{mark:5}  {event}\n       {}\n       -> {fix}\n", printable(detail));
        }
    }
    if books.more > 0 {
        let _ = writeln!(text, "\n{} more do not fit at first sight. Mend these first.", counted(books.more, "event"));
    }
    let conclusion = match (books.mismatches.len(), books.uncertain.len()) {
        (0, 0) if books.more == 0 => "The books close.".to_owned(),
        (0, _) => "The books may close: audit again in a minute.".to_owned(),
        (errors, _) => format!("The books do not close: {}.", counted(errors as u64, "error")),
    };
    text + "\n" + &conclusion
}
