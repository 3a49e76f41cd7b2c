//! Keeps the results of OpenAI's batches: streams their output and error files into the bucket, counts what is in
//! them, records the job, and tells people about a batch that went wrong.
//!
//! It goes by the retrieved batch's own status, whatever the event says, so any `batch.*` type is served.

mod alert;
mod handler;
mod lines;
mod summary;
mod transfer;

use handler::Batches;
use hooks_consumer::Category;

/// One thread does it: most of the time is spent waiting for the network.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), hooks_consumer::Error> {
    hooks_consumer::run(Category::Batch, Batches::from_setup).await
}
