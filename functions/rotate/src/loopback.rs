//! As much of Secrets Manager, `DynamoDB`, OpenAI and the verifier as a rotation meets, on the loopback device.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, Response};
use hooks_aws::Environment;
use hooks_webhook::{Scheme, Secret};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::rotator::Rotator;

/// The secret that is in use before anything is rotated, at OpenAI and here.
pub(crate) const OLD: &str = "whsec_b2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xk";
pub(crate) const OLD_VERSION: &str = "11111111-old";
/// The endpoint at OpenAI.
pub(crate) const ENDPOINT: &str = "whe_1";
/// The version that a rotation is to fill.
pub(crate) const VERSION: &str = "22222222-new";

/// What happens to the next request of a kind.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// It is answered so, and nothing is done.
    Refuse(u16, &'static str),
    /// It is done, and never answered.
    DoneWithoutAnswer,
}

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
    /// What OpenAI signs with, the newest first.
    pub(crate) signing: Vec<String>,
    /// How often OpenAI has made a secret, and for which endpoint.
    pub(crate) rotations: Vec<String>,
    /// The answers to the next deliveries, instead of what the verifier says.
    pub(crate) answers: Vec<u16>,
    /// `webhook-id` and body of each delivery.
    pub(crate) deliveries: Vec<(String, Value)>,
    faults: HashMap<&'static str, Fault>,
}

#[derive(Clone)]
pub(crate) struct Server {
    state: Arc<Mutex<State>>,
    /// Something was done that is not answered.
    pub(crate) cut: Arc<Notify>,
    pub(crate) url: String,
}

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

impl Server {
    /// Secrets Manager has begun a rotation, and done nothing else.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let stored = |text: Option<&str>, stage: &str| Stored {
            text: text.map(str::to_owned),
            created_at: now() - 60,
            stages: vec![stage.to_owned()],
        };
        let state = State {
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
            faults: HashMap::new(),
        };
        let server = Self { state: Arc::new(Mutex::new(state)), cut: Arc::default(), url };
        let serving = server.clone();
        let app = Router::new().fallback(move |request: Request| serving.clone().answer(request));
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        server
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn rotator(&self) -> Rotator {
        Rotator::from_env(Environment::of([
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_ENDPOINT_URL", &self.url),
            ("TABLE_NAME", "ledger"),
            ("OPENAI_API_KEY_SECRET", "api-key"),
            ("OPENAI_BASE_URL", &format!("{}/v1", self.url)),
            ("WEBHOOK_URL", &format!("{}/webhooks/project", self.url)),
            ("ENDPOINT_ID", ENDPOINT),
        ]))
        .unwrap()
    }

    /// Lets this happen to the next request of a kind.
    pub(crate) fn fault(&self, kind: &'static str, fault: Fault) {
        self.state().faults.insert(kind, fault);
    }

    /// Lets the time pass that a lease takes.
    pub(crate) fn let_the_lease_end(&self) {
        self.state().lease = None;
    }

    async fn answer(self, request: Request) -> Response<Body> {
        let path = request.uri().path().to_owned();
        let target = request.headers().get("x-amz-target").map(|target| target.to_str().unwrap().to_owned());
        let (parts, body) = request.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let (kind, answer, hangs) = {
            let mut state = self.state();
            let kind = kind(target.as_deref(), &path, &body);
            let fault = state.faults.remove(kind);
            let answer = match fault {
                Some(Fault::Refuse(status, name)) => (status, refusal(name)),
                _ => state.act(kind, &path, &body, &parts.headers, &bytes),
            };
            (kind, answer, matches!(fault, Some(Fault::DoneWithoutAnswer)))
        };
        if hangs {
            self.cut.notify_one();
            std::future::pending::<()>().await;
        }
        let (status, body) = answer;
        assert_ne!(status, 0, "nobody knows {kind}");
        Response::builder().status(status).body(body.to_string().into()).unwrap()
    }
}

/// What a request is called here.
fn kind(target: Option<&str>, path: &str, body: &Value) -> &'static str {
    match target.and_then(|target| target.split('.').nth(1)) {
        Some("DescribeSecret") => "describe",
        Some("GetSecretValue") if body["SecretId"] == "api-key" => "read the API key",
        Some("GetSecretValue") => "read",
        Some("PutSecretValue") if body["VersionStages"][0] == "AWSPENDING" => "store",
        Some("PutSecretValue") => "try writing",
        Some("UpdateSecretVersionStage") => "put into use",
        Some("UpdateItem") if body["ConditionExpression"].as_str().unwrap().contains("not_exists") => "lease",
        Some("UpdateItem") => "end the lease",
        Some(_) => "unknown",
        None if path.ends_with("/rotate_secret") => "rotate",
        None => "deliver",
    }
}

