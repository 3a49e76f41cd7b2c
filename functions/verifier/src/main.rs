//! Takes OpenAI's webhook deliveries: checks the signature, queues the event, answers.
//!
//! `POST /webhooks/{endpoint}`; the answers are listed in [`outcome`]. One AWS call stands between a delivery and its
//! answer, which puts the event into the queue of its category. OpenAI is never called, and nothing is stored.

mod front_door;
mod outcome;
mod report;
mod settings;
mod verifier;

use lambda_http::{Error, service_fn};
use settings::Settings;
use verifier::Verifier;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let settings = Settings::from_env(aws::Environment::of_process()).inspect_err(|faults| {
        tracing::error!(error = %faults, "the configuration is unusable");
    })?;
    let verifier = &Verifier::start(settings).await;
    lambda_http::run(service_fn(|request| verifier.handle(request))).await
}
