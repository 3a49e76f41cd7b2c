//! As much of OpenAI, of Secrets Manager and of CloudFormation as the function calls, on one server.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::Response;
use hooks_aws::Environment;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::answer::Desk;

pub(super) const URL: &str = "https://hooks.example.com/webhooks/project";
pub(super) const SECRET: &str = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:project";

/// What a call gets instead of its answer.
#[derive(Clone, Copy)]
pub(super) enum Fault {
    /// This status, and nothing is done.
    Refused(u16),
    /// 502, though it was done.
    Lost,
    /// No answer, though it was done.
    Silence,
}

#[derive(Default)]
pub(super) struct Facts {
    pub(super) endpoints: Vec<Value>,
    /// The event types that the project may subscribe to.
    pub(super) offered: Vec<&'static str>,
    pub(super) api_key: String,
    /// What was stored as signing secret: the secret's id and the text.
    pub(super) stored: Vec<(String, String)>,
    /// CloudFormation's answers.
    pub(super) answers: Vec<Value>,
    /// The calls of OpenAI, Secrets Manager and CloudFormation: `POST /v1/webhook_endpoints`, `PutSecretValue`, `PUT
    /// /answer`; and the body.
    pub(super) calls: Vec<(String, Value)>,
    /// Calls that begin so go wrong, so many times.
    faults: Vec<(&'static str, Fault, usize)>,
    made: usize,
}

#[derive(Clone)]
pub(super) struct World {
    facts: Arc<Mutex<Facts>>,
    desk: Arc<Desk>,
    url: String,
}

impl World {
    pub(super) async fn new() -> Self {
        let facts = Facts {
            offered: vec!["batch.completed", "batch.failed"],
            api_key: "sk-local".to_owned(),
            ..Facts::default()
        };
        let facts = Arc::new(Mutex::new(facts));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().fallback(answer).with_state(Arc::clone(&facts));
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        let desk = crate::set_up(Environment::of([
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_ENDPOINT_URL", &url),
            ("OPENAI_API_KEY_SECRET", "the-api-key"),
            ("OPENAI_BASE_URL", &format!("{url}/v1")),
        ]));
        Self { facts, desk: Arc::new(desk.map_err(|faults| faults.to_string()).unwrap()), url }
    }

    pub(super) fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap()
    }

    pub(super) fn fail(&self, call: &'static str, fault: Fault, times: usize) {
        self.facts().faults.push((call, fault, times));
    }

    /// Sends a request, with so many seconds to answer, and what CloudFormation was answered.
    pub(super) async fn ask_within(&self, seconds: u64, kind: &str, more: Value) -> Value {
        let mut event = json!({
            "RequestType": kind, "ResponseURL": format!("{}/answer?signature=hidden", self.url),
            "StackId": "arn:stack", "RequestId": "request-1", "LogicalResourceId": "ProjectEndpoint",
        });
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let end = Instant::now() + Duration::from_secs(seconds);
        self.desk.handle(event, end).await.unwrap();
        assert!(Instant::now() < end, "the answer came too late");
        self.facts().answers.pop().unwrap()
    }

    pub(super) async fn ask(&self, kind: &str, more: Value) -> Value {
        self.ask_within(60, kind, more).await
    }

    pub(super) async fn create(&self) -> Value {
        self.ask("Create", json!({ "ResourceProperties": properties() })).await
    }

    pub(super) async fn delete(&self, id: &str) -> Value {
        self.ask("Delete", json!({"PhysicalResourceId": id, "ResourceProperties": properties()})).await
    }

    pub(super) async fn handle(&self, event: Value, end: Instant) -> Result<(), lambda_runtime::Error> {
        self.desk.handle(event, end).await
    }

    pub(super) fn count(&self, call: &str) -> usize {
        self.facts().calls.iter().filter(|(name, _)| name.starts_with(call)).count()
    }

    /// The body of the last such call.
    pub(super) fn sent(&self, call: &str) -> Value {
        self.facts().calls.iter().rfind(|(name, _)| name.starts_with(call)).unwrap().1.clone()
    }

    pub(super) fn endpoint(&self, name: &str, url: &str, event_types: &[&str]) -> String {
        self.facts().add(&json!({"name": name, "url": url, "event_types": event_types}))["id"].as_str().unwrap().into()
    }
}

pub(super) fn properties() -> Value {
    json!({"ServiceToken": "arn:function", "Name": "my-stack", "Url": URL, "EventTypes": "", "SigningSecretArn": SECRET})
}

/// The properties, with these instead.
pub(super) fn properties_with(others: &Value) -> Value {
    let mut properties = properties();
    properties.as_object_mut().unwrap().extend(others.as_object().unwrap().clone());
    properties
}

