//! A stand-in and an HTTP client for the tests.

use std::net::SocketAddr;
use std::time::Duration;

use axum::http::{HeaderMap, Request, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::server::{router, serve};

const KEY: &str = "sk-test";

/// A stand-in on its own port, which ends with the test's runtime.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    client: Client<HttpConnector, Full<Bytes>>,
}

pub(crate) struct Outgoing<'a> {
    server: &'a Server,
    method: &'a str,
    path: &'a str,
    bearer: Option<&'a str>,
    content_type: &'a str,
    headers: Vec<(&'a str, &'a str)>,
    body: Bytes,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// The body up to its end, or up to where it broke off.
    pub(crate) body: Bytes,
    pub(crate) broken: bool,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = router(KEY.to_owned(), 0.001);
        tokio::spawn(serve(listener, router, std::future::pending(), Duration::ZERO));
        Self { address, client: Client::builder(TokioExecutor::new()).build_http() }
    }

    pub(crate) fn request<'a>(&'a self, method: &'a str, path: &'a str) -> Outgoing<'a> {
        Outgoing {
            server: self,
            method,
            path,
            bearer: Some(KEY),
            content_type: "application/json",
            headers: Vec::new(),
            body: Bytes::new(),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.request("GET", path).send().await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.request("DELETE", path).send().await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.request("POST", path).body("application/json", body.to_string()).send().await
    }

    /// Registers an endpoint for the project's events that is never reached.
    pub(crate) async fn register(&self) {
        let secret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
        let endpoint = json!({ "url": "http://127.0.0.1:9/webhooks/project", "secret": secret });
        assert_eq!(self.post("/_control/webhooks", endpoint).await.status, 200);
    }

    /// Uploads a file for a batch and returns its id.
    pub(crate) async fn upload(&self, text: &str) -> String {
        let answer = self.request("POST", "/v1/files").form(&[("purpose", "batch"), ("file", text)]).send().await;
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    /// Creates a batch of requests `r0`, `r1`... and returns its id.
    pub(crate) async fn batch(&self, requests: usize) -> String {
        let line = |n| json!({ "custom_id": format!("r{n}"), "body": { "model": "gpt-6-luna" } }).to_string();
        let input = self.upload(&(0..requests).map(line).collect::<Vec<_>>().join("\n")).await;
        let body = json!({ "input_file_id": input, "endpoint": "/v1/responses", "completion_window": "24h" });
        self.post("/v1/batches", body).await.json()["id"].as_str().unwrap().to_owned()
    }
}

impl<'a> Outgoing<'a> {
    pub(crate) fn bearer(mut self, key: Option<&'a str>) -> Self {
        self.bearer = key;
        self
    }

    pub(crate) fn header(mut self, name: &'a str, value: &'a str) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(crate) fn body(mut self, content_type: &'a str, body: impl Into<Bytes>) -> Self {
        self.content_type = content_type;
        self.body = body.into();
        self
    }

    /// A multipart form; the field `file` is sent as a file.
    pub(crate) fn form(self, fields: &[(&str, &str)]) -> Self {
        let part = |(name, value): &(&str, &str)| {
            let filename = if *name == "file" { "; filename=\"input.jsonl\"" } else { "" };
            format!("--X\r\ncontent-disposition: form-data; name=\"{name}\"{filename}\r\n\r\n{value}\r\n")
        };
        let parts: String = fields.iter().map(part).collect();
        self.body("multipart/form-data; boundary=X", format!("{parts}--X--\r\n"))
    }

    pub(crate) async fn send(self) -> Answer {
        let url = format!("http://{}{}", self.server.address, self.path);
        let mut request = Request::builder().method(self.method).uri(url).header("content-type", self.content_type);
        if let Some(key) = self.bearer {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        let response = self.server.client.request(request.body(Full::from(self.body)).unwrap()).await.unwrap();
        let (parts, mut stream) = response.into_parts();
        let (mut body, mut broken) = (Vec::new(), false);
        while let Some(frame) = stream.frame().await {
            let Ok(frame) = frame else {
                broken = true;
                break;
            };
            body.extend_from_slice(&frame.into_data().unwrap_or_default());
        }
        Answer { status: parts.status, headers: parts.headers, body: body.into(), broken }
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }
}
