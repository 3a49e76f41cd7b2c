//! Dead letters: peek without removing them, redrive into their queue, purge.

mod batches;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::fmt;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{MessageAttributeValue, QueueAttributeName};
use futures::FutureExt as _;
use hooks_aws::Config;
use hooks_aws::queue::{FAILURE_MESSAGE, FAILURE_REASON};

use self::batches::{batches, sqs_error};
use crate::error::{OperateError, Result};
use crate::parallel::each;

/// Maximum number of messages in one call of SQS.
const BATCH_SIZE: usize = 10;

/// Maximum number of calls at a time.
const PARALLEL_CALLS: usize = 8;

/// A category's queue with its dead-letter queue. Cheap to clone.
///
/// Peeking needs `sqs:ReceiveMessage`, `sqs:ChangeMessageVisibility` and `sqs:GetQueueAttributes` on the dead-letter
/// queue; purging also `sqs:DeleteMessage` there; redriving that and `sqs:SendMessage` on the queue.
#[derive(Clone, Debug)]
pub struct DeadLetterQueue {
    client: Client,
    queue_url: String,
    url: String,
}

/// A message in a dead-letter queue.
#[derive(Clone)]
pub struct DeadLetter {
    /// SQS's message id.
    pub id: String,
    /// The event as received, or any other message.
    pub body: String,
    /// When the consumer gave it up, in milliseconds since the Unix epoch; without a failure reason, when it was first
    /// queued.
    pub sent_at: i64,
    attributes: HashMap<String, MessageAttributeValue>,
    receipt: String,
}

/// Action on dead letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DlqAction {
    /// Send them to the category's queue with all attributes, then delete them.
    Redrive,
    /// Delete them.
    Purge,
}

/// Numbers of dead letters by result of an action.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DlqResult {
    /// Redriven or purged.
    pub letters: usize,
    /// Redriven, but not deleted. A second redrive is harmless: the ledger recognises the copy.
    pub copied: usize,
    /// Refused by SQS, and unchanged.
    pub refused: usize,
    /// SQS's error for one of the refused.
    pub cause: Option<String>,
}

/// Approximate number of messages in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueDepth {
    /// Waiting.
    pub visible: u64,
    /// Received, and invisible until the visibility timeout.
    pub in_flight: u64,
    /// Delayed.
    pub delayed: u64,
}

impl QueueDepth {
    /// Number of all messages.
    #[must_use]
    pub const fn total(self) -> u64 {
        self.visible + self.in_flight + self.delayed
    }
}

impl DeadLetter {
    /// A text attribute, such as `event-type`.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.get(name)?.string_value.as_deref()
    }

    /// Failure reason; `None` for a message that SQS moved here because its function died again and again.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.attribute(FAILURE_REASON)
    }

    /// Failure message.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.attribute(FAILURE_MESSAGE)
    }

    /// Approximate size in a call, in bytes.
    fn size(&self) -> usize {
        let attributes = self.attributes.iter().map(|(name, value)| {
            let binary = value.binary_value.as_ref().map_or(0, |value| value.as_ref().len());
            name.len() + value.data_type.len() + value.string_value.as_ref().map_or(0, String::len) + binary
        });
        self.body.len() + attributes.sum::<usize>()
    }
}

impl fmt::Debug for DeadLetter {
    /// Identifiers only, never a body.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetter").field("id", &self.id).field("reason", &self.reason()).finish_non_exhaustive()
    }
}

impl DeadLetterQueue {
    /// The queues at these two URLs.
    #[must_use]
    pub fn new(config: &Config, queue_url: &str, dead_letter_queue_url: &str) -> Self {
        let (queue_url, url) = (queue_url.to_owned(), dead_letter_queue_url.to_owned());
        Self { client: Client::new(config.sdk()), queue_url, url }
    }

    /// Name of the category's queue.
    #[must_use]
    pub fn queue_name(&self) -> &str {
        self.queue_url.rsplit('/').next().unwrap_or_default()
    }

    /// Depth of the category's queue.
    pub async fn queue_depth(&self) -> Result<QueueDepth> {
        self.depth_of(&self.queue_url).await
    }

    /// Depth of the dead-letter queue.
    pub async fn depth(&self) -> Result<QueueDepth> {
        self.depth_of(&self.url).await
    }

