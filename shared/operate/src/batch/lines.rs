//! Lines of a file that is being downloaded.

use bytes::Bytes;
use hooks_aws::artifacts::{Key, ObjectReader};
use hooks_openai::{Batch, ErrorClass, FileContent};
use std::time::Duration;
use tokio::time::Instant;

use super::Sources;
use crate::error::{OperateError, Result};

/// Maximum length of a line, in bytes, as in the batch consumer.
const MAX_LINE: usize = 16 * 1024 * 1024;

/// Time limit of a download. It ends much sooner if no data arrives.
const DOWNLOAD_TIMEOUT: Duration = Duration::from_hours(6);

/// A line without its line break.
pub(super) enum Line {
    Text(Vec<u8>),
    TooLong,
}

/// Lines of a file.
pub(super) struct Lines {
    source: Source,
    chunk: Bytes,
    partial: Vec<u8>,
    is_too_long: bool,
    is_over: bool,
}

enum Source {
    Stored(ObjectReader),
    OpenAi(FileContent),
}

impl Sources {
    /// The input file of a batch, at OpenAI.
    pub(super) async fn input(&self, batch: &Batch) -> Result<Lines> {
        let Some(file_id) = &batch.input_file_id else {
            return Err(OperateError::failed(format!("{} has no input file at OpenAI", batch.id)));
        };
        match self.openai.file_content(file_id, Instant::now() + DOWNLOAD_TIMEOUT).await {
            Ok(content) => Ok(Lines::new(Source::OpenAi(content))),
            Err(error) if error.class() == ErrorClass::NotFound => Err(OperateError::failed(format!(
                "OpenAI does not have the input file {file_id} of {} any more",
                batch.id
            ))
            .hint("Its requests cannot be read. OpenAI deletes files after 30 days, unless told otherwise.")),
            Err(error) => Err(error.into()),
        }
    }

    /// A result file of a batch: `output.jsonl` or `errors.jsonl`. `None` if there is none.
    pub(super) async fn results(&self, batch: &Batch, name: &str) -> Result<Option<Lines>> {
        if let Some(artifacts) = &self.artifacts {
            let key = Key::new(&["batch", &batch.id, name]).map_err(|error| OperateError::usage(error.to_string()))?;
            if let Some(object) = artifacts.open(&key).await? {
                return Ok(Some(Lines::new(Source::Stored(object))));
            }
        }
        let file_id = if name == "output.jsonl" { &batch.output_file_id } else { &batch.error_file_id };
        let Some(file_id) = file_id else { return Ok(None) };
        match self.openai.file_content(file_id, Instant::now() + DOWNLOAD_TIMEOUT).await {
            Ok(content) => Ok(Some(Lines::new(Source::OpenAi(content)))),
            Err(error) if error.class() == ErrorClass::NotFound => Err(OperateError::failed(format!(
                "neither the stack nor OpenAI has the file {name} ({file_id}) of {}",
                batch.id
            ))
            .hint("Without it, requests that have an answer would look as if they had none.")),
            Err(error) => Err(error.into()),
        }
    }
}

impl Lines {
    fn new(source: Source) -> Self {
        Self { source, chunk: Bytes::new(), partial: Vec::new(), is_too_long: false, is_over: false }
    }

    /// The next line that is not blank; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Line>> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.chunk) {
                let rest = self.chunk.split_to(end + 1);
                self.append(&rest[..end]);
                if let Some(line) = self.line() {
                    return Ok(Some(line));
                }
                continue;
            }
            let rest = std::mem::take(&mut self.chunk);
            self.append(&rest);
            if self.is_over {
                return Ok(self.line());
            }
            let chunk = match &mut self.source {
                Source::Stored(object) => object.chunk().await?,
                Source::OpenAi(content) => content.chunk().await?,
            };
            match chunk {
                Some(chunk) => self.chunk = chunk,
                None => self.is_over = true,
            }
        }
    }

    fn append(&mut self, bytes: &[u8]) {
        if self.is_too_long || self.partial.len() + bytes.len() > MAX_LINE {
            self.is_too_long = true;
            self.partial = Vec::new();
        } else {
            self.partial.extend_from_slice(bytes);
        }
    }

    fn line(&mut self) -> Option<Line> {
        if std::mem::take(&mut self.is_too_long) {
            return Some(Line::TooLong);
        }
        let line = std::mem::take(&mut self.partial);
        (!line.trim_ascii().is_empty()).then_some(Line::Text(line))
    }
}
