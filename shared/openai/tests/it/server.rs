//! Servers that play OpenAI, and their clients.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use hooks_openai::Client;
use hooks_testing::{Reply, Request, Server, openai_client};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::Instant;

pub(crate) type Headers = &'static [(&'static str, &'static str)];

/// The requests to a server, in order: method, path with query, and JSON body (`null` for none).
pub(crate) type Asked = Arc<Mutex<Vec<(String, String, Value)>>>;

/// Starts a server that gives every request the same answer, and a client that calls it.
pub(crate) async fn client_of(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Client {
    Server::start(answer).await.openai()
}

/// Starts a server that answers 200 with this JSON, and a client that calls it.
pub(crate) async fn client_of_json(body: Value) -> Client {
    client_of(move |_| Reply::json(&body)).await
}

/// Starts a server that answers 200 with this body. Returns a client and the log of its requests.
pub(crate) async fn client_and_asked(body: &'static str) -> (Client, Asked) {
    let asked = Asked::default();
    let log = Arc::clone(&asked);
    let client = client_of(move |request| {
        log.lock().unwrap().push((request.method.to_string(), request.target(), request.json()));
        Reply::new(200, body)
    });
    (client.await, asked)
}

/// Starts a server that reads a request, writes these bytes, and then closes the connection or stays silent.
pub(crate) async fn client_of_bytes(bytes: &'static str, then_close: bool) -> Client {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut open = Vec::new();
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let _ = connection.read(&mut request).await;
            connection.write_all(bytes.as_bytes()).await.unwrap();
            if !then_close {
                open.push(connection);
            }
        }
    });
    client_at(port)
}

pub(crate) fn client_at(port: u16) -> Client {
    openai_client(&format!("http://127.0.0.1:{port}"))
}

/// A deadline that no test reaches.
pub(crate) fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

pub(crate) fn answer(status: u16, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Reply {
    headers.iter().fold(Reply::new(status, body.into()), |reply, (name, value)| reply.header(name, value))
}

/// An error body of OpenAI.
pub(crate) fn error(kind: &str, code: &Value) -> String {
    json!({"error": {"message": "No.", "type": kind, "param": null, "code": code}}).to_string()
}
