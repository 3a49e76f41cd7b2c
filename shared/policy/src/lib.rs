//! The policy for phone calls, without I/O: its parser, and its decision for a call.
//!
//! `docs/calls.md` describes policies, `docs/call-policy.schema.json` is their schema.
//!
//! Whoever calls writes the SIP headers, so a policy fails closed: a header that cannot be read, or that is left out, is
//! never taken for one that does not match. See [`Policy::decide`].

mod address;
mod call;
mod condition;
mod hours;
mod location;
mod parse;
mod policy;
mod supervise;
#[cfg(test)]
mod tests;
mod tools;

pub use address::Unreadable;
pub use call::{Call, masked_address};
pub use condition::Verdict;
pub use hours::{Hours, Opening};
pub use location::{Location, MAX_PARAMETER, MAX_POLICY, UNSET};
pub use policy::{Action, ConditionVerdict, Decision, Policy, RuleVerdict};
pub use supervise::{BuiltIn, Fallback, Limits, LookUp, Supervise, Tool, ToolTarget, Transfer, TransferTarget};
pub use tools::add_tools;
