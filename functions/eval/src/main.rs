//! Keeps the reports of OpenAI's eval runs: finds out which eval a run is of, retrieves the run and stores it.
//!
//! It goes by the retrieved run's own status, whatever the event says, so any `eval.*` type is served.

mod alert;
mod handler;
mod outcome;
mod search;

use handler::Evals;
use hooks_consumer::Category;

/// One thread does it: most of the time is spent waiting for the network.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), hooks_consumer::Error> {
    hooks_consumer::run(Category::Eval, Evals::from_setup).await
}
