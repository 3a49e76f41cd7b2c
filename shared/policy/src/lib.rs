//! The policy for phone calls, without I/O: its parser, and its decision for a call.
//!
//! `docs/calls.md` describes policies, `docs/call-policy.schema.json` is their schema.

mod call;
mod parse;
mod policy;
#[cfg(test)]
mod tests;

pub use call::Call;
pub use policy::{Action, Decision, Policy};
