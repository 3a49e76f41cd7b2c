//! `console`: pages of the stack in a browser, served on this machine or by the stack itself.

use std::process::{Command, Stdio};
use std::time::Duration;

use clap::Args;
use hooks_aws::caller::Callers;
use hooks_aws::functions::{FunctionAnswer, Functions, InvokeError};
use hooks_console::{Console, Invitation, Link, Role};
use hooks_function::OpenAi;
use serde_json::json;
use tokio::signal::ctrl_c;

use crate::context::{Context, variable};
use crate::error::{CliError, Exit, Result};
use crate::events::asked_by;

/// The longest answer of the function, in bytes.
const MAX_LINK: usize = 4096;

/// Time limit of the function, whose process may have to start.
const LINK_TIMEOUT: Duration = Duration::from_secs(20);

/// Look at every event, batch, call and failure in a browser, and act
///
/// It is served on this machine, with your own access to AWS, or by the stack itself. The link lets you in once.
#[derive(Args, Debug)]
#[command(after_help = "Example: openai-webhooks console --read-only")]
pub(crate) struct ConsoleArgs {
    /// Port on this machine [default: a free one]
    #[arg(long, value_name = "PORT", default_value_t = 0, hide_default_value = true)]
    port: u16,
    /// Open the stack's own console: get a link for it, good for a minute
    #[arg(long, conflicts_with = "port")]
    deployed: bool,
    /// Look, but do not act
    #[arg(long)]
    read_only: bool,
    /// Print the link, and open no browser
    #[arg(long)]
    no_browser: bool,
}

pub(crate) async fn run(args: &ConsoleArgs, context: &Context) -> Result {
    let role = if args.read_only { Role::Viewer } else { Role::Operator };
    if args.deployed {
        let link = invited(context, role).await?;
        show(args, context, &link)?;
        return Ok(Exit::Success);
    }
    let stack = context.stack().await?.clone();
    let openai = match variable("OPENAI_API_KEY") {
        Some(_) => OpenAi::fixed(context.openai().await?.clone()),
        None => context.api_key_secret().await?.into(),
    };
    let name = asked_by().unwrap_or_else(|| "somebody".to_owned());
    let server = Console::new(context.aws().await?, stack, openai)?.bind(args.port, &name, role).await?;
    show(args, context, server.link())?;
    if !context.out.json {
        context.out.note("Ctrl-C ends it.");
    }
    tokio::select! {
        ended = server.serve() => ended.map(|()| Exit::Success).map_err(CliError::from),
        _ = ctrl_c() => Ok(Exit::Success),
    }
}

/// Prints the link and opens it.
fn show(args: &ConsoleArgs, context: &Context, link: &str) -> Result<()> {
    context.out.result(&json!({ "link": link }), || link.to_owned())?;
    if !args.no_browser && !context.out.json && !open(link) {
        context.out.note("No browser could be opened: open the link yourself.");
    }
    Ok(())
}

/// A link for the deployed console, by an alias of its function. Needs `lambda:InvokeFunction` on that alias.
///
/// The event proves who asks: Lambda does not tell the function.
async fn invited(context: &Context, role: Role) -> Result<String> {
    let stack = context.stack().await?;
    let function = stack.output("ConsoleFunctionName").map_err(|_| {
        CliError::failed(format!("the stack {} has no console of its own", stack.name))
            .hint("Deploy it with EnableConsole=true, or leave --deployed out.")
    })?;
    let alias = if role == Role::Operator { "operator" } else { "viewer" };
    let target = format!("{function}:{alias}");
    let arn = stack.alias_arn(function, alias).ok_or_else(|| CliError::service("the stack has no ARN"))?;
    let proof = Callers::new(context.aws().await?).prove(&arn).await;
    let proof = proof.map_err(|error| CliError::service(error.to_string()))?;
    let event = serde_json::to_string(&Invitation { proof }).unwrap_or_default();
    let functions = Functions::new(context.aws().await?);
    let lost = |why: &str| {
        CliError::service(format!("the console gave no link: {why}"))
            .hint(format!("The log of the function says why: openai-webhooks --stack {} logs console", stack.name))
    };
    match functions.invoke(&target, &event, MAX_LINK, LINK_TIMEOUT).await {
        Ok(FunctionAnswer::Returned(answer)) => {
            let link: Link = serde_json::from_slice(&answer).map_err(|error| lost(&error.to_string()))?;
            Ok(link.link)
        }
        Ok(FunctionAnswer::Failed(why)) => Err(lost(&why)),
        Ok(FunctionAnswer::TooLarge) => Err(lost("its answer is too long")),
        Err(InvokeError::Refused(why)) => Err(CliError::service(format!("Lambda refused to give a link: {why}"))
            .hint(format!("Your AWS identity needs lambda:InvokeFunction on {target}."))),
        Err(error) => Err(lost(&error.to_string())),
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
