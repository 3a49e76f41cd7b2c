//! The SQS batch harness under every consumer function.

mod backoff;
mod bounds;
mod deadline;
mod handler;
mod harness;
mod openai_access;
mod record;
mod report;
mod setup;

pub use aws::{Environment, Faults, artifacts};
pub use handler::{Alert, Context, Failure, Handler, Outcome, Severity};
pub use harness::Harness;
pub use lambda_runtime::Error;
pub use openai_access::OpenAi;
pub use setup::{Setup, run};
pub use webhook::{Category, Event};
