//! The queue between the verifier and the consumers (SQS).
//!
//! The verifier needs `sqs:SendMessage` on the categories' queues; a consumer `sqs:ChangeMessageVisibility` on its own
//! queue and `sqs:SendMessage` on its dead-letter queue.

#[cfg(feature = "queue")]
mod consume;
#[cfg(feature = "queue")]
mod letters;
mod message;
mod send;
#[cfg(feature = "queue")]
mod sender;

#[cfg(feature = "queue")]
pub use consume::{ConsumerQueue, InboxError, Rejection};
#[cfg(feature = "queue")]
pub use letters::{DeadLetters, Deed, Depth, Done, Letter};
pub use message::{
    ENDPOINT, EVENT_TYPE, FAILURE_MESSAGE, FAILURE_REASON, MalformedMessage, Message, RECEIVED_AT, SOURCE, Source,
    WEBHOOK_ID, WEBHOOK_TIMESTAMP,
};
pub use send::{Queues, SendError};
#[cfg(feature = "queue")]
pub use sender::QueueSender;
