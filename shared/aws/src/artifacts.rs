//! What is worth keeping, in the stack's bucket (S3).
//!
//! [`Artifacts::put`] stores what is at hand, [`Artifacts::upload`] what is still coming in. In both cases nothing is to
//! be seen under the key before everything is stored, and an object that was there before stays until then.
//!
//! The function needs `s3:PutObject` and `s3:AbortMultipartUpload` on the bucket's objects, and nothing to read:
//! only who calls [`Artifacts::get`] or [`Artifacts::open`] needs `s3:GetObject` on that object. An
//! upload that is neither finished nor aborted, because its process died, leaves parts that cost money and that nobody
//! sees: the bucket needs a lifecycle rule that aborts incomplete multipart uploads.
//!
//! Every request carries a CRC-32 of what it stores, which S3 checks and keeps. The body is not part of the signature:
//! TLS protects it on its way, and hashing it for the signature would cost more than all the rest.

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

pub use error::Error;
pub use key::{InvalidKey, Key};
pub use read::{Object, Read};
pub use upload::Upload;

/// One attempt of one request, which stores at most one part. A connection that needs longer is better replaced.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);

/// S3 asks for a slower pace now and then (`SlowDown`), and it means seconds.
const MAX_ATTEMPTS: u32 = 5;

/// JSON, as a content type.
pub const JSON: &str = "application/json";

/// One JSON value per line, as a content type.
pub const JSON_LINES: &str = "application/jsonl";

/// Text in UTF-8, as a content type.
pub const TEXT: &str = "text/plain; charset=utf-8";

/// Stores artifacts in one bucket. Cheap to clone.
#[derive(Clone)]
pub struct Artifacts {
    client: Client,
    bucket: Arc<str>,
}

impl Artifacts {
    /// Stores into `bucket`.
    #[must_use]
    pub fn new(config: &Config, bucket: &str) -> Self {
        let sdk = config.sdk();
        let s3 = Builder::from(sdk)
            // One server that stands in for all of AWS has no host name per bucket.
            .force_path_style(sdk.endpoint_url().is_some())
            .retry_config(RetryConfig::standard().with_max_attempts(MAX_ATTEMPTS))
            .timeout_config(TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_TIMEOUT).build());
        Self { client: Client::from_conf(s3.build()), bucket: Arc::from(bucket) }
    }

    /// The bucket's name.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// Stores an object in one request, at most 5 GiB.
    pub async fn put(&self, key: &Key, content_type: &str, bytes: impl Into<Bytes>) -> Result<(), Error> {
        self.client
            .put_object()
            .bucket(&*self.bucket)
            .key(key.as_str())
            .content_type(content_type)
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .body(bytes.into().into())
            .customize()
            .disable_payload_signing()
            .send()
            .await
            .map_err(|error| Error::new("store", key, &error))?;
        Ok(())
    }

    /// Begins an object whose content is still coming in. Nothing is sent before there is a whole part.
    pub fn upload(&self, key: Key, content_type: &'static str) -> Upload {
        Upload::new(self.clone(), key, content_type)
    }
}

impl fmt::Debug for Artifacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Artifacts").field("bucket", &self.bucket).finish_non_exhaustive()
    }
}
