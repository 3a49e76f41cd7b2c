//! Whether an event was missed, and how it is queued.

use hooks_aws::ledger::{Bookmark, Ledger};
use hooks_aws::outcomes::Outcomes;
use hooks_aws::queue::QueueSender;
use hooks_function::clock::now_ms;
use hooks_protocol::Status;
use hooks_webhook::Category;

use crate::alert::{self, Alert};
use crate::error::ReconcileError;
use crate::list::OpenAiList;
use crate::missed_event::MissedEvent;

/// The URLs of the queues that events go to.
pub(crate) struct Queues {
    pub(crate) batch: String,
    pub(crate) fine_tuning: String,
    pub(crate) agent: String,
    pub(crate) response: String,
}

/// The ledger, the queues and the topic.
pub(crate) struct Reconciler {
    pub(crate) ledger: Ledger,
    pub(crate) sender: QueueSender,
    pub(crate) queues: Queues,
    pub(crate) outcomes: Outcomes,
}

/// Services that a scan needs besides OpenAI.
pub(crate) trait ScanStore {
    /// Whether the event was handled, is being handled, or has failed.
    async fn is_known(&self, event: &MissedEvent) -> Result<bool, ReconcileError>;

    /// Puts the event into its category's queue.
    async fn send(&self, event: &MissedEvent) -> Result<(), ReconcileError>;

    async fn bookmark(&self, list: OpenAiList) -> Result<Option<Bookmark>, ReconcileError>;

    async fn set_bookmark(&self, list: OpenAiList, bookmark: &Bookmark) -> Result<(), ReconcileError>;

    /// Tells people that so many scans in a row have failed, the last one with this error.
    async fn tell_unreadable(
        &self,
        list: OpenAiList,
        failures: u32,
        error: &ReconcileError,
    ) -> Result<(), ReconcileError>;
}

impl Reconciler {
    /// Tells people.
    pub(crate) async fn alert(&self, alert: &Alert) -> Result<(), ReconcileError> {
        Ok(self.outcomes.alert(&alert.notice()).await?)
    }

    fn queue(&self, category: Category) -> &str {
        match category {
            Category::Batch => &self.queues.batch,
            Category::FineTuning => &self.queues.fine_tuning,
            Category::Agent => &self.queues.agent,
            _ => &self.queues.response,
        }
    }
}

impl ScanStore for Reconciler {
    /// An idempotency record exists from the first claim on. A released one belongs to an event that waits for its retry,
    /// or that failed for good, of which people were told. An object that was not found then is there now.
    ///
    /// An agent's session comes to rest again and again, each time with an event of its own. So there it also counts
    /// whether the session was looked at since.
    async fn is_known(&self, event: &MissedEvent) -> Result<bool, ReconcileError> {
        let record = self.ledger.idempotency_record(&event.idempotency_key()).await?;
        if record.is_some_and(|record| record.status != Status::NotFound) {
            return Ok(true);
        }
        if event.category() != Category::Agent {
            return Ok(false);
        }
        let job = self.ledger.job(Category::Agent.as_str(), &event.object_id).await?;
        Ok(job.is_some_and(|job| event.is_seen(&job)))
    }

    async fn send(&self, event: &MissedEvent) -> Result<(), ReconcileError> {
        self.sender.send(self.queue(event.category()), &event.message(now_ms())).await?;
        tracing::info!("{} of {} was never handled, and is queued now", event.event_type(), event.object_id);
        Ok(())
    }

    async fn bookmark(&self, list: OpenAiList) -> Result<Option<Bookmark>, ReconcileError> {
        Ok(self.ledger.bookmark(list.as_str()).await?)
    }

    async fn set_bookmark(&self, list: OpenAiList, bookmark: &Bookmark) -> Result<(), ReconcileError> {
        Ok(self.ledger.set_bookmark(list.as_str(), bookmark).await?)
    }

    async fn tell_unreadable(
        &self,
        list: OpenAiList,
        failures: u32,
        error: &ReconcileError,
    ) -> Result<(), ReconcileError> {
        self.alert(&alert::unreadable(list, failures, error)).await
    }
}
