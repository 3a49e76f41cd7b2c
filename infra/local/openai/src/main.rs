//! Plays OpenAI for local runs and tests: its objects, and the signed deliveries of its webhooks.
//!
//! The wire format is OpenAI's; what happens, and when, is commanded through `/_control`. Each family of OpenAI's API
//! is one module that offers its routes (`api`), its commands (`control`) and its state, which [`app::App`] holds.
//! A new family is a new module plus one line in `app` and two in `server`.

mod access;
mod agents;
mod app;
mod batches;
mod calls;
mod errors;
mod evals;
mod faults;
mod files;
mod fine_tuning;
mod ids;
mod metadata;
mod requests;
mod responses;
mod safety;
mod server;
mod shelf;
#[cfg(test)]
mod testing;
mod webhooks;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::app::App;

/// Exit code when the start fails for a reason that the user can mend: a port in use, a file that can't be written.
const CANNOT_START: u8 = 2;

/// How long answers under way may go on after a stop was asked for. A stalled answer would go on for ever.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// Plays OpenAI for local runs and tests: its objects, and the signed deliveries of its webhooks.
///
/// OpenAI's API is served under /v1, and commanded under /_control (see README.md).
#[derive(Debug, Parser)]
#[command(name = "openai-stand-in", version)]
struct Arguments {
    /// Where to listen; port 0 picks a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:4010")]
    listen: SocketAddr,

    /// File to write the port to, once requests are accepted
    #[arg(long, value_name = "FILE")]
    port_file: Option<PathBuf>,

    /// The API key that clients must present as bearer token
    #[arg(long, value_name = "KEY", default_value = "sk-local")]
    api_key: String,

    /// Shortens the 72 hours of webhook retries: 1 waits as OpenAI does, 0.001 retries after 5 ms, 10 ms, 20 ms...
    #[arg(long, value_name = "FACTOR", default_value_t = 0.001, value_parser = parse_factor)]
    retry_factor: f64,
}

fn parse_factor(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(factor) if factor > 0.0 && factor <= 1.0 => Ok(factor),
        _ => Err("must be above 0 and at most 1".to_owned()),
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            #[expect(clippy::print_stderr, reason = "a command's last word goes to standard error")]
            {
                eprintln!("openai-stand-in: {message}");
            }
            ExitCode::from(CANNOT_START)
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), String> {
    let listener = TcpListener::bind(arguments.listen).await.map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => format!(
            "{} is in use: stop what listens there, or choose another with --listen (port 0 picks a free one)",
            arguments.listen
        ),
        _ => format!("cannot listen on {}: {error}", arguments.listen),
    })?;
    let address = listener.local_addr().map_err(|error| format!("the listening address is unknown: {error}"))?;
    let app = Arc::new(App::new(arguments.api_key, arguments.retry_factor));
    let stop = stop_signal().map_err(|error| format!("cannot listen for signals: {error}"))?;

    if let Some(file) = &arguments.port_file {
        write_port(file, address.port()).map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    }
    println!("OpenAI stand-in: API at http://{address}/v1, commands at http://{address}/_control");

    server::serve(listener, app, stop, LAST_ANSWERS).await.map_err(|error| format!("stopped serving: {error}"))
}

/// Writes beside the file and renames, so that a waiting reader never sees half a number.
fn write_port(file: &Path, port: u16) -> std::io::Result<()> {
    let unfinished = file.with_extension("unfinished");
    std::fs::write(&unfinished, format!("{port}\n"))?;
    std::fs::rename(unfinished, file)
}

fn stop_signal() -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
