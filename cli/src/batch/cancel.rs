//! `batch cancel`.

use clap::Args;
use hooks_openai::BatchStatus;
use serde_json::json;

use super::{check_id, counts_document, counts_text};
use crate::context::{Context, deadline};
use crate::error::{CliError, Exit, Result};
use crate::output::{ConfirmArgs, Decision};

/// Cancel a batch
///
/// OpenAI takes up to ten minutes. Requests that are completed by then are billed, and their results kept.
#[derive(Args, Debug)]
pub(crate) struct CancelArgs {
    /// Id of the batch, such as `batch_123`
    id: String,
    #[command(flatten)]
    confirm: ConfirmArgs,
}

pub(crate) async fn run(args: &CancelArgs, context: &Context) -> Result {
    check_id(&args.id)?;
    let openai = context.openai().await?;
    let batch = openai.batch(&args.id, deadline()).await?;
    if batch.status.is_terminal() {
        return Err(CliError::failed(format!("{} is {} and cannot be cancelled", batch.id, batch.status))
            .hint(format!("Fetch its results: openai-webhooks batch watch {}", batch.id)));
    }
    let dry_run = args.confirm.dry_run;
    let report = |batch: &hooks_openai::Batch| {
        let document = json!({
            "dry_run": dry_run,
            "batch_id": batch.id,
            "status": batch.status.as_str(),
            "request_counts": counts_document(batch),
        });
        context.out.result(&document, || {
            if dry_run {
                return format!("{} would be cancelled: {}, {}.", batch.id, batch.status, counts_text(batch));
            }
            format!(
                "{} is {}, which takes up to ten minutes. Requests that are completed by then are billed, and their \
                 results kept.",
                batch.id, batch.status
            )
        })
    };
    if batch.status == BatchStatus::Cancelling {
        return report(&batch);
    }
    let question = format!("Cancel {} ({}, {})?", batch.id, batch.status, counts_text(&batch));
    match context.out.confirm(args.confirm, &question)? {
        Decision::Proceed => report(&openai.cancel_batch(&args.id, deadline()).await?),
        Decision::DryRun => report(&batch),
        Decision::Declined => Ok(Exit::Failure),
    }
}