fn refusal(name: &str) -> Value {
    json!({"__type": name, "message": "refused on purpose", "error": {"message": "refused on purpose"}})
}

impl State {
    fn act(&mut self, kind: &str, path: &str, body: &Value, headers: &HeaderMap, bytes: &[u8]) -> (u16, Value) {
        match kind {
            "describe" => {
                let stages: HashMap<_, _> = self.versions.iter().map(|(id, version)| (id, &version.stages)).collect();
                (200, json!({"RotationEnabled": self.rotated, "VersionIdsToStages": stages}))
            }
            "read the API key" => (200, json!({"SecretString": self.api_key, "VersionId": "1"})),
            "read" => self.read(body["VersionId"].as_str().unwrap()),
            "store" | "try writing" => self.store(body),
            "put into use" => self.put_into_use(body),
            "lease" => self.take_lease(body),
            "end the lease" => {
                self.lease = None;
                (200, json!({}))
            }
            "rotate" => {
                assert_eq!(body["keep_old_secret_active_for_24_hours"], true);
                let endpoint = path.split('/').nth(3).unwrap().to_owned();
                self.rotations.push(endpoint.clone());
                let made = format!("whsec_bmV3bmV3bmV3bmV3bmV3bmV3bmV3{:04}", self.rotations.len());
                self.signing.insert(0, made.clone());
                // All that OpenAI promises to keep.
                self.signing.truncate(2);
                (200, json!({"id": endpoint, "signing_secret": made}))
            }
            "deliver" => {
                self.deliveries.push((headers["webhook-id"].to_str().unwrap().to_owned(), body.clone()));
                let accepted = if self.accepts(headers, bytes) { 200 } else { 401 };
                let answer = if self.answers.is_empty() { accepted } else { self.answers.remove(0) };
                (answer, json!({}))
            }
            _ => (0, json!({})),
        }
    }

    fn read(&self, version: &str) -> (u16, Value) {
        match self.versions.get(version).map(|stored| (stored, &stored.text)) {
            Some((stored, Some(text))) => {
                (200, json!({"SecretString": text, "VersionId": version, "CreatedDate": stored.created_at}))
            }
            _ => (400, refusal("ResourceNotFoundException")),
        }
    }

    fn store(&mut self, body: &Value) -> (u16, Value) {
        let (version, text) = (body["ClientRequestToken"].as_str().unwrap(), body["SecretString"].as_str().unwrap());
        match self.versions.get(version).and_then(|stored| stored.text.as_deref()) {
            Some(other) if other != text => return (400, refusal("ResourceExistsException")),
            _ => {}
        }
        let stage = body["VersionStages"][0].as_str().unwrap().to_owned();
        for stored in self.versions.values_mut() {
            stored.stages.retain(|name| *name != stage);
        }
        let stored = Stored { text: Some(text.to_owned()), created_at: now(), stages: vec![stage] };
        self.versions.insert(version.to_owned(), stored);
        (200, json!({"VersionId": version}))
    }

    fn put_into_use(&mut self, body: &Value) -> (u16, Value) {
        let (to, from) = (body["MoveToVersionId"].as_str().unwrap(), body["RemoveFromVersionId"].as_str().unwrap());
        if !self.versions[from].stages.contains(&"AWSCURRENT".to_owned()) {
            return (400, refusal("InvalidParameterException"));
        }
        for stored in self.versions.values_mut() {
            stored.stages.retain(|name| name != "AWSCURRENT" && name != "AWSPREVIOUS");
        }
        self.versions.get_mut(from).unwrap().stages.push("AWSPREVIOUS".to_owned());
        self.versions.get_mut(to).unwrap().stages.push("AWSCURRENT".to_owned());
        (200, json!({}))
    }

    fn take_lease(&mut self, body: &Value) -> (u16, Value) {
        let value = |name: &str, kind: &str| body["ExpressionAttributeValues"][name][kind].as_str().unwrap().to_owned();
        let (holder, now) = (value(":holder", "S"), value(":now", "N").parse::<i64>().unwrap());
        if let Some((other, until)) = &self.lease
            && *until >= now
        {
            let item = json!({"holder": {"S": other}});
            return (400, json!({"__type": "ConditionalCheckFailedException", "Item": item}));
        }
        self.lease = Some((holder, value(":lease_until", "N").parse().unwrap()));
        (200, json!({}))
    }

    /// What the verifier does once it has read the secrets.
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
