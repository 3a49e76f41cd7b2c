//! Dead letters by the thousand.

use std::collections::HashSet;

use aws_sdk_sqs::types::{Message, MessageAttributeValue, QueueAttributeName, SendMessageBatchRequestEntry};
use hooks_aws::{Config, Environment};

use super::{DeadLetterQueue, DlqAction, DlqResult, QueueDepth};

/// The local AWS that `make test` starts.
fn config() -> Config {
    let endpoint_url = std::env::var("AWS_ENDPOINT_URL").unwrap_or_else(|_| {
        panic!("AWS_ENDPOINT_URL is not set: run `make test`, which starts the AWS these tests need")
    });
    let mut environment = Environment::of([
        ("AWS_ENDPOINT_URL", endpoint_url.as_str()),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
    ]);
    let config = Config::from_env(&mut environment);
    environment.finish(|| config).unwrap()
}

/// The URL of a queue of its own.
async fn queue(sqs: &aws_sdk_sqs::Client) -> String {
    let name = format!("cli-{:016x}", fastrand::u64(..));
    sqs.create_queue().queue_name(name).send().await.unwrap().queue_url.unwrap()
}

/// The next message of a queue, waited for up to ten seconds.
async fn next(sqs: &aws_sdk_sqs::Client, url: &str) -> Option<Message> {
    let request = sqs.receive_message().queue_url(url).wait_time_seconds(10).message_attribute_names("All");
    request.send().await.unwrap().messages.unwrap_or_default().pop()
}

/// A dead-letter queue with `count` messages, and the URL of its queue.
async fn letters(count: usize) -> (DeadLetterQueue, aws_sdk_sqs::Client, String) {
    let (letters, sqs, queue_url, _) = queues(count).await;
    (letters, sqs, queue_url)
}

/// Test stack with the URL of the dead-letter queue.
async fn queues(count: usize) -> (DeadLetterQueue, aws_sdk_sqs::Client, String, String) {
    let config = config();
    let sqs = aws_sdk_sqs::Client::new(config.sdk());
    let (queue_url, dead_url) = (queue(&sqs).await, queue(&sqs).await);
    for first in (0..count).step_by(10) {
        let entries = (first..count.min(first + 10)).map(|number| {
            let text = |value: &str| MessageAttributeValue::builder().data_type("String").string_value(value).build();
            let entry = SendMessageBatchRequestEntry::builder().id(number.to_string()).message_body(number.to_string());
            let reason = if number % 2 == 0 { "even" } else { "odd" };
            let entry = entry.message_attributes("failure-reason", text(reason).unwrap());
            entry.message_attributes("of-somebody-else", text("kept").unwrap()).build().unwrap()
        });
        sqs.send_message_batch().queue_url(&dead_url).set_entries(Some(entries.collect())).send().await.unwrap();
    }
    (DeadLetterQueue::new(&config, &queue_url, &dead_url), sqs, queue_url, dead_url)
}

fn waiting(visible: u64) -> QueueDepth {
    QueueDepth { visible, in_flight: 0, delayed: 0 }
}

#[tokio::test]
async fn a_thousand_letters_are_each_seen_once_and_visible_afterwards() {
    let (letters, _, _) = letters(1000).await;
    let found = letters.peek(usize::MAX, |letter| Some(letter.body)).await.unwrap();
    assert_eq!(found.len(), 1000);
    assert_eq!(found.into_iter().collect::<HashSet<_>>().len(), 1000);
    assert_eq!(letters.depth().await.unwrap(), waiting(1000));
}

#[tokio::test]
async fn a_peek_ends_at_its_limit() {
    let (letters, _, _) = letters(45).await;
    let odd = letters.peek(3, |letter| (letter.reason() == Some("odd")).then_some(letter.id)).await.unwrap();
    assert_eq!(odd.len(), 3);
    assert_eq!(letters.depth().await.unwrap(), waiting(45));
}

#[tokio::test]
async fn only_the_chosen_letters_move_with_all_their_attributes() {
    let (letters, sqs, queue_url) = letters(250).await;
    let even = letters.peek(usize::MAX, |letter| (letter.reason() == Some("even")).then_some(letter.id)).await.unwrap();
    let ids: HashSet<_> = even.into_iter().chain(["gone".to_owned()]).collect();
    let mut heard = 0;
    let mut done = DlqResult::default();
    letters.apply(DlqAction::Redrive, &ids, &mut done, || false, |gone| heard += gone.len()).await.unwrap();
    assert_eq!((done, heard), (DlqResult { letters: 125, ..DlqResult::default() }, 125));
    assert_eq!((letters.queue_depth().await.unwrap(), letters.depth().await.unwrap()), (waiting(125), waiting(125)));
    let left = letters.peek(usize::MAX, |letter| letter.reason().map(str::to_owned)).await.unwrap();
    assert_eq!(left, vec!["odd"; 125]);
    let moved = next(&sqs, &queue_url).await.unwrap().message_attributes.unwrap();
    assert_eq!(moved["failure-reason"].string_value.as_deref(), Some("even"));
    assert_eq!(moved["of-somebody-else"].string_value.as_deref(), Some("kept"));
}

#[tokio::test]
async fn a_letter_that_sqs_refuses_stays_and_its_neighbours_move() {
    let (letters, sqs, queue_url, dead_url) = queues(9).await;
    let large = sqs.send_message().queue_url(dead_url).message_body("x".repeat(2048));
    let large = large.send().await.unwrap().message_id.unwrap();
    let smaller = sqs.set_queue_attributes().queue_url(&queue_url);
    smaller.attributes(QueueAttributeName::MaximumMessageSize, "1024").send().await.unwrap();
    let ids: HashSet<_> = letters.peek(usize::MAX, |letter| Some(letter.id)).await.unwrap().into_iter().collect();

    let mut done = DlqResult::default();
    letters.apply(DlqAction::Redrive, &ids, &mut done, || false, |_| {}).await.unwrap();

    assert_eq!((done.letters, done.copied, done.refused), (9, 0, 1));
    assert!(done.cause.unwrap().contains("1024"));
    let left = letters.peek(usize::MAX, |letter| Some(letter.id)).await.unwrap();
    assert_eq!(left, [large]);
}

#[tokio::test]
async fn letters_that_their_queue_refuses_stay() {
    let (all, sqs, queue_url) = letters(12).await;
    let ids: HashSet<_> = all.peek(usize::MAX, |letter| Some(letter.id)).await.unwrap().into_iter().collect();
    sqs.delete_queue().queue_url(queue_url).send().await.unwrap();
    let mut done = DlqResult::default();
    let refused = all.apply(DlqAction::Redrive, &ids, &mut done, || false, |_| {}).await.unwrap_err().to_string();
    assert!(refused.starts_with("could not put dead letters back into their queue: "), "{refused}");
    assert_eq!(all.depth().await.unwrap(), waiting(12));
    all.apply(DlqAction::Purge, &ids, &mut done, || false, |_| {}).await.unwrap();
    assert_eq!(done.letters, 12);
    assert_eq!(all.depth().await.unwrap(), waiting(0));
}
