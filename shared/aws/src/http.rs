//! HTTP client under every AWS call: hyper-util's client over HTTP/1.1, TLS by rustls with compiled-in roots.
//!
//! The SDK's default client reads the system's certificate files, negotiates HTTP/2 and looks for proxies. A Lambda
//! function needs none of that, and each would lengthen the cold start. A person's program looks for proxies:
//! [`Http::through_proxies`].

#[cfg(test)]
mod tests;

use crate::cause::chain;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http::{Request, StatusCode, Uri};
use http_body_util::BodyExt;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector as TcpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, RootCertStore};
use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;
use tower_service::Service;

/// Time limit for opening a connection, including DNS and the TLS handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

/// The HTTP client; clones share their connections.
#[derive(Clone, Debug)]
pub struct Http {
    client: Client<Connector, SdkBody>,
    connector: Connector,
    in_process: Option<SharedHttpConnector>,
}

impl Http {
    /// A client that trusts Mozilla's root certificates.
    #[must_use]
    pub fn new() -> Self {
        Self::with(mozilla(), None)
    }

    /// A client that also opens `https` connections through the proxy in `HTTPS_PROXY` or `ALL_PROXY`, as `NO_PROXY` allows.
    #[must_use]
    pub fn through_proxies() -> Self {
        Self::with(mozilla(), Some(Matcher::from_system()))
    }

    #[expect(clippy::expect_used, reason = "ring supports both versions")]
    fn with(roots: RootCertStore, proxies: Option<Matcher>) -> Self {
        let tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring supports TLS 1.2 and 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut tcp = TcpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let https = HttpsConnectorBuilder::new().with_tls_config(tls.clone()).https_or_http().enable_http1();
        let proxies = proxies.map(|matcher| Arc::new(Proxies { matcher, tcp: tcp.clone(), tls: Arc::new(tls) }));
        let connector = Connector { https: https.wrap_connector(tcp), proxies, opened: Arc::default() };
        // Idle connections stay as long as the server keeps them: no timer runs while Lambda has frozen the process.
        let client = Client::builder(TokioExecutor::new()).pool_idle_timeout(None).build(connector.clone());
        Self { client, connector, in_process: None }
    }

    /// The same client, whose requests without the SDK this connector answers in this process, for simulations.
    #[must_use]
    pub fn answered_by(&self, connector: SharedHttpConnector) -> Self {
        Self { in_process: Some(connector), ..self.clone() }
    }

    /// Opens a connection to a URL's host ahead of the first request. A failure is only logged: the request opens one.
    pub(crate) async fn connect(&self, url: &Uri) {
        match self.connector.clone().call(url.clone()).await {
            Ok(stream) => *self.connector.opened() = Some((url.clone(), stream)),
            Err(error) => tracing::warn!(%error, "cannot connect ahead of the first request"),
        }
    }

    /// Sends a request and reads the response, unless its body has more than `limit` bytes. The caller limits the time.
    pub(crate) async fn exchange_within(&self, request: Request<SdkBody>, limit: usize) -> Result<Limited, BoxError> {
        let response = match &self.in_process {
            None => self.client.request(request).await?.map(SdkBody::from_body_1_x),
            Some(connector) => connector.call(HttpRequest::try_from(request)?).await?.try_into_http1x()?,
        };
        let (head, body) = response.into_parts();
        match http_body_util::Limited::new(body, limit).collect().await {
            Ok(body) => Ok(Limited { head, body: Some(body.to_bytes()) }),
            Err(error) if error.is::<http_body_util::LengthLimitError>() => Ok(Limited { head, body: None }),
            Err(error) => Err(error),
        }
    }

    /// Sends a request to somebody who is not AWS, and follows no redirect. The error says what went wrong: no answer in
    /// `time`, or one of more than `limit` bytes.
    pub async fn fetch(
        &self,
        request: Request<Vec<u8>>,
        limit: usize,
        time: Duration,
    ) -> Result<http::Response<Vec<u8>>, String> {
        match tokio::time::timeout(time, self.exchange_within(request.map(SdkBody::from), limit)).await {
            Ok(Ok(Limited { head, body: Some(body) })) => Ok(http::Response::from_parts(head, body.to_vec())),
            Ok(Ok(Limited { body: None, .. })) => Err(format!("the answer has more than {limit} bytes")),
            Ok(Err(error)) => Err(chain(&*error)),
            Err(_) => Err("no answer in time".to_owned()),
        }
    }

