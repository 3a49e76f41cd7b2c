//! The one HTTP client under every AWS SDK client: HTTP/1.1 over hyper, TLS by rustls with compiled-in roots.
//!
//! The SDK's own client reads the system's certificate files, speaks HTTP/2 and goes through proxies. AWS answers the
//! calls made here over HTTP/1.1, the roots are known, and a Lambda function has no proxy, so a cold start pays for none
//! of that.

mod connect;
mod pool;
#[cfg(test)]
mod tests;

use ::http::{Request, StatusCode, Uri};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use hyper::body::Body;
use pool::Pool;
use std::error::Error;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// How long a connection may take to open, name look-up and TLS handshake included, where the caller sets no limit.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The HTTP client; clones share their connections.
#[derive(Clone, Debug)]
pub struct Http {
    pool: Arc<Pool>,
}

impl Http {
    /// A client without connections.
    #[must_use]
    pub fn new() -> Self {
        Self { pool: Arc::new(Pool::new(connect::roots())) }
    }

    /// Opens a connection to a URL's host ahead of the first request. Failing is no fault: the request opens one.
    pub(crate) async fn connect(&self, url: &Uri) {
        if let Err(error) = self.pool.warm(url, CONNECT_TIMEOUT).await {
            tracing::warn!(%error, "cannot connect ahead of the first request");
        }
    }

    /// Sends a request and reads all of the response, which must be small. The caller limits the time.
    pub(crate) async fn exchange(&self, request: Request<SdkBody>) -> Result<(StatusCode, Vec<u8>), pool::SendError> {
        let (head, mut body) = Arc::clone(&self.pool).send(request, CONNECT_TIMEOUT).await?.into_parts();
        let mut bytes = Vec::new();
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            if let Some(data) = frame?.data_ref() {
                bytes.extend_from_slice(data);
            }
        }
        Ok((head.status, bytes))
    }
}

impl Default for Http {
    fn default() -> Self {
        Self::new()
    }
}

impl HttpClient for Http {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(Connector {
            pool: Arc::clone(&self.pool),
            connect_timeout: settings.connect_timeout().unwrap_or(CONNECT_TIMEOUT),
            read_timeout: settings.read_timeout(),
        })
    }
}

#[derive(Debug)]
struct Connector {
    pool: Arc<Pool>,
    connect_timeout: Duration,
    read_timeout: Option<Duration>,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (pool, connect_timeout, read_timeout) = (Arc::clone(&self.pool), self.connect_timeout, self.read_timeout);
        HttpConnectorFuture::new(async move {
            let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
            let exchange = pool.send(request, connect_timeout);
            let response = match read_timeout {
                Some(limit) => tokio::time::timeout(limit, exchange)
                    .await
                    .map_err(|elapsed| ConnectorError::timeout(elapsed.into()))?,
                None => exchange.await,
            };
            let response = response.map_err(classify)?;
            let response = response.map(SdkBody::from_body_1_x);
            HttpResponse::try_from(response).map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

/// Tells the SDK's retry strategy what kind of failure it has before it.
fn classify(error: pool::SendError) -> ConnectorError {
    match error {
        pool::SendError::ConnectTimeout => ConnectorError::timeout(error.into()).never_connected(),
        pool::SendError::Connect(_) => ConnectorError::io(error.into()).never_connected(),
        pool::SendError::Request(_) => ConnectorError::user(error.into()),
        pool::SendError::Exchange(ref hyper) if hyper.is_user() && hyper.source().is_none() => {
            ConnectorError::user(error.into())
        }
        pool::SendError::Exchange(_) => ConnectorError::io(error.into()),
    }
}
