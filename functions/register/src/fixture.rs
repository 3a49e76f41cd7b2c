//! As much of OpenAI, of Secrets Manager and of CloudFormation as the function calls, on one server.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use hooks_testing::{Reply, Request, Server, environment};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use crate::custom_resource::CustomResource;

pub(crate) const URL: &str = "https://hooks.example.com/webhooks/project";
pub(crate) const SECRET: &str = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:project";

/// Replacement for the answer to a call.
#[derive(Clone, Copy)]
pub(crate) enum Fault {
    /// This status, and nothing is done.
    Refused(u16),
    /// 502, though it was done.
    Lost,
    /// No answer, though it was done.
    Silence,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Order {
    Before,
    After,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) endpoints: Vec<Value>,
    /// The event types that the project may subscribe to.
    pub(crate) offered: Vec<&'static str>,
    pub(crate) api_key: String,
    /// The signing secrets that were stored: the secret's id and the text.
    pub(crate) stored: Vec<(String, String)>,
    /// The answers to CloudFormation.
    pub(crate) answers: Vec<Value>,
    /// Holder and end of the lease.
    pub(crate) lease: Option<(String, i64)>,
    /// Another request of the same kind that takes effect beside the next creation: before it, or after it.
    pub(crate) rival: Option<Order>,
    /// The secrets that each endpoint signs with, the newest first.
    pub(crate) signing: HashMap<String, Vec<String>>,
    /// Number of endpoints created so far.
    created: usize,
    /// Number of signing secrets given out so far.
    secrets: usize,
}

pub(crate) struct Fixture {
    state: Arc<Mutex<State>>,
    resource: Arc<CustomResource>,
    pub(crate) server: Server,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        let state = Arc::new(Mutex::new(State {
            offered: vec!["batch.completed", "batch.failed", "eval.run.failed", "video.completed"],
            api_key: "sk-local".to_owned(),
            ..State::default()
        }));
        let serving = Arc::clone(&state);
        let server = Server::start(move |request| serving.lock().unwrap().answer(request)).await;
        let resource = crate::set_up(environment(
            server.url(),
            [
                ("TABLE_NAME", "ledger"),
                ("OPENAI_API_KEY_SECRET", "the-api-key"),
                ("OPENAI_BASE_URL", &format!("{}/v1", server.url())),
            ],
        ));
        Self { state, resource: Arc::new(resource.map_err(|faults| faults.to_string()).unwrap()), server }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Lets the next calls that begin so go wrong.
    pub(crate) fn fail(&self, call: &'static str, fault: Fault, times: usize) {
        let matches = move |request: &Request| request.name().starts_with(call);
        for _ in 0..times {
            match fault {
                Fault::Refused(status) if call.ends_with("SecretValue") => {
                    self.server.reply_once(matches, Reply::refusal(status, "AccessDeniedException", "Not you."));
                }
                Fault::Refused(status) => {
                    self.server.reply_once(matches, Reply::refusal(status, "refused", "No."));
                }
                Fault::Lost => self.server.reply_once_after(matches, Reply::status(502)),
                Fault::Silence => self.server.reply_once_after(matches, Reply::never()),
            }
        }
    }

    pub(crate) fn event(&self, kind: &str, more: &Value) -> Value {
        let mut event = json!({
            "RequestType": kind, "ResponseURL": format!("{}/answer?signature=hidden", self.server.url()),
            "StackId": "arn:stack", "RequestId": "request-1", "LogicalResourceId": "ProjectEndpoint",
        });
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event
    }

    /// Sends a request, with so many seconds to answer, and returns CloudFormation's answer.
    pub(crate) async fn ask_within(&self, seconds: u64, kind: &str, more: Value) -> Value {
        let event = self.event(kind, &more);
        let end = Instant::now() + Duration::from_secs(seconds);
        self.resource.handle(event, end).await.unwrap();
        assert!(Instant::now() < end, "the answer came too late");
        self.state().answers.pop().unwrap()
    }

    pub(crate) async fn ask(&self, kind: &str, more: Value) -> Value {
        self.ask_within(60, kind, more).await
    }

    pub(crate) async fn create(&self) -> Value {
        self.ask("Create", json!({ "ResourceProperties": properties() })).await
    }

    /// Begins to create, and lets the process die once the given call has been made so many times and has taken effect.
    pub(crate) async fn die_after(&self, call: &'static str, times: usize) {
        let seen = AtomicUsize::new(0);
        let matches =
            move |request: &Request| request.name() == call && seen.fetch_add(1, Ordering::SeqCst) + 1 == times;
        self.server.reply_once_after(matches, Reply::never());
        let (resource, event) =
            (Arc::clone(&self.resource), self.event("Create", &json!({ "ResourceProperties": properties() })));
        let task = tokio::spawn(async move {
            resource.handle(event, Instant::now() + Duration::from_mins(1)).await.map_err(|error| error.to_string())
        });
        timeout(Duration::from_secs(10), self.server.unanswered()).await.expect("it comes to that");
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
    }

    /// There is one endpoint, the oldest, and the secret that was stored last is its newest.
    pub(crate) fn assert_one(&self, id: &str) {
        let state = self.state();
        assert_eq!(state.endpoints.len(), 1, "{:?}", state.endpoints);
        assert_eq!(state.endpoints[0]["id"], id);
        assert_eq!(state.stored.last().unwrap().1, state.signing[id][0]);
        assert_eq!(state.lease, None);
    }

    pub(crate) async fn delete(&self, id: &str) -> Value {
        self.ask("Delete", json!({"PhysicalResourceId": id, "ResourceProperties": properties()})).await
    }

