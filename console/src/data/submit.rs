//! Submission of a batch: check every line, upload, create, expect.

use std::io::Cursor;

use hooks_aws::clock::now_seconds;
use hooks_aws::ledger::Expectation;
use hooks_openai::{Batch, Upload};

use crate::console::Console;
use crate::{Failure, Result};
use hooks_operate::batch::{MAX_METADATA, create, metadata_entry};
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
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.len() > MAX_METADATA.0 {
        return Err(Failure::usage(format!("a batch has at most {} entries of metadata", MAX_METADATA.0)));
    }
    lines.into_iter().map(|line| metadata_entry(line).map_err(Failure::usage)).collect()
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
    let failure = expect(console, &batch, None).await;
    Ok((batch, failure))
}

/// Expects the end of a batch, with the context that its outcome shall carry. Returns why that failed.
pub(crate) async fn expect(console: &Console, batch: &Batch, context: Option<&str>) -> Option<Failure> {
    let due_at = now_seconds() + EXPECT_HOURS * 3_600;
    let expectation = Expectation { category: "batch", object_id: &batch.id, due_at, context };
    console.ledger.expect(&expectation).await.err().map(|error| Failure::service(error.to_string()))
}
