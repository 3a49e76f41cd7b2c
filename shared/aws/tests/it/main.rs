//! The ledger, the bus, the topic and the queues against the local AWS that `make test` starts.

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod alerts;
mod consumer_queue;
mod expectations;
mod functions;
mod history;
mod ledger;
mod outcomes;
mod parameters;
mod sessions;
mod stack;
