//! `events replay`: send stored events to their queues again, as a job.

use clap::Args;
use hooks_operate::job::{JobKind, NewJob, body_not_stored};
use serde_json::{Value, json};

use super::{FilterArgs, find};
use crate::aws::{Entry, EventLog};
use crate::context::Context;
use crate::error::{CliError, Exit, Result};
use crate::jobs::{self, NameArgs};
use crate::output::{ConfirmArgs, Decision, counted, or_dash, table, tally};

/// Handle events again, even those that are completed
///
/// The stored bodies are sent to their queues, oldest first. Consumers act again, and the outcomes have
/// `"source": "replay"`. The replay is a job: `jobs show` shows it, and `jobs resume` goes on after Ctrl-C.
#[derive(Args, Debug)]
#[command(
    after_help = "Example: openai-webhooks events replay --since 24h --failed --exclude reason=unauthorized --dry-run"
)]
pub(crate) struct ReplayArgs {
    /// Webhook ids (wh_...) or event ids (evt_...), or their beginnings; without ids, a filter with at least --since
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    #[command(flatten)]
    filter: FilterArgs,
    /// Replay at most N events, the newest ones
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    #[command(flatten)]
    name: NameArgs,
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
    /// The filter with absolute times, or the ids.
    filter: Value,
}

pub(crate) async fn run(args: &ReplayArgs, context: &Context) -> Result {
    args.name.check()?;
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
        Decision::DryRun => return report(context, &plan).map(|_| exit),
        Decision::Declined => return Ok(Exit::Failure),
    }
    let job = NewJob {
        name: args.name.name(JobKind::Replay),
        kind: JobKind::Replay,
        filter: plan.filter.clone(),
        asked_by: asked_by(),
        steps: plan.events.iter().map(Entry::key).collect(),
    };
    let mut document = document(&plan, false);
    let ran = jobs::begin(&job, context, &mut document).await?;
    Ok(if ran == Exit::Success { exit } else { ran })
}

/// Finds the events. With a filter, bodies are read later: there may be many.
async fn plan(args: &ReplayArgs, context: &Context, log: &EventLog) -> Result<Plan> {
    let mut plan = Plan::default();
    match (args.ids.is_empty(), args.filter.is_given()) {
        (false, true) => return Err(CliError::usage("give ids or a filter, not both")),
        (true, _) if args.filter.since.is_none() => {
            return Err(CliError::usage("no events selected: give ids, or a filter with --since")
                .hint("For example `openai-webhooks events replay --since 24h --failed --dry-run`."));
        }
        (true, _) => {
            let _spinner = context.out.spinner("Reading the ledger");
            let filter = args.filter.to_filter()?;
            plan.filter = json!(filter);
            let mut entries = log.entries(filter);
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
            if plan.events.is_empty() && plan.refused.is_empty() {
                args.filter.check_reason()?;
            }
        }
        (false, _) => {
            for id in &args.ids {
                let entry = find(context, log, id).await?;
                if entry.body.is_none() {
                    return Err(body_not_stored(&entry).into());
                }
                if !plan.events.iter().any(|other| other.key() == entry.key()) {
                    plan.events.push(entry);
                }
            }
            plan.filter = json!({"ids": plan.events.iter().map(|entry| &entry.webhook_id).collect::<Vec<_>>()});
        }
    }
    plan.events.sort_by_key(|entry| entry.received_at);
    Ok(plan)
}

fn question(events: &[Entry]) -> String {
    let states = tally(events.iter().map(|entry| entry.state.as_str()));
    format!("Replay {} ({states}), so that they are handled again?", counted(events.len() as u64, "event"))
}

/// The user who asks, as this machine knows them.
pub(crate) fn asked_by() -> Option<String> {
    let name = ["USER", "LOGNAME", "USERNAME"].into_iter().find_map(|name| std::env::var(name).ok())?;
    Some(name.chars().filter(|character| !character.is_control()).take(64).collect())
}

fn document(plan: &Plan, dry_run: bool) -> Value {
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
    json!({
        "dry_run": dry_run,
        "events": plan.events.iter().map(summary).collect::<Vec<Value>>(),
        "refused": refused.collect::<Vec<Value>>(),
        "duplicates": plan.duplicates,
        "more": plan.more,
    })
}

fn report(context: &Context, plan: &Plan) -> Result {
    context.out.result(&document(plan, true), || match plan.events.as_slice() {
        [] => "There is no event to replay.".to_owned(),
        events => {
            let row = |entry: &Entry| {
                let (received, object) = (entry.received_at.text(), or_dash(entry.object_id.as_deref()));
                [received, entry.state.clone(), entry.event_type.clone(), object, entry.webhook_id.clone()]
            };
            let rows: Vec<_> = events.iter().map(row).collect();
            let list = table(["RECEIVED (UTC)", "STATE", "TYPE", "OBJECT", "ID"], &rows);
            format!("{list}\n{} would be replayed.", counted(events.len() as u64, "event"))
        }
    })
}
