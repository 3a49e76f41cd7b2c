//! `events list`: what came, the newest first.

use clap::Args;
use serde_json::{Value, json};

use super::{Filter, document, event_log, result};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::table;
use crate::when::Moment;

/// List events, the newest first (default: of the last 24 hours)
#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    filter: Filter,
    /// Show so many at most
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

pub(crate) async fn run(args: &ListArgs, context: &Context) -> Result<Exit, Failure> {
    let wanted = args.filter.wanted()?;
    let log = event_log(context).await?;
    let spinner = context.out.spinner("Reading the ledger");
    let (mut entries, mut found) = (log.entries(wanted), Vec::new());
    let mut more = false;
    while let Some(entry) = entries.next().await? {
        more = found.len() >= args.limit as usize;
        if more {
            break;
        }
        found.push(entry);
    }
    drop(spinner);
    let events: Vec<Value> = found.iter().map(document).collect();
    context.out.result(&json!({"events": events, "more": more}), || {
        let rows: Vec<_> = found
            .iter()
            .map(|entry| {
                [
                    Moment(entry.received_at).text(),
                    entry.state.clone(),
                    entry.event_type.clone(),
                    entry.object_id.clone().unwrap_or_else(|| "-".to_owned()),
                    entry.claims.to_string(),
                    result(entry),
                    entry.webhook_id.clone(),
                ]
            })
            .collect();
        table(["RECEIVED (UTC)", "STATE", "TYPE", "OBJECT", "TRIES", "RESULT", "ID"], &rows)
    })?;
    if !context.out.json {
        match (found.is_empty(), more) {
            (true, _) => context.out.note("No event matches. Without --since the last 24 hours are searched."),
            (_, true) => context.out.note("There are more: raise --limit, or ask for less."),
            _ => {}
        }
    }
    Ok(Exit::Yes)
}
