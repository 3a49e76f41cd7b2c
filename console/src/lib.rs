//! The console: pages and API, the same in a function and on loopback, and what they read of a stack.

pub mod aws;
pub mod batch_input;
mod error;
pub mod parallel;
pub mod timestamp;

pub use error::{Failure, FailureKind, KEY_FIX, LEDGER_PERMISSIONS, QUEUE_PERMISSIONS, Result};
