//! Connections kept open between requests.

use super::connect;
use aws_smithy_types::body::SdkBody;
use http::header::HOST;
use http::uri::{Authority, Parts, PathAndQuery, Scheme};
use http::{HeaderValue, Request, Response, Uri};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::{self, SendRequest};
use rustls::RootCertStore;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use std::{fmt, io};
use tokio_rustls::TlsConnector;

/// Idle connections, newest last. There are never more than requests once ran at the same time, so there is no index.
pub(super) struct Pool {
    tls: TlsConnector,
    idle: Mutex<Vec<(Origin, SendRequest<SdkBody>)>>,
}

/// Where a connection leads.
#[derive(Clone, PartialEq, Eq)]
struct Origin {
    encrypted: bool,
    authority: Authority,
}

/// Why a request got no response.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    /// The request cannot be sent as it is.
    #[error("{0}")]
    Request(&'static str),
    /// No connection could be opened.
    #[error("cannot connect: {0}")]
    Connect(#[source] io::Error),
    /// Opening a connection took too long.
    #[error("cannot connect in time")]
    ConnectTimeout,
    /// The connection failed while the request was under way.
    #[error("connection failed: {0}")]
    Exchange(#[from] hyper::Error),
}

impl Pool {
    /// A pool that trusts servers whose certificate leads to one of `roots`.
    pub(super) fn new(roots: RootCertStore) -> Self {
        Self { tls: connect::tls(roots), idle: Mutex::default() }
    }

    /// Sends the request and returns once the response's head is there.
    ///
    /// A kept connection may have been closed by the other side, quite likely so after Lambda froze the process. As
    /// long as nothing of the request was written, the request goes on to the next connection, and at last a new one.
    pub(super) async fn send(
        self: Arc<Self>,
        request: Request<SdkBody>,
        connect_timeout: Duration,
    ) -> Result<Response<Pooled>, SendError> {
        let (origin, mut request) = prepare(request)?;
        loop {
            let kept = self.take(&origin);
            let is_new = kept.is_none();
            let mut sender = match kept {
                Some(sender) => sender,
                None => tokio::time::timeout(connect_timeout, self.open(&origin))
                    .await
                    .map_err(|_| SendError::ConnectTimeout)??,
            };
            if let Err(error) = sender.ready().await {
                if is_new {
                    return Err(error.into());
                }
                continue;
            }
            match sender.try_send_request(request).await {
                Ok(response) => {
                    return Ok(response.map(|body| Pooled { body, home: Some((sender, origin, self)) }.settled()));
                }
                Err(mut error) => match error.take_message() {
                    Some(unsent) if !is_new => request = unsent,
                    _ => return Err(error.into_error().into()),
                },
            }
        }
    }

    /// Opens a connection to a URL's host, for a request to come.
    pub(super) async fn warm(&self, url: &Uri, connect_timeout: Duration) -> Result<(), SendError> {
        let origin = Origin::of(url.clone().into_parts())?;
        let opened = tokio::time::timeout(connect_timeout, self.open(&origin)).await;
        self.keep(origin, opened.map_err(|_| SendError::ConnectTimeout)??);
        Ok(())
    }

    fn take(&self, origin: &Origin) -> Option<SendRequest<SdkBody>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(_, sender)| !sender.is_closed());
        let newest = idle.iter().rposition(|(kept, _)| kept == origin)?;
        Some(idle.remove(newest).1)
    }

    fn keep(&self, origin: Origin, sender: SendRequest<SdkBody>) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push((origin, sender));
    }

    async fn open(&self, origin: &Origin) -> Result<SendRequest<SdkBody>, SendError> {
        let default_port = if origin.encrypted { 443 } else { 80 };
        let port = origin.authority.port_u16().unwrap_or(default_port);
        let tls = origin.encrypted.then_some(&self.tls);
        let stream = connect::connect(tls, origin.authority.host(), port).await.map_err(SendError::Connect)?;
        let (sender, connection) = http1::handshake(stream).await?;
        tokio::spawn(async move {
            // Whoever waits for a response is told the error too, and can say what it was for.
            if let Err(error) = connection.await {
                tracing::debug!(%error, "AWS connection closed");
            }
        });
        Ok(sender)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}

impl Origin {
    fn of(uri: Parts) -> Result<Self, SendError> {
        let authority = uri.authority.ok_or(SendError::Request("the URL names no host"))?;
        Ok(Self { encrypted: uri.scheme.is_none_or(|scheme| scheme != Scheme::HTTP), authority })
    }
}

/// Splits the origin off the request: on the wire go the path and a `Host` header.
fn prepare(mut request: Request<SdkBody>) -> Result<(Origin, Request<SdkBody>), SendError> {
    let mut uri = std::mem::take(request.uri_mut()).into_parts();
    let path = uri.path_and_query.take().unwrap_or(PathAndQuery::from_static("/"));
    let origin = Origin::of(uri)?;
    *request.uri_mut() = Uri::from(path);
    if !request.headers().contains_key(HOST) {
        let host = HeaderValue::from_str(origin.authority.as_str())
            .map_err(|_| SendError::Request("the host is no header"))?;
        request.headers_mut().insert(HOST, host);
    }
    Ok((origin, request))
}

/// A response's body, which brings its connection back to the pool once it was read to the end. Dropped before that,
/// it closes the connection, which the rest of the body would block.
pub(super) struct Pooled {
    body: Incoming,
    home: Option<(SendRequest<SdkBody>, Origin, Arc<Pool>)>,
}

impl Pooled {
    /// Brings the connection back now when there is no body to read.
    fn settled(mut self) -> Self {
        if self.body.is_end_stream() {
            self.return_home();
        }
        self
    }

    fn return_home(&mut self) {
        if let Some((sender, origin, pool)) = self.home.take() {
            pool.keep(origin, sender);
        }
    }
}

impl Body for Pooled {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match frame {
            None => self.return_home(),
            Some(Err(_)) => self.home = None,
            Some(Ok(_)) if self.body.is_end_stream() => self.return_home(),
            Some(Ok(_)) => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
