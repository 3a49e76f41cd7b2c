//! `batch results`: requests and answers side by side.

use std::fs::{self, File};
use std::io::{BufWriter, Write, stdout};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use hooks_operate::batch::{ResultCounts, ResultFormat, family, parent, resolve, write_results};
use serde_json::json;

use super::{check_id, sources};
use crate::context::Context;
use crate::error::{CliError, Exit, Result};
use crate::output::counted;

/// Write each request of a batch with its answer, the latest of all retries
///
/// In the order of the input file, each request once. Exits with 0 if every request has an answer.
#[derive(Args, Debug)]
#[command(after_help = "Example: openai-webhooks batch results batch_123 --format csv --output results.csv")]
pub(crate) struct ExportArgs {
    /// Id of the batch, such as `batch_123`, or its beginning
    id: String,
    /// Form
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    format: Format,
    /// File for the results [default: stdout]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Use no stack: read the answers at OpenAI
    #[arg(long)]
    no_stack: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One JSON object on each line
    Jsonl,
    /// Comma-separated values: input and output as text
    Csv,
}

pub(crate) async fn run(args: &ExportArgs, context: &Context) -> Result {
    check_id(&args.id)?;
    let sources = sources(context, args.no_stack).await?;
    let spinner = context.out.spinner("Looking for the batch and its retries");
    let root = resolve(&sources.openai, &args.id).await?;
    let family = family(&sources.openai, root).await?;
    let format = match args.format {
        Format::Jsonl => ResultFormat::Jsonl,
        Format::Csv => ResultFormat::Csv,
    };
    let progress = |lines| spinner.set_message(format!("Reading {lines} answers"));
    let counts = match &args.output {
        None => write_results(&sources, &family, format, &mut Stdout(stdout().lock()), progress).await?,
        Some(path) => {
            let mut part = path.as_os_str().to_owned();
            part.push(".part");
            let part = PathBuf::from(part);
            let unwritable = |error| CliError::usage(format!("cannot write {}: {error}", path.display()));
            let mut file = BufWriter::new(File::create(&part).map_err(unwritable)?);
            let written = write_results(&sources, &family, format, &mut file, progress).await;
            drop(file);
            let counts = written.inspect_err(|_| drop(fs::remove_file(&part)))?;
            fs::rename(&part, path).map_err(unwritable)?;
            counts
        }
    };
    spinner.finish_and_clear();
    let id = &family.root.id;
    if let (Some(parent), false) = (parent(&family.root), context.out.json) {
        context.out.note(&format!(
            "{id} is a retry, and has some requests only. All of them: openai-webhooks batch results {parent}"
        ));
    }
    let is_complete = counts.failed.is_empty() && counts.under_way.is_empty();
    if args.output.is_some() {
        let document = json!({
            "batch_id": id,
            "retries": family.retries.iter().map(|batch| &batch.id).collect::<Vec<_>>(),
            "output": args.output,
            "counts": counts,
        });
        context.out.result(&document, || text(&counts, id))?;
    } else if !context.out.json {
        context.out.note(&text(&counts, id));
    }
    Ok(Exit::success_if(is_complete))
}

fn text(counts: &ResultCounts, id: &str) -> String {
    let mut text = format!("{}, {} with an answer", counted(counts.total, "request"), counts.succeeded);
    for (code, count) in &counts.failed {
        text += &format!(", {count} {}", crate::output::printable(code));
    }
    text.push('.');
    if !counts.under_way.is_empty() {
        text += &format!(" {} still under way.", counts.under_way.join(", "));
    } else if !counts.failed.is_empty() {
        text += &format!(" Retry the others: openai-webhooks batch retry {id}");
    }
    text
}

/// Stdout. A reader that stops early (`| head`) is not an error.
struct Stdout<'a>(std::io::StdoutLock<'a>);

impl Write for Stdout<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self.0.write(bytes) {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(bytes.len()),
            result => result,
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self.0.flush() {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            result => result,
        }
    }
}
