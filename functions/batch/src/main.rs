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

use handler::BatchHandler;
use hooks_consumer::Category;

/// One thread is enough: most of the time is spent waiting for the network.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), hooks_consumer::Error> {
    hooks_consumer::run(Category::Batch, BatchHandler::from_setup).await
}
