//! The queue between the verifier and the consumers (SQS).
//!
//! The verifier needs `sqs:SendMessage` on the categories' queues; a consumer `sqs:ChangeMessageVisibility` on its own
//! queue and `sqs:SendMessage` on its dead-letter queue.

mod consumer;
mod message;
mod send;

pub use consumer::{ConsumerQueue, QueueSender};
pub use message::{
    ASKED_BY, Delivered, ENDPOINT, EVENT_TYPE, FAILURE_MESSAGE, FAILURE_REASON, MalformedMessage, Message, RECEIVED_AT,
    SEEN_TOKEN, SOURCE, Source, WEBHOOK_ID, WEBHOOK_TIMESTAMP,
};
pub use send::{Queues, SendError};
