//! The SQS batch harness under every consumer function.

mod handler;
mod openai_access;

pub use aws::Environment;
pub use handler::{Alert, Context, Failure, Handler, Outcome, Severity};
pub use openai_access::OpenAi;
pub use webhook::{Category, Event};
