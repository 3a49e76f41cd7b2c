//! The function's binary.

use file::FileHandler;
use hooks_consumer::Category;

/// One thread is enough: most of the time is spent waiting for the network.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), hooks_consumer::Error> {
    hooks_consumer::run(Category::File, FileHandler::from_setup).await
}
