//! Streamed uploads.

use std::fmt;

use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use bytes::{Bytes, BytesMut};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use super::{ArtifactError, Artifacts, Key};

/// Size of a part in bytes. S3 accepts at most 10,000 parts, so an object can have 80 GiB.
const PART_BYTES: usize = 8 * 1024 * 1024;

/// Number of parts in flight while the next one fills. An upload therefore needs the memory of three parts. With only one
/// in flight, the connection would idle while a part waits for its response.
const PARTS_IN_FLIGHT: usize = 2;

const MAX_PARTS: i32 = 10_000;

/// A streamed upload with the memory of three parts, regardless of its length.
///
/// The object is not visible before [`finish`](Self::finish) succeeds. Dropping the upload before that aborts it, if the
/// runtime is still running.
#[must_use = "an upload that is not finished stores nothing"]
pub struct Upload {
    artifacts: Artifacts,
    key: Key,
    content_type: &'static str,
    length: u64,
    filling: BytesMut,
    /// Free part buffers. Reused memory causes no page faults.
    spare: Vec<BytesMut>,
    /// Id of the multipart upload, once there is more than one part.
    id: Option<String>,
    in_flight: JoinSet<Result<Stored, ArtifactError>>,
    parts: Vec<CompletedPart>,
}

/// A stored part and its buffer.
struct Stored {
    part: CompletedPart,
    bytes: Bytes,
}

impl Upload {
    pub(super) fn new(artifacts: Artifacts, key: Key, content_type: &'static str) -> Self {
        Self {
            artifacts,
            key,
            content_type,
            length: 0,
            filling: BytesMut::new(),
            spare: Vec::new(),
            id: None,
            in_flight: JoinSet::new(),
            parts: Vec::new(),
        }
    }

    /// Key of the object.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Appends to the object. Waits while two parts are in flight and a third is full.
    ///
    /// The error may belong to an earlier part. The upload is unusable after it.
    pub async fn write(&mut self, mut bytes: &[u8]) -> Result<(), ArtifactError> {
        self.length += bytes.len() as u64;
        while !bytes.is_empty() {
            // A full part is not sent before more bytes come: an object of one part is stored in one request.
            if self.filling.len() == PART_BYTES {
                self.send_part().await?;
            }
            if self.filling.capacity() == 0 && self.id.is_some() {
                self.filling = self.spare.pop().unwrap_or_else(|| BytesMut::with_capacity(PART_BYTES));
            }
            let (now, later) = bytes.split_at(bytes.len().min(PART_BYTES - self.filling.len()));
            self.filling.extend_from_slice(now);
            bytes = later;
        }
        Ok(())
    }

    /// Makes the object visible and returns its length in bytes. Aborts the upload on failure.
    pub async fn finish(mut self) -> Result<u64, ArtifactError> {
        let finished = match self.id.clone() {
            Some(id) => self.complete(id).await,
            None => self.artifacts.put(&self.key, self.content_type, std::mem::take(&mut self.filling)).await,
        };
        match finished {
            Ok(()) => {
                self.id = None;
                Ok(self.length)
            }
            Err(error) => {
                self.abort().await;
                Err(error)
            }
        }
    }

