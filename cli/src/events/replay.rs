//! `events replay`: send stored events to their queues again.

use std::collections::BTreeMap;

use clap::Args;
use hooks_aws::queue::QueueSender;
use hooks_console::send_replay;
use hooks_webhook::{Category, Event};
use serde_json::{Value, json};

use super::show::body_not_stored;
use super::{FilterArgs, find};
use crate::aws::{Entry, EventLog};
use crate::context::Context;
use crate::error::{CliError, Exit, Result};
use crate::output::{ConfirmArgs, Decision, counted, or_dash, table, tally};
use crate::parallel::each;

/// Number of events that are sent at a time.
const PARALLEL: usize = 8;

/// Handle events again, even those that are completed
///
/// The stored bodies are sent to their queues, oldest first. Consumers act again, and the outcomes have
/// `"source": "replay"`.
#[derive(Args, Debug)]
pub(crate) struct ReplayArgs {
    /// Webhook ids (wh_...) or event ids (evt_...); without ids, a filter with at least --since
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    #[command(flatten)]
    filter: FilterArgs,
    /// Replay at most N events, the newest ones
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    #[command(flatten)]
    confirm: ConfirmArgs,
}

/// Events to replay, and those that are left out.
#[derive(Default)]
struct Plan {
    events: Vec<Entry>,
    /// Events whose bodies are not stored.
    refused: Vec<Entry>,
    /// Number of duplicates, which another event was handled for.
    duplicates: usize,
    /// Whether the limit left some out.
    more: bool,
}

pub(crate) async fn run(args: &ReplayArgs, context: &Context) -> Result {
    let log = context.event_log().await?;
    let plan = plan(args, context, &log).await?;
    if !context.out.json {
        for entry in &plan.refused {
            context.out.note(&format!("Left out: {}.", body_not_stored(entry).message));
        }
        if plan.duplicates > 0 {
            context.out.note(&format!("Left out: {} duplicates of other events.", plan.duplicates));
        }
        if plan.more {
            context.out.note("More events match; these are the newest. Raise --limit to replay all.");
        }
    }
    let exit = Exit::success_if(plan.refused.is_empty());
    let decision = match plan.events.as_slice() {
        [] => Decision::DryRun,
        events => context.out.confirm(args.confirm, &question(events))?,
    };
    match decision {
        Decision::Proceed => {}
        Decision::DryRun => return report(context, &plan, &plan.events, true).map(|_| exit),
        Decision::Declined => return Ok(Exit::Failure),
    }
    let (replayed, error) = send(context, &log, &plan.events).await?;
    report(context, &plan, &replayed, false)?;
    let Some(error) = error else { return Ok(exit) };
    let (done, all) = (replayed.len(), plan.events.len());
    Err(CliError::service(format!("{done} of {all} events are replayed, then: {error}"))
        .hint("Replay the others by their ids: an event that is replayed twice is handled twice."))
}

/// Finds the events. With a filter, bodies are read later: there may be many.
async fn plan(args: &ReplayArgs, context: &Context, log: &EventLog) -> Result<Plan> {
    let mut plan = Plan::default();
    match (args.ids.is_empty(), args.filter.is_given()) {
        (false, true) => return Err(CliError::usage("give ids or a filter, not both")),
        (true, _) if args.filter.since.is_none() => {
            return Err(CliError::usage("no events selected: give ids, or a filter with --since")
                .hint("For example `openai-webhooks events replay --since 24h --state failed --dry-run`."));
        }
        (true, _) => {
            let _spinner = context.out.spinner("Reading the ledger");
            let mut entries = log.entries(args.filter.to_filter()?);
            while let Some(entry) = entries.next().await? {
                plan.more = plan.events.len() >= args.limit as usize;
                if plan.more {
                    break;
                }
                match (&entry.duplicate_of, entry.body_omitted) {
                    // The filter decides about the event that was handled in its place.
                    (Some(_), _) => plan.duplicates += 1,
                    (None, Some(_)) => plan.refused.push(entry),
                    (None, None) => plan.events.push(entry),
                }
            }
        }
        (false, _) => {
            for id in &args.ids {
                let entry = find(context, log, id).await?;
                if entry.body.is_none() {
                    return Err(body_not_stored(&entry));
                }
                if !plan.events.iter().any(|other| other.key() == entry.key()) {
                    plan.events.push(entry);
                }
            }
        }
    }
    plan.events.sort_by_key(|entry| entry.received_at);
    Ok(plan)
}

