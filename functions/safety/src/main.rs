//! The function's binary.

use hooks_consumer::Category;
use safety::SafetyHandler;

/// One thread is enough: most of the time is spent waiting for the network.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), hooks_consumer::Error> {
    hooks_consumer::run(Category::Safety, SafetyHandler::from_setup).await
}
