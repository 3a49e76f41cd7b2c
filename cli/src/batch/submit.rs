//! `batch submit`: check a file, upload it, create the batch and record its expectation.
//!
//! All checks come first, since neither the upload nor the creation can be undone. A crash after the upload leaves a file
//! that costs nothing and that OpenAI deletes after 30 days; a crash after the creation leaves a batch without an
//! expectation, whose event is handled like any other.

use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};

use clap::Args;
use hooks_aws::ledger::{Expectation, Ledger, check_context};
use hooks_openai::Batch;
use hooks_operate::batch::{MAX_METADATA, create, metadata_entry, upload};
use hooks_operate::batch_input::{InputSummary, MAX_BYTES, check, is_path};
use serde_json::json;

use super::watch::{self, WatchArgs};
use crate::context::Context;
use crate::error::{CliError, Exit, Result};
use crate::expect::read_context;
use crate::interrupt;
use crate::output::counted;
use crate::timestamp::{self, Timestamp};

/// Default of `--expect-by`: OpenAI's 24 hours, and two for the event.
const DUE_SECONDS: i64 = 26 * 3_600;

/// Check a file of requests, upload it and create the batch
///
/// Prints the batch's id, and records an expectation: people are alerted if its end is not known in time.
#[derive(Args, Debug)]
pub(crate) struct SubmitArgs {
    /// File of requests: JSON Lines, each with `custom_id`, `method`, `url` and `body`
    file: PathBuf,
    /// Path of all requests, such as /v1/responses [default: that of the first]
    #[arg(long, value_name = "PATH", value_parser = endpoint)]
    endpoint: Option<String>,
    /// Metadata of the batch; at most 16
    #[arg(long, value_name = "NAME=VALUE", value_parser = metadata_entry)]
    metadata: Vec<(String, String)>,
    /// Time by which it must have ended: a span (30m, 26h, 7d), or a time in UTC [default: 26h]
    #[arg(long, value_name = "TIME", value_parser = timestamp::future, conflicts_with = "no_stack")]
    expect_by: Option<Timestamp>,
    /// Context of its outcome: a JSON object of at most 4 KiB, or @FILE with one
    #[arg(long, value_name = "JSON|@FILE", conflicts_with = "no_stack")]
    context: Option<String>,
    /// Wait for it to end, and download its results
    #[arg(long)]
    watch: bool,
    /// With --watch, folder for its results [default: the batch's id]
    #[arg(long, value_name = "DIR", requires = "watch")]
    out: Option<PathBuf>,
    /// Use no stack: record no expectation, and download the results from OpenAI
    #[arg(long)]
    no_stack: bool,
}

pub(crate) async fn run(args: &SubmitArgs, context: &Context) -> Result {
    if args.metadata.len() > MAX_METADATA.0 {
        return Err(CliError::usage(format!("a batch has at most {} --metadata", MAX_METADATA.0)));
    }
    let due = args.expect_by.unwrap_or_else(default_due);
    if due <= Timestamp::now() {
        return Err(CliError::usage(format!("--expect-by {} is in the past", due.text())));
    }
    let outcome_context = args.context.as_deref().map(read_context).transpose()?;
    if let Some(text) = &outcome_context {
        check_context(text).map_err(|problem| CliError::usage(format!("the context {problem}")))?;
    }
    let wanted = Wanted {
        file: &args.file,
        endpoint: args.endpoint.as_deref(),
        metadata: &args.metadata,
        due,
        outcome_context: outcome_context.as_deref(),
        no_stack: args.no_stack,
    };
    let Submitted { batch, input, file_id, length, expected } = submit(&wanted, context).await?;
    if args.watch && !interrupt::happened() {
        let exit = watch::run(&WatchArgs::new(batch.id, args.out.clone(), args.no_stack), context).await?;
        return Ok(if expected { exit } else { Exit::Failure });
    }
    let no_stack = if args.no_stack { " --no-stack" } else { "" };
    context.out.note(&format!("Watch it: openai-webhooks batch watch {}{no_stack}", batch.id));
    let document = json!({
        "batch_id": batch.id,
        "status": batch.status.as_str(),
        "input_file_id": file_id,
        "endpoint": input.endpoint,
        "model": input.model,
        "requests": input.lines,
        "bytes": length,
        "due_at": (!args.no_stack && expected).then(|| due.json()),
    });
    context.out.result(&document, || batch.id.clone())?;
    Ok(Exit::success_if(expected))
}

