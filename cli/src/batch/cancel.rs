//! `batch cancel`: asks OpenAI to stop a batch.

use clap::Args;
use hooks_openai::BatchStatus;
use serde_json::json;

use super::{check_id, counts_document, counts_text};
use crate::context::{Context, deadline};
use crate::failure::{Exit, Failure};
use crate::output::{Consent, Decision};

/// Cancel a batch
///
/// That takes OpenAI up to ten minutes. The requests that were done by then are billed, and their results kept.
#[derive(Args, Debug)]
pub(crate) struct CancelArgs {
    /// The batch, such as `batch_123`
    id: String,
    #[command(flatten)]
    consent: Consent,
}

pub(crate) async fn run(args: &CancelArgs, context: &Context) -> Result<Exit, Failure> {
    check_id(&args.id)?;
    let openai = context.openai().await?;
    let batch = openai.batch(&args.id, deadline()).await?;
    if batch.status.is_terminal() {
        return Err(Failure::no(format!("{} is {} and cannot be cancelled", batch.id, batch.status))
            .hint(format!("Fetch its results: openai-webhooks batch watch {}", batch.id)));
    }
    let dry_run = args.consent.dry_run;
    let told = |batch: &hooks_openai::Batch| {
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
                "{} is {}, which takes up to ten minutes. What was done until then is billed, and its results are kept \
                 as at any other end.",
                batch.id, batch.status
            )
        })
    };
    if batch.status == BatchStatus::Cancelling {
        told(&batch)?;
        return Ok(Exit::Yes);
    }
    let question = format!("Cancel {} ({}, {})?", batch.id, batch.status, counts_text(&batch));
    match context.out.consent(args.consent, &question)? {
        Decision::Go => told(&openai.cancel_batch(&args.id, deadline()).await?)?,
        Decision::Rehearse => told(&batch)?,
        Decision::Stop => return Ok(Exit::No),
    }
    Ok(Exit::Yes)
}
