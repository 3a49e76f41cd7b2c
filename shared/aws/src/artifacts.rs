//! Artifacts in the stack's bucket (S3).
//!
//! [`Artifacts::put`] stores bytes in memory, [`Artifacts::upload`] stores a stream. Both are atomic: a reader sees the
//! previous object, or none, until everything is stored.
//!
//! # Permissions
//!
//! `s3:PutObject` and `s3:AbortMultipartUpload` on the bucket's objects; `s3:GetObject` only for [`Artifacts::get`],
//! [`Artifacts::open`] and [`Artifacts::exists`]. The bucket needs a lifecycle rule that aborts incomplete multipart
//! uploads: the parts of a process that died would cost money, and nobody would see them.
//!
//! Every request carries a CRC-32 of its content, which S3 checks and keeps. The signature leaves the body out: TLS
//! protects it, and hashing it would cost more than everything else.

mod error;
mod key;
mod read;
mod upload;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{Builder, retry::RetryConfig};
use aws_sdk_s3::types::ChecksumAlgorithm;
use bytes::Bytes;

use crate::Config;

pub use error::ArtifactError;
pub use key::{Key, KeyError};
pub use read::{GetResult, ObjectReader};
pub use upload::Upload;

/// Time limit of one attempt, which stores at most one part.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);

/// Maximum number of attempts. S3 throttles (`SlowDown`) for seconds at a time.
const MAX_ATTEMPTS: u32 = 5;

/// Content type of JSON.
pub const JSON: &str = "application/json";

/// Content type of one JSON value per line.
pub const JSON_LINES: &str = "application/jsonl";

/// Artifact store in one bucket. Cheap to clone.
#[derive(Clone)]
pub struct Artifacts {
    client: Client,
    bucket: Arc<str>,
}

impl Artifacts {
    /// A store in `bucket`.
    #[must_use]
    pub fn new(config: &Config, bucket: &str) -> Self {
        let sdk = config.sdk();
        let s3 = Builder::from(sdk)
            // A custom endpoint has no host name per bucket.
            .force_path_style(sdk.endpoint_url().is_some())
            .retry_config(RetryConfig::standard().with_max_attempts(MAX_ATTEMPTS))
            .timeout_config(TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_TIMEOUT).build());
        Self { client: Client::from_conf(s3.build()), bucket: Arc::from(bucket) }
    }

    /// Name of the bucket.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// Stores an object of at most 5 GiB in one request.
    pub async fn put(&self, key: &Key, content_type: &str, bytes: impl Into<Bytes>) -> Result<(), ArtifactError> {
        self.put_at(key.as_str(), content_type, bytes).await
    }

    /// As [`put`](Self::put), with a key that a person chose.
    pub async fn put_at(&self, key: &str, content_type: &str, bytes: impl Into<Bytes>) -> Result<(), ArtifactError> {
        self.client
            .put_object()
            .bucket(&*self.bucket)
            .key(key)
            .content_type(content_type)
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .body(bytes.into().into())
            .customize()
            .disable_payload_signing()
            .send()
            .await
            .map_err(|error| ArtifactError::new("store", &key, &error))?;
        Ok(())
    }

    /// Begins a streamed upload. Nothing is sent until a part is full.
    pub fn upload(&self, key: Key, content_type: &'static str) -> Upload {
        Upload::new(self.clone(), key, content_type)
    }
}

impl fmt::Debug for Artifacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Artifacts").field("bucket", &self.bucket).finish_non_exhaustive()
    }
}
