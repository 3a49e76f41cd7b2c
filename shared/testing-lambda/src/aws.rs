//! Secrets Manager and SQS, as far as they are called here.

use crate::http::{self, Request, Response};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Stands in for AWS: both services at one address, for `AWS_ENDPOINT_URL`.
pub struct Aws {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

/// How a call fails.
#[derive(Debug, Clone)]
pub enum Fault {
    /// An answer with this status and error code.
    Answer(u16, &'static str),
    /// The connection is closed instead of an answer.
    Cut,
    /// No answer for this long.
    Silence(Duration),
}

#[derive(Default)]
struct State {
    /// By secret and stage.
    secrets: HashMap<(String, String), Version>,
    /// By operation: what fails, and how often still.
    faults: HashMap<&'static str, (Fault, usize)>,
    calls: HashMap<String, usize>,
    messages: Option<Vec<Value>>,
    versions: u64,
}

#[derive(Clone)]
struct Version {
    id: String,
    text: String,
    created_at: f64,
}

impl Aws {
    /// Starts without secrets, and forgets messages.
    #[must_use]
    pub fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let address = http::serve(move |request| answer(&shared, &request));
        Self { address, state }
    }

    /// The URL of every service.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Sets a secret's value at a staging label, made `age` ago. No text removes it.
    pub fn set_secret(&self, id: &str, label: &str, text: Option<&str>, age: Duration) {
        let mut state = self.state();
        let key = (id.to_owned(), label.to_owned());
        let Some(text) = text else {
            state.secrets.remove(&key);
            return;
        };
        state.versions += 1;
        let created_at = (SystemTime::now() - age).duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        let version = Version {
            id: format!("00000000-0000-4000-8000-{:012}", state.versions),
            text: text.to_owned(),
            created_at,
        };
        state.secrets.insert(key, version);
    }

    /// Lets the next `times` calls of an operation, such as `AmazonSQS.SendMessage`, fail.
    pub fn fail(&self, operation: &'static str, fault: Fault, times: usize) {
        self.state().faults.insert(operation, (fault, times));
    }

    /// How often an operation was called, whatever became of it.
    #[must_use]
    pub fn calls(&self, operation: &str) -> usize {
        self.state().calls.get(operation).copied().unwrap_or(0)
    }

    /// Keeps messages from now on.
    pub fn keep_messages(&self) {
        self.state().messages.get_or_insert_default();
    }

    /// The requests by which messages were sent and taken, since they are kept.
    #[must_use]
    pub fn messages(&self) -> Vec<Value> {
        self.state().messages.clone().unwrap_or_default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

fn answer(state: &Mutex<State>, request: &Request) -> Option<Response> {
    let operation = request.header("x-amz-target").unwrap_or_default();
    let mut state = state.lock().unwrap();
    *state.calls.entry(operation.to_owned()).or_default() += 1;
    if let Some((fault, times)) = state.faults.get_mut(operation)
        && *times > 0
    {
        *times -= 1;
        let fault = fault.clone();
        drop(state);
        return fail(&fault);
    }
    match operation {
        "AmazonSQS.SendMessage" => {
            if let Some(messages) = &mut state.messages {
                messages.push(serde_json::from_slice(&request.body).unwrap());
            }
            Some(Response::new(200, SENT))
        }
        "secretsmanager.GetSecretValue" => Some(secret_value(&state, &request.body)),
        _ => Some(error(400, "UnknownOperationException")),
    }
}

/// Answer of SQS to an accepted message.
const SENT: &str = "{\"MD5OfMessageBody\":\"6a204bd89f3c8348afd5c77c717a097a\",\
    \"MD5OfMessageAttributes\":\"3ae8f24a165a8cedc005670c81a27295\",\
    \"MessageId\":\"219f8380-5770-4cc2-8c3e-5c715e145f5e\"}";

fn secret_value(state: &State, body: &[u8]) -> Response {
    let input: Value = serde_json::from_slice(body).unwrap();
    let id = input["SecretId"].as_str().unwrap_or_default();
    let label = input["VersionStage"].as_str().unwrap_or("AWSCURRENT");
    let Some(value) = state.secrets.get(&(id.to_owned(), label.to_owned())) else {
        return error(400, "ResourceNotFoundException");
    };
    let output = json!({
        "ARN": format!("arn:aws:secretsmanager:us-east-1:000000000000:secret:{id}-AbCdEf"),
        "Name": id,
        "VersionId": value.id,
        "SecretString": value.text,
        "VersionStages": [label],
        "CreatedDate": value.created_at,
    });
    Response::new(200, output.to_string())
}

fn fail(fault: &Fault) -> Option<Response> {
    match fault {
        Fault::Answer(status, code) => Some(error(*status, code)),
        Fault::Cut => None,
        Fault::Silence(duration) => {
            thread::sleep(*duration);
            None
        }
    }
}

fn error(status: u16, code: &str) -> Response {
    let body = json!({"__type": code, "message": "so the stand-in was told"}).to_string();
    let headers = vec![("x-amzn-errortype", code.to_owned())];
    Response { status, headers, body: body.into_bytes() }
}
