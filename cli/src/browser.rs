//! `console`: pages of the stack in a browser, served on this machine.

use std::process::{Command, Stdio};

use clap::Args;
use hooks_console::{Console, Role};
use hooks_function::OpenAi;
use serde_json::json;
use tokio::signal::ctrl_c;

use crate::context::{Context, variable};
use crate::error::{CliError, Exit, Result};
use crate::events::asked_by;

/// Look at every event, batch, call and failure in a browser, and act
///
/// It is served on this machine, with your own access to AWS. The link lets you in once.
#[derive(Args, Debug)]
#[command(after_help = "Example: openai-webhooks console --read-only")]
pub(crate) struct ConsoleArgs {
    /// Port on this machine [default: a free one]
    #[arg(long, value_name = "PORT", default_value_t = 0, hide_default_value = true)]
    port: u16,
    /// Look, but do not act
    #[arg(long)]
    read_only: bool,
    /// Print the link, and open no browser
    #[arg(long)]
    no_browser: bool,
}

pub(crate) async fn run(args: &ConsoleArgs, context: &Context) -> Result {
    let name = asked_by().unwrap_or_else(|| "somebody".to_owned());
    let stack = context.stack().await?.clone();
    let openai = match variable("OPENAI_API_KEY") {
        Some(_) => OpenAi::fixed(context.openai().await?.clone()),
        None => context.api_key_secret().await?.into(),
    };
    let role = if args.read_only { Role::Viewer } else { Role::Operator };
    let server = Console::new(context.aws().await?, stack, openai)?.bind(args.port, &name, role).await?;
    let link = server.link().to_owned();
    context.out.result(&json!({ "link": link }), || link.clone())?;
    if !args.no_browser && !context.out.json && !open(&link) {
        context.out.note("No browser could be opened: open the link yourself.");
    }
    if !context.out.json {
        context.out.note("Ctrl-C ends it.");
    }
    tokio::select! {
        ended = server.serve() => ended.map(|()| Exit::Success).map_err(CliError::from),
        _ = ctrl_c() => Ok(Exit::Success),
    }
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
