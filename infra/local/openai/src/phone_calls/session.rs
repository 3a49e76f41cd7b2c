//! A session: its clock, its script, its connections and what they ask for.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::agenda::{Act, Beat, Lane};
use super::conversation::{Conversation, Refused};
use super::plan::{Plan, SecondAttach, Step};
use super::{live, realtime, steps};
use crate::ids::{hex_id, now, now_ms};
use crate::store::lock;

/// Shortest time between two pieces of reflected audio, however fast call time runs.
const AUDIO_PAUSE: Duration = Duration::from_millis(20);

/// A piece of reflected audio: 100 ms of PCM16 at 24 kHz, in base64.
const AUDIO_BASE64: usize = 6_400;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Api {
    Realtime,
    Live,
}

impl Api {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Realtime => "realtime",
            Self::Live => "live",
        }
    }
}

/// What reaches a session.
pub(super) enum Message {
    Attach {
        outgoing: mpsc::UnboundedSender<Frame>,
        graceful: bool,
        reply: oneshot::Sender<Option<u32>>,
    },
    Client {
        connection: u32,
        text: String,
    },
    Gone {
        connection: u32,
    },
    /// Further steps of the script.
    Play(Vec<Step>),
    /// The end, for this reason.
    End(&'static str),
}

/// What a connection sends.
pub(super) enum Frame {
    Text(String),
    Binary(usize),
    /// The connection ends, with a closing handshake or without.
    Close {
        graceful: bool,
    },
}

/// What can be seen of a session from outside.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Record {
    /// Open connections.
    pub(super) connections: usize,
    /// Connections so far.
    pub(super) attached: u32,
    /// When the first one was made, in milliseconds since the Unix epoch.
    pub(super) attached_at_ms: Option<i64>,
    /// Why it ended.
    pub(super) ended: Option<String>,
    /// Billable seconds of call time.
    pub(super) seconds: u64,
    /// The client events in order, each with its connection.
    pub(super) commands: Vec<Value>,
    /// The types of the events in order.
    pub(super) events: Vec<String>,
}

pub(super) type Records = Arc<Mutex<Record>>;

struct Connection {
    number: u32,
    outgoing: mpsc::UnboundedSender<Frame>,
    graceful: bool,
    sent: u64,
}

pub(super) struct Session {
    pub(super) api: Api,
    id: String,
    pub(super) config: Value,
    plan: Plan,
    record: Records,
    connections: Vec<Connection>,
    attached: u32,
    began: Instant,
    expires_at: i64,
    has_started: bool,
    has_spoken: bool,
    has_ended: bool,
    steps: VecDeque<Step>,
    script: Lane,
    replies: Lane,
    awaited: Option<Act>,
    received: BTreeMap<String, u32>,
    sent: VecDeque<(Instant, String)>,
    pub(super) conversation: Conversation,
    response: Option<String>,
    audio_at: Instant,
    usage_at: Instant,
    audio: [String; 2],
}

