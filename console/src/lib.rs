//! The console: pages and API, the same in a function and on loopback, and what they read of a stack.
//!
//! A [`Console`] is a stack with access to AWS and OpenAI. [`Console::on_loopback`] serves it to one person on this machine,
//! [`Console::deployed`] to a team behind the stack's HTTP API. Both have the same pages below `/console` and the same JSON
//! below `/api`; they differ in the way in ([`mint`]).

mod actions;
mod api;
pub mod aws;
pub mod batch_input;
mod console;
mod data;
mod error;
mod http;
mod once;
mod pages;
pub mod parallel;
mod server;
pub mod timestamp;
mod view;

pub use actions::{body_not_stored, send_replay};
pub use console::Console;
pub use data::submit::create_batch;
pub use error::{Failure, FailureKind, KEY_FIX, LEDGER_PERMISSIONS, QUEUE_PERMISSIONS, Result};
pub use http::session::Role;
pub use http::sign_in::{LINK_SECONDS, mint};
pub use server::Server;
