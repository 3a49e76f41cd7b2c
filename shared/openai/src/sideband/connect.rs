//! Opening the connection.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use hooks_webhook::CallApi;
use reqwest::header::{AUTHORIZATION, HeaderValue, USER_AGENT};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::Error as WebSocketError;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::command::MAX_COMMAND_BYTES;
use super::error::AttachError;
use crate::client::{Call, Client, request_id};
use crate::error::OpenAiError;

/// The size limit of a server event, bytes. The longest one known has a session's configuration; one that is longer ends the
/// connection.
pub const MAX_EVENT_BYTES: usize = 2 * 1024 * 1024;

/// The timeout of opening a connection. A caller is waiting.
const ATTACH_TIMEOUT: Duration = Duration::from_secs(4);

/// Larger than a reflected piece of audio, small beside the 128 MB of a function.
const READ_BUFFER_BYTES: usize = 32 * 1024;

const CALL: &str = "attach to session";

/// A connection below the WebSocket: plain, TLS, or in this process.
pub trait Transport: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Transport for T {}

/// Opens the connections of sidebands in this process instead of the network. A future that never ends is a network that
/// does not answer.
pub type Dial = Arc<dyn Fn() -> BoxFuture<'static, io::Result<Box<dyn Transport>>> + Send + Sync>;

pub(super) type WebSocket = WebSocketStream<Box<dyn Transport>>;

impl Client {
    /// Opens a WebSocket to a session.
    pub(super) async fn open_sideband(
        &self,
        api: CallApi,
        id: &str,
        deadline: Instant,
    ) -> Result<WebSocket, AttachError> {
        let until = deadline.min(Instant::now() + ATTACH_TIMEOUT);
        match timeout_at(until, self.handshake(api, id)).await {
            Ok(opened) => opened.map_err(AttachError::from),
            Err(_) => Err(OpenAiError::timeout(CALL, "the WebSocket").into()),
        }
    }

    async fn handshake(&self, api: CallApi, id: &str) -> Result<WebSocket, OpenAiError> {
        let request = self.sideband_request(api, id)?;
        let transport = self.transport(&request).await?;
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(0)
            .max_write_buffer_size(4 * MAX_COMMAND_BYTES)
            .max_message_size(Some(MAX_EVENT_BYTES))
            .max_frame_size(Some(MAX_EVENT_BYTES));
        match client_async_with_config(request, transport, Some(config)).await {
            Ok((socket, _)) => Ok(socket),
            Err(WebSocketError::Http(answer)) => {
                let (parts, body) = answer.into_parts();
                let body = body.unwrap_or_default();
                Err(OpenAiError::refused_with(CALL, parts.status, &parts.headers, &body)
                    .with_request_id(request_id(&parts.headers)))
            }
            Err(error) => Err(OpenAiError::no_answer(CALL, &error)),
        }
    }

    /// `GET /live/sessions/{id}/attach` or `GET /realtime?call_id={id}`.
    ///
    /// Live ends such a connection without a closing handshake unless `graceful_close` asks for one. Realtime takes the model
    /// of the call; an `OpenAI-Beta` header would be answered with 404.
    fn sideband_request(&self, api: CallApi, id: &str) -> Result<Request, OpenAiError> {
        let live = ["live", "sessions", id, "attach"];
        // The id is checked as a part of a path at Realtime as well.
        let _ = self.url(Call::new(CALL, &live))?;
        let realtime = [("call_id", id)];
        let call = match api {
            CallApi::Live => Call { query: &[("graceful_close", "true")], ..Call::new(CALL, &live) },
            CallApi::Realtime => Call { query: &realtime, ..Call::new(CALL, &["realtime"]) },
        };
        let mut url = self.url(call)?;
        let scheme = if url.scheme() == "http" { "ws" } else { "wss" };
        if url.set_scheme(scheme).is_err() {
            return Err(OpenAiError::no_answer(CALL, &"the base URL is not http or https"));
        }
        let mut request = url.as_str().into_client_request().map_err(|error| OpenAiError::no_answer(CALL, &error))?;
        request.headers_mut().insert(AUTHORIZATION, self.authorization());
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(crate::client::AGENT));
        Ok(request)
    }

    async fn transport(&self, request: &Request) -> Result<Box<dyn Transport>, OpenAiError> {
        let no_answer = |error: &dyn std::fmt::Display| OpenAiError::no_answer(CALL, error);
        if let Some(dial) = self.dial() {
            return dial().await.map_err(|error| no_answer(&error));
        }
        let uri = request.uri();
        let is_tls = uri.scheme_str() == Some("wss");
        // The brackets of an IPv6 address belong to the URL.
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let socket = TcpStream::connect((host.as_str(), port)).await.map_err(|error| no_answer(&error))?;
        // A command is smaller than a packet, and waits for no other.
        socket.set_nodelay(true).map_err(|error| no_answer(&error))?;
        if !is_tls {
            return Ok(Box::new(socket));
        }
        let name = ServerName::try_from(host).map_err(|error| no_answer(&error))?;
        let connector = TlsConnector::from(Arc::clone(self.tls()));
        Ok(Box::new(connector.connect(name, socket).await.map_err(|error| no_answer(&error))?))
    }
}
