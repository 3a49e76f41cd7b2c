//! Alerts people to OpenAI's safety notices: retrieves and stores the object of a notice, and sends an alert, even when
//! the object cannot be retrieved.
//!
//! Safety identifiers stand for the users of the team's application. They are in alerts and outcomes, where people and
//! programs need them to act, and never in a log.

mod alert;
mod handler;
mod lookup;
mod notice;

use handler::SafetyHandler;
use hooks_consumer::Category;

/// One thread is enough: most of the time is spent waiting for the network.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), hooks_consumer::Error> {
    hooks_consumer::run(Category::Safety, |setup| Some(SafetyHandler { openai: setup.openai()? })).await
}
