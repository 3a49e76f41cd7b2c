//! A WebSocket server that plays one session of OpenAI, connection by connection.

use std::sync::{Arc, Mutex};

use futures::{SinkExt, StreamExt};
use hooks_openai::{CallApi, Client, Sideband};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderMap;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

use crate::server::{client_at, soon};

/// The server's socket, and a client of it.
pub(crate) struct Session {
    listener: TcpListener,
    pub(crate) client: Client,
}

/// The server's side of a connection.
pub(crate) struct Control {
    pub(crate) socket: WebSocketStream<TcpStream>,
    /// Path and query of the request.
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
}

impl Session {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = client_at(listener.local_addr().unwrap().port());
        Self { listener, client }
    }

    /// Accepts the next connection.
    pub(crate) async fn accept(&self) -> Control {
        let (connection, _) = self.listener.accept().await.unwrap();
        let asked = Arc::new(Mutex::new((String::new(), HeaderMap::new())));
        let log = Arc::clone(&asked);
        #[expect(clippy::result_large_err, reason = "the type is the library's")]
        let remember = move |request: &Request, response: Response| {
            *log.lock().unwrap() = (request.uri().to_string(), request.headers().clone());
            Ok(response)
        };
        let socket = accept_hdr_async(connection, remember).await.unwrap();
        let (target, headers) = asked.lock().unwrap().clone();
        Control { socket, target, headers }
    }

    /// Refuses the next connection with this answer, byte for byte.
    pub(crate) async fn refuse(&self, answer: &str) {
        let (mut connection, _) = self.listener.accept().await.unwrap();
        let mut request = [0; 4096];
        let _ = connection.read(&mut request).await.unwrap();
        connection.write_all(answer.as_bytes()).await.unwrap();
        connection.shutdown().await.unwrap();
    }

    /// Attaches, and returns both sides.
    pub(crate) async fn attached(&self, api: CallApi) -> (Sideband, Control) {
        let id = if api == CallApi::Live { "live_1" } else { "rtc_1" };
        let (sideband, control) = tokio::join!(self.client.attach(api, id, soon()), self.accept());
        (sideband.unwrap(), control)
    }
}

/// A session with one connection, and both sides.
pub(crate) async fn attached(api: CallApi) -> (Session, Sideband, Control) {
    let session = Session::start().await;
    let (sideband, control) = session.attached(api).await;
    (session, sideband, control)
}

impl Control {
    pub(crate) async fn send(&mut self, event: Value) {
        self.send_text(&event.to_string()).await;
    }

    pub(crate) async fn send_text(&mut self, text: &str) {
        self.socket.send(Message::Text(Utf8Bytes::from(text))).await.unwrap();
    }

    /// The next client event.
    pub(crate) async fn receive(&mut self) -> Value {
        loop {
            if let Message::Text(text) = self.socket.next().await.unwrap().unwrap() {
                return serde_json::from_str(&text).unwrap();
            }
        }
    }

    /// Receives a client event and answers it with an event of this type and its id.
    pub(crate) async fn confirm_as(&mut self, kind: &str) {
        let event = self.receive().await;
        self.send(json!({"type": kind, "event_id": "event_ack", "client_event_id": event["event_id"]})).await;
    }
}

/// An HTTP answer.
pub(crate) fn refusal(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nx-request-id: req_7\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}
