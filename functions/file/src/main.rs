//! Records what OpenAI's files are: retrieves what OpenAI knows about a file, whatever the event says of it.
//!
//! Older texts name `file.created`, `file.processed` and `file.deleted`. Should OpenAI send them, or other `file.*`
//! types, they are served.

mod handler;

use handler::Files;
use hooks_consumer::Category;

/// One thread does it: most of the time is spent waiting for the network.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), hooks_consumer::Error> {
    hooks_consumer::run(Category::File, Files::from_setup).await
}
