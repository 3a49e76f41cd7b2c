//! The client and its calls.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderName};
use reqwest::{Url, redirect};
use rustls::RootCertStore;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use crate::content::FileContent;
use crate::error::Error;
use crate::key::ApiKey;
use crate::objects::{Batch, File};
use crate::response::Response;

/// As in OpenAI's own clients.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long one object may take: a metadata look-up answers within a second, also on a bad day.
const OBJECT_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the first byte of a file may take.
const CONTENT_TIMEOUT: Duration = Duration::from_mins(1);

/// A Lambda function is frozen between its invocations, and a connection does not outlive that by much. One that has
/// been idle for longer is opened anew, which is cheaper than a call that fails on a dead one.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// Bounds what an answer can make us hold. A failed batch lists its faults, one per line of its input at worst, and
/// still stays far below.
const MAX_OBJECT_BYTES: usize = 8 * 1024 * 1024;

/// The same for a response, which may hold a few pictures in base64.
const MAX_RESPONSE_BYTES: usize = 48 * 1024 * 1024;

/// How much of a refusal is read: its message is a sentence.
const MAX_ERROR_BYTES: usize = 64 * 1024;

/// Longer than any id that OpenAI gives out.
const MAX_ID_LENGTH: usize = 128;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What a [`Client`] needs to know.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// `https://api.openai.com/v1`, or the same path on the host of another data residency region.
    pub base_url: Url,
    /// A project's key. It needs read permission for what is retrieved.
    pub api_key: ApiKey,
}

/// Why a [`Client`] cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// The base URL is not one that a path can be appended to.
    #[error("the base URL of OpenAI must be http or https and have neither query nor fragment")]
    BaseUrl,
    /// The HTTP or TLS layer refused its configuration.
    #[error("the HTTP client of OpenAI could not be set up: {0}")]
    Http(String),
}

/// Calls OpenAI. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base_url: Url,
    api_key: ApiKey,
}

impl Client {
    /// Sets up the client. No connection is opened, and no certificate is read from disk: the roots are compiled in.
    pub fn new(config: ClientConfig) -> Result<Self, SetupError> {
        let ClientConfig { base_url, api_key } = config;
        if !matches!(base_url.scheme(), "http" | "https") || base_url.query().is_some() || base_url.fragment().is_some()
        {
            return Err(SetupError::BaseUrl);
        }
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls().map_err(|error| SetupError::Http(error.to_string()))?)
            .user_agent(concat!("openai-webhooks/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(POOL_IDLE_TIMEOUT)
            .redirect(redirect::Policy::limited(3))
            .build()
            .map_err(|error| SetupError::Http(error.to_string()))?;
        Ok(Self { http, base_url, api_key })
    }

    /// The same client, over the same connections, with another key: for a key that was changed meanwhile.
    #[must_use]
    pub fn with_api_key(&self, api_key: ApiKey) -> Self {
        Self { api_key, ..self.clone() }
    }

    /// Retrieves a model's response: `GET /responses/{id}`.
    pub async fn response(&self, id: &str, deadline: Instant) -> Result<Response, Error> {
        const CALL: &str = "retrieve response";
        let (json, request_id) = self.json(CALL, &["responses", id], MAX_RESPONSE_BYTES, deadline).await?;
        let object = serde_json::from_slice(&json).ok();
        object
            .and_then(|object| Response::from_json(object, json))
            .ok_or_else(|| Error::unreadable(CALL, "a response").with_request_id(request_id))
    }

    /// Retrieves a batch: `GET /batches/{id}`.
    pub async fn batch(&self, id: &str, deadline: Instant) -> Result<Batch, Error> {
        const CALL: &str = "retrieve batch";
        let (object, request_id) = self.object(CALL, &["batches", id], deadline).await?;
        Batch::from_value(object).ok_or_else(|| Error::unreadable(CALL, "a batch").with_request_id(request_id))
    }

    /// Retrieves what OpenAI knows about a file: `GET /files/{id}`.
    pub async fn file(&self, id: &str, deadline: Instant) -> Result<File, Error> {
        const CALL: &str = "retrieve file";
        let (object, request_id) = self.object(CALL, &["files", id], deadline).await?;
        File::from_value(object).ok_or_else(|| Error::unreadable(CALL, "a file").with_request_id(request_id))
    }

    /// Opens a file for reading: `GET /files/{id}/content`.
    pub async fn file_content(&self, id: &str, deadline: Instant) -> Result<FileContent, Error> {
        const CALL: &str = "download file";
        let url = self.url(CALL, &["files", id, "content"])?;
        let response = self.get(CALL, url, "application/binary", earlier(deadline, CONTENT_TIMEOUT)).await?;
        Ok(FileContent::new(CALL, response, deadline))
    }

    async fn object(
        &self,
        call: &'static str,
        path: &[&str],
        deadline: Instant,
    ) -> Result<(Value, Option<String>), Error> {
        let (json, request_id) = self.json(call, path, MAX_OBJECT_BYTES, deadline).await?;
        match serde_json::from_slice(&json) {
            Ok(object) => Ok((object, request_id)),
            Err(_) => Err(Error::unreadable(call, "JSON in full").with_request_id(request_id)),
        }
    }

    /// Reads an answer of at most `limit` bytes, and its request id.
    async fn json(
        &self,
        call: &'static str,
        path: &[&str],
        limit: usize,
        deadline: Instant,
    ) -> Result<(Bytes, Option<String>), Error> {
        let until = earlier(deadline, OBJECT_TIMEOUT);
        let response = self.get(call, self.url(call, path)?, "application/json", until).await?;
        let request_id = request_id(response.headers());
        match read(call, response, limit, until).await {
            Ok(Body { complete: true, bytes }) => Ok((bytes.freeze(), request_id)),
            Ok(_) => Err(Error::too_large(call, limit).with_request_id(request_id)),
            Err(error) => Err(error.with_request_id(request_id)),
        }
    }

    /// Gets an answer with a status of success; any other becomes an error, which reads the refusal's body.
    async fn get(
        &self,
        call: &'static str,
        url: Url,
        accept: &str,
        until: Instant,
    ) -> Result<reqwest::Response, Error> {
        let request = self.http.get(url).header(ACCEPT, accept).header(AUTHORIZATION, self.api_key.authorization());
        let response = match timeout_at(until, request.send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) if error.is_timeout() => return Err(Error::timeout(call, "a connection")),
            Ok(Err(error)) => return Err(Error::connection(call, error)),
            Err(_) => return Err(Error::timeout(call, "an answer")),
        };
        if response.status().is_success() {
            return Ok(response);
        }
        let (status, headers) = (response.status(), response.headers().clone());
        // The status says more than a failure to read what comes with it.
        let body = read(call, response, MAX_ERROR_BYTES, until).await.map(|body| body.bytes).unwrap_or_default();
        Err(Error::refused_with(call, status, &headers, &body).with_request_id(request_id(&headers)))
    }

