//! Supervises live sessions of OpenAI's Live and Realtime APIs: one session per invocation.
//!
//! The `realtime` function starts a supervisor as soon as a call is accepted. It attaches to the session over its sideband,
//! greets the caller, runs the model's tool calls, carries out what people ask, watches limits, and writes everything down.
//! `docs/calls.md` describes it for users.
//!
//! | module | duty |
//! |---|---|
//! | [`host`] | the function or the container: starts sessions, and successors of supervisors that died |
//! | `watchdog` | looks at the lease of a session, until it has ended |
//! | `session` | one session, from attaching to its end; knows nothing of Lambda |
//! | `tools` | the tools of the policy |
//! | `limits`, `usage`, `prices` | durations, silence, cost |
//! | `records` | transcript, summary, recording, job, outcome and alert at the end |
//!
//! # One owner
//!
//! A session has one holder at a time: the supervisor of the highest generation. The ledger's record has its token, and
//! refuses every write of an earlier one. Several supervisors may be attached while one hands over to the next; only the
//! holder speaks, and each tool call is claimed in the ledger before it is run.
//!
//! | the process dies | what follows |
//! |---|---|
//! | before it has attached | the watchdog starts the next generation |
//! | between two events | the lease ends, the watchdog starts the next generation within 15 seconds; what was said meanwhile is lost |
//! | while a tool runs | the next generation waits for its time to end; a tool that may be repeated is run again under the same idempotency key, otherwise the model hears that the result is unknown |
//! | after a tool's result was kept | the next generation gives it to the model |
//! | while the records are written | the next generation writes them again |

mod digits;
pub mod host;
mod limits;
mod prices;
mod records;
mod session;
mod settings;
mod tools;
mod transcript;
mod usage;
mod watchdog;
