//! `dlq redrive`, which is a job, and `dlq purge`.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;

use clap::Args;
use hooks_aws::clock::now_ms;
use hooks_operate::job::{JobKind, NewJob, RedriveFilter};
use hooks_webhook::Category;
use serde_json::json;

use super::{FilterArgs, Summary, list_text, matching};
use crate::aws::{DlqAction, DlqResult};
use crate::context::Context;
use crate::error::{CliError, Exit, Result};
use crate::events::asked_by;
use crate::jobs::{self, NameArgs};
use crate::output::{ConfirmArgs, Decision, counted, tally};

/// Selection of dead letters, and confirmation.
#[derive(Args, Debug)]
pub(crate) struct PurgeArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// Act on at most N dead letters, oldest first
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    #[command(flatten)]
    confirm: ConfirmArgs,
}

/// Selection of dead letters, name of the job, and confirmation.
#[derive(Args, Debug)]
#[command(after_help = "Example: openai-webhooks dlq redrive --reason unauthorized --limit 1")]
pub(crate) struct RedriveArgs {
    #[command(flatten)]
    name: NameArgs,
    #[command(flatten)]
    selection: PurgeArgs,
}

/// Redrives as a job.
pub(super) async fn redrive(args: &RedriveArgs, context: &Context) -> Result {
    args.name.check()?;
    let PurgeArgs { filter, limit, .. } = &args.selection;
    let until = now_ms();
    let Some(chosen) = choose(DlqAction::Redrive, &args.selection, context).await? else { return Ok(Exit::Success) };
    let (summaries, Decision::Proceed) = chosen else { return Ok(Exit::Failure) };
    let kept = RedriveFilter {
        category: filter.category.map(|category| category.to_string()),
        reason: filter.reason.clone(),
        event_type: filter.event_type.as_ref().map(|pattern| pattern.as_str().to_owned()),
        limit: *limit,
        until,
    };
    let job = NewJob {
        name: args.name.name(JobKind::Redrive),
        kind: JobKind::Redrive,
        filter: json!(kept),
        asked_by: asked_by(),
        steps: summaries.iter().map(|summary| format!("{}/{}", summary.category, summary.id)).collect(),
    };
    jobs::begin(&job, context, &mut json!({"dry_run": false})).await
}

/// Deletes.
pub(super) async fn purge(args: &PurgeArgs, context: &Context) -> Result {
    let Some(chosen) = choose(DlqAction::Purge, args, context).await? else { return Ok(Exit::Success) };
    let (summaries, Decision::Proceed) = chosen else { return Ok(Exit::Failure) };
    let result = apply(&summaries, context).await?;
    let gone = summaries.len().saturating_sub(result.letters + result.refused);
    let document = json!({
        "dry_run": false, "letters": result.letters, "refused": result.refused, "gone": gone, "cause": result.cause,
    });
    context.out.result(&document, || text(&result, gone))?;
    Ok(Exit::success_if(result.refused == 0))
}

/// The dead letters that are meant, with a person's decision; `None` if everything is said already.
async fn choose(action: DlqAction, args: &PurgeArgs, context: &Context) -> Result<Option<(Vec<Summary>, Decision)>> {
    let (summaries, more) = matching(context, &args.filter, args.limit).await?;
    if summaries.is_empty() {
        args.filter.check_reason()?;
        let document = json!({"dry_run": args.confirm.dry_run, "letters": 0});
        context.out.result(&document, || list_text(&[]))?;
        return Ok(None);
    }
    let decision = context.out.confirm(args.confirm, &question(action, &summaries))?;
    if decision == Decision::DryRun {
        context.out.result(&json!({"dry_run": true, "letters": summaries, "more": more}), || {
            let (list, reasons) = (list_text(&summaries), reasons(&summaries));
            format!("{list}\n{} would be {}: {reasons}.", summaries.len(), participle(action))
        })?;
        return Ok(None);
    }
    Ok(Some((summaries, decision)))
}

/// Purges, one category after the other.
async fn apply(summaries: &[Summary], context: &Context) -> Result<DlqResult> {
    let mut by_category = BTreeMap::<Category, HashSet<String>>::new();
    for summary in summaries {
        by_category.entry(summary.category).or_default().insert(summary.id.clone());
    }
    let bar = context.out.bar("Deleting", summaries.len() as u64);
    let (mut total, mut position) = (DlqResult::default(), 0);
    for (category, ids) in by_category {
        let queue = context.dead_letter_queue(category).await?;
        let progress = |batch: &[String]| {
            position += batch.len();
            bar.set_position(position as u64);
        };
        queue.apply(DlqAction::Purge, &ids, &mut total, || false, progress).await.map_err(|error| {
            let all = summaries.len();
            CliError::service(format!("{position} of {all} dead letters are deleted, then: {}", error.message))
                .hint("Run the command again for the others.")
        })?;
    }
    Ok(total)
}

fn question(action: DlqAction, summaries: &[Summary]) -> String {
    let (count, reasons) = (counted(summaries.len() as u64, "dead letter"), reasons(summaries));
    match action {
        DlqAction::Redrive => format!("Redrive {count} ({reasons})?"),
        DlqAction::Purge => format!("Delete {count} ({reasons}) for good?"),
    }
}

/// Number of dead letters by reason: `12 unauthorized, 1 none`.
fn reasons(summaries: &[Summary]) -> String {
    tally(summaries.iter().map(Summary::reason))
}

const fn participle(action: DlqAction) -> &'static str {
    match action {
        DlqAction::Redrive => "redriven",
        DlqAction::Purge => "deleted",
    }
}

fn text(result: &DlqResult, gone: usize) -> String {
    let mut text = format!("{} deleted", result.letters);
    if result.refused > 0 {
        let cause = result.cause.as_deref().unwrap_or("SQS gave no cause");
        let _ = write!(text, ", {} refused: {cause}", result.refused);
    }
    if gone > 0 {
        let _ = write!(text, ", {gone} gone meanwhile, or received by another reader");
    }
    text
}
