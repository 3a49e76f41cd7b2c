//! The calls to SQS that look at letters, put them back and delete them.

use std::collections::HashMap;
use std::fmt;

use aws_sdk_sqs::types::{
    BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry,
    MessageSystemAttributeName, SendMessageBatchRequestEntry,
};
use hooks_aws::cause;
use tokio::task::JoinSet;

use super::{DeadLetters, Deed, Done, Letter, PAGE, PARALLEL_CALLS, Seen};
use crate::failure::{Failure, QUEUE_PERMISSIONS};

/// For how long a letter that is looked at is hidden from others, in seconds. It is shown again as soon as the look is
/// over; this is for a look that dies.
const HIDDEN_SECONDS: i32 = 60;

/// How long an empty queue is waited for, in seconds. With a wait SQS asks all of its servers, without one only some.
const WAIT_SECONDS: i32 = 1;

/// The largest call that sends several messages, in bytes: what SQS has always taken.
const MAX_CALL: usize = 256 * 1024;

/// What became of a page.
#[derive(Default)]
pub(super) struct Page {
    pub(super) done: Done,
    pub(super) gone: Vec<String>,
}

impl DeadLetters {
    /// A page of letters, hidden from others.
    pub(super) async fn receive(&self) -> Result<Vec<Letter>, Failure> {
        let request = self.client.receive_message().queue_url(&self.dead_letter_queue_url);
        let request = request
            .max_number_of_messages(i32::try_from(PAGE).unwrap_or(1))
            .visibility_timeout(HIDDEN_SECONDS)
            .wait_time_seconds(WAIT_SECONDS)
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp);
        let received = request.send().await.map_err(|error| failed("receive dead letters", &error))?;
        Ok(received.messages.unwrap_or_default().into_iter().filter_map(Letter::received).collect())
    }

    /// Does it with a page of letters.
    pub(super) async fn page(&self, deed: Deed, page: Vec<Letter>) -> Result<Page, Failure> {
        let mut result = Page::default();
        let receipts: Vec<_> = page.iter().map(|letter| (letter.id.clone(), letter.receipt.clone())).collect();
        let mut refused = match deed {
            Deed::Redrive => self.send(page).await?,
            Deed::Purge => HashMap::new(),
        };
        let sent: Vec<_> = receipts.into_iter().enumerate().filter(|(at, _)| !refused.contains_key(at)).collect();
        let kept = self.delete(&sent).await;
        for (at, (id, _)) in sent {
            match (kept.get(&at), deed) {
                (None, _) => result.gone.push(id),
                (Some(_), Deed::Redrive) => result.done.copied += 1,
                (Some(cause), Deed::Purge) => {
                    refused.insert(at, cause.clone());
                }
            }
        }
        result.done.letters = result.gone.len();
        result.done.refused = refused.len();
        result.done.cause = refused.into_values().next();
        Ok(result)
    }

    /// Puts a page of letters into the category's queue. Answers what SQS said of those that it refused, by position.
    async fn send(&self, page: Vec<Letter>) -> Result<HashMap<usize, String>, Failure> {
        const ACTION: &str = "put dead letters back into their queue";
        let mut request = self.client.send_message_batch().queue_url(&self.queue_url);
        for (at, letter) in page.into_iter().enumerate() {
            let entry = SendMessageBatchRequestEntry::builder()
                .id(at.to_string())
                .message_body(letter.body)
                .set_message_attributes(Some(letter.attributes))
                .build();
            request = request.entries(entry.map_err(|error| Failure::no(error.to_string()))?);
        }
        let sent = request.send().await.map_err(|error| failed(ACTION, &error))?;
        Ok(by_position(&sent.failed))
    }

    /// Deletes letters, given by position, id and receipt. Answers why not of those that it could not delete.
    async fn delete(&self, letters: &[(usize, (String, String))]) -> HashMap<usize, String> {
        if letters.is_empty() {
            return HashMap::new();
        }
        let entries = letters.iter().filter_map(|(at, (_, receipt))| {
            DeleteMessageBatchRequestEntry::builder().id(at.to_string()).receipt_handle(receipt).build().ok()
        });
        let request = self.client.delete_message_batch().queue_url(&self.dead_letter_queue_url);
        match request.set_entries(Some(entries.collect())).send().await {
            Ok(deleted) => by_position(&deleted.failed),
            Err(error) => letters.iter().map(|(at, _)| (*at, cause(&error))).collect(),
        }
    }

    /// Lets others have what was received. What that fails for shows up by itself after [`HIDDEN_SECONDS`].
    pub(super) async fn show_again(&self, seen: Seen) {
        let receipts: Vec<_> = seen.hidden.into_values().collect();
        let mut calls = JoinSet::new();
        for page in receipts.chunks(PAGE) {
            let entries = page.iter().enumerate().filter_map(|(at, receipt)| {
                let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(at.to_string());
                entry.receipt_handle(receipt).visibility_timeout(0).build().ok()
            });
            let request = self.client.change_message_visibility_batch().queue_url(&self.dead_letter_queue_url);
            let request = request.set_entries(Some(entries.collect()));
            if calls.len() >= PARALLEL_CALLS {
                let _ = calls.join_next().await;
            }
            calls.spawn(async move { drop(request.send().await) });
        }
        while calls.join_next().await.is_some() {}
    }
}

impl Letter {
    fn received(message: aws_sdk_sqs::types::Message) -> Option<Self> {
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

/// Letters by ten, or fewer where they are large.
pub(super) fn pages(letters: Vec<Letter>) -> Vec<Vec<Letter>> {
    let (mut pages, mut size) = (Vec::<Vec<Letter>>::new(), 0);
    for letter in letters {
        size += letter.size();
        match pages.last_mut() {
            Some(page) if page.len() < PAGE && size <= MAX_CALL => page.push(letter),
            _ => {
                size = letter.size();
                pages.push(vec![letter]);
            }
        }
    }
    pages
}

fn by_position(failed: &[BatchResultErrorEntry]) -> HashMap<usize, String> {
    let said = |entry: &BatchResultErrorEntry| match &entry.message {
        Some(message) => format!("{}: {message}", entry.code),
        None => entry.code.clone(),
    };
    failed.iter().filter_map(|entry| Some((entry.id.parse().ok()?, said(entry)))).collect()
}

pub(super) fn failed<E, R>(action: &'static str, error: &aws_sdk_sqs::error::SdkError<E, R>) -> Failure
where
    E: aws_sdk_sqs::error::ProvideErrorMetadata + std::error::Error + 'static,
    R: fmt::Debug + 'static,
{
    crate::aws::failed(action, error).hint(QUEUE_PERMISSIONS)
}

#[cfg(test)]
mod tests {
    use aws_sdk_sqs::types::MessageAttributeValue;

    use super::*;
    use hooks_aws::queue::FAILURE_REASON;

    fn letter(body: &str) -> Letter {
        let reason = MessageAttributeValue::builder().data_type("String").string_value("unauthorized").build().unwrap();
        Letter {
            id: "1".to_owned(),
            body: body.to_owned(),
            sent_at: 0,
            attributes: HashMap::from([(FAILURE_REASON.to_owned(), reason)]),
            receipt: "receipt".to_owned(),
        }
    }

    #[test]
    fn a_call_has_ten_letters_at_most_and_fewer_large_ones() {
        let sizes = |letters| pages(letters).iter().map(Vec::len).collect::<Vec<_>>();
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
