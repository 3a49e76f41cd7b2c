//! Servers that play OpenAI, and their clients.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::Response;
use hooks_openai::{ApiKey, Client, ClientConfig};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::Instant;

pub(crate) type Headers = &'static [(&'static str, &'static str)];

/// The requests to a server, in order: method, path with query, and JSON body (`null` for none).
pub(crate) type Asked = Arc<Mutex<Vec<(String, String, Value)>>>;

/// Starts a server that gives every request the same answer, and a client that calls it.
pub(crate) async fn client_of<A>(answer: A) -> Client
where
    A: Fn(&Request) -> Response<Body> + Clone + Send + Sync + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let app = Router::new().fallback(move |request: Request| {
        let response = answer(&request);
        async move { response }
    });
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    client_at(port)
}

/// Starts a server that answers 200 with this JSON, and a client that calls it.
pub(crate) async fn client_of_json(body: Value) -> Client {
    client_of(move |_| answer(200, &[], body.to_string())).await
}

/// Starts a server that answers 200 with this body. Returns a client and the log of its requests.
pub(crate) async fn client_and_asked(body: &'static str) -> (Client, Asked) {
    let asked = Asked::default();
    let log = Arc::clone(&asked);
    let app = Router::new().fallback(move |request: Request| {
        let log = Arc::clone(&log);
        async move {
            let (parts, sent) = request.into_parts();
            let sent = serde_json::from_slice(&to_bytes(sent, 1 << 20).await.unwrap()).unwrap_or_default();
            log.lock().unwrap().push((parts.method.to_string(), parts.uri.to_string(), sent));
            answer(200, &[], body)
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (client_at(port), asked)
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
    let api_key: ApiKey = "sk-local".parse().unwrap();
    let base_url = format!("http://127.0.0.1:{port}/v1").parse().unwrap();
    Client::new(ClientConfig { base_url, api_key }).unwrap()
}

/// A deadline that no test reaches.
pub(crate) fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

pub(crate) fn answer(status: u16, headers: &[(&str, &str)], body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(body.into()).unwrap()
}

/// An error body of OpenAI.
pub(crate) fn error(kind: &str, code: &Value) -> String {
    json!({"error": {"message": "No.", "type": kind, "param": null, "code": code}}).to_string()
}
