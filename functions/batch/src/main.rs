//! The function's binary.

use batch::BatchHandler;
use hooks_consumer::Category;

/// One thread is enough: most of the time is spent waiting for the network.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), hooks_consumer::Error> {
    hooks_consumer::run(Category::Batch, BatchHandler::from_setup).await
}
