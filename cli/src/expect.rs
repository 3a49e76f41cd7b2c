//! `expect`: record that an object will end, by when, and the context of its outcome; list and delete what is expected.

mod known;

use std::fs::File;
use std::io::Read as _;

use clap::{Args, Subcommand, ValueEnum};
use hooks_aws::ledger::{ExpectError, Expectation, MAX_CONTEXT};
use hooks_webhook::Category;
use serde_json::{Value, json};

use crate::context::Context;
use crate::error::{CliError, Result};
use crate::timestamp::{self, Timestamp};

/// Categories whose objects can be expected.
pub(crate) const CATEGORIES: [Category; 3] = [Category::Response, Category::Batch, Category::FineTuning];

/// Maximum length of an object id, in bytes, as in the consumers.
const MAX_ID: usize = 512;

/// Record that a response, batch or fine-tuning job will end, and by when
///
/// People are alerted if its end is not known by then; the outcome of its event carries the context.
#[derive(Args, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Examples: openai-webhooks expect batch batch_123 --by 26h\n          openai-webhooks expect list --overdue"
)]
pub(crate) struct ExpectArgs {
    #[command(subcommand)]
    command: Option<ExpectCommand>,
    /// Kind of the object
    #[arg(required = true)]
    kind: Option<Kind>,
    /// Id of the object, such as `resp_123` or `batch_123`
    #[arg(required = true)]
    id: Option<String>,
    /// Time by which it must have ended: a span (30m, 2h, 7d), or a time in UTC
    #[arg(long, value_name = "TIME", value_parser = timestamp::future, required = true)]
    by: Option<Timestamp>,
    /// Context of its outcome: a JSON object of at most 4 KiB, or @FILE with one
    #[arg(long, value_name = "JSON|@FILE")]
    context: Option<String>,
}

/// What is done with expectations that were recorded.
#[derive(Subcommand, Debug)]
enum ExpectCommand {
    List(known::ListArgs),
    Show(known::ShowArgs),
    Delete(known::DeleteArgs),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// A background response
    Response,
    /// A batch
    Batch,
    /// A fine-tuning job
    FineTuning,
}

impl Kind {
    const fn category(self) -> &'static str {
        CATEGORIES[self as usize].as_str()
    }
}

pub(crate) async fn run(args: &ExpectArgs, context: &Context) -> Result {
    match (&args.command, args.kind, &args.id, args.by) {
        (Some(ExpectCommand::List(args)), ..) => known::list(args, context).await,
        (Some(ExpectCommand::Show(args)), ..) => known::show(args, context).await,
        (Some(ExpectCommand::Delete(args)), ..) => known::delete(args, context).await,
        (None, Some(kind), Some(id), Some(by)) => record(kind, id, by, args.context.as_deref(), context).await,
        (None, ..) => Err(CliError::usage("give the kind of the object, its id and --by")),
    }
}

fn check_id(id: &str) -> Result<()> {
    if id.is_empty() || id.len() > MAX_ID || !id.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(CliError::usage("the id is not an OpenAI object id (resp_..., batch_..., ftjob-...)"));
    }
    Ok(())
}

async fn record(kind: Kind, id: &str, by: Timestamp, given: Option<&str>, context: &Context) -> Result {
    check_id(id)?;
    if by <= Timestamp::now() {
        return Err(CliError::usage(format!("--by {} is in the past", by.text())));
    }
    let outcome_context = given.map(read_context).transpose()?;
    let (category, ledger) = (kind.category(), context.ledger().await?);
    if let Some(job) = ledger.job(category, id).await?.filter(|job| job.terminal) {
        let (status, seen) = (job.status, Timestamp(job.as_of).text());
        return Err(CliError::failed(format!("{id} has already ended: {status}, seen {seen} UTC"))
            .hint(format!("List its events: openai-webhooks events list --since 35d --object {id}")));
    }
    let expectation =
        Expectation { category, object_id: id, due_at: by.seconds(), context: outcome_context.as_deref() };
    ledger.expect(&expectation).await.map_err(|error| match error {
        ExpectError::Context(_) => CliError::usage(error.to_string()),
        ExpectError::Ledger(error) => error.into(),
    })?;
    let document = json!({
        "category": category,
        "object_id": id,
        "due_at": by.json(),
        "context": outcome_context.as_deref().and_then(|context| serde_json::from_str::<Value>(context).ok()),
    });
    context.out.result(&document, || {
        format!("{id} is expected to end by {} UTC. People are alerted if it does not.", by.text())
    })
}

/// The context itself, or the content of the file.
pub(crate) fn read_context(argument: &str) -> Result<String> {
    let Some(path) = argument.strip_prefix('@') else { return Ok(argument.to_owned()) };
    let mut text = String::new();
    // One byte above the limit, so that a longer file is recognised.
    let read = File::open(path).and_then(|file| file.take(MAX_CONTEXT as u64 + 1).read_to_string(&mut text));
    read.map_err(|error| CliError::usage(format!("cannot read the context from {path}: {error}")))?;
    Ok(text)
}
