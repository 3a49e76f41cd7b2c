//! `dlq redrive` and `dlq purge`.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;

use clap::Args;
use hooks_webhook::Category;
use serde_json::json;

use super::{FilterArgs, Summary, list_text, matching};
use crate::aws::{DlqAction, DlqResult};
use crate::context::Context;
use crate::error::{CliError, Exit, Result};
use crate::output::{ConfirmArgs, Decision, counted, tally};

/// Selection of dead letters, and confirmation.
#[derive(Args, Debug)]
pub(crate) struct RedriveArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// Act on at most N dead letters, oldest first
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    #[command(flatten)]
    confirm: ConfirmArgs,
}

pub(super) async fn run(action: DlqAction, args: &RedriveArgs, context: &Context) -> Result {
    let (summaries, more) = matching(context, &args.filter, args.limit).await?;
    if summaries.is_empty() {
        let document = json!({"dry_run": args.confirm.dry_run, "letters": 0});
        return context.out.result(&document, || list_text(&[]));
    }
    match context.out.confirm(args.confirm, &question(action, &summaries))? {
        Decision::Proceed => {}
        Decision::DryRun => {
            return context.out.result(&json!({"dry_run": true, "letters": summaries, "more": more}), || {
                let (list, reasons) = (list_text(&summaries), reasons(&summaries));
                format!("{list}\n{} would be {}: {reasons}.", summaries.len(), participle(action))
            });
        }
        Decision::Declined => return Ok(Exit::Failure),
    }
    let result = apply(action, &summaries, context).await?;
    let gone = summaries.len().saturating_sub(result.letters + result.copied + result.refused);
    let document = json!({
        "dry_run": false, "letters": result.letters, "copied": result.copied, "refused": result.refused, "gone": gone,
        "cause": result.cause,
    });
    context.out.result(&document, || text(action, &result, gone))?;
    Ok(Exit::success_if(result.refused == 0))
}

/// Redrives or purges, one category after the other.
async fn apply(action: DlqAction, summaries: &[Summary], context: &Context) -> Result<DlqResult> {
    let mut by_category = BTreeMap::<Category, HashSet<String>>::new();
    for summary in summaries {
        by_category.entry(summary.category).or_default().insert(summary.id.clone());
    }
    let title = if action == DlqAction::Redrive { "Redriving" } else { "Deleting" };
    let bar = context.out.bar(title, summaries.len() as u64);
    let (mut total, mut position) = (DlqResult::default(), 0);
    for (category, ids) in by_category {
        let queue = context.dead_letter_queue(category).await?;
        let progress = |count| {
            position += count;
            bar.set_position(position as u64);
        };
        queue.apply(action, &ids, &mut total, progress).await.map_err(|error| {
            let (all, done) = (summaries.len(), participle(action));
            CliError::service(format!("{position} of {all} dead letters are {done}, then: {}", error.message))
                .hint("Run the command again for the others: no event is handled twice.")
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

fn text(action: DlqAction, result: &DlqResult, gone: usize) -> String {
    let mut text = format!("{} {}", result.letters + result.copied, participle(action));
    if result.refused > 0 {
        let cause = result.cause.as_deref().unwrap_or("SQS gave no cause");
        let _ = write!(text, ", {} refused: {cause}", result.refused);
    }
    if gone > 0 {
        let _ = write!(text, ", {gone} gone meanwhile, or received by another reader");
    }
    if result.copied > 0 {
        let _ = write!(text, "\n{} of them could not be deleted. A second redrive is harmless.", result.copied);
    }
    text
}
