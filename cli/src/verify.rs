//! `verify`: why a captured delivery is accepted or refused. The check is [`hooks_webhook::verify`], as in the verifier.

mod capture;
mod explain;

use std::path::PathBuf;

use clap::Args;
use hooks_aws::secrets::{PREVIOUS_LIFETIME, Stage, Store};
use hooks_webhook::{Scheme, Secret, VerifyError};
use serde_json::{Value, json};

use crate::context::Context;
use crate::error::{CliError, Exit, Result};
use crate::input;
use crate::output::{checklist, printable};
use crate::sign::{NamedSecret, SecretArgs};
use crate::stack_endpoints::StackEndpoint;
use crate::timestamp::{Timestamp, now};

use capture::Capture;
use explain::{Outcome, Report, explain};

/// Explain step by step why a captured delivery is accepted or refused
#[derive(Args, Debug)]
pub(crate) struct VerifyArgs {
    /// File with the whole request: header lines, an empty line, the body (`-` for stdin)
    #[arg(required_unless_present = "body", conflicts_with_all = ["body", "headers", "header"])]
    capture: Option<PathBuf>,
    /// File with the body only, byte for byte (`-` for stdin)
    #[arg(long, value_name = "FILE")]
    body: Option<PathBuf>,
    /// File with header lines
    #[arg(long, value_name = "FILE", requires = "body")]
    headers: Option<PathBuf>,
    /// One header
    #[arg(long, value_name = "NAME=VALUE", requires = "body")]
    header: Vec<String>,
    #[command(flatten)]
    secret: SecretArgs,
    /// Time of the check: Unix seconds or RFC 3339 [default: now]
    #[arg(long, value_name = "TIME", value_parser = input::time)]
    at: Option<u64>,
}

pub(crate) async fn run(args: VerifyArgs, context: &Context) -> Result {
    let capture = capture(&args)?;
    let at = args.at.unwrap_or_else(now);
    let secrets = secrets(&args.secret, at, context).await?;
    let report = explain(&capture, &secrets, at);
    context.out.result(&document(&report, at), || text(&report, at))?;
    Ok(Exit::success_if(report.refusal.is_none()))
}

/// The secrets that a delivery is checked with.
struct Secrets {
    scheme: Scheme,
    /// Accepted by the verifier.
    accepted: Vec<NamedSecret>,
    /// Not accepted; they may explain a signature.
    others: Vec<NamedSecret>,
}

fn capture(args: &VerifyArgs) -> Result<Capture> {
    let files = [&args.capture, &args.body, &args.headers].into_iter().flatten();
    let from_stdin = files.filter(|path| input::is_stdin(path)).count();
    if from_stdin + usize::from(args.secret.reads_stdin()) > 1 {
        return Err(CliError::usage("only one of the files can be stdin"));
    }
    if let Some(path) = &args.capture {
        return Capture::from_request(&input::bytes(path, input::MAX_BODY)?);
    }
    let body = args.body.as_deref().map(|path| input::bytes(path, input::MAX_BODY)).transpose()?;
    let mut capture = Capture { body: body.unwrap_or_default(), ..Capture::default() };
    if let Some(path) = &args.headers {
        capture.add_lines(&input::bytes(path, input::MAX_BODY)?)?;
    }
    for header in &args.header {
        let (name, value) = header.split_once(['=', ':']).unwrap_or((header, ""));
        capture.add(name, value.trim().as_bytes()).ok_or_else(|| {
            CliError::usage(format!("--header {} is not a header", printable(header)))
                .hint("Write it as webhook-id=wh_123.")
        })?;
    }
    Ok(capture)
}

/// The secret that was given, or else those of the stack.
async fn secrets(args: &SecretArgs, at: u64, context: &Context) -> Result<Secrets> {
    if let Some(explicit) = args.explicit()? {
        let scheme = explicit.secret.scheme();
        return Ok(Secrets { scheme, accepted: vec![explicit], others: Vec::new() });
    }
    let endpoint = args.stack_endpoint(context).await?;
    let (scheme, store) = (endpoint.scheme, context.secrets().await?);
    let named =
        |which: &str, secret| NamedSecret { secret, name: format!("the stack's {which} {} secret", endpoint.name) };
    let Some(current) = endpoint.version(&store, Stage::Current).await? else {
        // Returns the error with its fix.
        endpoint.secret(&store).await?;
        return Err(CliError::failed("the stack's signing secret does not exist"));
    };
    let mut secrets =
        Secrets { scheme, accepted: vec![named("current", endpoint.parse(&current.text)?)], others: Vec::new() };
    for (stage, which) in [(Stage::Pending, "pending"), (Stage::Previous, "previous")] {
        let Some(version) = endpoint.version(&store, stage).await?.filter(|version| version.id != current.id) else {
            continue;
        };
        let Ok(secret) = Secret::parse_for(scheme, &version.text) else { continue };
        let is_accepted = stage == Stage::Pending || at < current.created_at + PREVIOUS_LIFETIME;
        let list = if is_accepted { &mut secrets.accepted } else { &mut secrets.others };
        list.push(named(which, secret));
    }
    for other in context.stack().await?.endpoints()?.iter().filter(|other| other.name != endpoint.name) {
        secrets.others.extend(secret_of_other(other, &store).await);
    }
    Ok(secrets)
}

/// The secret of another endpoint, if it can be read: a delivery may have gone to the wrong URL.
async fn secret_of_other(endpoint: &StackEndpoint, store: &Store) -> Option<NamedSecret> {
    let version = endpoint.version(store, Stage::Current).await.ok().flatten()?;
    let secret = Secret::parse_for(endpoint.scheme, &version.text).ok()?;
    Some(NamedSecret { secret, name: format!("the stack's {} secret", endpoint.name) })
}

fn document(report: &Report, at: u64) -> Value {
    json!({
        "accepted": report.refusal.is_none(),
        "reason": report.refusal.map(VerifyError::reason),
        "status": report.refusal.map_or(200, VerifyError::status),
        "at": at,
        "rows": report.rows,
        "event": report.event,
    })
}

fn text(report: &Report, at: u64) -> String {
    let mark = |outcome| match outcome {
        Outcome::Passed => "pass",
        Outcome::Failed => "FAIL",
        Outcome::NotReached => "-",
    };
    let rows = report.rows.iter().map(|row| (mark(row.outcome), row.name, row.detail.as_str(), &row.fix));
    let text = checklist(4, &rows.collect::<Vec<_>>());
    let at = rfc3339(at);
    text + &match report.refusal {
        None => format!("Accepted: the answer at {at} is 200."),
        Some(refusal) => format!("Refused: the answer at {at} is {} {}.", refusal.status(), refusal.reason()),
    }
}

/// Unix seconds in RFC 3339.
fn rfc3339(seconds: u64) -> String {
    Timestamp::from_seconds(seconds.try_into().unwrap_or(i64::MAX)).json()
}
