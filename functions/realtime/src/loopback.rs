//! OpenAI and Systems Manager in one server on loopback, which answers as a test tells it to.

#[path = "../../../shared/aws/tests/s3/mod.rs"]
#[allow(dead_code, reason = "it can do more than is needed here")]
pub(crate) mod s3;

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::Response;
use futures::stream;
use hooks_aws::{Config, Environment};
use hooks_consumer::parameters::Parameters;
use hooks_openai::{Client, ClientConfig};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::{advance, pause, resume};

use crate::policy::source::PolicySource;

/// What OpenAI answers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reply {
    /// 200 with this body.
    Done(&'static str),
    /// 200, and then the connection breaks.
    Cut,
    Refused(u16),
    /// Refused with this `code` and this message.
    Because(u16, &'static str, &'static str),
    RetryAfter(&'static str),
}

/// What Systems Manager answers.
pub(crate) enum Parameter {
    Absent,
    Denied,
    Text(String),
}

#[derive(Clone)]
pub(crate) struct Server {
    state: Arc<Mutex<State>>,
    url: String,
}

struct State {
    replies: VecDeque<Reply>,
    calls: Vec<(String, Value)>,
    parameter: Parameter,
    version: i64,
    look_ups: usize,
}

impl Server {
    /// With an OpenAI that does everything, and no policy.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (replies, calls, parameter) = (VecDeque::new(), Vec::new(), Parameter::Absent);
        let server =
            Self { state: Arc::new(Mutex::new(State { replies, calls, parameter, version: 0, look_ups: 0 })), url };
        let serving = server.clone();
        let app = Router::new().fallback(move |request: Request| serving.clone().answer(request));
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        server
    }

    /// Answers the next calls of OpenAI like this.
    pub(crate) fn reply(&self, replies: impl IntoIterator<Item = Reply>) {
        self.state.lock().unwrap().replies.extend(replies);
    }

    /// The path and body of each call of OpenAI.
    pub(crate) fn calls(&self) -> Vec<(String, Value)> {
        self.state.lock().unwrap().calls.clone()
    }

    /// How often the parameter was looked up.
    pub(crate) fn look_ups(&self) -> usize {
        self.state.lock().unwrap().look_ups
    }

    /// Sets the parameter, which has another version then.
    pub(crate) fn set(&self, parameter: Parameter) {
        let mut state = self.state.lock().unwrap();
        state.version += 1;
        state.parameter = parameter;
    }

    pub(crate) fn store(&self, policy: &Value) {
        self.set(Parameter::Text(policy.to_string()));
    }

    pub(crate) fn client(&self) -> Client {
        let base_url = format!("{}/v1", self.url).parse().unwrap();
        Client::new(ClientConfig { base_url, api_key: "sk-local".parse().unwrap() }).unwrap()
    }

    pub(crate) fn source(&self) -> PolicySource {
        let mut environment = Environment::of([
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_ENDPOINT_URL", &self.url),
        ]);
        let parameters = Parameters::new(&Config::from_env(&mut environment).unwrap());
        PolicySource::Parameter { parameters, name: "/stack/call-policy".to_owned() }
    }

    async fn answer(self, request: Request) -> Response<Body> {
        let path = request.uri().path().to_owned();
        let target = request.headers().get("x-amz-target").cloned();
        let body = to_bytes(request.into_body(), usize::MAX).await.unwrap();
        let body = serde_json::from_slice(&body).unwrap();
        let mut state = self.state.lock().unwrap();
        if target.is_some_and(|target| target == "AmazonSSM.GetParameter") {
            return state.look_up(&body);
        }
        state.calls.push((path, body));
        state.replies.pop_front().unwrap_or(Reply::Done("")).into()
    }
}

impl State {
    fn look_up(&mut self, request: &Value) -> Response<Body> {
        assert_eq!(request["Name"], "/stack/call-policy");
        self.look_ups += 1;
        let (status, body) = match &self.parameter {
            Parameter::Absent => (400, json!({"__type": "ParameterNotFound"})),
            Parameter::Denied => (400, json!({"__type": "AccessDeniedException"})),
            Parameter::Text(value) => (200, json!({"Parameter": {"Value": value, "Version": self.version}})),
        };
        Response::builder().status(status).body(body.to_string().into()).unwrap()
    }
}

impl From<Reply> for Response<Body> {
    fn from(reply: Reply) -> Self {
        let answer = Response::builder();
        match reply {
            Reply::Done(body) => answer.body(body.into()),
            Reply::Cut => {
                let pieces = [Ok("{"), Err(io::Error::other("cut"))];
                answer.header("content-length", 2).body(Body::from_stream(stream::iter(pieces)))
            }
            Reply::Refused(status) => answer.status(status).body(Body::empty()),
            Reply::Because(status, code, message) => {
                answer.status(status).body(json!({"error": {"code": code, "message": message}}).to_string().into())
            }
            Reply::RetryAfter(seconds) => answer.status(429).header("retry-after", seconds).body(Body::empty()),
        }
        .unwrap()
    }
}

/// Lets so many seconds pass at once.
pub(crate) async fn later(seconds: u64) {
    pause();
    advance(Duration::from_secs(seconds)).await;
    resume();
}
