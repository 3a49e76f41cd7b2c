//! The client against a server on loopback that answers as OpenAI does, or as a broken network does.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, in its helpers too")]

mod agents_and_safety;
mod batches_and_files;
mod endpoints_and_pages;
mod failures;
mod fine_tuning;
mod phone_calls;
mod server;
mod submitting;
