//! As much of Secrets Manager, DynamoDB, OpenAI and the verifier as a rotation calls.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use hooks_function::Deadline;
use hooks_function::clock::now_seconds;
use hooks_testing::{HeaderMap, Reply, Request, Server, environment};
use hooks_webhook::{Scheme, Secret};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::error::RotationError;
use crate::request::Step;
use crate::rotator::Rotator;

/// The secret that is in use before anything is rotated, at OpenAI and here.
pub(crate) const OLD: &str = "whsec_b2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xk";
pub(crate) const OLD_VERSION: &str = "11111111-old";
/// The endpoint at OpenAI.
pub(crate) const ENDPOINT: &str = "whe_1";
/// The version that a rotation is to fill.
pub(crate) const VERSION: &str = "22222222-new";

pub(crate) const STEPS: [Step; 4] = [Step::Create, Step::Set, Step::Test, Step::Finish];

/// Longer than everything that time is kept back for, in seconds.
const TWO_MINUTES: u64 = 120;

#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) text: Option<String>,
    pub(crate) created_at: u64,
    pub(crate) stages: Vec<String>,
}

pub(crate) struct State {
    pub(crate) versions: BTreeMap<String, Stored>,
    pub(crate) rotated: bool,
    pub(crate) api_key: &'static str,
    /// Holder and end.
    lease: Option<(String, i64)>,
    /// Secrets that OpenAI signs with, the newest first.
    pub(crate) signing: Vec<String>,
    /// The endpoint of each rotation at OpenAI.
    pub(crate) rotations: Vec<String>,
    /// Answers to the next deliveries, instead of the verifier's.
    pub(crate) answers: Vec<u16>,
    /// `webhook-id` and body of each delivery.
    pub(crate) deliveries: Vec<(String, Value)>,
}

pub(crate) struct Fixture {
    state: Arc<Mutex<State>>,
    server: Server,
    pub(crate) rotator: Arc<Rotator>,
}

pub(crate) fn now() -> u64 {
    now_seconds().cast_unsigned()
}

/// The deadline of an invocation with this much time.
pub(crate) fn in_seconds(seconds: u64) -> Deadline {
    Deadline::at((now() + seconds) * 1000)
}

pub(crate) fn event(step: Step, version: &str) -> Value {
    json!({"Step": step.as_str(), "SecretId": "arn:secret", "ClientRequestToken": version, "RotationToken": "token"})
}

impl Fixture {
    /// Secrets Manager has begun a rotation, and done nothing else.
    pub(crate) async fn new() -> Self {
        let stored = |text: Option<&str>, stage: &str| Stored {
            text: text.map(str::to_owned),
            created_at: now() - 60,
            stages: vec![stage.to_owned()],
        };
        let state = Arc::new(Mutex::new(State {
            versions: BTreeMap::from([
                (OLD_VERSION.to_owned(), stored(Some(OLD), "AWSCURRENT")),
                (VERSION.to_owned(), stored(None, "AWSPENDING")),
            ]),
            rotated: true,
            api_key: "sk-local",
            lease: None,
            signing: vec![OLD.to_owned()],
            rotations: Vec::new(),
            answers: Vec::new(),
            deliveries: Vec::new(),
        }));
        let serving = Arc::clone(&state);
        let server = Server::start(move |request| serving.lock().unwrap().answer(request)).await;
        let url = server.url();
        let environment = environment(
            url,
            [
                ("TABLE_NAME", "ledger"),
                ("OPENAI_API_KEY_SECRET", "api-key"),
                ("OPENAI_BASE_URL", &format!("{url}/v1")),
                ("WEBHOOK_URL", &format!("{url}/webhooks/project")),
                ("ENDPOINT_ID", ENDPOINT),
            ],
        );
        let rotator = Arc::new(Rotator::from_env(environment).unwrap());
        Self { state, server, rotator }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) async fn step(&self, step: Step) -> Result<(), RotationError> {
        self.rotator.handle(event(step, VERSION), in_seconds(TWO_MINUTES)).await
    }

