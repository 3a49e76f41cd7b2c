//! `batch submit`: checks a file, uploads it, creates the batch and records that its end is expected.
//!
//! Everything that can be refused beforehand is, since neither the upload nor the creation can be taken back. Dying in
//! between leaves: after the upload a file that costs nothing and that OpenAI deletes after 30 days; after the creation a
//! batch that nobody expects, whose event is handled all the same.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufReader, Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use hooks_aws::ledger::{Expectation, Ledger, check_context};
use hooks_openai::{Batch, Client, NewBatch, Upload};
use serde_json::json;
use tokio::time::Instant;

use super::check::{Checked, MAX_BYTES, check, is_path};
use super::watch::{self, WatchArgs};
use crate::context::{Context, deadline};
use crate::events::ledger;
use crate::expect::read_context;
use crate::failure::{Exit, Failure};
use crate::when::{self, Moment};

/// When the end of a batch is due: OpenAI gives itself 24 hours, and then some for what comes after.
const DUE_SECONDS: i64 = 26 * 3_600;

/// How long an upload may take as a whole. It ends much sooner when nothing moves.
const UPLOAD_TIMEOUT: Duration = Duration::from_hours(2);

/// How many of the newest batches are looked through for one that may have been created.
const LISTED: u8 = 20;

/// OpenAI's own limits for metadata.
const MAX_METADATA: (usize, usize, usize) = (16, 64, 512);

/// Check a file of requests, upload it and create the batch
///
/// Prints the batch's id. Its end is recorded as expected, so that people are alerted when nothing was heard of it.
#[derive(Args, Debug)]
pub(crate) struct SubmitArgs {
    /// The requests: JSON Lines, each with `custom_id`, `method`, `url` and `body`
    file: PathBuf,
    /// Where they must all go, such as /v1/responses; by default where the first one goes
    #[arg(long, value_name = "PATH", value_parser = endpoint)]
    endpoint: Option<String>,
    /// A text to find the batch by; may be given 16 times
    #[arg(long, value_name = "NAME=VALUE", value_parser = metadata)]
    metadata: Vec<(String, String)>,
    /// By when its end must have been heard of: in a span (30m, 26h, 7d), or a time in UTC [default: 26h]
    #[arg(long, value_name = "TIME", value_parser = when::future, conflicts_with = "no_stack")]
    expect_by: Option<Moment>,
    /// What its outcome shall carry: a JSON object of 4 KiB at most, or @FILE with one
    #[arg(long, value_name = "JSON|@FILE", conflicts_with = "no_stack")]
    context: Option<String>,
    /// Watch it to its end, and fetch its results
    #[arg(long)]
    watch: bool,
    /// With --watch, the folder for its results [default: one named like the batch]
    #[arg(long, value_name = "DIR", requires = "watch")]
    out: Option<PathBuf>,
    /// Do without a stack: record no expectation, and take the results from OpenAI
    #[arg(long)]
    no_stack: bool,
}

pub(crate) async fn run(args: &SubmitArgs, context: &Context) -> Result<Exit, Failure> {
    if args.metadata.len() > MAX_METADATA.0 {
        return Err(Failure::usage(format!("a batch has {} --metadata at most", MAX_METADATA.0)));
    }
    let due = args.expect_by.unwrap_or_else(|| Moment::of_seconds(Moment::now().seconds() + DUE_SECONDS));
    if due <= Moment::now() {
        return Err(Failure::usage(format!("--expect-by {} is in the past", due.text())));
    }
    let carried = args.context.as_deref().map(read_context).transpose()?;
    if let Some(carried) = &carried {
        check_context(carried).map_err(|fault| Failure::usage(format!("the context {fault}")))?;
    }
    let (file, length) = open(&args.file)?;
    let checked = check_file(&args.file, &file, length, args.endpoint.as_deref(), context)?;
    let ledger = if args.no_stack { None } else { Some(ledger(context).await?) };
    let openai = context.openai().await?;

    let file_id = upload(openai, &args.file, file, length, context).await?;
    context.out.note(&format!("Uploaded {} as {file_id}", args.file.display()));
    let batch = create(openai, &checked, &file_id, &args.metadata).await?;
    context.out.note(&format!("Created {} of {} requests to {}", batch.id, checked.lines, checked.endpoint));
    let expected = match &ledger {
        Some(ledger) => expect(ledger, &batch, due, carried.as_deref(), context).await,
        None => true,
    };
    if args.watch {
        let exit = watch::run(&WatchArgs::of(batch.id, args.out.clone(), args.no_stack), context).await?;
        return Ok(if expected { exit } else { Exit::No });
    }
    context.out.note(&format!("Watch it: openai-webhooks batch watch {}", batch.id));
    let document = json!({
        "batch_id": batch.id,
        "status": batch.status.as_str(),
        "input_file_id": file_id,
        "endpoint": checked.endpoint,
        "model": checked.model,
        "requests": checked.lines,
        "bytes": length,
        "due_at": ledger.is_some().then(|| due.json()).filter(|_| expected),
    });
    context.out.result(&document, || batch.id.clone())?;
    Ok(Exit::when(expected))
}