    pub(crate) async fn handle(&self, event: Value, end: Instant) -> Result<(), hooks_function::Error> {
        self.resource.handle(event, end).await
    }

    /// The body of the last such call.
    pub(crate) fn sent(&self, call: &str) -> Value {
        self.server.last(call).unwrap().json()
    }

    pub(crate) fn endpoint(&self, name: &str, url: &str, event_types: &[&str]) -> String {
        self.state().add(&json!({"name": name, "url": url, "event_types": event_types}))["id"].as_str().unwrap().into()
    }
}

impl State {
    fn add(&mut self, wanted: &Value) -> Value {
        self.created += 1;
        let mut endpoint = wanted.clone();
        endpoint["id"] = format!("whe_{}", self.created).into();
        endpoint["object"] = "webhook_endpoint".into();
        self.endpoints.insert(0, endpoint.clone());
        endpoint
    }

    fn new_secret(&mut self) -> String {
        self.secrets += 1;
        format!("whsec_hidden{}", self.secrets)
    }

    fn answer(&mut self, request: &Request) -> Reply {
        match request.name().as_str() {
            "GetSecretValue" => Reply::json(&json!({"SecretString": self.api_key, "VersionId": "1"})),
            "PutSecretValue" => {
                let body = request.json();
                let text = |name: &str| body[name].as_str().unwrap().to_owned();
                self.stored.push((text("SecretId"), text("SecretString")));
                Reply::json(&json!({"VersionId": "2"}))
            }
            "UpdateItem" => self.change_lease(&request.json()),
            "PUT /answer" => {
                assert!(request.header("content-type").is_none(), "the URL is signed for no content type");
                self.answers.push(request.json());
                Reply::status(200)
            }
            _ => self.openai(request),
        }
    }

    fn change_lease(&mut self, body: &Value) -> Reply {
        let value = |name: &str, kind: &str| body["ExpressionAttributeValues"][name][kind].as_str().unwrap().to_owned();
        let holder = value(":holder", "S");
        let is_free = match &self.lease {
            Some((other, until)) if body["ConditionExpression"] == "#holder = :holder" => {
                *other == holder && *until > 0
            }
            Some((_, until)) => *until < value(":now", "N").parse().unwrap(),
            None => true,
        };
        if !is_free {
            let item = json!({"holder": {"S": self.lease.as_ref().unwrap().0}});
            return Reply::new(400, json!({"__type": "ConditionalCheckFailedException", "Item": item}).to_string());
        }
        self.lease = Some((holder, value(":lease_until", "N").parse().unwrap())).filter(|(_, until)| *until > 0);
        Reply::json(&json!({}))
    }

    /// A new secret of an endpoint. The old one is accepted for a day.
    fn rotate(&mut self, id: &str) -> String {
        let secret = self.new_secret();
        self.signing.entry(id.to_owned()).or_default().insert(0, secret.clone());
        secret
    }

    fn openai(&mut self, request: &Request) -> Reply {
        let (method, path, body) = (request.method.as_str(), request.path.as_str(), request.json());
        let segments: Vec<&str> = path.trim_start_matches("/v1/").split('/').collect();
        let found = self.endpoints.iter().position(|endpoint| segments.get(1).is_some_and(|id| endpoint["id"] == *id));
        match (method, segments.as_slice(), found) {
            ("GET", ["webhook_event_types"], _) => Reply::json(&json!({"object": "list", "data": self.offered})),
            ("GET", ["webhook_endpoints"], _) => {
                let after = request.parameter("after");
                let start = after.map_or(0, |id| 1 + self.endpoints.iter().position(|it| it["id"] == id).unwrap());
                let page: Vec<Value> = self.endpoints[start..].iter().take(100).cloned().collect();
                let has_more = start + page.len() < self.endpoints.len();
                Reply::json(&json!({"object": "list", "data": page, "has_more": has_more}))
            }
            ("POST", ["webhook_endpoints"], _) => {
                let rival = self.rival.take();
                if rival == Some(Order::Before) {
                    self.add(&body);
                }
                let mut endpoint = self.add(&body);
                if rival == Some(Order::After) {
                    self.add(&body);
                }
                endpoint["signing_secret"] = self.rotate(endpoint["id"].as_str().unwrap()).into();
                Reply::json(&endpoint)
            }
            (_, _, None) => Reply::refusal(404, "not_found", "No such endpoint"),
            ("GET", [_, _], Some(at)) => Reply::json(&self.endpoints[at]),
            ("POST", [_, _], Some(at)) => {
                self.endpoints[at].as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
                Reply::json(&self.endpoints[at])
            }
            ("DELETE", [_, id], Some(at)) => {
                self.endpoints.remove(at);
                Reply::json(&json!({"id": id, "deleted": true}))
            }
            ("POST", [_, id, "rotate_secret"], Some(at)) => {
                let mut endpoint = self.endpoints[at].clone();
                endpoint["signing_secret"] = self.rotate(id).into();
                Reply::json(&endpoint)
            }
            _ => Reply::status(405),
        }
    }
}

pub(crate) fn properties() -> Value {
    json!({"ServiceToken": "arn:function", "Name": "my-stack", "Url": URL, "EventTypes": "", "SigningSecretArn": SECRET})
}

/// The properties, with these instead.
pub(crate) fn properties_with(others: &Value) -> Value {
    let mut properties = properties();
    properties.as_object_mut().unwrap().extend(others.as_object().unwrap().clone());
    properties
}
