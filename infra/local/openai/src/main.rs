//! Plays OpenAI for local runs and tests: its objects, and the signed deliveries of its webhooks.
//!
//! The wire format is OpenAI's; commands under `/_control` decide what happens and when. Each family of OpenAI's API is a
//! module with its routes (`api`), its commands (`control`), its state and the other modules' state that it uses.
//! [`server::router`] puts them together. A new family is a new module and three lines there.

mod agents;
mod api_keys;
mod batches;
mod errors;
mod faults;
mod files;
mod fine_tuning;
mod ids;
mod phone_calls;
mod request;
mod request_log;
mod responses;
mod safety;
mod server;
mod store;
#[cfg(test)]
mod testing;
mod tokens;
mod usage;
mod webhooks;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// The exit code of a failed start: a port in use, a file that cannot be written.
const CANNOT_START: u8 = 2;

/// How long requests in progress may go on after a stop signal.
const GRACE: Duration = Duration::from_secs(1);

/// Plays OpenAI for local runs and tests: its objects, and the signed deliveries of its webhooks.
///
/// OpenAI's API is under /v1, the commands are under /_control (see README.md).
#[derive(Debug, Parser)]
#[command(name = "openai-stand-in", version)]
struct Arguments {
    /// Address to listen on; port 0 picks a free port
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:4010")]
    listen: SocketAddr,

    /// File to write the port to, once requests are accepted
    #[arg(long, value_name = "FILE")]
    port_file: Option<PathBuf>,

    /// API key that clients must send as bearer token
    #[arg(long, value_name = "KEY", default_value = "sk-local")]
    api_key: String,

    /// Factor on the delays of webhook retries: 1 retries for 72 hours, 0.001 after 5 ms, 10 ms, 20 ms...
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
            #[expect(clippy::print_stderr, reason = "a command's error goes to standard error")]
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
            "{} is in use: stop the other program, or choose another port with --listen (port 0 picks a free one)",
            arguments.listen
        ),
        _ => format!("cannot listen on {}: {error}", arguments.listen),
    })?;
    let address = listener.local_addr().map_err(|error| format!("the listening address is unknown: {error}"))?;
    let router = server::router(arguments.api_key, arguments.retry_factor);
    let stop = stop_signal().map_err(|error| format!("cannot listen for signals: {error}"))?;

    if let Some(file) = &arguments.port_file {
        write_port(file, address.port()).map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    }
    println!("OpenAI stand-in: API at http://{address}/v1, commands at http://{address}/_control");

    server::serve(listener, router, stop, GRACE).await.map_err(|error| format!("stopped serving: {error}"))
}

/// Writes a temporary file and renames it, so that no reader sees half a number.
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
