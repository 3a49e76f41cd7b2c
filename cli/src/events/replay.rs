//! `events replay`: events go through their queue again and are handled as if they had just come.

use std::collections::BTreeMap;

use clap::Args;
use hooks_aws::queue::{Message, QueueSender, Source};
use hooks_webhook::{Category, Event};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::show::no_body;
use super::{Filter, event_log, find};
use crate::aws::{Entry, EventLog};
use crate::context::Context;
use crate::dlq::queue_url;
use crate::failure::{Exit, Failure};
use crate::output::{Consent, Decision, table};
use crate::when::Moment;

/// How many events are sent at a time.
const PARALLEL: usize = 8;

/// Have events handled again, also those that are completed
///
/// The stored bodies are put into their queues, the oldest first. Consumers act again, and the outcomes say
/// `"source": "replay"`.
#[derive(Args, Debug)]
pub(crate) struct ReplayArgs {
    /// Webhook ids (wh_...) or event ids (evt_...); instead of ids, a filter with at least --since
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    #[command(flatten)]
    filter: Filter,
    /// Replay so many at most, the newest ones
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    #[command(flatten)]
    consent: Consent,
}

/// What is to be replayed, and what cannot be.
#[derive(Default)]
struct Plan {
    events: Vec<Entry>,
    /// Their bodies are not kept.
    refused: Vec<Entry>,
    /// How many are left out, because another event acted for them.
    duplicates: usize,
    /// Whether the limit left some out.
    more: bool,
}

pub(crate) async fn run(args: &ReplayArgs, context: &Context) -> Result<Exit, Failure> {
    let log = event_log(context).await?;
    let plan = plan(args, context, &log).await?;
    if !context.out.json {
        for entry in &plan.refused {
            context.out.note(&format!("Left out: {}.", no_body(entry).message));
        }
        if plan.duplicates > 0 {
            context.out.note(&format!("Left out: {} duplicates of other events.", plan.duplicates));
        }
        if plan.more {
            context.out.note("More events match: these are the newest ones. Raise --limit to have them all.");
        }
    }
    let decision = match plan.events.as_slice() {
        [] => Decision::Rehearse,
        events => context.out.consent(args.consent, &question(events))?,
    };
    match decision {
        Decision::Go => {}
        Decision::Rehearse => {
            report(context, &plan, &plan.events, true)?;
            return Ok(Exit::when(plan.refused.is_empty()));
        }
        Decision::Stop => return Ok(Exit::No),
    }
    let (replayed, failure) = send(context, &log, &plan.events).await?;
    report(context, &plan, &replayed, false)?;
    match failure {
        None => Ok(Exit::when(plan.refused.is_empty())),
        Some(failure) => {
            let (done, all) = (replayed.len(), plan.events.len());
            Err(Failure::remote(format!("{done} of {all} events are replayed, then: {failure}"))
                .hint("Replay the others by their ids: what is replayed twice is handled twice."))
        }
    }
}

/// Finds the events, without their bodies where they may be many.
async fn plan(args: &ReplayArgs, context: &Context, log: &EventLog) -> Result<Plan, Failure> {
    let (mut plan, limit) = (Plan::default(), args.limit as usize);
    match (args.ids.is_empty(), args.filter.is_given()) {
        (false, true) => return Err(Failure::usage("give ids or a filter, not both")),
        (true, _) if args.filter.since.is_none() => {
            return Err(Failure::usage("say which events: their ids, or a filter with --since")
                .hint("For example `openai-webhooks events replay --since 24h --state failed --dry-run`."));
        }
        (true, _) => {
            let _spinner = context.out.spinner("Reading the ledger");
            let mut entries = log.entries(args.filter.wanted()?);
            while let Some(entry) = entries.next().await? {
                plan.more = plan.events.len() >= limit;
                if plan.more {
                    break;
                }
                match (&entry.duplicate_of, entry.body_omitted) {
                    // The event that acted for it comes by itself, or is left out on purpose.
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
                    return Err(no_body(&entry));
                }
                if !plan.events.iter().any(|other| is_same(other, &entry)) {
                    plan.events.push(entry);
                }
            }
        }
    }
    plan.events.sort_by_key(|entry| entry.received_at);
    Ok(plan)
}

fn is_same(one: &Entry, other: &Entry) -> bool {
    (&one.endpoint, &one.webhook_id) == (&other.endpoint, &other.webhook_id)
}

fn question(events: &[Entry]) -> String {
    let mut by_state = BTreeMap::<&str, usize>::new();
    for entry in events {
        *by_state.entry(&entry.state).or_default() += 1;
    }
    let states: Vec<_> = by_state.iter().map(|(state, count)| format!("{count} {state}")).collect();
    let (count, s) = (events.len(), if events.len() == 1 { "" } else { "s" });
    format!("Replay {count} event{s} ({}), so that they are handled again?", states.join(", "))
}

