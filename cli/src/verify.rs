//! `verify`: what is wrong with a captured delivery. The verdict is [`hooks_webhook::verify`]'s, as in the deployed verifier.

mod capture;
mod explain;

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use hooks_aws::secrets::{PREVIOUS_LIFETIME, Stage};
use hooks_webhook::Secret;
use serde_json::json;

use crate::context::{Context, now};
use crate::failure::{Exit, Failure};
use crate::input;
use crate::output::visible;
use crate::signing::{self, Endpoint, Found, SecretArgs, stack_version};
use crate::when::Moment;

use capture::Capture;
use explain::{Outcome, Report, Row};

/// Seconds since the epoch as people read them.
fn shown_time(seconds: u64) -> String {
    Moment::of_seconds(seconds.try_into().unwrap_or(i64::MAX)).json()
}

/// Say which row of the check a captured delivery passes, and why it fails
#[derive(Args, Debug)]
pub(crate) struct VerifyArgs {
    /// A file with the whole request as it came: header lines, an empty line, the body (`-` for stdin)
    #[arg(required_unless_present = "body", conflicts_with_all = ["body", "headers", "header"])]
    capture: Option<PathBuf>,
    /// A file with the body alone, byte for byte (`-` for stdin)
    #[arg(long, value_name = "FILE")]
    body: Option<PathBuf>,
    /// A file with header lines
    #[arg(long, value_name = "FILE", requires = "body")]
    headers: Option<PathBuf>,
    /// A header
    #[arg(long, value_name = "NAME=VALUE", requires = "body")]
    header: Vec<String>,
    #[command(flatten)]
    secret: SecretArgs,
    /// Judge as at this time: Unix seconds or RFC 3339 [default: now]
    #[arg(long, value_name = "TIME", value_parser = input::time)]
    at: Option<u64>,
}

pub(crate) async fn run(args: VerifyArgs, context: &Context) -> Result<Exit, Failure> {
    let capture = capture(&args)?;
    let at = args.at.unwrap_or_else(now);
    let keys = keys(&args.secret, at, context).await?;
    let report = explain::explain(&capture, &keys, at);
    context.out.result(&document(&report, at), || text(&report, at))?;
    Ok(Exit::when(report.refusal.is_none()))
}

/// The secrets that a delivery is checked with.
struct Keys {
    /// Those that are accepted.
    live: Vec<Found>,
    /// Others that would explain a signature.
    others: Vec<Found>,
}

impl Keys {
    fn secrets(&self) -> Vec<Secret> {
        self.live.iter().map(|found| found.secret.clone()).collect()
    }
}

fn capture(args: &VerifyArgs) -> Result<Capture, Failure> {
    let from_stdin =
        [&args.capture, &args.body, &args.headers].into_iter().flatten().filter(|path| input::is_stdin(path));
    if from_stdin.count() + usize::from(args.secret.takes_stdin()) > 1 {
        return Err(Failure::usage("only one of the files can be stdin"));
    }
    if let Some(path) = &args.capture {
        return Capture::of_dump(&input::bytes(path, input::MAX_BODY)?);
    }
    let body = args.body.as_deref().map(|path| input::bytes(path, input::MAX_BODY)).transpose()?;
    let mut capture = Capture { body: body.unwrap_or_default(), ..Capture::default() };
    if let Some(path) = &args.headers {
        capture.add_lines(&input::bytes(path, input::MAX_BODY)?)?;
    }
    for header in &args.header {
        let (name, value) = header.split_once(['=', ':']).unwrap_or((header, ""));
        capture.add(name, value.trim().as_bytes()).ok_or_else(|| {
            Failure::usage(format!("--header {} is no header", visible(name))).hint("Write it as webhook-id=wh_123.")
        })?;
    }
    Ok(capture)
}

/// What was given, or else the stack's secrets: those that its verifier accepts at that time, and those that it does not.
async fn keys(args: &SecretArgs, at: u64, context: &Context) -> Result<Keys, Failure> {
    if let Some(found) = args.given()? {
        return Ok(Keys { live: vec![found], others: Vec::new() });
    }
    let endpoint = args.endpoint();
    let stage = |stage| stack_version(context, endpoint, stage);
    let Some(current) = stage(Stage::Current).await? else {
        // Says that it was never set, and what to do.
        signing::stack_secret(context, endpoint).await?;
        return Err(Failure::no("the stack's signing secret does not exist"));
    };
    let name = |which: &str| format!("the stack's {which} {} secret", endpoint.as_str());
    let secret = signing::parse(endpoint, &current.text)?;
    let mut keys = Keys { live: vec![Found { secret, name: name("current") }], others: Vec::new() };
    if let Some(pending) = stage(Stage::Pending).await?.filter(|pending| pending.id != current.id)
        && let Ok(secret) = Secret::parse(&pending.text)
    {
        keys.live.push(Found { secret, name: name("pending") });
    }
    if let Some(previous) = stage(Stage::Previous).await?
        && let Ok(secret) = Secret::parse(&previous.text)
    {
        let is_live = at < current.created_at + PREVIOUS_LIFETIME;
        let to = if is_live { &mut keys.live } else { &mut keys.others };
        to.push(Found { secret, name: name("previous") });
    }
    keys.others.extend(secret_of_other(context, endpoint.other()).await);
    Ok(keys)
}

/// The other endpoint's secret, as far as it can be read: a delivery may have gone to the wrong URL.
async fn secret_of_other(context: &Context, endpoint: Endpoint) -> Option<Found> {
    let version = stack_version(context, endpoint, Stage::Current).await.ok().flatten()?;
    let secret = Secret::parse(&version.text).ok()?;
    Some(Found { secret, name: format!("the stack's {} secret", endpoint.as_str()) })
}

fn document(report: &Report, at: u64) -> serde_json::Value {
    json!({
        "accepted": report.refusal.is_none(),
        "reason": report.refusal.map(hooks_webhook::VerifyError::reason),
        "status": report.refusal.map_or(200, hooks_webhook::VerifyError::status),
        "at": at,
        "rows": report.rows,
        "event": report.event,
    })
}

fn text(report: &Report, at: u64) -> String {
    let mut text = String::new();
    for Row { name, outcome, detail, fix } in &report.rows {
        let mark = match outcome {
            Outcome::Passed => "pass",
            Outcome::Failed => "FAIL",
            Outcome::NotReached => "-",
        };
        text.push_str(format!("{mark:4}  {name:9}  {}", visible(detail)).trim_end());
        text.push('\n');
        if let Some(fix) = fix {
            let _ = writeln!(text, "{:17}-> {fix}", "");
        }
    }
    let at = shown_time(at);
    match report.refusal {
        None => text + &format!("Accepted: a delivery at {at} is answered 200."),
        Some(refusal) => {
            text + &format!("Refused: a delivery at {at} is answered {} {}.", refusal.status(), refusal.reason())
        }
    }
}
