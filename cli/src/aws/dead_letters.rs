//! Dead letters: looking at them without taking them away, putting them back into their queue, deleting them.

mod calls;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::types::{MessageAttributeValue, QueueAttributeName};
use hooks_aws::Config;
use hooks_aws::queue::{FAILURE_MESSAGE, FAILURE_REASON};
use tokio::task::JoinSet;

use self::calls::{Page, failed, pages};
use crate::failure::Failure;

/// How long one try of a call may take. Ten messages may have ten megabytes.
const TRY_TIMEOUT: Duration = Duration::from_secs(20);

/// How many messages SQS hands over, takes or deletes in one call.
const PAGE: usize = 10;

/// How many calls are made at a time.
const PARALLEL_CALLS: usize = 8;

/// A category's dead letters. Cheap to clone.
///
/// Looking needs `sqs:ReceiveMessage`, `sqs:ChangeMessageVisibility` and `sqs:GetQueueAttributes` on the dead-letter
/// queue; deleting `sqs:DeleteMessage` there; redriving that and `sqs:SendMessage` on the queue.
#[derive(Clone, Debug)]
pub(crate) struct DeadLetters {
    client: Client,
    queue_url: String,
    dead_letter_queue_url: String,
}

/// A message in a dead-letter queue.
#[derive(Clone)]
pub(crate) struct Letter {
    /// SQS's id of the message.
    pub(crate) id: String,
    /// The event as it came, or whatever else the message is.
    pub(crate) body: String,
    /// When SQS took it, in milliseconds since the Unix epoch: when the event was given up or, of a letter without a
    /// reason, when it was queued first.
    pub(crate) sent_at: i64,
    attributes: HashMap<String, MessageAttributeValue>,
    receipt: String,
}

/// What is done with letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// Put back into the category's queue with all their attributes, then deleted.
    Redrive,
    /// Deleted.
    Purge,
}

/// What became of the letters that something was to be done with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Done {
    /// With so many it is done.
    pub(crate) letters: usize,
    /// So many were back in their queue, but could not be deleted here. They are redriven again another time, and the
    /// ledger drops the copy.
    pub(crate) copied: usize,
    /// So many SQS refused. They stay.
    pub(crate) refused: usize,
    /// What SQS said of one of those.
    pub(crate) cause: Option<String>,
}

/// How many messages a queue has, approximately.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Depth {
    /// Waiting.
    pub(crate) visible: u64,
    /// Being handled, or hidden until they are tried again.
    pub(crate) in_flight: u64,
    /// Not yet to be handed out.
    pub(crate) delayed: u64,
}

impl Letter {
    /// The text of one of its attributes, such as `event-type`.
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.get(name)?.string_value.as_deref()
    }

    /// Why it was given up; nothing on a letter that SQS itself moved here because its function kept dying.
    pub(crate) fn reason(&self) -> Option<&str> {
        self.attribute(FAILURE_REASON)
    }

    /// The reason in words.
    pub(crate) fn message(&self) -> Option<&str> {
        self.attribute(FAILURE_MESSAGE)
    }

    /// About what it counts for in the size of a call.
    fn size(&self) -> usize {
        let attributes = self.attributes.iter().map(|(name, value)| {
            let binary = value.binary_value.as_ref().map_or(0, |value| value.as_ref().len());
            name.len() + value.data_type.len() + value.string_value.as_ref().map_or(0, String::len) + binary
        });
        self.body.len() + attributes.sum::<usize>()
    }
}

impl fmt::Debug for Letter {
    /// Identifiers only: a body is nobody's business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Letter").field("id", &self.id).field("reason", &self.reason()).finish_non_exhaustive()
    }
}

impl DeadLetters {
    /// The letters of the category with these two queues.
    pub(crate) fn new(config: &Config, queue_url: impl Into<String>, dead_letter_queue_url: impl Into<String>) -> Self {
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(TRY_TIMEOUT).build();
        let config = aws_sdk_sqs::config::Builder::from(config.sdk()).timeout_config(timeouts).build();
        Self {
            client: Client::from_conf(config),
            queue_url: queue_url.into(),
            dead_letter_queue_url: dead_letter_queue_url.into(),
        }
    }

    /// How many messages the category's queue has.
    pub(crate) async fn waiting(&self) -> Result<Depth, Failure> {
        self.depth(&self.queue_url).await
    }

    /// How many letters there are.
    pub(crate) async fn count(&self) -> Result<Depth, Failure> {
        self.depth(&self.dead_letter_queue_url).await
    }

