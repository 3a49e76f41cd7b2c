//! Keeps the records of fine-tuning jobs, asks a new model a question, and promotes it when it answers: the model's name
//! becomes the value of a parameter that other programs read.
//!
//! The status of the retrieved job decides, not the event type, so every `fine_tuning.*` type is handled.

mod alert;
mod alias;
mod handler;
mod promotion;
mod smoke_test;

use handler::FineTuningHandler;
use hooks_consumer::Category;

/// One thread is enough: most of the time is spent waiting for the network.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), hooks_consumer::Error> {
    hooks_consumer::run(Category::FineTuning, FineTuningHandler::from_setup).await
}
