//! Records agents' sessions and environments: retrieves the one that an event is about, stores its newest state,
//! publishes what a session waits for, and alerts people to failures and to decisions that they have to make.
//!
//! `environment.remote_url` of a session and `connect.remote_url` of an event may contain credentials. The URL is stored
//! in the session's artifact alone, which few may read. Outcomes go to every target of the bus and into the ledger, and
//! whoever connects an environment retrieves the session anyway.

mod actions;
mod environment;
mod handler;
mod session;

pub use handler::AgentHandler;
