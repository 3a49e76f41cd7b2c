//! Reading artifacts: a small object such as a setting at once, or a large one in chunks.

use std::fmt;
use std::time::Duration;

use aws_sdk_s3::operation::get_object::GetObjectError;
use aws_sdk_s3::operation::head_object::HeadObjectError;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use bytes::{Bytes, BytesMut};

use super::{ArtifactError, Artifacts, Key};

const ACTION: &str = "read";

/// Result of [`Artifacts::get`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GetResult {
    /// No object.
    Absent,
    /// The object still has the caller's `ETag`.
    Unchanged,
    /// The object exceeds the caller's limit.
    TooLarge,
    /// The object.
    Object {
        /// The whole content.
        bytes: Bytes,
        /// The `ETag`, which changes with the content.
        etag: Option<String>,
    },
}

impl Artifacts {
    /// Reads the object at `key`, unless it still has the `ETag` `known` or exceeds `limit` bytes. Without
    /// `s3:ListBucket`, S3 reports a missing key as access denied.
    pub async fn get(&self, key: &str, known: Option<&str>, limit: usize) -> Result<GetResult, ArtifactError> {
        let request = self.client.get_object().bucket(&*self.bucket).key(key);
        let mut output = match request.set_if_none_match(known.map(str::to_owned)).send().await {
            Ok(output) => output,
            Err(error) if error.raw_response().is_some_and(|response| response.status().as_u16() == 304) => {
                return Ok(GetResult::Unchanged);
            }
            Err(error) if error.as_service_error().is_some_and(GetObjectError::is_no_such_key) => {
                return Ok(GetResult::Absent);
            }
            Err(error) => return Err(ArtifactError::new(ACTION, &key, &error)),
        };
        let mut bytes = BytesMut::new();
        while let Some(chunk) = output.body.next().await {
            let chunk = chunk
                .map_err(|error| ArtifactError::because(ACTION, &key, format!("the connection broke: {error}")))?;
            if bytes.len() + chunk.len() > limit {
                return Ok(GetResult::TooLarge);
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(GetResult::Object { bytes: bytes.freeze(), etag: output.e_tag })
    }

    /// Whether there is an object at `key`. Needs `s3:ListBucket`, too: without it, S3 reports a missing key as access
    /// denied.
    pub async fn exists(&self, key: &str) -> Result<bool, ArtifactError> {
        match self.client.head_object().bucket(&*self.bucket).key(key).send().await {
            Ok(_) => Ok(true),
            Err(error) if error.as_service_error().is_some_and(HeadObjectError::is_not_found) => Ok(false),
            Err(error) => Err(ArtifactError::new("look for", &key, &error)),
        }
    }

    /// A link that lets anybody download the object at `key` for this time, with the rights of this store's credentials. It
    /// makes no call: whether the object exists shows when the link is opened.
    pub async fn link(&self, key: &str, name: &str, lifetime: Duration) -> Result<String, ArtifactError> {
        let config = PresigningConfig::expires_in(lifetime);
        let config = config.map_err(|error| ArtifactError::because("link", &key, error.to_string()))?;
        let request = self.client.get_object().bucket(&*self.bucket).key(key);
        let request = request.response_content_disposition(format!("attachment; filename=\"{name}\""));
        let request = request.response_content_type("application/octet-stream");
        let signed = request.presigned(config).await;
        signed.map(|signed| signed.uri().to_owned()).map_err(|error| ArtifactError::new("link", &key, &error))
    }

    /// Opens the object at `key`; `None` when it does not exist.
    pub async fn open(&self, key: &Key) -> Result<Option<ObjectReader>, ArtifactError> {
        match self.client.get_object().bucket(&*self.bucket).key(key.as_str()).send().await {
            Ok(output) => Ok(Some(ObjectReader { key: key.clone(), body: output.body })),
            Err(error) if error.as_service_error().is_some_and(GetObjectError::is_no_such_key) => Ok(None),
            Err(error) => Err(ArtifactError::new(ACTION, key, &error)),
        }
    }
}

/// An object being read.
pub struct ObjectReader {
    key: Key,
    body: ByteStream,
}

impl ObjectReader {
    /// The next chunk; `None` at the end. A truncated object is an error, never an end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, ArtifactError> {
        let piece = self.body.next().await.transpose();
        piece.map_err(|error| ArtifactError::because(ACTION, &self.key, format!("the connection broke: {error}")))
    }
}

impl fmt::Debug for ObjectReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectReader").field("key", &self.key).finish_non_exhaustive()
    }
}
