//! State of every category's queues, for `status` and `doctor`.

use hooks_webhook::Category;
use tokio::task::JoinSet;

use crate::aws::{DeadLetterQueue, Metrics, QueueDepth};
use crate::context::Context;
use crate::error::Result;

/// The queues of a category.
pub(crate) struct QueueStatus {
    pub(crate) category: Category,
    /// Whether the stack handles the category.
    pub(crate) is_handled: bool,
    pub(crate) queue: DeadLetterQueue,
    pub(crate) depths: Result<Depths>,
    /// Age of the oldest message in seconds, if CloudWatch has recent data.
    pub(crate) oldest: Option<f64>,
}

/// Depths of a category's queue and its dead-letter queue.
#[derive(Clone, Copy)]
pub(crate) struct Depths {
    pub(crate) queue: QueueDepth,
    pub(crate) dead: QueueDepth,
}

impl QueueStatus {
    /// Reads the state of all queues.
    pub(crate) async fn read(context: &Context) -> Result<Vec<Self>> {
        let mut all = Self::depths(context).await?;
        let names: Vec<_> = all.iter().map(|status| status.queue.queue_name().to_owned()).collect();
        let ages = Metrics::new(context.aws().await?).oldest_ages(&names).await.unwrap_or_default();
        for (status, age) in all.iter_mut().zip(ages) {
            status.oldest = age;
        }
        Ok(all)
    }

    /// Reads the depths of all queues.
    pub(crate) async fn depths(context: &Context) -> Result<Vec<Self>> {
        let mut calls = JoinSet::new();
        for category in Category::ALL {
            let (queue, is_handled) = (context.dead_letter_queue(category).await?, context.is_handled(category).await?);
            calls.spawn(async move {
                let depths = tokio::try_join!(queue.queue_depth(), queue.depth());
                let depths = depths.map(|(queue, dead)| Depths { queue, dead });
                Self { category, is_handled, queue, depths, oldest: None }
            });
        }
        let mut all = calls.join_all().await;
        all.sort_by_key(|status| status.category);
        Ok(all)
    }
}
