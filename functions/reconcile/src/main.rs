//! Finds what ended at OpenAI without a webhook, and what was expected and never announced.
//!
//! EventBridge Scheduler invokes it with one of the first two tasks, and `doctor` with the third:
//!
//! | input | what it does |
//! |---|---|
//! | `{"task": "reconcile"}` | scans OpenAI's batches, fine-tuning jobs and agent sessions, and queues the event of each that ended without one ([`list_scan`]); tells people before a promoted model ends ([`models`]) |
//! | `{"task": "expectations"}` | alerts people of overdue expectations, looks up the responses that are expected ([`expectations`]), and tells people of what was counted in place of being sent ([`waiting_alerts`]), and of dead letters and unset secrets ([`watch`]) |
//! | `{"task": "identity"}` | asks for access to OpenAI, as every task does, and answers what is in the way |
//!
//! # If the process dies
//!
//! Nothing takes effect twice. The id of a queued event is made from what it announces, so a second one is recognised as
//! the first; an event of OpenAI's that arrives after all has the same idempotency key. A bookmark that was not moved means
//! that the same pages are scanned again. An event of an expected response is queued once at a time: that is noted before.
//! People are alerted before that is noted: twice rather than never. For the same reasons two runs may overlap.

mod alert;
mod error;
mod expectations;
mod list;
mod list_scan;
mod missed_event;
mod models;
mod reconcile;
mod reconciler;
mod services;
mod waiting_alerts;
mod watch;

use std::time::Duration;

use hooks_function::clock::now_seconds;
use hooks_function::{Deadline, Error};
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use crate::services::Services;

/// Time kept back to move a bookmark and to answer.
const MARGIN: Duration = Duration::from_secs(10);

/// The function's input.
#[derive(Deserialize)]
struct Invocation {
    task: Task,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Task {
    Reconcile,
    Expectations,
    Identity,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let services = hooks_function::start(Services::from_env)?;
    hooks_function::run(async |Invocation { task }, deadline: Deadline| {
        let (now, until) = (now_seconds(), deadline.before(MARGIN));
        match task {
            Task::Reconcile => reconcile::run(&services, now, until).await,
            Task::Expectations => {
                // A part of the time, so that a topic out of reach leaves the expectations theirs.
                let left = until.saturating_duration_since(Instant::now());
                let told = waiting_alerts::tell(&services, Instant::now() + left / 4).await;
                let watched = watch::run(&services, now).await;
                let checked = expectations::run(&services, now, until).await;
                told.and(watched).and(checked)
            }
            Task::Identity => {
                let problem = services.api_key.client().await.err().map(|error| error.to_string());
                Ok(json!({"task": "identity", "problem": problem}))
            }
        }
    })
    .await
}
