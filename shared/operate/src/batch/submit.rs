//! Upload of an input file that was checked, and creation of the batch.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Seek as _;
use std::time::Duration;

use hooks_openai::{Batch, Client, NewBatch, OpenAiError, Upload};
use tokio::time::Instant;

use crate::error::{OperateError, Result};

/// OpenAI's limits for metadata: number of entries, length of a name, length of a value.
pub const MAX_METADATA: (usize, usize, usize) = (16, 64, 512);

/// Reads an entry of metadata, `NAME=VALUE`, within OpenAI's limits. The error says what fits.
pub fn metadata_entry(text: &str) -> std::result::Result<(String, String), String> {
    let (_, longest_name, longest_value) = MAX_METADATA;
    let fits = |text: &str, limit| text.chars().count() <= limit;
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && fits(name, longest_name) && fits(value, longest_value) => {
            Ok((name.to_owned(), value.to_owned()))
        }
        _ => Err(format!("metadata is NAME=VALUE, with at most {longest_name} and {longest_value} characters")),
    }
}

/// Time limit of an upload. It ends much sooner if no data is sent.
const UPLOAD_TIMEOUT: Duration = Duration::from_hours(2);

/// Time limit of the creation.
const CREATE_TIMEOUT: Duration = Duration::from_mins(1);

/// Number of the newest batches that are searched for one that may have been created.
const SEARCHED: u8 = 20;

/// Uploads the file, and returns its id. `progress` gets the number of bytes sent.
pub async fn upload(
    openai: &Client,
    name: String,
    mut file: File,
    length: u64,
    progress: impl Fn(u64) + Send + 'static,
) -> Result<String> {
    file.rewind().map_err(|error| OperateError::usage(format!("cannot read {name} again: {error}")))?;
    let upload = Upload { name, content: tokio::fs::File::from_std(file), length };
    Ok(openai.upload_batch_file(upload, progress, Instant::now() + UPLOAD_TIMEOUT).await?.id)
}

/// Creates the batch. If the answer is lost, the batch is searched for by its input file.
pub async fn create(openai: &Client, endpoint: &str, file_id: &str, metadata: &[(String, String)]) -> Result<Batch> {
    let new = NewBatch { input_file_id: file_id, endpoint, metadata, output_expires_after: None };
    let error: OpenAiError = match openai.create_batch(new, Instant::now() + CREATE_TIMEOUT).await {
        Ok(batch) => return Ok(batch),
        Err(error) => error,
    };
    let refused = error.status().is_some_and(|status| (400..500).contains(&status) && status != 408);
    let mut error = OperateError::from(error);
    if refused {
        let _ = write!(error.message, "; no batch was created, and the uploaded file {file_id} costs nothing");
        return Err(error);
    }
    if let Ok(page) = openai.batches(None, SEARCHED, Instant::now() + CREATE_TIMEOUT).await
        && let Some(batch) = page.items.into_iter().find(|batch| batch.input_file_id.as_deref() == Some(file_id))
    {
        return Ok(batch);
    }
    let _ = write!(error.message, "; it is not known whether a batch with the input file {file_id} was created");
    Err(error.hint(format!(
        "Look for {file_id} at https://platform.openai.com/batches before you submit again: each batch is billed."
    )))
}