    async fn depth(&self, queue_url: &str) -> Result<Depth, Failure> {
        use QueueAttributeName::{
            ApproximateNumberOfMessages, ApproximateNumberOfMessagesDelayed, ApproximateNumberOfMessagesNotVisible,
        };
        let names =
            [ApproximateNumberOfMessages, ApproximateNumberOfMessagesNotVisible, ApproximateNumberOfMessagesDelayed];
        let request = self.client.get_queue_attributes().queue_url(queue_url);
        let request = request.set_attribute_names(Some(names.to_vec()));
        let found = request.send().await.map_err(|error| failed("count the messages of a queue", &error))?;
        let counts = found.attributes.unwrap_or_default();
        let [visible, in_flight, delayed] =
            names.map(|name| counts.get(&name).and_then(|count| count.parse().ok()).unwrap_or(0));
        Ok(Depth { visible, in_flight, delayed })
    }

    /// Looks at letters until `limit` of them were `wanted` (it answers what to keep of a letter) or all were seen.
    /// They stay where they are, and are hidden from others for no longer than the look takes.
    pub(crate) async fn look<T>(
        &self,
        limit: usize,
        mut wanted: impl FnMut(Letter) -> Option<T>,
    ) -> Result<Vec<T>, Failure> {
        let (mut found, mut seen) = (Vec::new(), Seen::default());
        let looked = async {
            while found.len() < limit {
                let new = self.round(&mut seen).await?;
                if new.is_empty() {
                    break;
                }
                found.extend(new.into_iter().filter_map(&mut wanted));
            }
            Ok::<_, Failure>(())
        };
        let looked = looked.await;
        self.show_again(seen).await;
        looked?;
        found.truncate(limit);
        Ok(found)
    }

    /// Does it with the letters of these ids; `progress` hears of every page how many it has finished with. Letters
    /// that are not there any more are nowhere counted.
    ///
    /// What comes while this runs has other ids, so letters that fail again at once are not picked up a second time.
    /// A redriven letter is deleted only after its queue has it: to die in between makes a copy, and the ledger drops
    /// that.
    pub(crate) async fn act(
        &self,
        deed: Deed,
        ids: &HashSet<String>,
        mut progress: impl FnMut(usize),
    ) -> Result<Done, Failure> {
        let (mut done, mut seen) = (Done::default(), Seen::default());
        let acted = async {
            let mut left = ids.len();
            while left > 0 {
                let new = self.round(&mut seen).await?;
                if new.is_empty() {
                    break;
                }
                let chosen: Vec<_> = new.into_iter().filter(|letter| ids.contains(&letter.id)).collect();
                left = left.saturating_sub(chosen.len());
                let mut calls = JoinSet::new();
                for page in pages(chosen) {
                    let letters = self.clone();
                    calls.spawn(async move { (page.len(), letters.page(deed, page).await) });
                }
                let mut fault = None;
                while let Some(page) = calls.join_next().await {
                    match page {
                        Ok((size, Ok(page))) => {
                            done.add(page, &mut seen);
                            progress(size);
                        }
                        Ok((_, Err(error))) => fault = Some(error),
                        Err(error) => fault = Some(Failure::no(error.to_string())),
                    }
                }
                if let Some(fault) = fault {
                    return Err(fault);
                }
            }
            Ok(())
        };
        let acted = acted.await;
        self.show_again(seen).await;
        acted.map(|()| done)
    }

    /// Receives some letters, several pages at a time, and answers those that were not seen before. None when there
    /// are no others.
    async fn round(&self, seen: &mut Seen) -> Result<Vec<Letter>, Failure> {
        // The number is approximate, and none of those that are hidden already counts.
        let visible = usize::try_from(self.count().await?.visible).unwrap_or(usize::MAX);
        let mut calls = JoinSet::new();
        for _ in 0..visible.div_ceil(PAGE).clamp(1, PARALLEL_CALLS) {
            let letters = self.clone();
            calls.spawn(async move { letters.receive().await });
        }
        let (mut new, mut fault) = (Vec::new(), None);
        while let Some(page) = calls.join_next().await {
            match page {
                Ok(Ok(page)) => new.extend(page.into_iter().filter(|letter| seen.is_new(letter))),
                Ok(Err(error)) => fault = Some(error),
                Err(error) => fault = Some(Failure::no(error.to_string())),
            }
        }
        fault.map_or(Ok(new), Err)
    }
}

/// The letters of a walk through the queue.
#[derive(Default)]
struct Seen {
    ids: HashSet<String>,
    /// The receipts of those that are hidden, by id.
    hidden: HashMap<String, String>,
}

impl Seen {
    fn is_new(&mut self, letter: &Letter) -> bool {
        // The latest receipt is the one that counts.
        self.hidden.insert(letter.id.clone(), letter.receipt.clone());
        self.ids.insert(letter.id.clone())
    }
}

impl Done {
    fn add(&mut self, page: Page, seen: &mut Seen) {
        self.letters += page.done.letters;
        self.copied += page.done.copied;
        self.refused += page.done.refused;
        self.cause = self.cause.take().or(page.done.cause);
        for id in page.gone {
            seen.hidden.remove(&id);
        }
    }

    /// Adds what became of the letters of another category.
    pub(crate) fn merge(&mut self, other: Self) {
        self.add(Page { done: other, gone: Vec::new() }, &mut Seen::default());
    }
}