    fn url(&self, call: &'static str, path: &[&str]) -> Result<Url, Error> {
        if !path.iter().all(|segment| is_id(segment)) {
            return Err(Error::invalid_id(call));
        }
        let mut url = self.base_url.clone();
        match url.path_segments_mut() {
            Ok(mut segments) => segments.pop_if_empty().extend(path),
            Err(()) => return Err(Error::invalid_id(call)),
        };
        Ok(url)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("base_url", &self.base_url.as_str()).finish_non_exhaustive()
    }
}

/// Ids come with events, so they are checked before they become a part of a path: `..` would lead to another call.
fn is_id(text: &str) -> bool {
    (1..=MAX_ID_LENGTH).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

fn earlier(deadline: Instant, timeout: Duration) -> Instant {
    deadline.min(Instant::now() + timeout)
}

pub(crate) fn request_id(headers: &HeaderMap) -> Option<String> {
    headers.get(REQUEST_ID)?.to_str().ok().map(crate::for_display)
}

struct Body {
    bytes: BytesMut,
    complete: bool,
}

async fn read(
    call: &'static str,
    mut response: reqwest::Response,
    limit: usize,
    until: Instant,
) -> Result<Body, Error> {
    let mut bytes = BytesMut::new();
    loop {
        match timeout_at(until, response.chunk()).await {
            Ok(Ok(Some(chunk))) if bytes.len() + chunk.len() > limit => {
                bytes.extend_from_slice(&chunk[..limit - bytes.len()]);
                return Ok(Body { bytes, complete: false });
            }
            Ok(Ok(Some(chunk))) => bytes.extend_from_slice(&chunk),
            Ok(Ok(None)) => return Ok(Body { bytes, complete: true }),
            Ok(Err(error)) => return Err(Error::interrupted(call, error)),
            Err(_) => return Err(Error::timeout(call, "the rest of the answer")),
        }
    }
}

fn tls() -> Result<rustls::ClientConfig, rustls::Error> {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.into() };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}
