//! Everything that outlives a process, and what is known of it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hooks_consumer::Category;
use serde_json::json;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::Run;
use crate::calls::Calls;
use crate::chance::{Chance, Trouble};
use crate::checks::Checks;
use crate::dynamodb::Table;
use crate::network::{Call, Fate, Life, Plan, Reply, Service};
use crate::openai::OpenAi;
use crate::sqs::{Attributes, Message, Queue};

/// More requests than any run needs that comes to an end.
const MAX_REQUESTS: u64 = 50_000;

/// The world of one run.
pub(crate) struct World {
    state: Mutex<State>,
    /// Something changed: a message may be there, or the run is over.
    pub(crate) changed: Notify,
}

/// How a run's function is set up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) category: Category,
    pub(crate) timeout: Duration,
    pub(crate) visibility: Duration,
    pub(crate) batch_size: usize,
    /// At which receive the harness gives a message up.
    pub(crate) max_receives: u32,
    /// At which receive the queue does.
    pub(crate) max_receive_count: u32,
}

/// The services, and what the run has seen.
pub(crate) struct State {
    pub(crate) settings: Settings,
    pub(crate) chance: Chance,
    pub(crate) table: Table,
    pub(crate) queue: Queue,
    pub(crate) letters: Queue,
    pub(crate) bucket: BTreeMap<String, Bytes>,
    pub(crate) parameters: BTreeMap<String, Vec<(String, String)>>,
    pub(crate) openai: OpenAi,
    /// The live session of the run, if it plays one.
    pub(crate) calls: Option<Calls>,
    outages: BTreeMap<Service, Instant>,
    pub(crate) checks: Checks,
    /// Requests that will take effect late.
    pub(crate) late: u32,
    pub(crate) requests: u64,
    pub(crate) next_id: u64,
    began: Instant,
    show: bool,
    /// A hash of every step, to tell whether two runs are the same.
    pub(crate) digest: u64,
    /// What must not be, if it was.
    pub(crate) violation: Option<String>,
    /// How often what happened.
    pub(crate) counts: BTreeMap<&'static str, u64>,
}

impl World {
    pub(crate) fn new(settings: Settings, chance: Chance, show: bool) -> Self {
        let policy = json!({"answer_as": "realtime", "default": {"accept": {"session": {"model": "gpt-realtime"}}}});
        let state = State {
            settings,
            chance,
            table: Table::default(),
            queue: Queue::default(),
            letters: Queue::default(),
            bucket: BTreeMap::new(),
            parameters: BTreeMap::from([("/sim/policy".to_owned(), vec![(policy.to_string(), String::new())])]),
            openai: OpenAi::default(),
            calls: None,
            outages: BTreeMap::new(),
            checks: Checks::default(),
            late: 0,
            requests: 0,
            next_id: 0,
            began: Instant::now(),
            show,
            digest: 0,
            violation: None,
            counts: BTreeMap::new(),
        };
        Self { state: Mutex::new(state), changed: Notify::new() }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").finish_non_exhaustive()
    }
}

impl State {
    /// Notes a step.
    pub(crate) fn note(&mut self, text: impl FnOnce() -> String) {
        let time = self.began.elapsed();
        let millis = u64::try_from(time.as_millis()).unwrap_or_default();
        self.digest = (self.digest ^ millis).wrapping_mul(0x0100_0000_01b3).rotate_left(5);
        if self.show {
            let _ = std::io::Write::write_fmt(
                &mut std::io::stderr(),
                format_args!("{:>12.3}s  {}\n", time.as_secs_f64(), text()),
            );
        }
    }

    pub(crate) fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// What became of the run, which is over.
    pub(crate) fn run(&mut self) -> Run {
        Run {
            violation: self.violation.take(),
            requests: self.requests,
            counts: std::mem::take(&mut self.counts),
            digest: self.digest,
        }
    }

    /// Notes what must not be. The first one counts.
    pub(crate) fn violated(&mut self, what: String) {
        self.note(|| format!("VIOLATION: {what}"));
        self.violation.get_or_insert(what);
    }

    pub(crate) fn check(&mut self, result: Result<(), String>) {
        if let Err(what) = result {
            self.violated(what);
        }
    }

    /// Puts a message into the queue.
    pub(crate) fn send(&mut self, body: String, attributes: Attributes) {
        self.next_id += 1;
        self.queue.send(self.next_id, body, attributes);
    }

    /// Receives messages as Lambda does. Those that came too often go to the dead letters.
    pub(crate) fn receive(&mut self, life: Life) -> Vec<Message> {
        let (now, most) = (Instant::now(), self.chance.up_to(self.settings.batch_size - 1) + 1);
        let mut received = Vec::new();
        let mut at = 0;
        while at < self.queue.messages.len() && received.len() < most {
            let Settings { visibility, max_receive_count, .. } = self.settings;
            if self.queue.messages[at].visible_at > now {
                at += 1;
                continue;
            }
            if self.queue.messages[at].receives >= max_receive_count {
                let message = self.queue.messages.remove(at);
                self.count("moved by the queue");
                self.note(|| format!("SQS moves {} to the dead letters", message.event()));
                self.letters.messages.push(Message { receives: 0, ..message });
                continue;
            }
            let is_copied = self.chance.has(Trouble::Copy);
            let again = if is_copied { self.chance.millis(1, 20_000) } else { visibility };
            let message = &mut self.queue.messages[at];
            if is_copied {
                self.checks.excused.insert(message.event());
            }
            message.receives += 1;
            message.visible_at = now + again;
            received.push(message.clone());
            at += 1;
        }
        for message in &received {
            let (event, times) = (message.event(), message.receives);
            let source = message.attributes["source"].clone();
            let redriven = if message.attributes.contains_key("failure-reason") { ", redriven" } else { "" };
            self.note(|| format!("{life}  receives {event} ({source}{redriven}), for the {times}. time"));
        }
        self.checks.received.entry(life).or_default().extend(received.iter().cloned());
        received
    }

