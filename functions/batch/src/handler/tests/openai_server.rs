//! A server that answers each of OpenAI's paths as a test tells it to.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::Response;
use bytes::Bytes;
use futures::stream;
use hooks_openai::{Client, ClientConfig};
use serde_json::Value;
use tokio::net::TcpListener;

/// What a path is answered with.
#[derive(Clone)]
pub(super) enum Reply {
    Json(Value),
    Bytes(Bytes),
    /// These bytes of one more, and then the connection breaks.
    Cut(Bytes),
    Status(u16),
    /// A rate limit that ends after so many seconds.
    RetryAfter(u32),
}

#[derive(Clone)]
pub(super) struct OpenAiServer {
    replies: Arc<Mutex<HashMap<String, Reply>>>,
    requests: Arc<Mutex<usize>>,
    url: String,
}

impl OpenAiServer {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let server = Self { replies: Arc::default(), requests: Arc::default(), url };
        let serving = server.clone();
        let app = Router::new().fallback(move |request: Request| {
            let answer = serving.answer(request.uri().path());
            async move { answer }
        });
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        server
    }

    /// Sets what a path is answered with, and returns what it was before.
    pub(super) fn reply(&self, path: &str, reply: Reply) -> Option<Reply> {
        self.replies.lock().unwrap().insert(path.to_owned(), reply)
    }

    /// How many requests there were.
    pub(super) fn requests(&self) -> usize {
        *self.requests.lock().unwrap()
    }

    pub(super) fn client(&self) -> Client {
        let config = ClientConfig { base_url: self.url.parse().unwrap(), api_key: "sk-local".parse().unwrap() };
        Client::new(config).unwrap()
    }

    fn answer(&self, path: &str) -> Response<Body> {
        *self.requests.lock().unwrap() += 1;
        let answer = Response::builder();
        let reply = self.replies.lock().unwrap().get(path).cloned().unwrap_or(Reply::Status(404));
        match reply {
            Reply::Json(value) => answer.body(value.to_string().into()),
            Reply::Bytes(bytes) => answer.body(bytes.into()),
            Reply::Cut(bytes) => {
                let length = bytes.len() + 1;
                let pieces = [Ok(bytes), Err(io::Error::other("cut"))];
                answer.header("content-length", length).body(Body::from_stream(stream::iter(pieces)))
            }
            Reply::Status(status) => answer.status(status).body(Body::empty()),
            Reply::RetryAfter(seconds) => answer.status(429).header("retry-after", seconds).body(Body::empty()),
        }
        .unwrap()
    }
}
