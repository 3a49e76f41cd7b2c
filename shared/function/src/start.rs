//! The start of a function.

use std::fmt::Debug;

use hooks_aws::{Environment, EnvironmentError};
use lambda_runtime::{Diagnostic, Error, LambdaEvent, service_fn};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Deadline;

/// Sets up telemetry and makes what the function works with from its environment.
///
/// # Errors
///
/// Every fault of the environment, by the variable's name. They are logged before the process ends.
pub fn start<T>(set_up: impl FnOnce(Environment) -> Result<T, EnvironmentError>) -> Result<T, Error> {
    hooks_telemetry::init();
    let made = set_up(Environment::of_process()).inspect_err(|faults| {
        tracing::error!("the function cannot start, its environment variables are wrong: {faults}");
    });
    Ok(made?)
}

/// Hands each invocation's payload and deadline to `handle`, until the process ends.
///
/// # Errors
///
/// The Lambda runtime's API is out of reach.
pub async fn run<I, O, E>(handle: impl AsyncFn(I, Deadline) -> Result<O, E>) -> Result<(), Error>
where
    I: DeserializeOwned,
    O: Serialize,
    E: Into<Diagnostic> + Debug,
{
    let handle = &handle;
    lambda_runtime::run(service_fn(async |event: LambdaEvent<I>| {
        handle(event.payload, Deadline::at(event.context.deadline)).await
    }))
    .await
}