    /// Deletes a message that a process has acknowledged.
    pub(crate) fn acknowledge(&mut self, life: Life, message: &Message) {
        let event = message.event();
        let result = self.check_history(message);
        self.check(result);
        if self.chance.has(Trouble::Undeleted) {
            return self.note(|| format!("{life}  acknowledges {event}; SQS does not hear of it"));
        }
        self.note(|| format!("{life}  acknowledges {event}"));
        self.queue.remove(message.id);
        let result = self.check_nowhere();
        self.check(result);
    }

    /// Chooses what becomes of a request.
    pub(crate) fn plan(&mut self, life: Life, call: &Call) -> Plan {
        self.requests += 1;
        if self.requests > MAX_REQUESTS {
            self.violated(format!("the run does not end: {MAX_REQUESTS} requests"));
        }
        let result = self.check_sent(life, call);
        self.check(result);
        let slowest = if self.chance.has(Trouble::Slow) { 8_000 } else { 40 };
        let (before, mut after) = (self.chance.millis(1, slowest), self.chance.millis(1, slowest));
        if call.service == Service::Lambda && call.operation == "RequestResponse" {
            after += self.chance.within(Duration::from_secs(8));
        }
        let (fate, hangs) = (self.fate(call), self.chance.one_in(2));
        self.digest = self.digest.wrapping_add(u64::from(life.life) + call.path.len() as u64);
        self.note(|| match &fate {
            Fate::Answered => format!("{life}  {call}"),
            Fate::Applied(Some(reply)) => format!("{life}  {call}: {} after the effect", reply.status),
            Fate::NotApplied(Some(reply)) => format!("{life}  {call}: {}", reply.status),
            Fate::Applied(None) => format!("{life}  {call}: its answer gets lost"),
            Fate::NotApplied(None) => format!("{life}  {call}: does not arrive"),
            Fate::Late(time) => format!("{life}  {call}: takes effect {} s later", time.as_secs()),
            Fate::Crash { applied } => {
                format!("{life}  {call}: the process dies {} the effect", if *applied { "after" } else { "before" })
            }
        });
        Plan { before, after, fate, hangs }
    }

    fn fate(&mut self, call: &Call) -> Fate {
        let (service, now) = (call.service, Instant::now());
        let server_error = || Some(Reply::error(service, 500, "InternalServerError"));
        if self.chance.has(Trouble::Outage) {
            let time = self.chance.within(Duration::from_mins(30));
            self.outages.insert(service, now + time);
        }
        if !self.chance.calm && self.outages.get(&service).is_some_and(|until| *until > now) {
            return Fate::NotApplied(if self.chance.one_in(2) { server_error() } else { None });
        }
        let troubles = [
            Trouble::Lost,
            Trouble::Unsent,
            Trouble::Late,
            Trouble::ServerError,
            Trouble::ErrorAfter,
            Trouble::Throttle,
            Trouble::RefusedEntry,
            Trouble::Refused,
            Trouble::CrashBefore,
            Trouble::CrashAfter,
        ];
        let mut first = None;
        for trouble in troubles {
            // Asked for all of them, so that a choice does not depend on another one's.
            if self.chance.has(trouble) {
                first = first.or(Some(trouble));
            }
        }
        let Some(trouble) = first else { return Fate::Answered };
        match trouble {
            Trouble::Lost => Fate::Applied(None),
            Trouble::Unsent => Fate::NotApplied(None),
            Trouble::Late => Fate::Late(self.chance.within(Duration::from_mins(20))),
            Trouble::ServerError => Fate::NotApplied(server_error()),
            Trouble::ErrorAfter => Fate::Applied(server_error()),
            Trouble::Throttle => Fate::NotApplied(Some(self.throttled(service))),
            Trouble::RefusedEntry if service == Service::EventBridge => {
                let entry = json!({"ErrorCode": "ThrottlingException", "ErrorMessage": "No."});
                Fate::NotApplied(Some(Reply::json(200, &json!({"FailedEntryCount": 1, "Entries": [entry]}))))
            }
            Trouble::Refused if service == Service::OpenAi => {
                let status = self.chance.pick(&[400, 401, 403, 404]);
                Fate::NotApplied(Some(Reply::error(service, status, "refused")))
            }
            Trouble::CrashBefore => Fate::Crash { applied: false },
            Trouble::CrashAfter => Fate::Crash { applied: true },
            _ => Fate::Answered,
        }
    }

    fn throttled(&mut self, service: Service) -> Reply {
        match service {
            Service::S3 => Reply::error(service, 503, "SlowDown"),
            Service::OpenAi => {
                let mut reply = Reply::error(service, 429, "rate_limit_exceeded");
                if self.chance.one_in(2) {
                    reply.headers.push(("retry-after", self.chance.up_to(600).to_string()));
                }
                reply
            }
            Service::Sns => Reply::error(service, 400, "Throttling"),
            _ => Reply::error(service, 400, "ThrottlingException"),
        }
    }
}
