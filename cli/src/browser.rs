//! `console`: pages of the stack in a browser, on this machine or as the stack serves them.

use std::process::{Command, Stdio};

use clap::Args;
use hooks_console::{Console, LINK_SECONDS, Role, mint};
use hooks_function::OpenAi;
use serde_json::json;
use tokio::signal::ctrl_c;

use crate::context::{Context, variable};
use crate::error::{CliError, Exit, Result};
use crate::events::asked_by;

/// Look at every event, batch, call and failure in a browser, and act
///
/// It is served on this machine, with your own access to AWS. The link lets you in once. With --deployed, the link is one
/// to the console that the stack serves.
#[derive(Args, Debug)]
pub(crate) struct ConsoleArgs {
    /// Port on this machine [default: a free one]
    #[arg(long, value_name = "PORT", default_value_t = 0, hide_default_value = true, conflicts_with = "deployed")]
    port: u16,
    /// Make a link to the console that the stack serves; it works once, within a minute
    #[arg(long)]
    deployed: bool,
    /// With --deployed, a link for somebody who may look but not act
    #[arg(long, requires = "deployed")]
    read_only: bool,
    /// Print the link, and open no browser
    #[arg(long)]
    no_browser: bool,
}

pub(crate) async fn run(args: &ConsoleArgs, context: &Context) -> Result {
    let name = asked_by().unwrap_or_else(|| "somebody".to_owned());
    if args.deployed {
        return deployed(args, &name, context).await;
    }
    let stack = context.stack().await?.clone();
    let openai = match variable("OPENAI_API_KEY") {
        Some(_) => OpenAi::fixed(context.openai().await?.clone()),
        None => context.api_key_secret(variable("OPENAI_BASE_URL")).await?.into(),
    };
    let console = Console::new(context.aws().await?, stack, openai)?;
    let server = console.bind(args.port, &name).await?;
    show(args, context, server.link(), "Ctrl-C ends it.")?;
    tokio::select! {
        served = server.serve() => served.map(|()| Exit::Success).map_err(CliError::from),
        _ = ctrl_c() => Ok(Exit::Success),
    }
}

async fn deployed(args: &ConsoleArgs, name: &str, context: &Context) -> Result {
    let url = context.output("ConsoleUrl").await.map_err(|error| {
        error.hint("Deploy the stack with EnableConsole=true, or leave --deployed out: it is served on this machine.")
    })?;
    let role = if args.read_only { Role::Viewer } else { Role::Operator };
    let token = mint(&context.ledger().await?, role, name).await?;
    let link = format!("{url}/enter?link={token}");
    show(args, context, &link, &format!("It works once, within {LINK_SECONDS} s."))
}

/// Prints the link, and opens it.
fn show(args: &ConsoleArgs, context: &Context, link: &str, note: &str) -> Result {
    context.out.result(&json!({ "link": link }), || link.to_owned())?;
    if !context.out.json {
        context.out.note(note);
    }
    if !args.no_browser && !context.out.json && !open(link) {
        context.out.note("No browser could be opened: open the link yourself.");
    }
    Ok(Exit::Success)
}

/// Opens a link as this system does it. `false` if that is not possible.
fn open(link: &str) -> bool {
    let program = match () {
        () if cfg!(target_os = "macos") => "open",
        () if cfg!(windows) => "explorer",
        () => "xdg-open",
    };
    let command = Command::new(program).arg(link).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    command.is_ok()
}
