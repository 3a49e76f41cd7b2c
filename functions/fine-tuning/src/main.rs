//! Keeps what OpenAI tells of a fine-tuning job, asks the new model a question, and promotes it when it answers: its
//! name becomes the value of a parameter that other programs read.
//!
//! It goes by the retrieved job's own status, whatever the event says, so any `fine_tuning.*` type is served.

mod alert;
mod alias;
mod handler;
mod outcome;
mod promotion;
mod smoke;

use handler::FineTuning;
use hooks_consumer::Category;

/// One thread does it: most of the time is spent waiting for the network.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), hooks_consumer::Error> {
    hooks_consumer::run(Category::FineTuning, FineTuning::from_setup).await
}
