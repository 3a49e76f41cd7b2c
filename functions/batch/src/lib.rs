//! Keeps the results of batches: streams their output and error files into the bucket, counts their lines, records the
//! job, and alerts people to a batch that failed or has many failed requests.
//!
//! The status of the retrieved batch decides, not the event type, so every `batch.*` type is handled.

mod alert;
mod counts;
mod handler;
mod lines;
mod summary;
mod transfer;

pub use handler::BatchHandler;
