//! For tests and benchmarks only: runs a function's binary as Lambda does.
//!
//! [`Function`] starts a binary with the environment that Lambda gives it, feeds it events through a stand-in of the
//! [Runtime API], keeps what it logs and tells what it used. [`Aws`] stands in for Secrets Manager and SQS, answers at
//! once, and fails on command. Everything listens on loopback, on ports of the system's choice. Failures here are panics:
//! whoever sees them is a test or a benchmark.
//!
//! It is a crate of its own, without the AWS SDK, so that the benchmarks do not compile the SDK a second time.
//!
//! [Runtime API]: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
#![expect(clippy::missing_panics_doc, clippy::panic, clippy::unwrap_used, reason = "only tests and benchmarks use it")]

mod aws;
mod event;
mod function;
mod http;
mod runtime;

pub use aws::{Aws, Fault};
pub use event::http_event;
pub use function::{Function, Usage};
pub use runtime::Answer;
