//! OpenAI and Systems Manager on one server, which answers as a test says.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use hooks_aws::functions::Functions;
use hooks_aws::ledger::Ledger;
use hooks_aws::queue::QueueSender;
use hooks_consumer::parameters::Parameters;
use hooks_openai::Client;
use hooks_testing::{Request, Server};
use serde_json::{Value, json};
use tokio::time::{advance, pause, resume};

use crate::policy_source::PolicySource;
use crate::supervise::Supervisors;

/// An answer of OpenAI.
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

impl From<Reply> for hooks_testing::Reply {
    fn from(reply: Reply) -> Self {
        match reply {
            Reply::Done(body) => Self::new(200, body),
            Reply::Cut => Self::cut("{"),
            Reply::Refused(status) => Self::status(status),
            Reply::Because(status, code, message) => Self::refusal(status, code, message),
            Reply::RetryAfter(seconds) => Self::status(429).header("retry-after", seconds),
        }
    }
}

/// The parameter in Systems Manager.
pub(crate) enum Parameter {
    Absent,
    Denied,
    Text(String),
}

pub(crate) struct FakeServices {
    /// With its version.
    parameter: Arc<Mutex<(Parameter, i64)>>,
    server: Server,
}

fn is_of_openai(request: &Request) -> bool {
    request.path.starts_with("/v1/")
}

impl FakeServices {
    /// An OpenAI that does everything, and no policy.
    pub(crate) async fn start() -> Self {
        let parameter = Arc::new(Mutex::new((Parameter::Absent, 0)));
        let serving = Arc::clone(&parameter);
        let server = Server::start(move |request| match &*serving.lock().unwrap() {
            _ if is_of_openai(request) => hooks_testing::Reply::status(200),
            _ if request.name() != "GetParameter" => hooks_testing::Reply::json(&json!({"MessageId": "1"})),
            (parameter, version) => get_parameter(request, parameter, *version),
        });
        Self { parameter, server: server.await }
    }

    /// Answers the next calls of OpenAI like this.
    pub(crate) fn reply(&self, replies: impl IntoIterator<Item = Reply>) {
        for reply in replies {
            self.server.reply_once(is_of_openai, reply.into());
        }
    }

    /// The path and body of each call of OpenAI.
    pub(crate) fn calls(&self) -> Vec<(String, Value)> {
        let requests = self.server.requests();
        requests.iter().filter(|request| is_of_openai(request)).map(|it| (it.path.clone(), it.json())).collect()
    }

    /// Number of times that the parameter was read.
    pub(crate) fn look_ups(&self) -> usize {
        self.server.count("GetParameter")
    }

    /// Sets the parameter, which has another version then.
    pub(crate) fn set(&self, parameter: Parameter) {
        let mut state = self.parameter.lock().unwrap();
        *state = (parameter, state.1 + 1);
    }

    pub(crate) fn store(&self, policy: &Value) {
        self.set(Parameter::Text(policy.to_string()));
    }

    pub(crate) fn client(&self) -> Client {
        self.server.openai()
    }

    /// Supervisors whose ledger, queue and function are this server.
    pub(crate) fn supervisors(&self) -> Supervisors {
        let config = self.server.aws();
        Supervisors {
            ledger: Ledger::new(&config, "ledger"),
            queue: QueueSender::new(&config),
            queue_url: "https://sqs.us-east-1.amazonaws.com/1/supervisor".to_owned(),
            functions: Functions::new(&config),
            function: Some("stack-supervisor".to_owned()),
        }
    }

    /// Names of what was asked of AWS and OpenAI, in order, but for the policy.
    pub(crate) fn asked(&self) -> Vec<String> {
        let requests = self.server.requests();
        requests.iter().map(Request::name).filter(|name| name != "GetParameter").collect()
    }

    /// Answers the next request of this name with this status.
    pub(crate) fn refuse(&self, name: &'static str, status: u16) {
        self.server.reply_once(move |request: &Request| request.name() == name, hooks_testing::Reply::status(status));
    }

    pub(crate) fn source(&self) -> PolicySource {
        let parameters = Parameters::new(&self.server.aws());
        PolicySource::Parameter { parameters, name: "/stack/call-policy".to_owned() }
    }
}

fn get_parameter(request: &Request, parameter: &Parameter, version: i64) -> hooks_testing::Reply {
    assert_eq!((request.name(), &request.json()["Name"]), ("GetParameter".to_owned(), &json!("/stack/call-policy")));
    match parameter {
        Parameter::Absent => hooks_testing::Reply::refusal(400, "ParameterNotFound", ""),
        Parameter::Denied => hooks_testing::Reply::refusal(400, "AccessDeniedException", ""),
        Parameter::Text(value) => {
            hooks_testing::Reply::json(&json!({"Parameter": {"Value": value, "Version": version}}))
        }
    }
}

/// Lets so many seconds pass at once.
pub(crate) async fn later(seconds: u64) {
    pause();
    advance(Duration::from_secs(seconds)).await;
    resume();
}
