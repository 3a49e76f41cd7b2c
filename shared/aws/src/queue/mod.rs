//! The queue between the verifier and the consumers (SQS).
//!
//! The verifier needs `sqs:SendMessage` on the categories' queues; a consumer `sqs:ChangeMessageVisibility` on its own
//! queue and `sqs:SendMessage` on its dead-letter queue.

mod consumer;
mod message;
mod send;
mod sender;

pub use consumer::{ConsumerQueue, QueueError, Rejection};
pub use message::{
    ASKED_BY, ENDPOINT, EVENT_TYPE, FAILURE_MESSAGE, FAILURE_REASON, MalformedMessage, Message, RECEIVED_AT,
    SEEN_TOKEN, SOURCE, Source, WEBHOOK_ID, WEBHOOK_TIMESTAMP,
};
pub use send::{Queues, SendError};
pub use sender::QueueSender;
