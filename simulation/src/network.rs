//! The ways of a process to AWS and to OpenAI: in this process, with every failure that the seed chooses.

use std::fmt;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use futures::future::BoxFuture;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::world::World;

/// One life of a consumer's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Life {
    pub(crate) consumer: u8,
    pub(crate) life: u16,
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", char::from(b'A' + self.consumer), self.life)
    }
}

/// A process, which may die.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) life: Life,
    is_dead: AtomicBool,
    died: Notify,
}

impl Process {
    pub(crate) fn new(life: Life) -> Arc<Self> {
        Arc::new(Self { life, is_dead: AtomicBool::new(false), died: Notify::new() })
    }

    /// Lets it die: whoever runs it drops its work.
    pub(crate) fn die(&self) {
        self.is_dead.store(true, Ordering::Relaxed);
        self.died.notify_one();
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.is_dead.load(Ordering::Relaxed)
    }

    pub(crate) async fn death(&self) {
        if !self.is_dead() {
            self.died.notified().await;
        }
    }
}

/// Services that are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Service {
    DynamoDb,
    Sqs,
    EventBridge,
    Sns,
    S3,
    Ssm,
    Secrets,
    Lambda,
    OpenAi,
}

/// A request.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) service: Service,
    /// AWS's name of the operation, or the HTTP method.
    pub(crate) operation: String,
    pub(crate) path: String,
    /// The body, if it is JSON.
    pub(crate) json: Value,
    pub(crate) body: Bytes,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let about = match self.service {
            Service::DynamoDb => {
                let set = self.json["UpdateExpression"].as_str().unwrap_or_default();
                let values = &self.json["ExpressionAttributeValues"];
                let value = |name: &str| values[name]["S"].as_str().or(values[name]["N"].as_str()).unwrap_or_default();
                let about =
                    format!("{} {}", self.json["Key"]["pk"]["S"].as_str().unwrap_or_default(), value(":status"));
                if set.contains("#acting = ") { format!("{about} acting") } else { about }
            }
            Service::Sqs => {
                self.json["QueueUrl"].as_str().unwrap_or_default().rsplit('/').next().unwrap_or("").to_owned()
            }
            Service::EventBridge | Service::Sns | Service::Secrets => String::new(),
            Service::Ssm => self.json["Name"].as_str().unwrap_or_default().to_owned(),
            Service::S3 | Service::Lambda | Service::OpenAi => self.path.clone(),
        };
        write!(f, "{:?} {} {about}", self.service, self.operation)
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        let headers = vec![("content-type", "application/json".to_owned())];
        Self { status, headers, body: body.to_string() }
    }

    pub(crate) fn text(status: u16, body: &str) -> Self {
        Self { status, headers: Vec::new(), body: body.to_owned() }
    }

    /// An error in the shape that the service gives it.
    pub(crate) fn error(service: Service, status: u16, code: &str) -> Self {
        match service {
            Service::S3 => Self::text(status, &format!("<Error><Code>{code}</Code><Message>No.</Message></Error>")),
            Service::Sns => Self::text(
                status,
                &format!("<ErrorResponse><Error><Code>{code}</Code><Message>No.</Message></Error></ErrorResponse>"),
            ),
            Service::OpenAi => Self::json(status, &json!({"error": {"code": code, "message": "No."}})),
            _ => Self::json(status, &json!({"__type": code, "message": "No."})),
        }
    }

    fn into_http<B: From<String>>(self) -> http::Response<B> {
        let mut response = http::Response::new(B::from(self.body));
        *response.status_mut() = http::StatusCode::from_u16(self.status).unwrap_or_default();
        for (name, value) in self.headers {
            if let Ok(value) = value.parse() {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

/// What becomes of a request.
#[derive(Clone, Debug)]
pub(crate) enum Fate {
    /// It takes effect and is answered.
    Answered,
    /// It takes effect, and is answered by an error, or by nothing.
    Applied(Option<Reply>),
    /// It has no effect, and is answered by an error, or by nothing.
    NotApplied(Option<Reply>),
    /// It takes effect after this time; nobody is told.
    Late(Duration),
    /// The process dies, before or after the effect.
    Crash { applied: bool },
}

/// The seed's choice for a request.
pub(crate) struct Plan {
    pub(crate) before: Duration,
    pub(crate) after: Duration,
    pub(crate) fate: Fate,
    /// Whether a request that is not answered hangs, rather than breaks off.
    pub(crate) hangs: bool,
}

impl World {
    /// Carries out a request as the seed chooses. `None`: the connection broke.
    async fn exchange(self: Arc<Self>, process: Arc<Process>, call: Call) -> Option<Reply> {
        if process.is_dead() {
            // Tasks that the process has spawned.
            return pending().await;
        }
        let Plan { before, after, fate, hangs } = self.lock().plan(process.life, &call);
        sleep(before).await;
        let reply = match fate {
            Fate::Answered => Some(self.apply(process.life, &call)),
            Fate::Applied(reply) => {
                self.apply(process.life, &call);
                reply
            }
            Fate::NotApplied(reply) => reply,
            Fate::Late(time) => {
                let (world, life) = (Arc::clone(&self), process.life);
                self.lock().late += 1;
                drop(tokio::spawn(async move {
                    sleep(time).await;
                    world.lock().note(|| format!("{life}  late: {call}"));
                    world.apply(life, &call);
                    world.lock().late -= 1;
                }));
                None
            }
            Fate::Crash { applied } => {
                if applied {
                    self.apply(process.life, &call);
                }
                process.die();
                pending().await
            }
        };
        sleep(after).await;
        if reply.is_none() && hangs {
            pending::<()>().await;
        }
        reply
    }

    fn apply(&self, life: Life, call: &Call) -> Reply {
        let reply = self.lock().apply(life, call);
        self.changed.notify_waiters();
        reply
    }
}

/// AWS for a process.
#[derive(Clone, Debug)]
pub(crate) struct Aws {
    pub(crate) world: Arc<World>,
    pub(crate) process: Arc<Process>,
}

impl HttpClient for Aws {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Aws {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let Self { world, process } = self.clone();
        HttpConnectorFuture::new(async move {
            let target = request.headers().get("x-amz-target").map(str::to_owned);
            let invocation = request.headers().get("x-amz-invocation-type").map(str::to_owned);
            let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
            let (head, body) = request.into_parts();
            let body = body.collect().await.map_err(|error| ConnectorError::user(error.to_string().into()))?.to_bytes();
            let (service, operation) = if let Some(invocation) = &invocation {
                (Service::Lambda, invocation.as_str())
            } else {
                match target.as_deref().and_then(|target| target.split_once('.')) {
                    Some(("DynamoDB_20120810", operation)) => (Service::DynamoDb, operation),
                    Some(("AmazonSQS", operation)) => (Service::Sqs, operation),
                    Some(("AWSEvents", operation)) => (Service::EventBridge, operation),
                    Some(("AmazonSSM", operation)) => (Service::Ssm, operation),
                    Some(("secretsmanager", operation)) => (Service::Secrets, operation),
                    _ if head.uri.path() == "/" => (Service::Sns, "Publish"),
                    _ => (Service::S3, head.method.as_str()),
                }
            };
            let call = Call {
                service,
                operation: operation.to_owned(),
                path: head.uri.path().to_owned(),
                json: serde_json::from_slice(&body).unwrap_or_default(),
                body,
            };
            let reply = world.exchange(process, call).await;
            let reply = reply.ok_or_else(|| ConnectorError::io("the connection broke".into()))?;
            HttpResponse::try_from(reply.into_http::<String>().map(SdkBody::from))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

/// OpenAI for a process.
pub(crate) fn openai(world: &Arc<World>, process: &Arc<Process>) -> hooks_openai::InProcess {
    let (world, process) = (Arc::clone(world), Arc::clone(process));
    Arc::new(move |request: reqwest::Request| -> BoxFuture<'static, reqwest::Response> {
        let call = Call {
            service: Service::OpenAi,
            operation: request.method().to_string(),
            path: request.url().path().to_owned(),
            json: request.body().and_then(|body| serde_json::from_slice(body.as_bytes()?).ok()).unwrap_or_default(),
            body: Bytes::new(),
        };
        let exchange = Arc::clone(&world).exchange(Arc::clone(&process), call);
        Box::pin(async move {
            match exchange.await {
                Some(reply) => reply.into_http::<String>().into(),
                // What the client sees of a connection that broke is what it sees of one that hangs, only sooner.
                None => pending().await,
            }
        })
    })
}
