//! The queue between the verifier and the consumers (SQS).
//!
//! The verifier needs `sqs:SendMessage` on the categories' queues; a consumer `sqs:ChangeMessageVisibility` on its own
//! queue and `sqs:SendMessage` on its dead-letter queue.

mod consume;
mod message;
mod send;
mod sender;

pub use consume::{ConsumerQueue, InboxError, Rejection};
pub use message::{
    ENDPOINT, EVENT_TYPE, FAILURE_MESSAGE, FAILURE_REASON, MalformedMessage, Message, RECEIVED_AT, SOURCE, Source,
    WEBHOOK_ID, WEBHOOK_TIMESTAMP,
};
pub use send::{Queues, SendError};
pub use sender::QueueSender;
