//! Rotates the signing secret of the project's webhook endpoint: Secrets Manager's four steps.
//!
//! mods follow

mod failure;
#[cfg(test)]
mod loopback;
mod probe;
mod rotator;
mod step;
#[cfg(test)]
mod tests;
mod time;

use aws::Environment;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use rotator::Rotator;
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let rotator = Rotator::from_env(Environment::of_process()).inspect_err(|faults| {
        tracing::error!(error = %faults, "the configuration is unusable");
    })?;
    let rotator = &rotator;
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Value>| {
        rotator.handle(event.payload, event.context.deadline).await
    }))
    .await
}
