//! SQS's batch calls: receive, send, delete, change visibility.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use aws_sdk_sqs::types::{
    BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry,
    MessageSystemAttributeName, SendMessageBatchRequestEntry,
};
use futures::FutureExt as _;
use hooks_aws::cause;

use super::{Applied, BATCH_SIZE, DeadLetter, DeadLetterQueue, DlqAction, PARALLEL_CALLS, Seen};
use crate::error::{OperateError, QUEUE_PERMISSIONS, Result};
use crate::parallel::each;

/// Visibility timeout of a received message, in seconds. It is made visible again earlier, unless this process dies.
const VISIBILITY_SECONDS: i32 = 60;

/// Wait time of a receive call, in seconds. Without a wait SQS asks only some of its servers.
const WAIT_SECONDS: i32 = 1;

/// Maximum size of a batch that is sent, in bytes.
const MAX_BATCH_BYTES: usize = 256 * 1024;

impl DeadLetterQueue {
    /// Receives a batch, which makes its messages invisible.
    pub(super) async fn receive(&self) -> Result<Vec<DeadLetter>> {
        let request = self.client.receive_message().queue_url(&self.url);
        let request = request
            .max_number_of_messages(i32::try_from(BATCH_SIZE).unwrap_or(1))
            .visibility_timeout(VISIBILITY_SECONDS)
            .wait_time_seconds(WAIT_SECONDS)
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp);
        let received = request.send().await.map_err(|error| sqs_error("receive dead letters", &error))?;
        Ok(received.messages.unwrap_or_default().into_iter().filter_map(DeadLetter::from_message).collect())
    }

    /// Redrives or purges a batch. Returns what became of each letter, by id.
    pub(super) async fn apply_batch(
        &self,
        action: DlqAction,
        batch: Vec<DeadLetter>,
    ) -> Result<Vec<(String, Applied)>> {
        let (mut ids, mut receipts) = (Vec::new(), BTreeMap::new());
        for (at, letter) in batch.iter().enumerate() {
            ids.push(letter.id.clone());
            receipts.insert(at, letter.receipt.clone());
        }
        let mut refused = match action {
            DlqAction::Redrive => self.send(batch).await?,
            DlqAction::Purge => HashMap::new(),
        };
        receipts.retain(|at, _| !refused.contains_key(at));
        let mut kept = self.delete(&receipts).await;
        let applied = ids.into_iter().enumerate().map(|(at, id)| {
            let applied = match (refused.remove(&at), kept.remove(&at), action) {
                (Some(cause), ..) | (None, Some(cause), DlqAction::Purge) => Applied::Refused(cause),
                (None, Some(_), DlqAction::Redrive) => Applied::Copied,
                (None, None, _) => Applied::Done,
            };
            (id, applied)
        });
        Ok(applied.collect())
    }

    /// Sends a batch to the category's queue. Returns SQS's errors for refused messages, by position.
    async fn send(&self, batch: Vec<DeadLetter>) -> Result<HashMap<usize, String>> {
        const ACTION: &str = "put dead letters back into their queue";
        let mut request = self.client.send_message_batch().queue_url(&self.queue_url);
        for (at, letter) in batch.into_iter().enumerate() {
            let entry = SendMessageBatchRequestEntry::builder()
                .id(at.to_string())
                .message_body(letter.body)
                .set_message_attributes(Some(letter.attributes))
                .build();
            request = request.entries(entry.map_err(|error| OperateError::failed(error.to_string()))?);
        }
        let sent = request.send().await.map_err(|error| sqs_error(ACTION, &error))?;
        Ok(by_position(&sent.failed))
    }

    /// Deletes messages, given by their receipts. Returns the errors of those that are not deleted, by position.
    async fn delete(&self, receipts: &BTreeMap<usize, String>) -> HashMap<usize, String> {
        if receipts.is_empty() {
            return HashMap::new();
        }
        let entries = receipts.iter().filter_map(|(at, receipt)| {
            DeleteMessageBatchRequestEntry::builder().id(at.to_string()).receipt_handle(receipt).build().ok()
        });
        let request = self.client.delete_message_batch().queue_url(&self.url);
        match request.set_entries(Some(entries.collect())).send().await {
            Ok(deleted) => by_position(&deleted.failed),
            Err(error) => receipts.keys().map(|at| (*at, cause(&error))).collect(),
        }
    }

    /// Makes received messages visible again. If a call fails, they become visible after [`VISIBILITY_SECONDS`].
    pub(super) async fn make_visible(&self, seen: Seen) {
        let receipts: Vec<_> = seen.invisible.into_values().collect();
        let calls = receipts.chunks(BATCH_SIZE).map(|batch| {
            let entries = batch.iter().enumerate().filter_map(|(at, receipt)| {
                let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(at.to_string());
                entry.receipt_handle(receipt).visibility_timeout(0).build().ok()
            });
            let request = self.client.change_message_visibility_batch().queue_url(&self.url);
            let request = request.set_entries(Some(entries.collect()));
            async move {
                drop(request.send().await);
                Ok::<_, OperateError>(())
            }
            .boxed()
        });
        let calls: Vec<_> = calls.collect();
        let _ = each(calls, PARALLEL_CALLS, drop).await;
    }
}

