//! Calls that submit batches: upload of the input file, creation, cancellation.

use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use futures::stream::try_unfold;
use reqwest::Body;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::multipart::{Form, Part};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::Instant;

use crate::client::{Call, Client};
use crate::error::OpenAiError;
use crate::objects::{Batch, File};

/// The size of the pieces in which a file is read, bytes.
const PIECE: usize = 64 * 1024;

/// How long an upload may make no progress, and how long OpenAI may take to answer after its last byte. Uploads of hundreds
/// of megabytes have no sensible timeout as a whole.
const STILL_TIMEOUT: Duration = Duration::from_mins(1);

/// A file to upload.
pub struct Upload<R> {
    /// Its name, such as `input.jsonl`.
    pub name: String,
    /// Its content.
    pub content: R,
    /// The number of bytes to send. The upload fails if the content is shorter.
    pub length: u64,
}

/// A batch to create.
#[derive(Clone, Copy, Debug)]
pub struct NewBatch<'a> {
    /// The file with the requests.
    pub input_file_id: &'a str,
    /// The path of the requests, such as `/v1/responses`.
    pub endpoint: &'a str,
    /// Up to 16 names and values.
    pub metadata: &'a [(String, String)],
    /// How long OpenAI keeps its files: an hour to 30 days. `None` leaves it to OpenAI.
    pub output_expires_after: Option<Duration>,
}

impl Client {
    /// Uploads the input file of a batch: `POST /files`. Not idempotent.
    ///
    /// The file is read while it is sent; `progress` gets the number of bytes read so far.
    pub async fn upload_batch_file<R>(
        &self,
        upload: Upload<R>,
        progress: impl Fn(u64) + Send + 'static,
        deadline: Instant,
    ) -> Result<File, OpenAiError>
    where
        R: AsyncRead + Send + Unpin + 'static,
    {
        let Upload { name, content, length } = upload;
        let name = name.replace(char::is_control, "_");
        let sent = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&sent);
        let content = pieces(content, length, move |so_far| {
            counter.store(so_far, Ordering::Relaxed);
            progress(so_far);
        });
        let file = Part::stream_with_length(content, length).file_name(name).headers(jsonl());
        let form = Form::new().text("purpose", "batch").part("file", file);
        let call = Call { timeout: STILL_TIMEOUT, ..Call::new("upload file", &["files"]) };
        let answer = self.post_form(call, form, &sent, deadline).await?;
        answer.read("a file", File::from_json)
    }

    /// Creates a batch: `POST /batches`. Not idempotent.
    pub async fn create_batch(&self, batch: NewBatch<'_>, deadline: Instant) -> Result<Batch, OpenAiError> {
        let metadata = batch.metadata.iter().map(|(name, value)| (name.clone(), value.as_str().into()));
        let mut body = json!({
            "input_file_id": batch.input_file_id,
            "endpoint": batch.endpoint,
            "completion_window": "24h",
            "metadata": metadata.collect::<Map<String, Value>>(),
        });
        if let Some(kept) = batch.output_expires_after {
            body["output_expires_after"] = json!({ "anchor": "created_at", "seconds": kept.as_secs() });
        }
        let answer = self.post(Call::new("create batch", &["batches"]), Some(&body), deadline).await?;
        answer.read("a batch", Batch::from_json)
    }

    /// Cancels a batch, which takes up to ten minutes: `POST /batches/{id}/cancel`.
    pub async fn cancel_batch(&self, id: &str, deadline: Instant) -> Result<Batch, OpenAiError> {
        let path = ["batches", id, "cancel"];
        let answer = self.post(Call::new("cancel batch", &path), None, deadline).await?;
        answer.read("a batch", Batch::from_json)
    }
}

/// A stream of the first `length` bytes, which ends in an error if there are fewer.
fn pieces<R>(content: R, length: u64, progress: impl Fn(u64) + Send + 'static) -> Body
where
    R: AsyncRead + Send + Unpin + 'static,
{
    let start = (content.take(length), progress);
    Body::wrap_stream(try_unfold(start, move |(mut content, progress)| async move {
        if content.limit() == 0 {
            return Ok(None);
        }
        let mut piece = BytesMut::with_capacity(PIECE);
        if content.read_buf(&mut piece).await? == 0 {
            return Err(io::Error::new(ErrorKind::UnexpectedEof, "the file is shorter than it was"));
        }
        progress(length - content.limit());
        Ok(Some((piece.freeze(), (content, progress))))
    }))
}

fn jsonl() -> HeaderMap {
    HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/jsonl"))])
}

impl<R> fmt::Debug for Upload<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload").field("name", &self.name).field("length", &self.length).finish_non_exhaustive()
    }
}