    async fn depth_of(&self, queue_url: &str) -> Result<QueueDepth> {
        use QueueAttributeName::{
            ApproximateNumberOfMessages, ApproximateNumberOfMessagesDelayed, ApproximateNumberOfMessagesNotVisible,
        };
        let names =
            [ApproximateNumberOfMessages, ApproximateNumberOfMessagesNotVisible, ApproximateNumberOfMessagesDelayed];
        let request = self.client.get_queue_attributes().queue_url(queue_url);
        let request = request.set_attribute_names(Some(names.to_vec()));
        let found = request.send().await.map_err(|error| sqs_error("count the messages of a queue", &error))?;
        let counts = found.attributes.unwrap_or_default();
        let [visible, in_flight, delayed] =
            names.map(|name| counts.get(&name).and_then(|count| count.parse().ok()).unwrap_or(0));
        Ok(QueueDepth { visible, in_flight, delayed })
    }

    /// Reads dead letters until `select` has returned `limit` values or all were read. They stay in the queue, and are
    /// invisible to others only while this runs.
    pub async fn peek<T>(&self, limit: usize, mut select: impl FnMut(DeadLetter) -> Option<T>) -> Result<Vec<T>> {
        let (mut found, mut seen) = (Vec::new(), Seen::default());
        let result = async {
            while found.len() < limit {
                let new = self.receive_new(&mut seen).await?;
                if new.is_empty() {
                    break;
                }
                found.extend(new.into_iter().filter_map(&mut select));
            }
            Ok::<_, OperateError>(())
        };
        let result = result.await;
        self.make_visible(seen).await;
        result?;
        found.truncate(limit);
        Ok(found)
    }

    /// Redrives or purges the dead letters with these ids, and adds what became of them to `total`; `progress` gets the
    /// ids of each batch that was redriven or purged. Ids that are no longer in the queue are not counted.
    ///
    /// A message that fails again at once has a new id, so it is not picked up a second time. A redriven message is
    /// deleted only after its queue has it: a crash in between leaves a copy, which the ledger recognises.
    pub async fn apply(
        &self,
        action: DlqAction,
        ids: &HashSet<String>,
        total: &mut DlqResult,
        is_stopped: impl Fn() -> bool,
        mut progress: impl FnMut(&[String]),
    ) -> Result<()> {
        let mut seen = Seen::default();
        let result = async {
            let mut left = ids.len();
            while left > 0 && !is_stopped() {
                let new = self.receive_new(&mut seen).await?;
                if new.is_empty() {
                    break;
                }
                let chosen: Vec<_> = new.into_iter().filter(|letter| ids.contains(&letter.id)).collect();
                left = left.saturating_sub(chosen.len());
                let calls = batches(chosen).into_iter().map(|batch| self.apply_batch(action, batch).boxed());
                let calls: Vec<_> = calls.collect();
                let done = |batch: Vec<(String, Applied)>| {
                    let mut gone = Vec::new();
                    for (id, applied) in batch {
                        if matches!(applied, Applied::Done) {
                            seen.invisible.remove(&id);
                        }
                        if !matches!(applied, Applied::Refused(_)) {
                            gone.push(id);
                        }
                        total.add(applied);
                    }
                    progress(&gone);
                };
                each(calls, usize::MAX, done).await?;
            }
            Ok(())
        };
        let result = result.await;
        self.make_visible(seen).await;
        result
    }

    /// Receives several batches at a time, and returns the messages that were not seen before; none at the end.
    async fn receive_new(&self, seen: &mut Seen) -> Result<Vec<DeadLetter>> {
        // The number is approximate, and does not include those that are invisible already.
        let visible = usize::try_from(self.depth().await?.visible).unwrap_or(usize::MAX);
        let calls = (0..visible.div_ceil(BATCH_SIZE).clamp(1, PARALLEL_CALLS)).map(|_| self.receive().boxed());
        let calls: Vec<_> = calls.collect();
        let mut new = Vec::new();
        each(calls, usize::MAX, |batch| new.extend(batch.into_iter().filter(|letter| seen.is_new(letter)))).await?;
        Ok(new)
    }
}

/// Messages received so far.
#[derive(Default)]
struct Seen {
    ids: HashSet<String>,
    /// Receipts of those that are invisible now, by id.
    invisible: HashMap<String, String>,
}

impl Seen {
    fn is_new(&mut self, letter: &DeadLetter) -> bool {
        // Only the latest receipt is valid.
        self.invisible.insert(letter.id.clone(), letter.receipt.clone());
        self.ids.insert(letter.id.clone())
    }
}

/// What became of a dead letter.
enum Applied {
    /// It is no longer in the dead-letter queue.
    Done,
    /// It was sent, but not deleted.
    Copied,
    /// SQS refused it with this error.
    Refused(String),
}

impl DlqResult {
    fn add(&mut self, applied: Applied) {
        match applied {
            Applied::Done => self.letters += 1,
            Applied::Copied => self.copied += 1,
            Applied::Refused(cause) => {
                self.refused += 1;
                self.cause.get_or_insert(cause);
            }
        }
    }
}
