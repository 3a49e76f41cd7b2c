//! Submission of a batch: check every line, upload, create, expect.

use std::io::Cursor;

use hooks_aws::clock::now_seconds;
use hooks_aws::ledger::Expectation;
use hooks_openai::{Batch, Upload};

use crate::console::Console;
use crate::{Failure, Result};
use hooks_operate::batch::{MAX_METADATA, create};
use hooks_operate::batch_input::{InputErrors, InputSummary, check};

/// Hours until people are told that a batch has not ended: OpenAI's 24 hours, and two for the event.
pub(crate) const EXPECT_HOURS: i64 = 26;

/// Checks lines of requests.
pub(crate) fn checked(content: &str) -> std::result::Result<InputSummary, InputErrors> {
    // Reading from memory does not fail.
    check(content.as_bytes(), None, |_| ()).unwrap_or_else(|_| Err(InputErrors::default()))
}

/// Reads metadata: a `NAME=VALUE` a line.
pub(crate) fn metadata(text: &str) -> Result<Vec<(String, String)>> {
    let (most, longest_name, longest_value) = MAX_METADATA;
    let fits = |text: &str, limit| text.chars().count() <= limit;
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.len() > most {
        return Err(Failure::usage(format!("a batch has at most {most} entries of metadata")));
    }
    let entry = |line: &str| match line.split_once('=') {
        Some((name, value)) if !name.is_empty() && fits(name, longest_name) && fits(value, longest_value) => {
            Ok((name.to_owned(), value.to_owned()))
        }
        _ => Err(Failure::usage(format!(
            "metadata is NAME=VALUE, with at most {longest_name} and {longest_value} characters"
        ))),
    };
    lines.into_iter().map(entry).collect()
}

/// Uploads what was checked, creates the batch, and expects its end. Returns the batch, and why its end is not expected if
/// that failed.
pub(crate) async fn submit(
    console: &Console,
    content: String,
    input: &InputSummary,
    metadata: &[(String, String)],
) -> Result<(Batch, Option<Failure>)> {
    let openai = console.openai().await?;
    let length = content.len() as u64;
    let upload = Upload { name: "requests.jsonl".to_owned(), content: Cursor::new(content.into_bytes()), length };
    let file = openai.upload_batch_file(upload, |_| (), Console::deadline()).await?;
    let batch = create(&openai, &input.endpoint, &file.id, metadata).await?;
    let due_at = now_seconds() + EXPECT_HOURS * 3_600;
    let expectation = Expectation { category: "batch", object_id: &batch.id, due_at, context: None };
    let failure = console.ledger.expect(&expectation).await.err().map(|error| Failure::service(error.to_string()));
    Ok((batch, failure))
}
