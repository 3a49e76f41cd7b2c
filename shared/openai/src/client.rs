//! The client: how a call is made. The calls themselves are in the modules of their objects.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use hooks_webhook::Json;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::multipart::Form;
use reqwest::{Url, redirect};
use rustls::RootCertStore;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use crate::error::OpenAiError;
use crate::key::ApiKey;
use crate::sideband::Dial;

/// Value of OpenAI's own clients.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long one object may take. A metadata look-up usually answers within a second.
const OBJECT_TIMEOUT: Duration = Duration::from_secs(30);

/// A Lambda function is frozen between invocations, and its connections may be closed meanwhile. Opening a new connection
/// is cheaper than a call that fails on a dead one.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// The size limit of an answer.
const MAX_OBJECT_BYTES: usize = 8 * 1024 * 1024;

/// The size limit of a list, and of a batch, which lists an error for each line of its input: up to 50,000.
pub(crate) const MAX_LIST_BYTES: usize = 32 * 1024 * 1024;

/// The size limit of an error's body, whose message is a sentence.
const MAX_ERROR_BYTES: usize = 64 * 1024;

/// Longer than any id of OpenAI.
const MAX_ID_LENGTH: usize = 128;

const BETA: HeaderName = HeaderName::from_static("openai-beta");

const JSON: &str = "application/json";

/// The `User-Agent` of every request.
pub(crate) const AGENT: &str = concat!("openai-webhooks/", env!("CARGO_PKG_VERSION"));

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The configuration of a [`Client`].
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// `https://api.openai.com/v1`, or the same path on the host of another data residency region.
    pub base_url: Url,
    /// A project's key. It needs read permission for the objects that are retrieved.
    pub api_key: ApiKey,
}

/// An invalid [`ClientConfig`], or an HTTP client that cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientConfigError {
    /// No path can be appended to the base URL.
    #[error("OpenAI's base URL must be https, or http on this machine, without query and fragment")]
    BaseUrl,
    /// The HTTP or TLS layer refused its configuration.
    #[error("the HTTP client for OpenAI could not be set up: {0}")]
    Http(String),
}

/// Answers requests in this process instead of the network. A future that never ends is a connection that hangs.
pub type InProcess = Arc<dyn Fn(reqwest::Request) -> BoxFuture<'static, reqwest::Response> + Send + Sync>;

/// A client of OpenAI's API. It is cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    in_process: Option<InProcess>,
    dial: Option<Dial>,
    tls: Arc<rustls::ClientConfig>,
    base_url: Url,
    api_key: ApiKey,
}

impl Client {
    /// Sets up the client. It opens no connection and reads no certificates from disk: the roots are compiled in.
    pub fn new(config: ClientConfig) -> Result<Self, ClientConfigError> {
        let ClientConfig { base_url, api_key } = config;
        let is_protected = base_url.scheme() == "https" || (base_url.scheme() == "http" && is_this_machine(&base_url));
        if !is_protected || base_url.query().is_some() || base_url.fragment().is_some() {
            return Err(ClientConfigError::BaseUrl);
        }
        let tls = tls()?;
        Ok(Self {
            http: http_client_with(tls.clone())?,
            in_process: None,
            dial: None,
            tls: Arc::new(tls),
            base_url,
            api_key,
        })
    }

    /// A client at this URL whose key is set later by [`with_api_key`](Self::with_api_key).
    ///
    /// # Errors
    ///
    /// The reason, worded to follow the name of the URL's setting.
    pub fn without_key(base_url: &str) -> Result<Self, String> {
        let base_url = base_url.parse().map_err(|_| "is not a URL".to_owned())?;
        let config = ClientConfig { base_url, api_key: ApiKey::none() };
        Self::new(config).map_err(|error| format!("cannot be used: {error}"))
    }

    /// Client with the same connections and another key.
    #[must_use]
    pub fn with_api_key(&self, api_key: ApiKey) -> Self {
        Self { api_key, ..self.clone() }
    }

    /// The same client, whose requests are answered in this process, for simulations.
    #[must_use]
    pub fn answered_by(self, answer: InProcess) -> Self {
        Self { in_process: Some(answer), ..self }
    }

    /// The same client, whose sidebands connect in this process, for simulations.
    #[must_use]
    pub fn dialled_by(self, dial: Dial) -> Self {
        Self { dial: Some(dial), ..self }
    }

    /// `GET`.
    pub(crate) async fn get(&self, call: Call<'_>, deadline: Instant) -> Result<Answer, OpenAiError> {
        let until = earlier(deadline, call.timeout);
        let response = self.send(call, self.http.get(self.url(call)?), JSON, until).await?;
        answer(call, response, until).await
    }

