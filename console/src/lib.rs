//! The console: pages and API of a stack, served on loopback.
//!
//! A [`Console`] is a stack with access to AWS and OpenAI. [`Console::bind`] serves it to one person on this machine, with
//! that person's own access: pages below `/console`, the same as JSON below `/api`. What is read and done is in
//! `hooks_operate`, which the command line uses as well.

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
pub use server::Server;
