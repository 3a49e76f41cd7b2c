//! `status`: the state of the stack at a glance.

mod collect;
mod render;

use clap::Args;

use crate::context::Context;
use crate::error::{CliError, Exit, Result};
use collect::StackStatus;

/// Show the state of the stack: deliveries, events, queues, dead letters, failures, expectations
#[derive(Args, Debug)]
pub(crate) struct StatusArgs {}

pub(crate) async fn run(_: &StatusArgs, context: &Context) -> Result {
    let stack = context.stack().await?;
    let spinner = context.out.spinner("Reading the stack's state");
    let status = Box::pin(StackStatus::collect(context)).await?;
    drop(spinner);
    context.out.result(&render::document(stack, &status), || render::text(stack, &status))?;
    match status.unreadable.first() {
        None => Ok(Exit::Success),
        Some((part, error)) => Err(CliError::service(format!("cannot read the {part}: {error}")).hint(
            "Your AWS identity needs dynamodb:Query on the table's indexes, cloudwatch:ListMetrics and \
             cloudwatch:GetMetricData, and sqs:GetQueueAttributes, sqs:ReceiveMessage and sqs:ChangeMessageVisibility.",
        )),
    }
}
