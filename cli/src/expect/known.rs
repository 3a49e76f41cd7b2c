//! `expect list`, `expect show`, `expect delete`: expectations that were recorded.

use clap::Args;
use hooks_operate::beginning::only;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{CATEGORIES, Kind, check_id};
use crate::aws::{EventFilter, Field};
use crate::context::Context;
use crate::error::{CliError, Exit, Result};
use crate::output::{ConfirmArgs, Decision, key_values, or_dash, table};
use crate::timestamp::Timestamp;

/// Expectations of a page.
const PAGE: u16 = 250;

/// List what is expected, the one due first at first
#[derive(Args, Debug)]
#[command(after_help = "Example: openai-webhooks expect list --overdue")]
pub(super) struct ListArgs {
    /// Only objects of this kind
    #[arg(long, value_name = "KIND")]
    kind: Option<Kind>,
    /// Only what should have ended by now
    #[arg(long)]
    overdue: bool,
    /// Show at most N
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
}

/// Show what is known of an object: its expectation with the context, and its state
#[derive(Args, Debug)]
#[command(after_help = "Example: openai-webhooks expect show batch batch_123")]
pub(super) struct ShowArgs {
    /// Kind of the object
    kind: Kind,
    /// Id of the object, or its beginning
    id: String,
}

/// Expect the end of an object no more: nobody is alerted
#[derive(Args, Debug)]
#[command(after_help = "Example: openai-webhooks expect delete batch batch_123")]
pub(super) struct DeleteArgs {
    #[command(flatten)]
    object: ShowArgs,
    #[command(flatten)]
    confirm: ConfirmArgs,
}

/// An expectation of the list.
#[derive(Serialize)]
struct Line {
    category: &'static str,
    object_id: String,
    due_at: Timestamp,
    created_at: Option<Timestamp>,
    overdue: bool,
}

pub(super) async fn list(args: &ListArgs, context: &Context) -> Result {
    let ledger = context.ledger().await?;
    let now = Timestamp::now();
    let due_before = if args.overdue { now.seconds() } else { i64::MAX };
    let limit = args.limit as usize;
    let spinner = context.out.spinner("Reading what is expected");
    let mut found = Vec::new();
    for category in CATEGORIES {
        if args.kind.is_some_and(|kind| kind.category() != category.as_str()) {
            continue;
        }
        let (mut after, mut count) = (None, 0);
        loop {
            let page = ledger.waiting(category.as_str(), due_before, after.as_ref(), PAGE).await?;
            count += page.items.len();
            found.extend(page.items.into_iter().map(|item| Line {
                category: category.as_str(),
                due_at: Timestamp::from_seconds(item.due_at),
                created_at: item.created_at.map(Timestamp::from_seconds),
                overdue: item.due_at < now.seconds(),
                object_id: item.object_id,
            }));
            after = page.next;
            // One more than the limit says that there are more.
            if after.is_none() || count > limit {
                break;
            }
        }
    }
    drop(spinner);
    found.sort_by_key(|line| line.due_at);
    let more = found.len() > limit;
    found.truncate(limit);
    context.out.lines(&found, || match found.as_slice() {
        [] if args.overdue => "Nothing is overdue.".to_owned(),
        [] => "Nothing is expected.".to_owned(),
        found => {
            let row = |line: &Line| {
                let created = line.created_at.map(Timestamp::text);
                let state = if line.overdue { "overdue" } else { "" };
                let (category, object) = (line.category.to_owned(), line.object_id.clone());
                [line.due_at.text(), state.to_owned(), category, object, or_dash(created.as_deref())]
            };
            table(["DUE (UTC)", "", "KIND", "OBJECT", "RECORDED (UTC)"], &found.iter().map(row).collect::<Vec<_>>())
        }
    })?;
    if more {
        context.out.more("raise --limit, or give a --kind.");
    }
    Ok(Exit::Success)
}

pub(super) async fn show(args: &ShowArgs, context: &Context) -> Result {
    let (_, job) = job(args, context).await?;
    context.out.result(&job, || {
        let said = |name: &str| job.get(name).filter(|value| !value.is_null());
        let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let names = ["category", "object_id", "status", "waiting", "context", "error"];
        let mut rows: Vec<_> = names.into_iter().filter_map(|name| Some((name, plain(said(name)?)))).collect();
        #[expect(clippy::cast_possible_truncation, reason = "seconds, in whatever form somebody wrote them")]
        let at = |name: &str| said(name).and_then(Value::as_f64).map(|at| Timestamp::from_seconds(at as i64).text());
        for (name, label) in [("due_at", "due"), ("created_at", "recorded"), ("overdue_at", "told as overdue")] {
            rows.extend(at(name).map(|at| (label, format!("{at} UTC"))));
        }
        key_values(&rows)
    })
}

pub(super) async fn delete(args: &DeleteArgs, context: &Context) -> Result {
    let kind = args.object.kind;
    let (id, job) = job(&args.object, context).await?;
    if !job.contains_key("waiting") {
        return Err(CliError::failed(format!("the end of {id} is not expected, or not any more")));
    }
    let decision = context.out.confirm(args.confirm, &format!("Expect the end of {id} no more?"))?;
    match decision {
        Decision::Declined => return Ok(Exit::Failure),
        Decision::DryRun => {}
        Decision::Proceed => {
            if !context.ledger().await?.expect_no_more(kind.category(), &id).await? {
                return Err(CliError::failed(format!("{id} has ended meanwhile")));
            }
        }
    }
    let dry_run = decision == Decision::DryRun;
    let document = json!({"dry_run": dry_run, "category": kind.category(), "object_id": id});
    context.out.result(&document, || {
        let would = if dry_run { " would be" } else { " is" };
        format!("The end of {id}{would} expected no more.")
    })
}

/// What the ledger says of an object, with its whole id.
async fn job(args: &ShowArgs, context: &Context) -> Result<(String, Map<String, Value>)> {
    check_id(&args.id)?;
    let (log, category) = (context.event_log().await?, args.kind.category());
    if let Some(job) = log.job_record(category, &args.id).await? {
        return Ok((args.id.clone(), job));
    }
    if let Some(id) = whole_id(category, &args.id, context).await?
        && let Some(job) = log.job_record(category, &id).await?
    {
        return Ok((id, job));
    }
    Err(CliError::failed(format!("the ledger of {} does not know {}", context.options.stack, args.id))
        .hint("See `openai-webhooks expect list`."))
}

/// The id that begins so, of what is expected and of what there are events about.
async fn whole_id(category: &str, beginning: &str, context: &Context) -> Result<Option<String>> {
    let ledger = context.ledger().await?;
    let (mut ids, mut after) = (Vec::new(), None);
    loop {
        let page = ledger.waiting(category, i64::MAX, after.as_ref(), PAGE).await?;
        ids.extend(page.items.into_iter().map(|item| item.object_id));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let include = vec![(Field::Category, category.to_owned())];
    let mut entries =
        context.event_log().await?.entries(EventFilter { until: i64::MAX, include, ..EventFilter::default() });
    while let Some(entry) = entries.next().await? {
        ids.extend(entry.object_id.filter(|id| id.starts_with(beginning)));
    }
    Ok(only(beginning, ids)?)
}