    pub(crate) async fn reason(&self, step: Step) -> &'static str {
        self.step(step).await.unwrap_err().reason()
    }

    /// All four steps.
    pub(crate) async fn rotate(&self, version: &str) {
        for step in STEPS {
            self.rotator.handle(event(step, version), in_seconds(TWO_MINUTES)).await.unwrap();
        }
    }

    /// Refuses the next request of a kind.
    pub(crate) fn refuse(&self, kind: &'static str, status: u16, code: &str) {
        self.server.reply_once(of(kind), Reply::refusal(status, code, "refused on purpose"));
    }

    /// Begins a step, and lets the process die once Secrets Manager, the ledger or OpenAI has done this for it.
    pub(crate) async fn die_after(&self, kind: &'static str, step: Step) {
        self.server.reply_once_after(of(kind), Reply::never());
        let rotator = Arc::clone(&self.rotator);
        let task = tokio::spawn(async move { rotator.handle(event(step, VERSION), in_seconds(TWO_MINUTES)).await });
        timeout(Duration::from_secs(10), self.server.unanswered()).await.expect("the step comes to that");
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
    }

    /// Lets the time pass that a lease takes.
    pub(crate) fn let_the_lease_end(&self) {
        self.state().lease = None;
    }

    /// OpenAI's newest secret is in use, and the one before is still there.
    pub(crate) fn assert_rotated(&self) {
        let state = self.state();
        assert_eq!(state.in_use(), state.signing[0]);
        assert_eq!(state.versions[OLD_VERSION].stages, ["AWSPREVIOUS"]);
        assert!(state.openai_gets_through());
    }
}

/// The kind of a request.
fn kind(request: &Request) -> &'static str {
    let (name, body) = (request.name(), request.json());
    match name.as_str() {
        "DescribeSecret" => "describe",
        "GetSecretValue" if body["SecretId"] == "api-key" => "read the API key",
        "GetSecretValue" => "read",
        "PutSecretValue" if body["VersionStages"][0] == "AWSPENDING" => "store",
        "PutSecretValue" => "try writing",
        "UpdateSecretVersionStage" => "put into use",
        "UpdateItem" if body["ConditionExpression"].as_str().unwrap().contains("not_exists") => "lease",
        "UpdateItem" => "end the lease",
        path if path.ends_with("/rotate_secret") => "rotate",
        "POST /webhooks/project" => "deliver",
        other => panic!("unexpected request {other}"),
    }
}

fn refusal(code: &str) -> Reply {
    Reply::refusal(400, code, "refused on purpose")
}

fn of(name: &'static str) -> impl Fn(&Request) -> bool {
    move |request| kind(request) == name
}

impl State {
    fn answer(&mut self, request: &Request) -> Reply {
        let body = &request.json();
        match kind(request) {
            "describe" => {
                let stages: HashMap<_, _> = self.versions.iter().map(|(id, version)| (id, &version.stages)).collect();
                Reply::json(&json!({"RotationEnabled": self.rotated, "VersionIdsToStages": stages}))
            }
            "read the API key" => Reply::json(&json!({"SecretString": self.api_key, "VersionId": "1"})),
            "read" => self.read(body["VersionId"].as_str().unwrap()),
            "store" | "try writing" => self.store(body),
            "put into use" => self.put_into_use(body),
            "lease" => self.take_lease(body),
            "end the lease" => {
                self.lease = None;
                Reply::json(&json!({}))
            }
            "rotate" => {
                assert_eq!(body["keep_old_secret_active_for_24_hours"], true);
                let endpoint = request.path.split('/').nth(3).unwrap().to_owned();
                self.rotations.push(endpoint.clone());
                let made = format!("whsec_bmV3bmV3bmV3bmV3bmV3bmV3bmV3{:04}", self.rotations.len());
                self.signing.insert(0, made.clone());
                // All that OpenAI promises to keep.
                self.signing.truncate(2);
                Reply::json(&json!({"id": endpoint, "signing_secret": made}))
            }
            "deliver" => {
                self.deliveries.push((request.header("webhook-id").unwrap().to_owned(), body.clone()));
                let accepted = if self.accepts(&request.headers, &request.body) { 200 } else { 401 };
                Reply::status(if self.answers.is_empty() { accepted } else { self.answers.remove(0) })
            }
            _ => Reply::status(404),
        }
    }

