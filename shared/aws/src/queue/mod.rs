//! The queue between the verifier and the consumers (SQS).
//!
//! The verifier needs `sqs:SendMessage` on the categories' queues; a consumer `sqs:ChangeMessageVisibility` on its own
//! queue and `sqs:SendMessage` on its dead-letter queue.

#[cfg(feature = "queue")]
mod consume;
mod message;
#[cfg(feature = "queue")]
mod outbox;
mod send;

#[cfg(feature = "queue")]
pub use consume::{DeadLetter, Inbox, InboxError};
pub use message::{
    ENDPOINT, EVENT_TYPE, FAILURE_MESSAGE, FAILURE_REASON, MalformedMessage, Message, RECEIVED_AT, SOURCE, Source,
    WEBHOOK_ID, WEBHOOK_TIMESTAMP,
};
#[cfg(feature = "queue")]
pub use outbox::Outbox;
pub use send::{Queues, SendError};
