//! `expect`: says what will end, by when, and what its outcome shall carry.

use std::fs::File;
use std::io::Read as _;

use clap::{Args, ValueEnum};
use hooks_aws::ledger::{ExpectError, Expectation, MAX_CONTEXT};
use serde_json::{Value, json};

use crate::context::Context;
use crate::events::ledger;
use crate::failure::{Exit, Failure};
use crate::when::{self, Moment};

/// The longest id, in bytes, as the consumers have it.
const MAX_ID: usize = 512;

/// Say that a response, batch, eval run or fine-tuning job will end, and by when
///
/// People are alerted when nothing was heard of its end by then; the outcome of its event carries the context.
#[derive(Args, Debug)]
pub(crate) struct ExpectArgs {
    /// What will end
    kind: Kind,
    /// Its id, such as `resp_123` or `batch_123`
    id: String,
    /// By when: in a span (30m, 2h, 7d), or a time in UTC
    #[arg(long, value_name = "TIME", value_parser = when::future)]
    by: Moment,
    /// What its outcome shall carry: a JSON object of 4 KiB at most, or @FILE with one
    #[arg(long, value_name = "JSON|@FILE")]
    context: Option<String>,
    /// The eval that a run is of, which its event does not say
    #[arg(long, value_name = "ID")]
    eval_id: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// A background response
    Response,
    /// A batch
    Batch,
    /// A run of an eval
    EvalRun,
    /// A fine-tuning job
    FineTuning,
}

impl Kind {
    const fn category(self) -> &'static str {
        match self {
            Self::Response => "response",
            Self::Batch => "batch",
            Self::EvalRun => "eval",
            Self::FineTuning => "fine-tuning",
        }
    }
}

pub(crate) async fn run(args: &ExpectArgs, context: &Context) -> Result<Exit, Failure> {
    check_id("the id", &args.id)?;
    match args.eval_id.as_deref() {
        Some(_) if args.kind != Kind::EvalRun => return Err(Failure::usage("--eval-id is for an eval-run alone")),
        Some(eval_id) => check_id("--eval-id", eval_id)?,
        None => {}
    }
    if args.by <= Moment::now() {
        return Err(Failure::usage(format!("--by {} is in the past", args.by.text())));
    }
    let carried = args.context.as_deref().map(read_context).transpose()?;
    let (category, ledger) = (args.kind.category(), ledger(context).await?);
    if let Some(job) = ledger.job(category, &args.id).await?.filter(|job| job.terminal) {
        let (status, seen) = (job.status, Moment(job.as_of).text());
        return Err(Failure::no(format!("{} has ended already: {status}, seen {seen} UTC", args.id))
            .hint(format!("`openai-webhooks events list --since 35d --object {}` shows its events.", args.id)));
    }
    let expectation = Expectation {
        category,
        object_id: &args.id,
        due_at: args.by.seconds(),
        context: carried.as_deref(),
        eval_id: args.eval_id.as_deref(),
    };
    ledger.expect(&expectation).await.map_err(|error| match error {
        ExpectError::Context(_) => Failure::usage(error.to_string()),
        ExpectError::Ledger(error) => error.into(),
    })?;
    let document = json!({
        "category": category,
        "object_id": args.id,
        "due_at": args.by.json(),
        "context": carried.as_deref().and_then(|context| serde_json::from_str::<Value>(context).ok()),
        "eval_id": args.eval_id,
    });
    context.out.result(&document, || {
        format!("{} is expected to end by {} UTC. If it does not, people are alerted.", args.id, args.by.text())
    })?;
    Ok(Exit::Yes)
}

fn check_id(what: &str, id: &str) -> Result<(), Failure> {
    let fits = !id.is_empty() && id.len() <= MAX_ID && id.bytes().all(|byte| byte.is_ascii_graphic());
    if fits { Ok(()) } else { Err(Failure::usage(format!("{what} is no id of OpenAI's"))) }
}

/// The context itself, or what the file has.
pub(crate) fn read_context(given: &str) -> Result<String, Failure> {
    let Some(path) = given.strip_prefix('@') else { return Ok(given.to_owned()) };
    let mut text = String::new();
    // A byte more than fits, so that too much is told as such.
    let read = File::open(path).and_then(|file| file.take(MAX_CONTEXT as u64 + 1).read_to_string(&mut text));
    read.map_err(|error| Failure::usage(format!("cannot read the context from {path}: {error}")))?;
    Ok(text)
}
