//! The client with a local server that answers like OpenAI or like a broken network.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, in its helpers too")]

mod agents_and_safety;
mod batches_and_files;
mod endpoints_and_pages;
mod failures;
mod fine_tuning;
mod phone_calls;
mod server;
mod sideband;
mod sideband_server;
mod submitting;