    /// `POST` with a JSON body, or with none. Without an answer, it may have taken effect or not.
    pub(crate) async fn post(
        &self,
        call: Call<'_>,
        body: Option<&Value>,
        deadline: Instant,
    ) -> Result<Answer, OpenAiError> {
        let until = earlier(deadline, call.timeout);
        let request = self.http.post(self.url(call)?);
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        answer(call, self.send(call, request, JSON, until).await?, until).await
    }

    /// `POST` of a form. It may take until the deadline while `sent` grows, and make no progress for the call's timeout.
    pub(crate) async fn post_form(
        &self,
        call: Call<'_>,
        form: Form,
        sent: &AtomicU64,
        deadline: Instant,
    ) -> Result<Answer, OpenAiError> {
        let mut sending = pin!(self.send(call, self.http.post(self.url(call)?).multipart(form), JSON, deadline));
        let mut before = 0;
        let response = loop {
            let so_far = match timeout_at(earlier(deadline, call.timeout), &mut sending).await {
                Ok(response) => break response?,
                Err(_) => sent.load(Ordering::Relaxed),
            };
            if so_far == before || Instant::now() >= deadline {
                return Err(OpenAiError::timeout(call.name, "an answer"));
            }
            before = so_far;
        };
        answer(call, response, earlier(deadline, call.timeout)).await
    }

    /// `DELETE`.
    pub(crate) async fn delete(&self, call: Call<'_>, deadline: Instant) -> Result<Answer, OpenAiError> {
        let until = earlier(deadline, call.timeout);
        answer(call, self.send(call, self.http.delete(self.url(call)?), JSON, until).await?, until).await
    }

    /// `GET` without reading the answer's body.
    pub(crate) async fn open(&self, call: Call<'_>, deadline: Instant) -> Result<reqwest::Response, OpenAiError> {
        self.send(call, self.http.get(self.url(call)?), "application/binary", earlier(deadline, call.timeout)).await
    }

    /// Sends the request. An answer of another status than success is an error, with the code and message of its body.
    async fn send(
        &self,
        call: Call<'_>,
        request: reqwest::RequestBuilder,
        accept: &str,
        until: Instant,
    ) -> Result<reqwest::Response, OpenAiError> {
        let mut request = request.header(ACCEPT, accept).header(AUTHORIZATION, self.authorization());
        if let Some(beta) = call.beta {
            request = request.header(BETA, beta);
        }
        let response = match timeout_at(until, self.exchange(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) if error.is_timeout() => return Err(OpenAiError::timeout(call.name, "a connection")),
            Ok(Err(error)) => return Err(OpenAiError::connection(call.name, error)),
            Err(_) => return Err(OpenAiError::timeout(call.name, "an answer")),
        };
        if response.status().is_success() {
            return Ok(response);
        }
        let (status, headers) = (response.status(), response.headers().clone());
        // The status is the error, even if the body cannot be read.
        let body = read(call, response, MAX_ERROR_BYTES, until).await.map(|body| body.bytes).unwrap_or_default();
        Err(OpenAiError::refused_with(call.name, status, &headers, &body).with_request_id(request_id(&headers)))
    }

    /// `POST` of JSON to any URL, without the key.
    pub(crate) async fn post_unauthorized(&self, url: &str, body: &Value) -> reqwest::Result<reqwest::Response> {
        self.exchange(self.http.post(url).header(ACCEPT, JSON).json(body)).await
    }

    pub(crate) fn base_url(&self) -> &Url {
        &self.base_url
    }

    async fn exchange(&self, request: reqwest::RequestBuilder) -> reqwest::Result<reqwest::Response> {
        match &self.in_process {
            None => request.send().await,
            Some(answer) => Ok(answer(request.build()?).await),
        }
    }

    pub(crate) const fn dial(&self) -> Option<&Dial> {
        self.dial.as_ref()
    }

    pub(crate) fn authorization(&self) -> HeaderValue {
        self.api_key.authorization()
    }

    /// The TLS configuration of its connections.
    pub(crate) const fn tls(&self) -> &Arc<rustls::ClientConfig> {
        &self.tls
    }

    pub(crate) fn url(&self, call: Call<'_>) -> Result<Url, OpenAiError> {
        if !call.path.iter().all(|segment| is_id(segment)) {
            return Err(OpenAiError::invalid_id(call.name));
        }
        let mut url = self.base_url.clone();
        match url.path_segments_mut() {
            Ok(mut segments) => segments.pop_if_empty().extend(call.path),
            Err(()) => return Err(OpenAiError::invalid_id(call.name)),
        };
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(call.query);
        }
        Ok(url)
    }
}

