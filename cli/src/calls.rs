//! `calls`: phone calls and the policy that answers them.

mod check_policy;
mod set_policy;
mod stored;

use clap::Subcommand;

pub(crate) use stored::{Stored, read as stored_policy};

use crate::context::Context;
use crate::error::Result;

/// Check and store the policy for phone calls
#[derive(Subcommand, Debug)]
pub(crate) enum CallsCommand {
    CheckPolicy(check_policy::CheckPolicyArgs),
    SetPolicy(set_policy::SetPolicyArgs),
}

pub(crate) async fn run(command: &CallsCommand, context: &Context) -> Result {
    match command {
        CallsCommand::CheckPolicy(args) => check_policy::run(args, context).await,
        CallsCommand::SetPolicy(args) => set_policy::run(args, context).await,
    }
}
