//! Brings one file from OpenAI into the bucket, reading its lines on the way.

use hooks_consumer::HandlerError;
use hooks_consumer::artifacts::{Artifacts, JSON_LINES, Key, Upload};
use hooks_openai::{Client, ErrorClass};
use tokio::time::Instant;

use crate::lines::{Scanner, Tally};

/// A file that is in the bucket now.
#[derive(Debug)]
pub(crate) struct Kept {
    /// OpenAI's name for it.
    pub(crate) file_id: String,
    /// Where it is.
    pub(crate) key: Key,
    /// What is in it.
    pub(crate) tally: Tally,
}

/// Why a file is not in the bucket. Whatever was there under its key before still is.
#[derive(Debug)]
pub(crate) enum NotKept {
    /// OpenAI does not have it any more.
    Gone,
    /// Anything else.
    Failed(HandlerError),
}

/// Streams a file into the bucket, with the memory of a few parts however long it is.
///
/// It appears under its key as a whole or not at all: a download that breaks off, or that is not as long as OpenAI says
/// the file is, is given up and worth another try.
pub(crate) async fn keep(
    openai: &Client,
    artifacts: &Artifacts,
    file_id: &str,
    key: Key,
    deadline: Instant,
) -> Result<Kept, NotKept> {
    let announced = openai.file(file_id, deadline).await?.bytes;
    let mut upload = artifacts.upload(key.clone(), JSON_LINES);
    let tally = match copy(openai, file_id, &mut upload, deadline).await {
        Ok(tally) => tally,
        Err(error) => {
            upload.abort().await;
            return Err(error);
        }
    };
    if let Some(announced) = announced.filter(|announced| *announced != tally.bytes) {
        upload.abort().await;
        let message = format!("the file {file_id} has {announced} bytes, but {} came", tally.bytes);
        return Err(NotKept::Failed(HandlerError::retry(message)));
    }
    upload.finish().await.map_err(|error| not_stored(&error))?;
    Ok(Kept { file_id: file_id.to_owned(), key, tally })
}

async fn copy(openai: &Client, file_id: &str, upload: &mut Upload, deadline: Instant) -> Result<Tally, NotKept> {
    let mut content = openai.file_content(file_id, deadline).await?;
    let mut scanner = Scanner::new();
    while let Some(bytes) = content.chunk().await? {
        upload.write(&bytes).await.map_err(|error| not_stored(&error))?;
        scanner.push(&bytes);
    }
    Ok(scanner.finish())
}

fn not_stored(error: &hooks_consumer::artifacts::Error) -> NotKept {
    NotKept::Failed(HandlerError::retry(error.to_string()))
}

impl From<hooks_openai::OpenAiError> for NotKept {
    fn from(error: hooks_openai::OpenAiError) -> Self {
        match error.class() {
            ErrorClass::NotFound => Self::Gone,
            _ => Self::Failed(error.into()),
        }
    }
}
