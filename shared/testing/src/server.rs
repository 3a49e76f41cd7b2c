//! An HTTP server that answers as a test says, and keeps a log of the requests.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, Method, Response};
use futures::future::BoxFuture;
use futures::{FutureExt, stream};
use hooks_aws::Config;
use hooks_openai::Client;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// A request, read whole.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The path, without the query.
    pub path: String,
    /// The query, empty where there is none.
    pub query: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Request {
    /// The AWS operation, such as `GetSecretValue`, or else method and path, such as `GET /v1/batches`.
    #[must_use]
    pub fn name(&self) -> String {
        let operation = self.header("x-amz-target").and_then(|target| target.split('.').nth(1));
        operation.map_or_else(|| format!("{} {}", self.method, self.path), str::to_owned)
    }

    /// The path with its query.
    #[must_use]
    pub fn target(&self) -> String {
        if self.query.is_empty() { self.path.clone() } else { format!("{}?{}", self.path, self.query) }
    }

    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// A parameter of the query, as it was sent.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }

    /// The body's JSON; `null` for anything else.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Bytes,
    end: End,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Whole,
    /// The connection breaks one byte before the announced end.
    Cut,
    /// There is no answer at all.
    Never,
}

impl Reply {
    /// A status and a body.
    #[must_use]
    pub fn new(status: u16, body: impl Into<Bytes>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), end: End::Whole }
    }

    /// A status without a body.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::new(status, "")
    }

    /// 200 with a JSON body.
    #[must_use]
    pub fn json(body: &Value) -> Self {
        Self::new(200, body.to_string())
    }

    /// A refusal as both OpenAI and AWS write it.
    #[must_use]
    pub fn refusal(status: u16, code: &str, message: &str) -> Self {
        let body = json!({"__type": code, "message": message, "error": {"code": code, "message": message}});
        Self::new(status, body.to_string())
    }

    /// 200, and the connection breaks after these bytes.
    #[must_use]
    pub fn cut(body: impl Into<Bytes>) -> Self {
        Self { end: End::Cut, ..Self::new(200, body) }
    }

    /// No answer, for as long as the client waits.
    #[must_use]
    pub fn never() -> Self {
        Self { end: End::Never, ..Self::status(200) }
    }

    /// Reply with another header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

type Handler = Box<dyn Fn(Request) -> BoxFuture<'static, Reply> + Send + Sync>;

/// A running server. It ends with the test's runtime.
#[derive(Clone)]
pub struct Server {
    url: String,
    state: Arc<State>,
}

struct State {
    handler: Handler,
    queue: Mutex<Vec<Queued>>,
    by_path: Mutex<HashMap<String, Reply>>,
    log: Mutex<Vec<Request>>,
    unanswered: Notify,
}

/// A reply to the next request that matches.
struct Queued {
    matches: Box<dyn Fn(&Request) -> bool + Send + Sync>,
    reply: Reply,
    /// Whether the request is handled all the same.
    handled: bool,
}

impl Server {
    /// Starts a server that knows no path until [`reply_at`](Self::reply_at) sets its reply.
    pub async fn empty() -> Self {
        Self::start(|_| Reply::status(404)).await
    }

    /// Starts a server that answers each request by `answer`, unless a test has set another reply for it.
    pub async fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_async(move |request| std::future::ready(answer(&request))).await
    }

    /// Reply that takes time.
    pub async fn start_async<F>(answer: impl Fn(Request) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Reply> + Send + 'static,
    {
        let state = Arc::new(State {
            handler: Box::new(move |request| answer(request).boxed()),
            queue: Mutex::default(),
            by_path: Mutex::default(),
            log: Mutex::default(),
            unanswered: Notify::new(),
        });
        let serving = Arc::clone(&state);
        let url = serve(Router::new().fallback(move |request| Arc::clone(&serving).answer(request))).await;
        Self { url, state }
    }

    /// Gives every request at a path this reply, and returns the one before.
    pub fn reply_at(&self, path: &str, reply: Reply) -> Option<Reply> {
        self.state.by_path.lock().unwrap().insert(path.to_owned(), reply)
    }

    /// Gives the next request that matches this reply instead of the handler's. The handler does not see it.
    pub fn reply_once(&self, matches: impl Fn(&Request) -> bool + Send + Sync + 'static, reply: Reply) {
        self.state.queue.lock().unwrap().push(Queued { matches: Box::new(matches), reply, handled: false });
    }

    /// Lets the handler do what the next request that matches asks for, and gives it this reply all the same.
    pub fn reply_once_after(&self, matches: impl Fn(&Request) -> bool + Send + Sync + 'static, reply: Reply) {
        self.state.queue.lock().unwrap().push(Queued { matches: Box::new(matches), reply, handled: true });
    }

    /// Waits until a request is left without an answer, by [`Reply::never`].
    pub async fn unanswered(&self) {
        self.state.unanswered.notified().await;
    }

    /// The requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.state.log.lock().unwrap().clone()
    }

    /// Number of requests so far whose [name](Request::name) begins with `prefix`.
    #[must_use]
    pub fn count(&self, prefix: &str) -> usize {
        self.requests().iter().filter(|request| request.name().starts_with(prefix)).count()
    }

    /// The last request whose [name](Request::name) begins with `prefix`.
    #[must_use]
    pub fn last(&self, prefix: &str) -> Option<Request> {
        self.requests().into_iter().rfind(|request| request.name().starts_with(prefix))
    }

    /// The server's URL, without a path.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A client that takes this server for OpenAI.
    #[must_use]
    pub fn openai(&self) -> Client {
        crate::openai_client(&self.url)
    }

    /// A configuration that takes this server for all of AWS.
    #[must_use]
    pub fn aws(&self) -> Config {
        crate::aws_config(&self.url)
    }
}

/// Serves on a port of the system's choice until the runtime ends. Returns the URL.
pub(crate) async fn serve(app: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    url
}

impl State {
    async fn answer(self: Arc<Self>, request: axum::extract::Request) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let Ok(body) = to_bytes(body, usize::MAX).await else { return Reply::status(400).response() };
        let request = Request {
            method: parts.method,
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            headers: parts.headers,
            body,
        };
        self.log.lock().unwrap().push(request.clone());
        let queued = {
            let mut queue = self.queue.lock().unwrap();
            let position = queue.iter().position(|queued| (queued.matches)(&request));
            position.map(|position| queue.remove(position))
        };
        let reply = match queued {
            Some(Queued { reply, handled: false, .. }) => reply,
            Some(Queued { reply, .. }) => {
                (self.handler)(request).await;
                reply
            }
            None => {
                let reply = self.by_path.lock().unwrap().get(&request.path).cloned();
                match reply {
                    Some(reply) => reply,
                    None => (self.handler)(request).await,
                }
            }
        };
        if matches!(reply.end, End::Never) {
            self.unanswered.notify_one();
            std::future::pending::<()>().await;
        }
        reply.response()
    }
}

impl Reply {
    fn response(self) -> Response<Body> {
        let mut response = Response::builder().status(self.status);
        for (name, value) in &self.headers {
            response = response.header(name, value);
        }
        let body = match self.end {
            End::Cut => {
                response = response.header("content-length", self.body.len() + 1);
                Body::from_stream(stream::iter([Ok(self.body), Err(io::Error::other("cut"))]))
            }
            _ => self.body.into(),
        };
        response.body(body).unwrap()
    }
}
