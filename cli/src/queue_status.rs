//! State of every category's queues, for `status`, `doctor` and `audit`.

use hooks_webhook::Category;

use crate::aws::{DeadLetterQueue, QueueDepth, oldest_ages};
use crate::context::Context;
use crate::error::{CliError, Result};
use hooks_operate::parallel::all;

/// The queues of a category.
pub(crate) struct QueueStatus {
    pub(crate) category: Category,
    /// Whether the stack handles the category.
    pub(crate) is_handled: bool,
    /// Whether it is paused; `None` if that cannot be read.
    pub(crate) is_paused: Option<bool>,
    pub(crate) queue: DeadLetterQueue,
    /// Depths of the queue and its dead-letter queue.
    pub(crate) depths: Result<(QueueDepth, QueueDepth)>,
    /// Age of the oldest message in seconds, if CloudWatch has recent data.
    pub(crate) oldest: Option<f64>,
}

impl QueueStatus {
    /// Reads the state of all queues.
    pub(crate) async fn read(context: &Context) -> Result<Vec<Self>> {
        let mut all = Self::depths(context).await?;
        let names: Vec<_> = all.iter().map(|status| status.queue.queue_name()).collect();
        let ages = oldest_ages(context.aws().await?, &names).await.unwrap_or_default();
        all.iter_mut().zip(ages).for_each(|(status, age)| status.oldest = age);
        // Whoever may not read it still sees everything else.
        let paused = all.iter().map(async |status| Ok::<_, CliError>(context.is_paused(status.category).await.ok()));
        let paused = futures::future::join_all(paused).await;
        all.iter_mut().zip(paused).for_each(|(status, paused)| status.is_paused = paused.ok().flatten());
        Ok(all)
    }

    /// Reads the depths of all queues.
    pub(crate) async fn depths(context: &Context) -> Result<Vec<Self>> {
        let read = Category::ALL.into_iter().map(async |category| {
            let (queue, is_handled) = (context.dead_letter_queue(category).await?, context.is_handled(category).await?);
            let depths = tokio::try_join!(queue.queue_depth(), queue.depth()).map_err(CliError::from);
            Ok::<_, CliError>(Self { category, is_handled, is_paused: None, queue, depths, oldest: None })
        });
        let mut all = all(read).await?;
        all.sort_by_key(|status| status.category);
        Ok(all)
    }
}