/// The HTTP client of [`Client`], for calls to others than OpenAI. Callers must limit the size and the time of answers.
pub fn http_client() -> Result<reqwest::Client, ClientConfigError> {
    http_client_with(tls()?)
}

fn http_client_with(tls: rustls::ClientConfig) -> Result<reqwest::Client, ClientConfigError> {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent(AGENT)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(POOL_IDLE_TIMEOUT)
        .redirect(redirect::Policy::limited(3))
        .build()
        .map_err(|error| ClientConfigError::Http(error.to_string()))
}

/// A call's target and limits.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    /// Its name in errors, such as `retrieve batch`.
    pub(crate) name: &'static str,
    /// The path's segments below the base URL. Each is a fixed word or an id.
    pub(crate) path: &'a [&'a str],
    pub(crate) query: &'a [(&'a str, &'a str)],
    /// The value of `OpenAI-Beta`, if the call needs it.
    pub(crate) beta: Option<&'static str>,
    /// The size limit of the answer, bytes.
    pub(crate) limit: usize,
    /// How long the answer may take.
    pub(crate) timeout: Duration,
}

impl<'a> Call<'a> {
    pub(crate) const fn new(name: &'static str, path: &'a [&'a str]) -> Self {
        Self { name, path, query: &[], beta: None, limit: MAX_OBJECT_BYTES, timeout: OBJECT_TIMEOUT }
    }
}

/// A complete successful answer, which may be empty.
pub(crate) struct Answer {
    call: &'static str,
    bytes: Bytes,
    request_id: Option<String>,
}

impl Answer {
    /// Reads the answer, which is JSON, as `what`. Anything else is an error that may pass by a retry.
    pub(crate) fn read<T>(self, what: &'static str, from: impl FnOnce(Bytes) -> Option<T>) -> Result<T, OpenAiError> {
        let Self { call, bytes, request_id } = self;
        let read = match Json::parse(&bytes) {
            Some(_) => from(bytes).ok_or_else(|| OpenAiError::unreadable(call, what)),
            None => Err(OpenAiError::unreadable(call, "JSON in full")),
        };
        read.map_err(|error| error.with_request_id(request_id))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("base_url", &self.base_url.as_str()).finish_non_exhaustive()
    }
}

/// Ids come from outside and become parts of paths, where `..` would make another call. Names of models have points and
/// colons.
fn is_id(text: &str) -> bool {
    text.len() <= MAX_ID_LENGTH
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
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

async fn answer(call: Call<'_>, response: reqwest::Response, until: Instant) -> Result<Answer, OpenAiError> {
    let request_id = request_id(response.headers());
    match read(call, response, call.limit, until).await {
        Ok(Body { complete: true, bytes }) => Ok(Answer { call: call.name, bytes: bytes.freeze(), request_id }),
        Ok(_) => Err(OpenAiError::too_large(call.name, call.limit).with_request_id(request_id)),
        Err(error) => Err(error.with_request_id(request_id)),
    }
}

async fn read(
    call: Call<'_>,
    mut response: reqwest::Response,
    limit: usize,
    until: Instant,
) -> Result<Body, OpenAiError> {
    // In one piece: a buffer that grows takes twice its size while it is moved.
    let announced = response.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or_default();
    let mut bytes = BytesMut::with_capacity(announced.min(limit));
    loop {
        match timeout_at(until, response.chunk()).await {
            Ok(Ok(Some(chunk))) if bytes.len() + chunk.len() > limit => {
                bytes.extend_from_slice(&chunk[..limit - bytes.len()]);
                return Ok(Body { bytes, complete: false });
            }
            Ok(Ok(Some(chunk))) => bytes.extend_from_slice(&chunk),
            Ok(Ok(None)) => return Ok(Body { bytes, complete: true }),
            Ok(Err(error)) => return Err(OpenAiError::interrupted(call.name, error)),
            Err(_) => return Err(OpenAiError::timeout(call.name, "the rest of the answer")),
        }
    }
}

/// Whether the URL leads to this machine, also from a container on it. The key would be readable on any other way.
fn is_this_machine(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    matches!(host, "localhost" | "host.docker.internal")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn tls() -> Result<rustls::ClientConfig, ClientConfigError> {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.into() };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ClientConfigError::Http(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth())
}