impl DeadLetter {
    fn from_message(message: aws_sdk_sqs::types::Message) -> Option<Self> {
        let sent_at = message.attributes.as_ref().and_then(|all| all.get(&MessageSystemAttributeName::SentTimestamp));
        Some(Self {
            sent_at: sent_at.and_then(|sent_at| sent_at.parse().ok()).unwrap_or(0),
            id: message.message_id?,
            receipt: message.receipt_handle?,
            body: message.body.unwrap_or_default(),
            attributes: message.message_attributes.unwrap_or_default(),
        })
    }
}

/// Batches of ten messages, or of fewer large ones.
pub(super) fn batches(letters: Vec<DeadLetter>) -> Vec<Vec<DeadLetter>> {
    let (mut batches, mut size) = (Vec::<Vec<DeadLetter>>::new(), 0);
    for letter in letters {
        size += letter.size();
        match batches.last_mut() {
            Some(batch) if batch.len() < BATCH_SIZE && size <= MAX_BATCH_BYTES => batch.push(letter),
            _ => {
                size = letter.size();
                batches.push(vec![letter]);
            }
        }
    }
    batches
}

fn by_position(failed: &[BatchResultErrorEntry]) -> HashMap<usize, String> {
    let text = |entry: &BatchResultErrorEntry| match &entry.message {
        Some(message) => format!("{}: {message}", entry.code),
        None => entry.code.clone(),
    };
    failed.iter().filter_map(|entry| Some((entry.id.parse().ok()?, text(entry)))).collect()
}

pub(super) fn sqs_error<E, R>(action: &'static str, error: &aws_sdk_sqs::error::SdkError<E, R>) -> OperateError
where
    E: aws_sdk_sqs::error::ProvideErrorMetadata + std::error::Error + 'static,
    R: fmt::Debug + 'static,
{
    crate::error::failed(action, error, QUEUE_PERMISSIONS)
}

#[cfg(test)]
mod tests {
    use aws_sdk_sqs::types::MessageAttributeValue;

    use super::*;
    use hooks_aws::queue::FAILURE_REASON;

    fn letter(body: &str) -> DeadLetter {
        let reason = MessageAttributeValue::builder().data_type("String").string_value("unauthorized").build().unwrap();
        DeadLetter {
            id: "1".to_owned(),
            body: body.to_owned(),
            sent_at: 0,
            attributes: HashMap::from([(FAILURE_REASON.to_owned(), reason)]),
            receipt: "receipt".to_owned(),
        }
    }

    #[test]
    fn a_batch_has_at_most_ten_messages_and_fewer_large_ones() {
        let sizes = |letters| batches(letters).iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(sizes(vec![letter("{}"); 25]), [10, 10, 5]);
        let large = letter(&"x".repeat(100 * 1024));
        assert_eq!(sizes(vec![large; 5]), [2, 2, 1]);
        assert_eq!(sizes(vec![letter(&"x".repeat(300 * 1024)), letter("{}")]), [1, 1]);
        assert!(sizes(Vec::new()).is_empty());
    }

    #[test]
    fn debug_shows_no_body() {
        let shown = format!("{:?}", letter("{\"secret\":1}"));
        assert!(shown.contains("unauthorized") && !shown.contains("secret"));
    }
}