impl Facts {
    fn add(&mut self, wanted: &Value) -> Value {
        self.made += 1;
        let mut endpoint = wanted.clone();
        endpoint["id"] = format!("whe_{}", self.made).into();
        endpoint["object"] = "webhook_endpoint".into();
        self.endpoints.insert(0, endpoint.clone());
        endpoint
    }

    /// The next signing secret. A number of its own tells which call it was given out by.
    fn secret(&self) -> String {
        format!("whsec_hidden{}", self.calls.len())
    }

    fn openai(&mut self, method: &str, path: &str, query: &str, body: &Value) -> (u16, Value) {
        let segments: Vec<&str> = path.trim_start_matches("/v1/").split('/').collect();
        let found = self.endpoints.iter().position(|endpoint| segments.get(1).is_some_and(|id| endpoint["id"] == *id));
        let secret = self.secret();
        match (method, segments.as_slice(), found) {
            ("GET", ["webhook_event_types"], _) => (200, json!({"object": "list", "data": self.offered})),
            ("GET", ["webhook_endpoints"], _) => {
                let after = query.split('&').find_map(|pair| pair.strip_prefix("after="));
                let start = after.map_or(0, |id| 1 + self.endpoints.iter().position(|it| it["id"] == id).unwrap());
                let page: Vec<Value> = self.endpoints[start..].iter().take(100).cloned().collect();
                let has_more = start + page.len() < self.endpoints.len();
                (200, json!({"object": "list", "data": page, "has_more": has_more}))
            }
            ("POST", ["webhook_endpoints"], _) => {
                let mut endpoint = self.add(body);
                endpoint["signing_secret"] = secret.into();
                (200, endpoint)
            }
            (_, _, None) => (404, json!({"error": {"message": "No such endpoint", "code": "not_found"}})),
            ("GET", [_, _], Some(at)) => (200, self.endpoints[at].clone()),
            ("POST", [_, _], Some(at)) => {
                self.endpoints[at].as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
                (200, self.endpoints[at].clone())
            }
            ("DELETE", [_, id], Some(at)) => {
                self.endpoints.remove(at);
                (200, json!({"id": id, "deleted": true}))
            }
            ("POST", [_, _, "rotate_secret"], Some(at)) => {
                let mut endpoint = self.endpoints[at].clone();
                endpoint["signing_secret"] = secret.into();
                (200, endpoint)
            }
            _ => (405, Value::Null),
        }
    }

    fn secrets_manager(&mut self, operation: &str, body: &Value) -> (u16, Value) {
        if operation == "GetSecretValue" {
            return (200, json!({"SecretString": self.api_key, "VersionId": "1"}));
        }
        let text = |name: &str| body[name].as_str().unwrap().to_owned();
        self.stored.push((text("SecretId"), text("SecretString")));
        (200, json!({"VersionId": "2"}))
    }
}

async fn answer(State(facts): State<Arc<Mutex<Facts>>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body: Value = serde_json::from_slice(&to_bytes(body, 1 << 20).await.unwrap()).unwrap_or_default();
    let path = parts.uri.path();
    let target = parts.headers.get("x-amz-target").map(|target| target.to_str().unwrap().to_owned());
    let operation = target.as_deref().and_then(|target| target.strip_prefix("secretsmanager."));
    let call = operation.map_or_else(|| format!("{} {path}", parts.method), str::to_owned);
    let ((status, answer), fault) = {
        let mut facts = facts.lock().unwrap();
        facts.calls.push((call.clone(), body.clone()));
        let fault = facts.faults.iter_mut().find(|(prefix, _, left)| *left > 0 && call.starts_with(prefix));
        let fault = fault.map(|(_, fault, left)| {
            *left -= 1;
            *fault
        });
        let answer = match (fault, operation) {
            (Some(Fault::Refused(status)), Some(_)) => {
                (status, json!({"__type": "AccessDeniedException", "message": "Not you."}))
            }
            (Some(Fault::Refused(status)), None) => (status, json!({"error": {"message": "No.", "code": "refused"}})),
            (_, Some(operation)) => facts.secrets_manager(operation, &body),
            _ if path == "/answer" => {
                assert!(parts.headers.get("content-type").is_none(), "the URL is signed for no content type");
                facts.answers.push(body);
                (200, Value::Null)
            }
            _ => facts.openai(parts.method.as_str(), path, parts.uri.query().unwrap_or_default(), &body),
        };
        (answer, fault)
    };
    let status = match fault {
        Some(Fault::Silence) => std::future::pending().await,
        Some(Fault::Lost) => 502,
        _ => status,
    };
    Response::builder().status(status).body(Body::from(answer.to_string())).unwrap()
}
