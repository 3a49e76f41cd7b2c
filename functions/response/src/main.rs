//! Keeps the results of OpenAI's background responses: retrieves a response as soon as its event comes, since it may be
//! gone ten minutes after it ended, and stores its JSON and its text.
//!
//! It goes by the retrieved response's own status, whatever the event says, so any `response.*` type is served.

mod alert;
mod handler;
mod outcome;

use handler::Responses;
use hooks_consumer::Category;

/// One thread does it: most of the time is spent waiting for the network.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), hooks_consumer::Error> {
    hooks_consumer::run(Category::Response, Responses::from_setup).await
}