    async fn complete(&mut self, id: String) -> Result<(), ArtifactError> {
        if !self.filling.is_empty() {
            self.send_part().await?;
        }
        while !self.in_flight.is_empty() {
            self.part_stored().await?;
        }
        let mut parts = std::mem::take(&mut self.parts);
        parts.sort_unstable_by_key(CompletedPart::part_number);
        self.artifacts
            .client
            .complete_multipart_upload()
            .bucket(&*self.artifacts.bucket)
            .key(self.key.as_str())
            .upload_id(id)
            .multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(parts)).build())
            .send()
            .await
            .map_err(|error| ArtifactError::new("complete", &self.key, &error))?;
        Ok(())
    }

    /// Aborts the upload. A previous object stays unchanged. The stored parts are removed now or, if that fails, by the
    /// bucket's lifecycle rule.
    pub async fn abort(mut self) {
        self.in_flight.shutdown().await;
        if let Some(id) = self.id.take() {
            abort(&self.artifacts, &self.key, id).await;
        }
    }

    async fn send_part(&mut self) -> Result<(), ArtifactError> {
        let id = match &self.id {
            Some(id) => id.clone(),
            None => self.begin().await?,
        };
        while self.in_flight.len() >= PARTS_IN_FLIGHT {
            self.part_stored().await?;
        }
        let number = self.parts.len() + self.in_flight.len() + 1;
        let number = i32::try_from(number).ok().filter(|number| *number <= MAX_PARTS).ok_or_else(|| {
            ArtifactError::because("store", &self.key, format!("longer than {MAX_PARTS} parts of {PART_BYTES} bytes"))
        })?;
        let bytes = std::mem::take(&mut self.filling).freeze();
        self.in_flight.spawn(store_part(self.artifacts.clone(), self.key.clone(), id, number, bytes));
        Ok(())
    }

    async fn begin(&mut self) -> Result<String, ArtifactError> {
        let begun = self
            .artifacts
            .client
            .create_multipart_upload()
            .bucket(&*self.artifacts.bucket)
            .key(self.key.as_str())
            .content_type(self.content_type)
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .send()
            .await
            .map_err(|error| ArtifactError::new("begin", &self.key, &error))?;
        let id =
            begun.upload_id.ok_or_else(|| ArtifactError::because("begin", &self.key, "S3 returned no upload id"))?;
        self.id = Some(id.clone());
        Ok(id)
    }

    async fn part_stored(&mut self) -> Result<(), ArtifactError> {
        let Some(joined) = self.in_flight.join_next().await else { return Ok(()) };
        let stored = joined
            .map_err(|_| ArtifactError::because("store", &self.key, "the task that stored a part was stopped"))??;
        self.parts.push(stored.part);
        if let Ok(mut spare) = stored.bytes.try_into_mut() {
            spare.clear();
            self.spare.push(spare);
        }
        Ok(())
    }
}

async fn store_part(
    artifacts: Artifacts,
    key: Key,
    id: String,
    number: i32,
    bytes: Bytes,
) -> Result<Stored, ArtifactError> {
    let stored = artifacts
        .client
        .upload_part()
        .bucket(&*artifacts.bucket)
        .key(key.as_str())
        .upload_id(id)
        .part_number(number)
        .checksum_algorithm(ChecksumAlgorithm::Crc32)
        .body(bytes.clone().into())
        .customize()
        .disable_payload_signing()
        .send()
        .await
        .map_err(|error| ArtifactError::new("store a part of", &key, &error))?;
    let part = CompletedPart::builder()
        .part_number(number)
        .set_e_tag(stored.e_tag)
        .set_checksum_crc32(stored.checksum_crc32)
        .build();
    Ok(Stored { part, bytes })
}

async fn abort(artifacts: &Artifacts, key: &Key, id: String) {
    let aborted = artifacts
        .client
        .abort_multipart_upload()
        .bucket(&*artifacts.bucket)
        .key(key.as_str())
        .upload_id(id)
        .send()
        .await
        .map_err(|error| ArtifactError::new("abort", key, &error));
    if let Err(error) = aborted {
        tracing::warn!(%error, "cannot abort the upload; the bucket's lifecycle rule will remove its parts");
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let (Some(id), Ok(runtime)) = (self.id.take(), Handle::try_current()) else { return };
        let (artifacts, key) = (self.artifacts.clone(), self.key.clone());
        let mut in_flight = std::mem::take(&mut self.in_flight);
        runtime.spawn(async move {
            in_flight.shutdown().await;
            abort(&artifacts, &key, id).await;
        });
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload").field("key", &self.key).field("length", &self.length).finish_non_exhaustive()
    }
}
