//! `batch submit`: check a file, upload it, create the batch and record its expectation.
//!
//! All checks come first, since neither the upload nor the creation can be undone. A crash after the upload leaves a file
//! that costs nothing and that OpenAI deletes after 30 days; a crash after the creation leaves a batch without an
//! expectation, whose event is handled like any other.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufReader, Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use hooks_aws::ledger::{Expectation, Ledger, check_context};
use hooks_openai::{Batch, Client, NewBatch, Upload};
use hooks_operate::batch_input::{InputSummary, MAX_BYTES, check, is_path};
use serde_json::json;
use tokio::time::Instant;

use super::watch::{self, WatchArgs};
use crate::context::{Context, deadline};
use crate::error::{CliError, Exit, Result};
use crate::expect::read_context;
use crate::interrupt;
use crate::output::counted;
use crate::timestamp::{self, Timestamp};

/// Default of `--expect-by`: OpenAI's 24 hours, and two for the event.
const DUE_SECONDS: i64 = 26 * 3_600;

/// Time limit of an upload. It ends much sooner if no data is sent.
const UPLOAD_TIMEOUT: Duration = Duration::from_hours(2);

/// Number of the newest batches that are searched for one that may have been created.
const SEARCHED: u8 = 20;

/// OpenAI's limits for metadata: number of entries, length of a name, length of a value.
const MAX_METADATA: (usize, usize, usize) = (16, 64, 512);

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
    #[arg(long, value_name = "NAME=VALUE", value_parser = metadata)]
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
    let due = args.expect_by.unwrap_or_else(|| Timestamp::from_seconds(Timestamp::now().seconds() + DUE_SECONDS));
    if due <= Timestamp::now() {
        return Err(CliError::usage(format!("--expect-by {} is in the past", due.text())));
    }
    let outcome_context = args.context.as_deref().map(read_context).transpose()?;
    if let Some(text) = &outcome_context {
        check_context(text).map_err(|problem| CliError::usage(format!("the context {problem}")))?;
    }
    let (file, length) = open(&args.file)?;
    let input = check_file(&args.file, &file, length, args.endpoint.as_deref(), context)?;
    let ledger = if args.no_stack { None } else { Some(context.ledger().await?) };
    let openai = context.openai().await?;

    let file_id = upload(openai, &args.file, file, length, context).await?;
    context.out.note(&format!("Uploaded {} as {file_id}", args.file.display()));
    let created = async {
        let batch = create(openai, &input, &file_id, &args.metadata).await?;
        context.out.note(&format!("Created {} of {} requests to {}", batch.id, input.lines, input.endpoint));
        let expected = match &ledger {
            Some(ledger) => expect(ledger, &batch, due, outcome_context.as_deref(), context).await,
            None => true,
        };
        Result::<_>::Ok((batch, expected))
    };
    let (batch, expected) = interrupt::finish("Creating the batch, and its expectation", context, created).await?;
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
        "due_at": ledger.is_some().then(|| due.json()).filter(|_| expected),
    });
    context.out.result(&document, || batch.id.clone())?;
    Ok(Exit::success_if(expected))
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
        CliError::usage(format!("{} has {count}; nothing was sent:\n{errors}", path.display()).trim_end())
    })
}

/// Uploads the file that was checked, and returns its id.
async fn upload(openai: &Client, path: &Path, mut file: File, length: u64, context: &Context) -> Result<String> {
    file.rewind().map_err(|error| CliError::usage(format!("cannot read {} again: {error}", path.display())))?;
    let name = path.file_name().map_or_else(|| "requests.jsonl".into(), |name| name.to_string_lossy().into_owned());
    let bar = context.out.bar(format!("Uploading {} (KiB)", path.display()), length >> 10);
    let progress = move |bytes| bar.set_position(bytes >> 10);
    let upload = Upload { name, content: tokio::fs::File::from_std(file), length };
    let uploaded = openai.upload_batch_file(upload, progress, Instant::now() + UPLOAD_TIMEOUT).await;
    Ok(uploaded?.id)
}

/// Creates the batch. If the answer is lost, the batch is searched for by its input file.
async fn create(openai: &Client, input: &InputSummary, file_id: &str, metadata: &[(String, String)]) -> Result<Batch> {
    let new = NewBatch { input_file_id: file_id, endpoint: &input.endpoint, metadata, output_expires_after: None };
    let error = match openai.create_batch(new, deadline()).await {
        Ok(batch) => return Ok(batch),
        Err(error) => error,
    };
    let refused = error.status().is_some_and(|status| (400..500).contains(&status) && status != 408);
    let mut error = CliError::from(error);
    if refused {
        let _ = write!(error.message, "; no batch was created, and the uploaded file {file_id} costs nothing");
        return Err(error);
    }
    if let Ok(page) = openai.batches(None, SEARCHED, deadline()).await
        && let Some(batch) = page.items.into_iter().find(|batch| batch.input_file_id.as_deref() == Some(file_id))
    {
        return Ok(batch);
    }
    let _ = write!(error.message, "; it is not known whether a batch with the input file {file_id} was created");
    Err(error.hint(format!(
        "Look for {file_id} at https://platform.openai.com/batches before you submit again: each batch is billed."
    )))
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

fn metadata(text: &str) -> std::result::Result<(String, String), String> {
    let (_, longest_name, longest_value) = MAX_METADATA;
    let fits = |text: &str, limit| text.chars().count() <= limit;
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && fits(name, longest_name) && fits(value, longest_value) => {
            Ok((name.to_owned(), value.to_owned()))
        }
        _ => Err(format!("metadata is NAME=VALUE, with at most {longest_name} and {longest_value} characters")),
    }
}