fn question(events: &[Entry]) -> String {
    let states = tally(events.iter().map(|entry| entry.state.as_str()));
    format!("Replay {} ({states}), so that they are handled again?", counted(events.len() as u64, "event"))
}

/// Sends the events. Returns those that were sent, and the error that stopped it.
async fn send(context: &Context, log: &EventLog, events: &[Entry]) -> Result<(Vec<Entry>, Option<CliError>)> {
    let sender = QueueSender::new(context.aws().await?);
    let mut queues = BTreeMap::new();
    for Entry { category, webhook_id, .. } in events {
        let parsed: Category = category
            .parse()
            .map_err(|_| CliError::failed(format!("{webhook_id} has the category {category}, which has no queue")))?;
        queues.insert(category.as_str(), context.queue_url(parsed).await?);
    }
    let bar = context.out.bar("Replaying", events.len() as u64);
    let calls = events.iter().map(async |entry| {
        let queue = queues.get(entry.category.as_str()).copied().unwrap_or_default();
        replay(log, &sender, queue, entry).await.map(|()| entry.clone())
    });
    let mut sent = Vec::new();
    let result = each(calls, PARALLEL, |entry| {
        sent.push(entry);
        bar.set_position(sent.len() as u64);
    });
    let failure = result.await.err();
    sent.sort_by_key(|entry| entry.received_at);
    Ok((sent, failure))
}

/// Sends one event to its queue, with the body that the ledger has now.
async fn replay(log: &EventLog, sender: &QueueSender, queue: &str, entry: &Entry) -> Result<()> {
    let body = match &entry.body {
        Some(body) => Some(body.clone()),
        None => log.entry(&entry.key()).await?.and_then(|entry| entry.body),
    };
    let body = body.ok_or_else(|| body_not_stored(entry))?;
    let key = Event::parse(&body).ok().map(|event| event.idempotency_key().to_string());
    let record = match &key {
        Some(key) => log.idempotency_record(key).await?,
        None => None,
    };
    let token = record.map(|record| record.token);
    Ok(send_replay(sender, queue, entry, body, token, asked_by()).await?)
}

/// The user who asks, as this machine knows them.
pub(crate) fn asked_by() -> Option<String> {
    let name = ["USER", "LOGNAME", "USERNAME"].into_iter().find_map(|name| std::env::var(name).ok())?;
    Some(name.chars().filter(|character| !character.is_control()).take(64).collect())
}

fn report(context: &Context, plan: &Plan, events: &[Entry], dry_run: bool) -> Result {
    let summary = |entry: &Entry| {
        json!({
            "webhook_id": entry.webhook_id, "endpoint": entry.endpoint, "type": entry.event_type,
            "object_id": entry.object_id, "state": entry.state,
        })
    };
    let refused = plan.refused.iter().map(|entry| {
        let mut summary = summary(entry);
        summary["why"] = body_not_stored(entry).message.into();
        summary
    });
    let document = json!({
        "dry_run": dry_run,
        "events": events.iter().map(summary).collect::<Vec<Value>>(),
        "refused": refused.collect::<Vec<Value>>(),
        "duplicates": plan.duplicates,
        "more": plan.more,
    });
    let count = counted(events.len() as u64, "event");
    context.out.result(&document, || match (events, dry_run) {
        ([], _) => "There is no event to replay.".to_owned(),
        (_, false) => format!("Replayed {count}. Their results: openai-webhooks events list"),
        (events, true) => {
            let row = |entry: &Entry| {
                let (received, object) = (entry.received_at.text(), or_dash(entry.object_id.as_deref()));
                [received, entry.state.clone(), entry.event_type.clone(), object, entry.webhook_id.clone()]
            };
            let rows: Vec<_> = events.iter().map(row).collect();
            let list = table(["RECEIVED (UTC)", "STATE", "TYPE", "OBJECT", "ID"], &rows);
            format!("{list}\n{count} would be replayed.")
        }
    })
}
