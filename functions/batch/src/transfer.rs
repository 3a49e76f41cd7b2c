//! The transfer of one file from OpenAI into the bucket, counting its lines on the way.

use hooks_consumer::artifacts::{Artifacts, JSON_LINES, Key, Upload};
use hooks_consumer::{HandlerError, found};
use hooks_openai::Client;
use serde::Serialize;
use tokio::time::Instant;

use crate::lines::{LineCounter, Tally};

/// A file that was stored in the bucket.
#[derive(Debug, Serialize)]
pub(crate) struct StoredFile {
    /// The file's id at OpenAI.
    pub(crate) file_id: String,
    /// The file's key in the bucket.
    pub(crate) key: String,
    /// The counts of the file's lines.
    #[serde(rename = "lines")]
    pub(crate) tally: Tally,
}

/// Streams a file into the bucket, with the memory of a few parts whatever its length. `None` when OpenAI does not have
/// the file any more.
///
/// The object is created completely or not at all; otherwise an earlier object stays.
///
/// # Errors
///
/// A retry when the download breaks off, or its length differs from the length that OpenAI has for the file.
pub(crate) async fn transfer(
    openai: &Client,
    artifacts: &Artifacts,
    file_id: &str,
    key: &Key,
    deadline: Instant,
) -> Result<Option<StoredFile>, HandlerError> {
    let Some(file) = found(openai.file(file_id, deadline).await)? else { return Ok(None) };
    let mut upload = artifacts.upload(key.clone(), JSON_LINES);
    let tally = match copy(openai, file_id, file.bytes, &mut upload, deadline).await {
        Ok(Some(tally)) => tally,
        not_copied => {
            upload.abort().await;
            return not_copied.map(|_| None);
        }
    };
    upload.finish().await?;
    Ok(Some(StoredFile { file_id: file_id.to_owned(), key: key.to_string(), tally }))
}

async fn copy(
    openai: &Client,
    file_id: &str,
    length: Option<u64>,
    upload: &mut Upload,
    deadline: Instant,
) -> Result<Option<Tally>, HandlerError> {
    let Some(mut content) = found(openai.file_content(file_id, deadline).await)? else { return Ok(None) };
    let mut counter = LineCounter::new();
    while let Some(bytes) = content.chunk().await? {
        upload.write(&bytes).await?;
        counter.push(&bytes);
    }
    let tally = counter.finish();
    match length {
        Some(length) if length != tally.bytes => Err(HandlerError::retry(format!(
            "the file {file_id} has {length} bytes, but {} were received",
            tally.bytes
        ))),
        _ => Ok(Some(tally)),
    }
}
