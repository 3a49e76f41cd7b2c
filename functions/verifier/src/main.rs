//! Takes OpenAI's webhook deliveries: checks the signature, queues the event, answers.
//!
//! `POST /webhooks/{endpoint}`; the answers are listed in [`outcome`]. One AWS call stands between a delivery and its
//! answer, which puts the event into the queue of its category. OpenAI is never called, and nothing is stored.

mod front_door;
mod outcome;
mod report;
mod settings;
mod signing_secret;
mod verifier;

use lambda_http::{Error, service_fn};
use settings::Settings;
use verifier::Verifier;

#[tokio::main(flavor = "local")]
async fn main() -> Result<(), Error> {
    let settings = hooks_function::start(Settings::from_env)?;
    // On a task of its own: the runtime asks the kernel for news before each step of the future it was started with.
    let verifier: &'static Verifier = Box::leak(Box::new(Verifier::start(settings).await));
    tokio::task::spawn_local(lambda_http::run(service_fn(|request| verifier.handle(request)))).await?
}
