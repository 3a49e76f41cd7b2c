//! Keeps the results of background responses: retrieves a response as soon as its event arrives, because OpenAI may
//! delete it ten minutes after its end, and stores its JSON.
//!
//! The status of the retrieved response decides, not the event type, so every `response.*` type is handled.

mod alert;
mod handler;

use handler::ResponseHandler;
use hooks_consumer::Category;

/// One thread is enough: most of the time is spent waiting for the network.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), hooks_consumer::Error> {
    hooks_consumer::run(Category::Response, |setup| Some(ResponseHandler { openai: setup.openai()? })).await
}
