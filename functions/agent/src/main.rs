//! The function's binary.

use agent::AgentHandler;
use hooks_consumer::Category;

/// One thread is enough: most of the time is spent waiting for the network.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), hooks_consumer::Error> {
    hooks_consumer::run(Category::Agent, AgentHandler::from_setup).await
}
