//! The harness against a real table, real queues, a real bus and a real topic, on the local AWS that `make test` starts.

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod crashes;
mod duplicates;
mod failures;
mod handlers;
mod openai_key;
mod outcomes;
mod proxy;
mod world;
