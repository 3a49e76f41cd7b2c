//! What is known of an ending, and how its event is sent.

use hooks_aws::ledger::{Bookmark, Ledger, LedgerError};
use hooks_aws::queue::QueueSender;
use hooks_consumer::when;
use hooks_protocol::Status;
use hooks_webhook::Category;

use crate::ending::Ending;
use crate::fault::Fault;
use crate::kind::Kind;

/// Where the events go, by URL.
pub(crate) struct Queues {
    pub(crate) batch: String,
    pub(crate) fine_tuning: String,
    pub(crate) agent: String,
    pub(crate) response: String,
}

/// The ledger and the queues.
pub(crate) struct Desk {
    pub(crate) ledger: Ledger,
    sender: QueueSender,
    queues: Queues,
}

/// What a walk through a list asks for.
pub(crate) trait Books {
    /// Whether somebody has handled the event of this ending, is on it, or has failed at it.
    async fn is_known(&self, ending: &Ending) -> Result<bool, Fault>;

    /// Puts the event of this ending into its queue.
    async fn send(&self, ending: &Ending) -> Result<(), Fault>;

    async fn bookmark(&self, kind: Kind) -> Result<Option<Bookmark>, Fault>;

    async fn set_bookmark(&self, kind: Kind, bookmark: &Bookmark) -> Result<(), Fault>;
}

impl Desk {
    pub(crate) fn new(ledger: Ledger, sender: QueueSender, queues: Queues) -> Self {
        Self { ledger, sender, queues }
    }

    fn queue(&self, category: Category) -> &str {
        match category {
            Category::Batch => &self.queues.batch,
            Category::FineTuning => &self.queues.fine_tuning,
            Category::Agent => &self.queues.agent,
            _ => &self.queues.response,
        }
    }

    /// An agent's session comes to rest again and again, each time with an event whose effect is its own. So what counts
    /// is whether the session was looked at since.
    async fn was_seen(&self, ending: &Ending) -> Result<bool, LedgerError> {
        let job = self.ledger.job(Category::Agent.as_str(), &ending.object_id).await?;
        Ok(job.is_some_and(|job| ending.is_seen(&job)))
    }
}

impl Books for Desk {
    /// The idempotency record says it: it is there from the first claim on. One that was released belongs to an event that
    /// waits for its retry, or that failed for good, which people were told. What was not found is there now.
    async fn is_known(&self, ending: &Ending) -> Result<bool, Fault> {
        let record = self.ledger.idempotency_record(&ending.idempotency_key()).await?;
        let known = record.is_some_and(|record| record.status != Status::NotFound);
        Ok(known || (ending.category() == Category::Agent && self.was_seen(ending).await?))
    }

    async fn send(&self, ending: &Ending) -> Result<(), Fault> {
        self.sender.send(self.queue(ending.category()), &ending.message(when::now())).await?;
        tracing::info!("{} of {} was never handled, and is queued now", ending.event_type(), ending.object_id);
        Ok(())
    }

    async fn bookmark(&self, kind: Kind) -> Result<Option<Bookmark>, Fault> {
        Ok(self.ledger.bookmark(kind.as_str()).await?)
    }

    async fn set_bookmark(&self, kind: Kind, bookmark: &Bookmark) -> Result<(), Fault> {
        Ok(self.ledger.set_bookmark(kind.as_str(), bookmark).await?)
    }
}
