//! Receives OpenAI's webhook deliveries: checks the signature, queues the event, responds.
//!
//! `POST /webhooks/{endpoint}`; [`outcome`] lists the responses. A delivery waits for one AWS call, which sends the event
//! to the queue of its category. The function never calls OpenAI and stores nothing.
//!
//! The event is read here and not by `lambda_http`, which gives up on a query, a header or a host that it cannot represent:
//! a genuine delivery would be lost for something that does not matter.

mod answer;
mod outcome;
mod report;
mod settings;
mod signing_secret;
mod verifier;

use lambda_http::lambda_runtime;
use lambda_http::{Error, service_fn};
use settings::Settings;
use verifier::Verifier;

#[tokio::main(flavor = "local")]
async fn main() -> Result<(), Error> {
    let settings = hooks_function::start(Settings::from_env)?;
    // In a spawned task: tokio polls the kernel before each poll of the future passed to `main`.
    let verifier: &'static Verifier = Box::leak(Box::new(Verifier::start(settings).await));
    tokio::task::spawn_local(lambda_runtime::run(service_fn(|event| verifier.handle(event)))).await?
}
