//! Finds what ended at OpenAI without a webhook, and what was expected and never came.
//!
//! EventBridge Scheduler invokes it with one of two tasks:
//!
//! | input | what it does |
//! |---|---|
//! | `{"task": "reconcile"}` | goes through OpenAI's batches, fine-tuning jobs and agent sessions, and puts the event of whatever ended without one into its category's queue ([`walk`]) |
//! | `{"task": "expectations"}` | does the same for the responses that are expected, and tells people of whatever is overdue ([`expectations`]) |
//!
//! # What if the process dies right here
//!
//! Nothing it does is done twice in effect. An event that it puts into a queue has an id made of what it tells of, so
//! a second one is recognised as the first; and an event of OpenAI's that comes after all has the same effect key. A
//! bookmark that was not moved means that the same pages are looked at again. People are told before an expectation is
//! marked as overdue: twice rather than never. For the same reasons two runs may go on at the same time.

mod alert;
mod desk;
mod ending;
mod expectations;
mod fault;
mod kind;
mod reconcile;
mod settings;
mod walk;

use std::time::Duration;

use hooks_consumer::when;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use crate::settings::Services;

/// What is left when the work is stopped: to move a bookmark and to answer.
const MARGIN: Duration = Duration::from_secs(10);

/// What the function is invoked with.
#[derive(Deserialize)]
struct Invocation {
    task: Task,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Task {
    Reconcile,
    Expectations,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    hooks_telemetry::init();
    let services = Services::from_env(hooks_aws::Environment::of_process()).inspect_err(|faults| {
        tracing::error!("the function cannot start, its environment is wrong: {faults}");
    })?;
    let services = &services;
    lambda_runtime::run(service_fn(|event| invoked(services, event))).await
}

async fn invoked(services: &Services, event: LambdaEvent<Invocation>) -> Result<Value, Error> {
    let left = event.context.deadline.saturating_sub(when::now().cast_unsigned());
    let until = Instant::now() + Duration::from_millis(left).saturating_sub(MARGIN);
    let now = when::now() / 1000;
    match event.payload.task {
        Task::Reconcile => reconcile::run(services, now, until).await,
        Task::Expectations => expectations::run(services, now, until).await,
    }
}