/// What is submitted.
pub(super) struct Wanted<'a> {
    pub(super) file: &'a Path,
    pub(super) endpoint: Option<&'a str>,
    pub(super) metadata: &'a [(String, String)],
    pub(super) due: Timestamp,
    pub(super) outcome_context: Option<&'a str>,
    pub(super) no_stack: bool,
}

/// A batch that was created.
pub(super) struct Submitted {
    pub(super) batch: Batch,
    pub(super) input: InputSummary,
    pub(super) file_id: String,
    pub(super) length: u64,
    /// Whether its expectation is recorded, if one was wanted.
    pub(super) expected: bool,
}

/// Checks the file, uploads it, creates the batch and records its expectation.
pub(super) async fn submit(wanted: &Wanted<'_>, context: &Context) -> Result<Submitted> {
    let (file, length) = open(wanted.file)?;
    let input = check_file(wanted.file, &file, length, wanted.endpoint, context)?;
    let ledger = if wanted.no_stack { None } else { Some(context.ledger().await?) };
    let openai = context.openai().await?;
    let name =
        wanted.file.file_name().map_or_else(|| "requests.jsonl".into(), |name| name.to_string_lossy().into_owned());
    let bar = context.out.bar(format!("Uploading {} (KiB)", wanted.file.display()), length >> 10);
    let file_id = upload(openai, name, file, length, move |bytes| bar.set_position(bytes >> 10)).await?;
    context.out.note(&format!("Uploaded {} as {file_id}", wanted.file.display()));
    let created = async {
        let batch = create(openai, &input.endpoint, &file_id, wanted.metadata).await?;
        let requests = counted(input.lines, "request");
        context.out.note(&format!("Created {} of {requests} to {}", batch.id, input.endpoint));
        let expected = match &ledger {
            Some(ledger) => expect(ledger, &batch, wanted.due, wanted.outcome_context, context).await,
            None => true,
        };
        Result::<_>::Ok((batch, expected))
    };
    let (batch, expected) = interrupt::finish("Creating the batch, and its expectation", context, created).await?;
    Ok(Submitted { batch, input, file_id, length, expected })
}

/// The time at which a batch must have ended unless something else is said.
pub(super) fn default_due() -> Timestamp {
    Timestamp::from_seconds(Timestamp::now().seconds() + DUE_SECONDS)
}

fn open(path: &Path) -> Result<(File, u64)> {
    let unreadable = |error| CliError::usage(format!("cannot read {}: {error}", path.display()));
    let file = File::open(path).map_err(unreadable)?;
    let found = file.metadata().map_err(unreadable)?;
    if !found.is_file() {
        return Err(CliError::usage(format!("{} is not a file", path.display()))
            .hint("The requests are read twice, for the check and for the upload, so they must be in a file."));
    }
    if found.len() > MAX_BYTES {
        return Err(CliError::usage(format!(
            "{} has {} bytes; OpenAI's limit is {MAX_BYTES} (too_large)",
            path.display(),
            found.len()
        ))
        .hint("Split it into several batches."));
    }
    Ok((file, found.len()))
}

fn check_file(
    path: &Path,
    file: &File,
    length: u64,
    endpoint: Option<&str>,
    context: &Context,
) -> Result<InputSummary> {
    let bar = context.out.bar(format!("Checking {} (KiB)", path.display()), length >> 10);
    let checked = check(BufReader::new(file.take(length)), endpoint, |bytes| bar.set_position(bytes >> 10));
    drop(bar);
    let checked = checked.map_err(|error| CliError::usage(format!("cannot read {}: {error}", path.display())))?;
    checked.map_err(|errors| {
        let count = counted(errors.count, "error");
        CliError::usage(format!("{} has {count}; nothing was sent", path.display())).lines(errors)
    })
}

/// Records the expectation. Returns whether that succeeded; the batch exists in any case.
async fn expect(
    ledger: &Ledger,
    batch: &Batch,
    due: Timestamp,
    outcome_context: Option<&str>,
    context: &Context,
) -> bool {
    let expectation =
        Expectation { category: "batch", object_id: &batch.id, due_at: due.seconds(), context: outcome_context };
    let Err(error) = ledger.expect(&expectation).await else { return true };
    context.out.note(&format!(
        "The batch is created, but recording its expectation failed: {error}\n  Do not submit it again. Record it: \
         openai-webhooks expect batch {} --by {}",
        batch.id,
        due.json()
    ));
    false
}

fn endpoint(text: &str) -> std::result::Result<String, String> {
    if is_path(text) { Ok(text.to_owned()) } else { Err("an endpoint is a path such as /v1/responses".to_owned()) }
}
