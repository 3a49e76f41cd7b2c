//! The content of a file, as a stream.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Response;
use tokio::time::{Instant, timeout_at};

use crate::client::{Call, Client, request_id};
use crate::error::OpenAiError;

/// The timeout until the first byte of a file.
const CONTENT_TIMEOUT: Duration = Duration::from_mins(1);

/// The timeout until the next piece. Files of hundreds of megabytes have no sensible timeout as a whole, but a connection
/// without data for this long is dead.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

impl Client {
    /// Downloads a file: `GET /files/{id}/content`.
    pub async fn file_content(&self, id: &str, deadline: Instant) -> Result<FileContent, OpenAiError> {
        const CALL: &str = "download file";
        let path = ["files", id, "content"];
        let call = Call { timeout: CONTENT_TIMEOUT, ..Call::new(CALL, &path) };
        Ok(FileContent::new(CALL, self.open(call, deadline).await?, deadline))
    }

    /// Downloads the recording of a Live session with `store`: `GET /live/sessions/{id}/content`.
    pub async fn live_recording(&self, id: &str, deadline: Instant) -> Result<FileContent, OpenAiError> {
        const CALL: &str = "download recording";
        let path = ["live", "sessions", id, "content"];
        let call = Call { timeout: CONTENT_TIMEOUT, ..Call::new(CALL, &path) };
        Ok(FileContent::new(CALL, self.open(call, deadline).await?, deadline))
    }
}

/// A file that is being downloaded.
pub struct FileContent {
    call: &'static str,
    response: Response,
    request_id: Option<String>,
    deadline: Instant,
}

impl FileContent {
    fn new(call: &'static str, response: Response, deadline: Instant) -> Self {
        let request_id = request_id(response.headers());
        Self { call, response, request_id, deadline }
    }

    /// The next piece, of any size, or `None` at the end of the file.
    ///
    /// An answer that ends before its announced length is an error.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, OpenAiError> {
        let until = self.deadline.min(Instant::now() + IDLE_TIMEOUT);
        match timeout_at(until, self.response.chunk()).await {
            Ok(Ok(chunk)) => Ok(chunk),
            Ok(Err(error)) => Err(OpenAiError::interrupted(self.call, error)),
            Err(_) => Err(OpenAiError::timeout(self.call, "the next piece of the file")),
        }
        .map_err(|error| error.with_request_id(self.request_id.clone()))
    }
}

impl fmt::Debug for FileContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileContent").field("request_id", &self.request_id).finish_non_exhaustive()
    }
}