/// Sends the events. Answers those that were sent, and why it stopped if it did.
async fn send(context: &Context, log: &EventLog, events: &[Entry]) -> Result<(Vec<Entry>, Option<Failure>), Failure> {
    let sender = QueueSender::new(context.aws().await?);
    let mut queues = BTreeMap::new();
    for entry in events {
        let category: Category = entry.category.parse().map_err(|_| {
            Failure::no(format!("{} is of the category {}, which has no queue", entry.webhook_id, entry.category))
        })?;
        queues.insert(entry.category.as_str(), queue_url(context, category).await?);
    }
    let bar = context.out.bar("Replaying", events.len() as u64);
    let (mut sent, mut failure) = (Vec::new(), None);
    let (mut waiting, mut calls) = (events.iter(), JoinSet::new());
    loop {
        while calls.len() < PARALLEL && failure.is_none() {
            let Some(entry) = waiting.next() else { break };
            let (log, sender, entry) = (log.clone(), sender.clone(), entry.clone());
            let queue = queues.get(entry.category.as_str()).copied().unwrap_or_default().to_owned();
            calls.spawn(async move { replay(&log, &sender, &queue, &entry).await.map(|()| entry) });
        }
        match calls.join_next().await {
            None => break,
            Some(Ok(Ok(entry))) => {
                sent.push(entry);
                bar.step();
            }
            Some(Ok(Err(error))) => failure = Some(error),
            Some(Err(error)) => failure = Some(Failure::no(error.to_string())),
        }
    }
    sent.sort_by_key(|entry| entry.received_at);
    Ok((sent, failure))
}

/// Puts one event into its queue, with the body that the ledger has now.
async fn replay(log: &EventLog, sender: &QueueSender, queue: &str, entry: &Entry) -> Result<(), Failure> {
    let body = if let Some(body) = &entry.body {
        body.clone()
    } else {
        let found = log.entry(&entry.endpoint, &entry.webhook_id).await?;
        found.and_then(|entry| entry.body).ok_or_else(|| no_body(entry))?
    };
    let key = Event::parse(&body).ok().map(|event| event.idempotency_key().to_string());
    let record = match &key {
        Some(key) => log.record(key).await?,
        None => None,
    };
    let message = Message {
        body,
        webhook_id: entry.webhook_id.clone(),
        webhook_timestamp: entry.webhook_timestamp.clone(),
        endpoint: entry.endpoint.clone(),
        event_type: entry.event_type.clone(),
        received_at: entry.received_at.cast_unsigned(),
        source: Source::Replay,
        failure: None,
        seen_token: record.map(|record| record.token),
        asked_by: asked_by(),
    };
    Ok(sender.send(queue, &message).await?)
}

/// Who asks, as this machine knows them.
fn asked_by() -> Option<String> {
    let name = ["USER", "LOGNAME", "USERNAME"].into_iter().find_map(|name| std::env::var(name).ok())?;
    Some(name.chars().filter(|character| !character.is_control()).take(64).collect())
}

fn report(context: &Context, plan: &Plan, events: &[Entry], dry_run: bool) -> Result<(), Failure> {
    let named = |entry: &Entry| {
        json!({
            "webhook_id": entry.webhook_id, "endpoint": entry.endpoint, "type": entry.event_type,
            "object_id": entry.object_id, "state": entry.state,
        })
    };
    let refused = plan.refused.iter().map(|entry| {
        let mut named = named(entry);
        named["why"] = no_body(entry).message.into();
        named
    });
    let document = json!({
        "dry_run": dry_run,
        "events": events.iter().map(named).collect::<Vec<Value>>(),
        "refused": refused.collect::<Vec<Value>>(),
        "duplicates": plan.duplicates,
        "more": plan.more,
    });
    context.out.result(&document, || match (events, dry_run) {
        ([], _) => "There is no event to replay.".to_owned(),
        (events, false) => format!("Replayed {}. `openai-webhooks events list` shows how they end.", count(events)),
        (events, true) => {
            let rows: Vec<_> = events
                .iter()
                .map(|entry| {
                    let object = entry.object_id.clone().unwrap_or_else(|| "-".to_owned());
                    let received = Moment(entry.received_at).text();
                    [received, entry.state.clone(), entry.event_type.clone(), object, entry.webhook_id.clone()]
                })
                .collect();
            let list = table(["RECEIVED (UTC)", "STATE", "TYPE", "OBJECT", "ID"], &rows);
            format!("{list}\n{} would be replayed.", count(events))
        }
    })
}

fn count(events: &[Entry]) -> String {
    format!("{} event{}", events.len(), if events.len() == 1 { "" } else { "s" })
}
