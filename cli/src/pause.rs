//! `pause` and `resume`: stop and start the handling of a category.

use clap::Args;
use hooks_operate::pause::{source_state, switch};
use hooks_operate::stack::logical_id;
use hooks_webhook::Category;
use serde_json::json;

use crate::aws::oldest_ages;
use crate::context::Context;
use crate::error::{Exit, Result};
use crate::output::{ConfirmArgs, Decision, counted};
use crate::timestamp::duration;
use crate::values::category;

/// Stop handling the events of a category: they wait in their queue, for 14 days at most
///
/// Deliveries are accepted as before. `resume` goes on, and nothing is lost.
#[derive(Args, Debug)]
#[command(after_help = "Example: openai-webhooks pause batch")]
pub(crate) struct PauseArgs {
    /// Category
    #[arg(value_parser = category())]
    category: Category,
    #[command(flatten)]
    confirm: ConfirmArgs,
}

/// Handle the events of a category again, beginning with those that wait
#[derive(Args, Debug)]
#[command(after_help = "Example: openai-webhooks resume batch")]
pub(crate) struct ResumeArgs {
    /// Category
    #[arg(value_parser = category())]
    category: Category,
    /// Show what waits, and change nothing
    #[arg(long)]
    dry_run: bool,
}

pub(crate) async fn pause(args: &PauseArgs, context: &Context) -> Result {
    if context.is_paused(args.category).await? {
        return report(args.category, false, false, context).await;
    }
    let calls = if args.category == Category::Realtime { " Calls are not answered meanwhile." } else { "" };
    let question = format!("Pause {}? Its events wait in their queue until `resume {0}`.{calls}", args.category);
    match context.out.confirm(args.confirm, &question)? {
        Decision::Proceed => set(args.category, false, context).await,
        Decision::DryRun => report(args.category, false, true, context).await,
        Decision::Declined => Ok(Exit::Failure),
    }
}

pub(crate) async fn resume(args: &ResumeArgs, context: &Context) -> Result {
    if args.dry_run || !context.is_paused(args.category).await? {
        return report(args.category, true, args.dry_run, context).await;
    }
    set(args.category, true, context).await
}

async fn set(category: Category, on: bool, context: &Context) -> Result {
    let spinner = context.out.spinner(if on { "Resuming" } else { "Pausing" });
    let source = context.source_state(category).await?;
    switch(context.aws().await?, &source, on).await?;
    drop(spinner);
    report(category, on, false, context).await
}

/// Says how a category stands, and what waits.
async fn report(category: Category, on: bool, dry_run: bool, context: &Context) -> Result {
    let queue = context.dead_letter_queue(category).await?;
    let depth = queue.queue_depth().await?;
    let (waiting, in_flight) = (depth.visible + depth.delayed, depth.in_flight);
    let ages = oldest_ages(context.aws().await?, &[queue.queue_name()]).await.unwrap_or_default();
    #[expect(clippy::cast_possible_truncation, reason = "an age in seconds")]
    let oldest = ages.first().copied().flatten().map(|seconds| seconds as i64).filter(|_| waiting > 0);
    let document = json!({
        "category": category.as_str(), "paused": context.is_paused(category).await?, "dry_run": dry_run,
        "waiting": waiting, "in_flight": in_flight, "oldest_seconds": oldest,
    });
    context.out.result(&document, || {
        let oldest = oldest.map(|seconds| format!(", the oldest for {}", duration(seconds))).unwrap_or_default();
        let waits = format!("{} wait{oldest}, and {in_flight} are being handled.", counted(waiting, "event"));
        match (on, dry_run) {
            (true, true) => format!("{category} would be resumed. {waits}"),
            (false, true) => format!("{category} would be paused. {waits}"),
            (true, false) => format!("{category} is handled. {waits}"),
            (false, false) => format!(
                "{category} is paused. {waits} They wait for 14 days at most; go on with: openai-webhooks resume {category}"
            ),
        }
    })
}

impl Context {
    /// The event source of a category.
    pub(crate) async fn source_state(&self, category: Category) -> Result<hooks_operate::pause::SourceState> {
        let function = self.output(&format!("{}FunctionName", logical_id(category))).await?;
        let queue = self.dead_letter_queue(category).await?;
        Ok(source_state(self.aws().await?, function, queue.queue_name()).await?)
    }

    /// Whether a category is paused.
    pub(crate) async fn is_paused(&self, category: Category) -> Result<bool> {
        Ok(!self.source_state(category).await?.is_on())
    }
}
