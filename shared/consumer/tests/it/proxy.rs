//! What stands between the harness and AWS in some tests: it counts the requests and makes one of them go wrong.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use hooks_testing::{Reply, Request, Server};
use tokio::sync::Notify;

use crate::world::http;

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The process dies before the request gets through.
    DieBefore,
    /// The request gets through, and the process dies before the answer does.
    DieAfter,
    /// The request gets through, but its answer gets lost, so that the SDK repeats it.
    LoseAnswer,
    /// AWS accepts the call and refuses the entry in it.
    RefuseEntry,
    /// Nobody answers, to this request and any later one.
    Silence,
}

/// A running proxy.
#[derive(Clone)]
pub(crate) struct Proxy {
    pub(crate) url: String,
    state: Arc<State>,
}

struct State {
    aws: String,
    client: reqwest::Client,
    plan: Mutex<Option<(usize, Fault)>>,
    /// Calls of this name are throttled.
    refused: Mutex<Option<String>>,
    /// From this request on every one is throttled.
    throttled_from: AtomicUsize,
    /// So many answers more get lost.
    lost: AtomicUsize,
    requests: AtomicUsize,
    names: Mutex<Vec<String>>,
    died: Notify,
}

impl Proxy {
    /// Starts one in front of the AWS at `aws`.
    pub(crate) async fn start(aws: &str) -> Self {
        let state = Arc::new(State {
            aws: aws.to_owned(),
            client: http(),
            plan: Mutex::new(None),
            refused: Mutex::new(None),
            throttled_from: AtomicUsize::new(usize::MAX),
            lost: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            names: Mutex::new(Vec::new()),
            died: Notify::new(),
        });
        let serving = Arc::clone(&state);
        let server = Server::start_async(move |request| answer(Arc::clone(&serving), request)).await;
        Self { url: server.url().to_owned(), state }
    }

    /// Makes something go wrong at the `n`th request from now, counted from 1.
    pub(crate) fn fault(&self, n: usize, fault: Fault) {
        let next = self.state.requests.load(Ordering::SeqCst) + n;
        *self.state.plan.lock().unwrap() = Some((next, fault));
    }

    /// Refuses every call of this name from now on.
    pub(crate) fn refuse(&self, name: &str) {
        *self.state.refused.lock().unwrap() = Some(name.to_owned());
    }

    /// Refuses the `n`th request from now, counted from 1, and all that follow.
    pub(crate) fn throttle_from(&self, n: usize) {
        self.state.throttled_from.store(self.state.requests.load(Ordering::SeqCst) + n, Ordering::SeqCst);
    }

    /// Loses the answers of the next `count` requests.
    pub(crate) fn lose(&self, count: usize) {
        self.state.lost.store(count, Ordering::SeqCst);
    }

    /// Waits until the process should be dead.
    pub(crate) async fn died(&self) {
        self.state.died.notified().await;
    }

    /// The calls that were made, by name, in order.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.state.names.lock().unwrap().clone()
    }
}

async fn answer(state: Arc<State>, request: Request) -> Reply {
    let number = state.requests.fetch_add(1, Ordering::SeqCst) + 1;
    // SNS names its action in the form.
    let action =
        std::str::from_utf8(&request.body).unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("Action="));
    let operation = request.header("x-amz-target").and_then(|target| target.split('.').nth(1));
    let name = operation.or(action).unwrap_or(&request.path);
    state.names.lock().unwrap().push(name.to_owned());
    let is_refused = state.refused.lock().unwrap().as_deref() == Some(name);
    if is_refused || number >= state.throttled_from.load(Ordering::SeqCst) {
        return Reply::new(503, "");
    }

    let plan = *state.plan.lock().unwrap();
    let fault = plan.and_then(|(at, fault)| match fault {
        Fault::Silence => (number >= at).then_some(fault),
        _ => (number == at).then_some(fault),
    });
    match fault {
        Some(Fault::DieBefore) => {
            state.died.notify_one();
            return std::future::pending().await;
        }
        Some(Fault::Silence) => return std::future::pending().await,
        Some(Fault::RefuseEntry) => {
            let answer = r#"{"FailedEntryCount":1,"Entries":[{"ErrorCode":"InternalFailure","ErrorMessage":"later"}]}"#;
            return Reply::new(200, answer).header("content-type", "application/x-amz-json-1.1");
        }
        Some(Fault::DieAfter | Fault::LoseAnswer) | None => {}
    }

    let uri = format!("{}{}", state.aws, request.target());
    let mut headers = request.headers;
    headers.remove("content-length");
    let response = state.client.request(request.method, uri).headers(headers).body(request.body).send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let mut answer = Reply::new(status, response.bytes().await.unwrap());
    for (name, value) in
        headers.iter().filter(|(name, _)| !["transfer-encoding", "connection"].contains(&name.as_str()))
    {
        answer = answer.header(name.as_str(), value.to_str().unwrap());
    }
    let lost = state.lost.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
    match fault.or(lost.then_some(Fault::LoseAnswer)) {
        Some(Fault::DieAfter) => {
            state.died.notify_one();
            std::future::pending().await
        }
        Some(Fault::LoseAnswer) => Reply::status(500),
        _ => answer,
    }
}