    /// Sends a request and reads the whole response, which must be small. The caller limits the time.
    pub(crate) async fn exchange(&self, request: Request<SdkBody>) -> Result<(StatusCode, Bytes), BoxError> {
        let (head, body) = self.client.request(request).await?.into_parts();
        Ok((head.status, body.collect().await?.to_bytes()))
    }
}

/// A response whose body was read up to a limit.
pub(crate) struct Limited {
    pub(crate) head: http::response::Parts,
    /// `None` when it is larger.
    pub(crate) body: Option<Bytes>,
}

impl Default for Http {
    fn default() -> Self {
        Self::new()
    }
}

impl HttpClient for Http {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Http {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = self.client.clone();
        HttpConnectorFuture::new(async move {
            let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
            let response = client.request(request).await.map_err(|error| {
                let connected = !error.is_connect();
                let error = ConnectorError::io(error.into());
                if connected { error } else { error.never_connected() }
            })?;
            let response = response.map(SdkBody::from_body_1_x);
            HttpResponse::try_from(response).map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

/// Opens connections for the client. A connection opened ahead of its request is handed out first.
#[derive(Clone, Debug)]
struct Connector {
    https: HttpsConnector<TcpConnector>,
    proxies: Option<Arc<Proxies>>,
    opened: Arc<Mutex<Option<(Uri, Stream)>>>,
}

/// Proxies, and what connections through them are made of.
#[derive(Debug)]
struct Proxies {
    matcher: Matcher,
    tcp: TcpConnector,
    tls: Arc<ClientConfig>,
}

impl Proxies {
    /// The proxy for connections to a URL. Only `https` ones go through a proxy: AWS has no others.
    fn for_url(&self, url: &Uri) -> Option<Intercept> {
        self.matcher.intercept(url).filter(|_| url.scheme_str() == Some("https"))
    }

    /// Opens a connection through a tunnel (HTTP `CONNECT`). The error names the proxy, and not its password.
    async fn connect(&self, proxy: &Intercept, url: Uri) -> Result<Stream, BoxError> {
        let host = proxy.uri().authority().map_or("", |authority| authority.as_str());
        let host = host.rsplit('@').next().unwrap_or(host);
        if proxy.uri().scheme_str() != Some("http") {
            return Err(io::Error::other(format!("the proxy {host} must have an http:// URL")).into());
        }
        let mut tunnel = Tunnel::new(proxy.uri().clone(), self.tcp.clone());
        if let Some(password) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(password.clone());
        }
        let connected = HttpsConnector::from((tunnel, Arc::clone(&self.tls))).call(url).await;
        connected.map_err(|error| io::Error::other(format!("through the proxy {host}: {}", chain(&*error))).into())
    }
}

fn mozilla() -> RootCertStore {
    RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }
}

impl Connector {
    fn opened(&self) -> std::sync::MutexGuard<'_, Option<(Uri, Stream)>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.https.poll_ready(context)
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        let leads_there =
            |(opened, _): &mut (Uri, _)| opened.scheme() == url.scheme() && opened.authority() == url.authority();
        if let Some((_, stream)) = self.opened().take_if(leads_there) {
            return Box::pin(std::future::ready(Ok(stream)));
        }
        let through = self.proxies.as_ref().and_then(|proxies| Some((Arc::clone(proxies), proxies.for_url(&url)?)));
        let mut https = self.https.clone();
        let connecting = async move {
            match through {
                Some((proxies, proxy)) => proxies.connect(&proxy, url).await,
                None => https.call(url).await,
            }
        };
        let connecting = tokio::time::timeout(CONNECT_TIMEOUT, connecting);
        Box::pin(async move { connecting.await.map_err(|_| io::Error::other("cannot connect in time"))? })
    }
}
