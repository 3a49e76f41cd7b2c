//! Follows OpenAI's agents: retrieves the session or environment that an event is about, records how it stands, keeps
//! its newest state, announces what a session waits for, and tells people about what failed or needs them.
//!
//! `environment.remote_url` of a session, and `connect.remote_url` of an event, may hold credentials. It is in the
//! session's artifact alone, which few may read: whoever connects an environment retrieves the session anyway, and
//! outcomes travel to every target of the bus and into the ledger.

mod actions;
mod alert;
mod handler;
mod outcome;

use handler::Agents;
use hooks_consumer::Category;

/// One thread does it: most of the time is spent waiting for the network.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), hooks_consumer::Error> {
    hooks_consumer::run(Category::Agent, Agents::from_setup).await
}
