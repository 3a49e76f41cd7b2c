//! The command line of a stack: sign and send deliveries, explain refusals, manage OpenAI's endpoints and their secrets,
//! inspect events, replay and redrive, submit batches.
//!
//! Each group of commands is a module with its arguments and a function `run`. `docs/cli.md` describes every command.
//!
//! [`EXIT_CODES`] is printed at the end of the help.

mod alerts;
mod audit;
mod aws;
mod batch;
mod browser;
mod calls;
mod capture;
mod context;
mod dlq;
mod doctor;
mod endpoints;
mod error;
mod event_type;
mod events;
mod expect;
mod hints;
mod input;
mod interrupt;
mod jobs;
mod listen;
mod logs;
mod mcp;
mod models;
mod output;
mod paint;
mod pause;
mod queue_status;
mod samples;
mod secret;
mod send;
mod shell;
mod sign;
mod status;
mod values;
mod verify;

use std::env;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use clap_complete::Shell;
use hooks_operate::endpoints as stack_endpoints;
use hooks_operate::timestamp;

use context::{Context, GlobalArgs};
use error::{CliError, Result};
use output::Output;

/// Exit codes of all commands.
const EXIT_CODES: &str = "\
Exit codes:
  0  Done
  1  Done, and the answer is no: a check failed, something is missing or wrong
  2  Arguments or input are not usable
  3  No answer: AWS or OpenAI did not answer or refused, or an audit is not certain yet";

/// Manage a stack that receives OpenAI's webhooks
#[derive(Parser, Debug)]
#[command(
    name = "openai-webhooks",
    version,
    max_term_width = 100,
    after_help = EXIT_CODES,
    subcommand_required = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Sign(sign::SignArgs),
    Send(send::SendArgs),
    Verify(verify::VerifyArgs),
    #[command(subcommand)]
    Endpoints(endpoints::EndpointsCommand),
    #[command(subcommand)]
    Secret(secret::SecretCommand),
    Doctor(doctor::DoctorArgs),
    Audit(audit::AuditArgs),
    #[command(subcommand)]
    Events(events::EventsCommand),
    #[command(subcommand)]
    Dlq(dlq::DlqCommand),
    #[command(subcommand)]
    Jobs(jobs::JobsCommand),
    Listen(listen::ListenArgs),
    Logs(logs::LogsArgs),
    Pause(pause::PauseArgs),
    Resume(pause::ResumeArgs),
    Expect(expect::ExpectArgs),
    #[command(subcommand)]
    Batch(batch::BatchCommand),
    #[command(subcommand)]
    Models(models::ModelsCommand),
    #[command(subcommand)]
    Alerts(alerts::AlertsCommand),
    #[command(subcommand)]
    Calls(calls::CallsCommand),
    Console(browser::ConsoleArgs),
    /// Show the state of the stack: deliveries, events, queues, dead letters, failures, expectations
    Status,
    /// Print a completion script for your shell
    Completions {
        /// The shell
        shell: Shell,
    },
    Man(shell::ManArgs),
    Mcp(mcp::McpArgs),
}

async fn run(command: Command, context: &Context) -> Result {
    match command {
        Command::Sign(args) => sign::run(args, context).await,
        Command::Send(args) => send::run(args, context).await,
        Command::Verify(args) => verify::run(args, context).await,
        Command::Endpoints(command) => endpoints::run(command, context).await,
        Command::Secret(command) => secret::run(command, context).await,
        Command::Doctor(args) => doctor::run(&args, context).await,
        Command::Audit(args) => audit::run(&args, context).await,
        Command::Events(command) => events::run(&command, context).await,
        Command::Dlq(command) => dlq::run(&command, context).await,
        Command::Jobs(command) => jobs::run(&command, context).await,
        Command::Listen(args) => listen::run(&args, context).await,
        Command::Logs(args) => logs::run(&args, context).await,
        Command::Models(command) => models::run(&command, context).await,
        Command::Alerts(command) => alerts::run(&command, context).await,
        Command::Pause(args) => pause::pause(&args, context).await,
        Command::Resume(args) => pause::resume(&args, context).await,
        Command::Expect(args) => expect::run(&args, context).await,
        Command::Batch(command) => batch::run(&command, context).await,
        Command::Calls(command) => calls::run(&command, context).await,
        Command::Console(args) => browser::run(&args, context).await,
        Command::Status => status::run(context).await,
        Command::Completions { shell } => shell::completions(shell, context),
        Command::Man(args) => shell::man(&args, context),
        Command::Mcp(args) => mcp::run(args, context).await,
    }
}

fn main() -> ExitCode {
    let Cli { global, command } = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() && env::args_os().any(|argument| argument == "--json") => {
            let text = error.to_string();
            let error = CliError::usage(text.trim().trim_start_matches("error: "));
            Output { json: true }.error(&error);
            return error.exit_code();
        }
        Err(error) => error.exit(),
    };
    let out = Output { json: global.json };
    hints::remember(&global);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => {
            let context = Context::new(global);
            let result = runtime.block_on(run(command, &context));
            // A thread that still reads from a terminal must not keep the process alive.
            runtime.shutdown_background();
            result
        }
        Err(error) => Err(CliError::failed(format!("cannot start: {error}"))),
    };
    match result {
        Ok(exit) => exit.into(),
        Err(error) => {
            out.error(&error);
            error.exit_code()
        }
    }
}