impl Session {
    pub(super) fn new(api: Api, id: &str, config: Value, plan: Plan, record: Records) -> Self {
        let began = Instant::now();
        let silence = "A".repeat(AUDIO_BASE64);
        let audio = [
            json!({"type": "session.input_audio.append", "audio": silence}).to_string(),
            json!({"type": "session.output_audio.delta", "delta": silence, "start_ms": 0, "end_ms": 100}).to_string(),
        ];
        let mut script = Lane::default();
        script.push([Beat::new(plan.setup_ms, Act::Start)]);
        Self {
            api,
            id: id.to_owned(),
            config,
            record,
            connections: Vec::new(),
            attached: 0,
            began,
            expires_at: now() + i64::try_from(plan.expires_ms / 1000).unwrap_or(i64::MAX),
            has_started: false,
            has_spoken: false,
            has_ended: false,
            steps: plan.script.iter().cloned().collect(),
            script,
            replies: Lane::default(),
            awaited: None,
            received: BTreeMap::new(),
            sent: VecDeque::new(),
            conversation: Conversation::default(),
            response: None,
            audio_at: began,
            usage_at: began,
            audio,
            plan,
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Plays the session until its end.
    pub(super) async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Message>) {
        let expires = self.began + self.real(self.plan.expires_ms);
        while !self.has_ended {
            let far = expires + Duration::from_secs(1);
            let script = self.script_due().unwrap_or(far);
            let reply = self.replies.due(self.plan.speed).unwrap_or(far);
            let reflects = self.has_started && self.api == Api::Live && self.plan.audio && !self.connections.is_empty();
            let counts = self.has_started && self.api == Api::Live;
            tokio::select! {
                biased;
                message = inbox.recv() => match message {
                    Some(message) => self.take(message),
                    None => return,
                },
                () = sleep_until(reply) => self.advance(true),
                () = sleep_until(script) => self.advance(false),
                () = sleep_until(self.usage_at), if counts => self.tell_usage(None),
                () = sleep_until(self.audio_at), if reflects => self.reflect_audio(),
                () = sleep_until(expires) => self.end("expired", None),
            }
        }
    }

    fn real(&self, call_ms: u64) -> Duration {
        Duration::from_millis(call_ms).div_f64(self.plan.speed)
    }

    /// Call time since the session began, milliseconds.
    fn call_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().mul_f64(self.plan.speed).as_millis()).unwrap_or(u64::MAX)
    }

    fn seconds(&self) -> u64 {
        self.call_ms().div_ceil(1000)
    }

    /// When the script goes on; `None` while it waits or is over.
    fn script_due(&mut self) -> Option<Instant> {
        if self.awaited.is_some() {
            return None;
        }
        while self.script.beats.is_empty() {
            let step = self.steps.pop_front()?;
            let beats = steps::beats(step, self);
            self.script.push(beats);
        }
        self.script.due(self.plan.speed)
    }

    fn advance(&mut self, is_reply: bool) {
        let lane = if is_reply { &mut self.replies } else { &mut self.script };
        let Some(beat) = lane.pop() else { return };
        match beat.act {
            Act::Nothing => {}
            Act::Start => {
                self.has_started = true;
                self.usage_at = Instant::now() + self.real(self.plan.usage_every_ms);
                if self.api == Api::Live {
                    self.send(json!({"type": "session.started", "session": null}));
                }
            }
            Act::Send(event) => self.send(event),
            Act::Text(text) => self.broadcast(&text, "text"),
            Act::Binary(bytes) => self.each(|connection| drop(connection.outgoing.send(Frame::Binary(bytes)))),
            act @ (Act::Await(_) | Act::AwaitAnswer(_)) => self.awaited = Some(act),
            Act::Begin(response) => self.response = Some(response),
            Act::End => self.response = None,
            Act::Drop => self.close_all(false),
            Act::Close(reason, client_event) => self.end(&reason, client_event.as_deref()),
        }
        self.look_whether_it_has_come();
    }

    fn look_whether_it_has_come(&mut self) {
        let has_come = match &self.awaited {
            Some(Act::Await(kind)) if kind == "attach" => !self.connections.is_empty(),
            Some(Act::Await(kind)) => match self.received.get_mut(kind) {
                Some(count) if *count > 0 => {
                    *count -= 1;
                    true
                }
                _ => false,
            },
            // The answer is spoken before the script goes on.
            Some(Act::AwaitAnswer(call_id)) => self.conversation.is_answered(call_id) && self.replies.beats.is_empty(),
            _ => true,
        };
        if has_come {
            self.awaited = None;
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Attach { outgoing, graceful, reply } => {
                let accepted = self.attach(outgoing, graceful);
                // The client has gone if nobody takes the reply.
                let _ = reply.send(accepted);
            }
            Message::Client { connection, text } => self.command(connection, &text),
            Message::Gone { connection } => self.connections.retain(|open| open.number != connection),
            Message::Play(steps) => self.steps.extend(steps),
            Message::End(reason) => self.end(reason, None),
        }
        lock(&self.record).connections = self.connections.len();
        self.look_whether_it_has_come();
    }

    /// The connection's number, or `None` if it is refused.
    fn attach(&mut self, outgoing: mpsc::UnboundedSender<Frame>, graceful: bool) -> Option<u32> {
        if !self.connections.is_empty() {
            match self.plan.second_attach {
                SecondAttach::Allowed => {}
                SecondAttach::Refused => return None,
                SecondAttach::Replaces => self.close_all(true),
            }
        }
        self.attached += 1;
        {
            let mut record = lock(&self.record);
            record.attached = self.attached;
            record.attached_at_ms.get_or_insert_with(now_ms);
        }
        let mut connection = Connection { number: self.attached, outgoing, graceful, sent: 0 };
        if self.api == Api::Realtime {
            let created = self.complete(realtime::created(&self.id, &self.config, self.expires_at));
            connection.send(created.to_string());
        } else {
            let since = Instant::now().checked_sub(self.real(self.plan.replay_ms));
            for (at, event) in &self.sent {
                if since.is_none_or(|since| *at > since) {
                    connection.send(event.clone());
                }
            }
        }
        self.connections.push(connection);
        Some(self.attached)
    }

    fn command(&mut self, connection: u32, text: &str) {
        let parsed = serde_json::from_str::<Map<String, Value>>(text);
        lock(&self.record).commands.push(match &parsed {
            Ok(event) => json!({"connection": connection, "at_ms": now_ms(), "event": event}),
            Err(_) => json!({"connection": connection, "at_ms": now_ms(), "text": text}),
        });
        let member = if self.api == Api::Live { "client_event_id" } else { "event_id" };
        let Ok(event) = parsed else {
            let refused = Refused::new("invalid_json", "body", "We could not parse the JSON of your event.");
            self.replies.push([Beat::send(self.plan.answer_ms, refused.event(member, &Value::Null))]);
            return;
        };
        let kind = event.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        if self.plan.ignore.contains(&kind) {
            return;
        }
        let answer = if self.plan.refuse.contains(&kind) {
            Err(Refused::new("server_error", "type", "The event was refused by plan."))
        } else {
            self.answer(&event)
        };
        let id = event.get("event_id").cloned().unwrap_or_default();
        let mut beats = answer.unwrap_or_else(|refused| vec![Beat::send(0, refused.event(member, &id))]);
        if let Some(first) = beats.first_mut() {
            first.after_ms += self.plan.answer_ms;
        }
        self.replies.push(beats);
        *self.received.entry(kind).or_default() += 1;
    }

    fn answer(&mut self, event: &Map<String, Value>) -> Result<Vec<Beat>, Refused> {
        if self.api == Api::Live {
            return live::answer(event, &mut self.config, &mut self.conversation);
        }
        let active = self.response.clone();
        let answer =
            realtime::answer(event, &mut self.config, &mut self.conversation, active.as_deref(), self.has_spoken)?;
        if let Some(active) = active.filter(|_| event.get("type").is_some_and(|kind| kind == "response.cancel")) {
            self.script.cancel(&active);
            self.replies.cancel(&active);
        }
        Ok(answer)
    }

    /// Fills in what an event says at the moment it is sent.
    fn complete(&self, mut event: Value) -> Value {
        let at = self.call_ms();
        for (name, value) in [("start_ms", at), ("end_ms", at + live::WORD_MS), ("offset_ms", at)] {
            if event.get(name).is_some_and(Value::is_null) {
                event[name] = value.into();
            }
        }
        if event.get("session").is_some_and(Value::is_null) {
            event["session"] = match self.api {
                Api::Live => live::snapshot(&self.id, &self.config, self.expires_at),
                Api::Realtime => realtime::snapshot(&self.id, &self.config, self.expires_at),
            };
        }
        // The only event without an id.
        if event.get("event_id").is_none() && event["type"] != "input_audio_buffer.dtmf_event_received" {
            event["event_id"] = hex_id("event_").into();
        }
        event
    }

    fn send(&mut self, event: Value) {
        let event = self.complete(event);
        let kind = event["type"].as_str().unwrap_or_default().to_owned();
        self.has_spoken |= kind == "output_audio_buffer.started";
        self.broadcast(&event.to_string(), &kind);
    }

    fn broadcast(&mut self, text: &str, kind: &str) {
        lock(&self.record).events.push(kind.to_owned());
        let now = Instant::now();
        let forgotten = now.checked_sub(self.real(self.plan.replay_ms));
        while self.sent.front().is_some_and(|(at, _)| forgotten.is_some_and(|forgotten| *at < forgotten)) {
            self.sent.pop_front();
        }
        self.sent.push_back((now, text.to_owned()));
        let plan = self.plan.drop_after.clone();
        self.each(|connection| {
            connection.send(text.to_owned());
            let limit = usize::try_from(connection.number - 1).ok().and_then(|at| plan.get(at));
            if limit.is_some_and(|limit| *limit == connection.sent) {
                connection.close(false);
            }
        });
    }

    fn each(&mut self, act: impl FnMut(&mut Connection)) {
        self.connections.iter_mut().for_each(act);
    }

    fn reflect_audio(&mut self) {
        self.audio_at = Instant::now() + AUDIO_PAUSE.max(self.real(100));
        let audio = self.audio.clone();
        self.each(|connection| {
            for piece in &audio {
                // A connection that is gone is removed when its end is told.
                let _ = connection.outgoing.send(Frame::Text(piece.clone()));
            }
        });
    }

    pub(super) fn tell_usage(&mut self, seconds: Option<u64>) {
        self.usage_at = Instant::now() + self.real(self.plan.usage_every_ms);
        let usage = json!({"seconds": seconds.unwrap_or_else(|| self.seconds())});
        self.send(json!({"type": "session.usage.updated", "usage": usage, "context_window": {"usage_ratio": 0.01}}));
    }

    fn close_all(&mut self, in_form: bool) {
        for mut connection in self.connections.drain(..) {
            let graceful = in_form && connection.graceful;
            connection.close(graceful);
        }
    }

    fn end(&mut self, reason: &str, client_event: Option<&str>) {
        if self.has_ended {
            return;
        }
        let seconds = self.seconds();
        if self.api == Api::Live && self.plan.last_event {
            let mut event =
                json!({"type": "session.closed", "reason": reason, "session": null, "usage": {"seconds": seconds}});
            if let Some(id) = client_event {
                event["client_event_id"] = id.into();
            }
            self.send(event);
        }
        self.close_all(true);
        self.has_ended = true;
        let mut record = lock(&self.record);
        (record.ended, record.seconds, record.connections) = (Some(reason.to_owned()), seconds, 0);
    }
}

impl Connection {
    fn send(&mut self, text: String) {
        self.sent += 1;
        // A connection that is gone is removed when its end is told.
        let _ = self.outgoing.send(Frame::Text(text));
    }

    fn close(&mut self, graceful: bool) {
        let _ = self.outgoing.send(Frame::Close { graceful });
    }
}
