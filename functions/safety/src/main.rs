//! Tells people about OpenAI's safety notices: retrieves what a notice is about, keeps it, and raises an alert, whether
//! that can be retrieved or not.
//!
//! Safety identifiers are our users' and stand in alerts and outcomes, where people and programs need them to act. They
//! are never logged.

mod alert;
mod handler;
mod look_up;
mod notice;

use handler::Safety;
use hooks_consumer::Category;

/// One thread does it: most of the time is spent waiting for the network.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), hooks_consumer::Error> {
    hooks_consumer::run(Category::Safety, Safety::from_setup).await
}
