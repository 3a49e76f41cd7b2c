//! The Lambda Runtime API: a function asks for its next event and posts its answer.

use crate::http::{self, Response};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Lambda's own limit for one invocation of our functions that answer somebody.
pub(crate) const INVOCATION_TIMEOUT: Duration = Duration::from_secs(10);

/// How much longer than an invocation may take is waited for its answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Result that a function posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The answer to an event.
    Response(Vec<u8>),
    /// The function failed on an event.
    Error(Vec<u8>),
    /// The function could not start.
    InitError(Vec<u8>),
}

/// X-Ray's header of a request that is not traced.
const UNTRACED: &str = "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0";

pub(crate) struct Runtime {
    pub(crate) address: SocketAddr,
    /// X-Ray's header of the next events.
    pub(crate) trace: Arc<Mutex<String>>,
    events: Sender<(Vec<u8>, Duration)>,
    answers: Receiver<Answer>,
}

impl Runtime {
    pub(crate) fn start() -> Self {
        let (events, waiting) = channel();
        let (answer, answers) = channel();
        let (waiting, answer) = (Mutex::new(waiting), Mutex::new(answer));
        let count = AtomicU64::new(0);
        let trace = Arc::new(Mutex::new(UNTRACED.to_owned()));
        let header = Arc::clone(&trace);
        let address = http::serve(move |request| {
            let posted = match request.path.rsplit('/').next() {
                Some("next") if request.method == "GET" => {
                    // The function has died when nobody can be handed an event any more.
                    let (event, limit) = waiting.lock().unwrap().recv().ok()?;
                    let trace = header.lock().unwrap().clone();
                    return Some(next(count.fetch_add(1, Ordering::Relaxed), event, limit, trace));
                }
                Some("response") => Answer::Response(request.body),
                _ if request.path.ends_with("/init/error") => Answer::InitError(request.body),
                Some("error") => Answer::Error(request.body),
                _ => return Some(Response::new(404, "")),
            };
            answer.lock().unwrap().send(posted).ok()?;
            Some(Response::new(202, "{\"status\":\"OK\"}\n"))
        });
        Self { address, trace, events, answers }
    }

    /// Hands out an event that is to be answered within `limit`.
    pub(crate) fn send(&self, event: Vec<u8>, limit: Duration) {
        self.events.send((event, limit)).unwrap();
    }

    /// The next answer; `None` when there is none within `limit` and some patience.
    pub(crate) fn answer(&self, limit: Duration) -> Option<Answer> {
        self.answers.recv_timeout(limit + PATIENCE).ok()
    }
}

fn next(number: u64, event: Vec<u8>, limit: Duration, trace: String) -> Response {
    let deadline = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + limit;
    let arn = "arn:aws:lambda:us-east-1:000000000000:function:local";
    let headers = vec![
        ("Content-Type", "application/json".to_owned()),
        ("Lambda-Runtime-Aws-Request-Id", format!("00000000-0000-4000-8000-{number:012}")),
        ("Lambda-Runtime-Deadline-Ms", deadline.as_millis().to_string()),
        ("Lambda-Runtime-Invoked-Function-Arn", arn.to_owned()),
        ("Lambda-Runtime-Trace-Id", trace),
    ];
    Response { status: 200, headers, body: event }
}
