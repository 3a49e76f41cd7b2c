//! The console: pages and API, the same in a function and on loopback.
//!
//! A [`Console`] is a stack with access to AWS and OpenAI. [`Console::bind`] serves it to one person on this machine,
//! [`Console::deployed`] to a team behind the stack's HTTP API. Both have the same pages below `/console` and the same JSON
//! below `/api`; they differ in the way in ([`mint`]). What is read and done is in `hooks_operate`, which the command line
//! uses as well.

mod actions;
mod api;
mod console;
mod data;
mod http;
mod once;
mod pages;
mod server;
mod view;

use hooks_operate::error::LEDGER_PERMISSIONS;
use hooks_operate::{ErrorKind as FailureKind, OperateError as Failure, Result};

pub use console::Console;
pub use http::session::Role;
pub use http::sign_in::{LINK_SECONDS, mint};
pub use server::Server;
