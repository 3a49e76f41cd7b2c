//! The verifier's running binary, as Lambda runs it: every answer, every refusal, what it does when AWS fails.

#![expect(clippy::panic, clippy::unwrap_used, reason = "the whole program is a test, its helpers too")]

mod availability;
mod contract;
mod events;
mod rotation;
mod stand;
