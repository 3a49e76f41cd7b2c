//! `calls`: phone calls and the policy that answers them.

mod ask;
mod check_policy;
mod end;
mod set_policy;
mod show;
mod stored;

use clap::Subcommand;

pub(crate) use stored::{Stored, read as stored_policy};

use crate::context::Context;
use crate::error::Result;

/// Check and store the policy for phone calls; watch and control live calls
#[derive(Subcommand, Debug)]
pub(crate) enum CallsCommand {
    CheckPolicy(check_policy::CheckPolicyArgs),
    SetPolicy(set_policy::SetPolicyArgs),
    List(show::ListArgs),
    Show(show::ShowArgs),
    Follow(show::FollowArgs),
    Say(ask::SayArgs),
    Update(ask::UpdateArgs),
    Control(ask::ControlArgs),
    Result(ask::ResultArgs),
    Broadcast(ask::BroadcastArgs),
    Hangup(end::HangupArgs),
    Transfer(end::TransferArgs),
}

pub(crate) async fn run(command: &CallsCommand, context: &Context) -> Result {
    match command {
        CallsCommand::CheckPolicy(args) => check_policy::run(args, context).await,
        CallsCommand::SetPolicy(args) => set_policy::run(args, context).await,
        CallsCommand::List(args) => show::list(args, context).await,
        CallsCommand::Show(args) => show::show(args, context).await,
        CallsCommand::Follow(args) => show::follow(args, context).await,
        CallsCommand::Say(args) => ask::say(args, context).await,
        CallsCommand::Update(args) => ask::update(args, context).await,
        CallsCommand::Control(args) => ask::control(args, context).await,
        CallsCommand::Result(args) => ask::result(args, context).await,
        CallsCommand::Broadcast(args) => ask::broadcast(args, context).await,
        CallsCommand::Hangup(args) => end::hang_up(args, context).await,
        CallsCommand::Transfer(args) => end::transfer(args, context).await,
    }
}
