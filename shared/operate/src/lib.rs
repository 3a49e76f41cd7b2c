//! What people do with a stack: look at its events, replay and redrive them, retry batches.
//!
//! The command line and the console are two hosts of the same operations. So nothing here prints, asks or draws: an
//! operation takes a filter or an id, reports its progress to a function, and returns what it did.
//!
//! | module | purpose |
//! |---|---|
//! | [`stack`], [`endpoints`], [`metrics`] | the stack as CloudFormation and CloudWatch describe it |
//! | [`batch_input`] | check of a batch's input file before it is uploaded |
//! | [`beginning`] | an id by a beginning that no other id has |
//! | [`calls`] | live sessions of calls: list, find, create, ask something of one or of all, end |
//! | [`call_policy`] | the policy for calls, and what it decides |
//! | [`event_log`] | events in the ledger: list, look up by id or its beginning |
//! | [`dead_letters`] | dead letters: peek, redrive, purge |
//! | [`batch`] | submission of a batch; its answers over all retries |
//! | [`job`] | replay or redrive of many events, as a job that can be resumed |
//! | [`models`] | fine-tuned models in production, and the way back |
//! | [`log_lines`] | lines of the functions' logs, those about an event |
//! | [`alerts`] | who is told of failures, and a test |
//! | [`pause`] | stop and start the handling of a category |
//! | [`tail`] | events and outcomes as they come |

pub mod alerts;
pub mod batch;
pub mod batch_input;
pub mod beginning;
pub mod call_policy;
pub mod calls;
pub mod dead_letters;
pub mod endpoints;
pub mod error;
pub mod event_log;
pub mod job;
pub mod log_lines;
pub mod metrics;
pub mod models;
pub mod parallel;
pub mod pause;
pub mod stack;
pub mod tail;
pub mod timestamp;

pub use error::{ErrorKind, OperateError, Result};
pub use timestamp::{DAY_MILLIS, Timestamp, duration};
