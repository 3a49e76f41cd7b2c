//! `status`: the stack at a glance.

mod facts;
mod show;

use clap::Args;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use facts::Facts;

/// Show the stack at a glance: deliveries, events, queues, dead letters, failures, expectations
#[derive(Args, Debug)]
pub(crate) struct StatusArgs {}

pub(crate) async fn run(_: &StatusArgs, context: &Context) -> Result<Exit, Failure> {
    let stack = context.stack().await?;
    let spinner = context.out.spinner("Looking at the stack");
    let facts = Facts::gather(context).await?;
    drop(spinner);
    context.out.result(&show::document(stack, &facts), || show::text(stack, &facts))?;
    match facts.unreadable.as_slice() {
        [] => Ok(Exit::Yes),
        [(part, error), ..] => Err(Failure::remote(format!("the {part} cannot be read: {error}")).hint(
            "Your AWS identity needs dynamodb:Query on the table's indexes, cloudwatch:ListMetrics and \
             cloudwatch:GetMetricData, and sqs:GetQueueAttributes, sqs:ReceiveMessage and sqs:ChangeMessageVisibility.",
        )),
    }
}