fn open(path: &Path) -> Result<(File, u64), Failure> {
    let unreadable = |error| Failure::usage(format!("cannot read {}: {error}", path.display()));
    let file = File::open(path).map_err(unreadable)?;
    let found = file.metadata().map_err(unreadable)?;
    if !found.is_file() {
        return Err(Failure::usage(format!("{} is no file", path.display()))
            .hint("The requests are read twice, to be checked and to be sent, so they must be in a file."));
    }
    if found.len() > MAX_BYTES {
        return Err(Failure::usage(format!(
            "{} has {} bytes, and OpenAI takes {MAX_BYTES} at most (too_large)",
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
) -> Result<Checked, Failure> {
    let bar = context.out.bar(format!("Checking {} (KiB)", path.display()), length >> 10);
    let checked = check(BufReader::new(file.take(length)), endpoint, |bytes| bar.at(bytes >> 10));
    drop(bar);
    let checked = checked.map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display())))?;
    checked.map_err(|faults| {
        let s = if faults.count == 1 { "" } else { "s" };
        let message = format!("{} has {} fault{s}, and nothing was sent:\n{faults}", path.display(), faults.count);
        Failure::usage(message.trim_end())
    })
}

/// Uploads the file that was checked and answers its id.
async fn upload(
    openai: &Client,
    path: &Path,
    mut file: File,
    length: u64,
    context: &Context,
) -> Result<String, Failure> {
    file.rewind().map_err(|error| Failure::usage(format!("cannot read {} again: {error}", path.display())))?;
    let name = path.file_name().map_or_else(|| "requests.jsonl".into(), |name| name.to_string_lossy().into_owned());
    let bar = context.out.bar(format!("Uploading {} (KiB)", path.display()), length >> 10);
    let progress = move |bytes| bar.at(bytes >> 10);
    let upload = Upload { name, content: tokio::fs::File::from_std(file), length };
    let uploaded = openai.upload_batch_file(upload, progress, Instant::now() + UPLOAD_TIMEOUT).await;
    Ok(uploaded?.id)
}

/// Creates the batch. When no answer tells whether there is one now, it is looked for: nothing else has its input file.
async fn create(
    openai: &Client,
    checked: &Checked,
    file_id: &str,
    metadata: &[(String, String)],
) -> Result<Batch, Failure> {
    let new = NewBatch { input_file_id: file_id, endpoint: &checked.endpoint, metadata, output_expires_after: None };
    let error = match openai.create_batch(new, deadline()).await {
        Ok(batch) => return Ok(batch),
        Err(error) => error,
    };
    let refused = error.status().is_some_and(|status| (400..500).contains(&status) && status != 408);
    let mut failure = Failure::from(error);
    if refused {
        let _ = write!(failure.message, "; there is no batch, and the uploaded file {file_id} costs nothing");
        return Err(failure);
    }
    if let Ok(page) = openai.batches(None, LISTED, deadline()).await
        && let Some(batch) = page.items.into_iter().find(|batch| batch.input_file_id.as_deref() == Some(file_id))
    {
        return Ok(batch);
    }
    let _ = write!(failure.message, "; nobody knows whether there is a batch with the input file {file_id} now");
    Err(failure.hint(format!(
        "Look for {file_id} at https://platform.openai.com/batches before you submit it again: each batch is billed."
    )))
}

/// Records that the end of the batch is expected. When that fails it has been created all the same.
async fn expect(ledger: &Ledger, batch: &Batch, due: Moment, carried: Option<&str>, context: &Context) -> bool {
    let expectation =
        Expectation { category: "batch", object_id: &batch.id, due_at: due.seconds(), context: carried, eval_id: None };
    let Err(error) = ledger.expect(&expectation).await else { return true };
    context.out.note(&format!(
        "The batch is created, but its end is not recorded as expected: {error}\n  Do not submit it again. Record it \
         with: openai-webhooks expect batch {} --by {}",
        batch.id,
        due.json()
    ));
    false
}

fn endpoint(text: &str) -> Result<String, String> {
    if is_path(text) { Ok(text.to_owned()) } else { Err("give a path such as /v1/responses".to_owned()) }
}

fn metadata(text: &str) -> Result<(String, String), String> {
    let (_, longest_name, longest_value) = MAX_METADATA;
    let fits = |text: &str, most| text.chars().count() <= most;
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && fits(name, longest_name) && fits(value, longest_value) => {
            Ok((name.to_owned(), value.to_owned()))
        }
        _ => Err(format!("give NAME=VALUE, of {longest_name} and {longest_value} characters at most")),
    }
}
