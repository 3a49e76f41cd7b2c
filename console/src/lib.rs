//! The console: pages and API of a stack, on this machine or behind the stack's HTTP API.
//!
//! A [`Console`] is a stack with access to AWS and OpenAI: pages below `/console`, the same as JSON below `/api`. What is
//! read and done is in `hooks_operate`, which the command line uses as well. There are two hosts.
//!
//! - [`Console::bind`] serves it to one person on this machine, with that person's own access.
//! - [`Deployed`] answers the requests of a team, with the access of its function.

mod actions;
mod api;
mod console;
mod data;
mod deployed;
mod http;
mod once;
mod pages;
mod server;
mod view;

use hooks_operate::error::LEDGER_PERMISSIONS;
use hooks_operate::{ErrorKind as FailureKind, OperateError as Failure, Result};

pub use console::Console;
pub use deployed::{Deployed, Invitation, Link};
pub use http::session::{Reached, Role};
pub use server::Server;