    fn read(&self, version: &str) -> Reply {
        match self.versions.get(version).map(|stored| (stored, &stored.text)) {
            Some((stored, Some(text))) => {
                Reply::json(&json!({"SecretString": text, "VersionId": version, "CreatedDate": stored.created_at}))
            }
            _ => refusal("ResourceNotFoundException"),
        }
    }

    fn store(&mut self, body: &Value) -> Reply {
        let (version, text) = (body["ClientRequestToken"].as_str().unwrap(), body["SecretString"].as_str().unwrap());
        match self.versions.get(version).and_then(|stored| stored.text.as_deref()) {
            Some(other) if other != text => return refusal("ResourceExistsException"),
            _ => {}
        }
        let stage = body["VersionStages"][0].as_str().unwrap().to_owned();
        for stored in self.versions.values_mut() {
            stored.stages.retain(|name| *name != stage);
        }
        let stored = Stored { text: Some(text.to_owned()), created_at: now(), stages: vec![stage] };
        self.versions.insert(version.to_owned(), stored);
        Reply::json(&json!({"VersionId": version}))
    }

    fn put_into_use(&mut self, body: &Value) -> Reply {
        let (to, from) = (body["MoveToVersionId"].as_str().unwrap(), body["RemoveFromVersionId"].as_str().unwrap());
        if !self.versions[from].stages.contains(&"AWSCURRENT".to_owned()) {
            return refusal("InvalidParameterException");
        }
        for stored in self.versions.values_mut() {
            stored.stages.retain(|name| name != "AWSCURRENT" && name != "AWSPREVIOUS");
        }
        self.versions.get_mut(from).unwrap().stages.push("AWSPREVIOUS".to_owned());
        self.versions.get_mut(to).unwrap().stages.push("AWSCURRENT".to_owned());
        Reply::json(&json!({}))
    }

    fn take_lease(&mut self, body: &Value) -> Reply {
        let value = |name: &str, kind: &str| body["ExpressionAttributeValues"][name][kind].as_str().unwrap().to_owned();
        let (holder, now) = (value(":holder", "S"), value(":now", "N").parse::<i64>().unwrap());
        if let Some((other, until)) = &self.lease
            && *until >= now
        {
            let item = json!({"holder": {"S": other}});
            let refusal = json!({"__type": "ConditionalCheckFailedException", "Item": item});
            return Reply::new(400, refusal.to_string());
        }
        self.lease = Some((holder, value(":lease_until", "N").parse().unwrap()));
        Reply::json(&json!({}))
    }

    /// Behaviour of the verifier once it has read the secrets.
    fn accepts(&self, headers: &HeaderMap, body: &[u8]) -> bool {
        let live = ["AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"].into_iter().filter_map(|stage| {
            let mut all = self.versions.values();
            all.find(|stored| stored.stages.iter().any(|name| name == stage))?.text.as_deref()
        });
        let live: Vec<_> = live.map(|text| Secret::parse(text).unwrap()).collect();
        hooks_webhook::verify(Scheme::StandardWebhooks, &live, headers, body, now()).is_ok()
    }

    /// Whether the verifier accepts what OpenAI sends.
    pub(crate) fn openai_gets_through(&self) -> bool {
        let body = br#"{"id": "evt_1", "type": "batch.completed", "data": {"id": "batch_1"}}"#;
        let now = now();
        let signatures = self.signing.iter().map(|text| Secret::parse(text).unwrap().sign("wh_1", now, body));
        let mut headers = HeaderMap::new();
        headers.insert("webhook-id", "wh_1".parse().unwrap());
        headers.insert("webhook-timestamp", now.into());
        headers.insert("webhook-signature", signatures.collect::<Vec<_>>().join(" ").parse().unwrap());
        self.accepts(&headers, body)
    }

    /// The value that is in use.
    pub(crate) fn in_use(&self) -> &str {
        let mut versions = self.versions.values();
        let current = versions.find(|stored| stored.stages.iter().any(|stage| stage == "AWSCURRENT"));
        current.unwrap().text.as_deref().unwrap()
    }
}
