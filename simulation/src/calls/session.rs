//! OpenAI's side of the session: the WebSocket of its sidebands, and what the model and the caller do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, Either, pending, select};
use futures::{SinkExt, StreamExt};
use hooks_openai::{CallApi, Dial, Transport};
use serde_json::{Value, json};
use tokio::io::{DuplexStream, duplex};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep};
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};

use super::Calls;
use crate::chance::{Chance, Trouble};
use crate::network::{Life, Process, Reply, Service};
use crate::world::{State, World};

/// The session's id.
pub(super) const ID: &str = "session_1";

/// What is on its way over a connection, in bytes.
const IN_FLIGHT: usize = 64 * 1024;

/// Longest time for which an event is on its way.
const ON_ITS_WAY: Duration = Duration::from_secs(1);

/// A part of the words with which a supervisor asks the model to call again.
const AGAIN: &str = "call it again";

/// The session as OpenAI has it.
pub(crate) struct Session {
    appears_at: Instant,
    pub(super) ended: Option<Instant>,
    /// Whether it takes one connection alone.
    exclusive: bool,
    connections: BTreeMap<u64, (Life, UnboundedSender<Sent>)>,
    pub(super) wanted: Vec<Wanted>,
    /// Where it was referred to, and whether that leaves.
    pub(super) refers: Vec<String>,
    refer_leaves: bool,
    last: u64,
}

/// Something that the model wants a tool for.
pub(crate) struct Wanted {
    pub(super) tool: &'static str,
    /// The ids under which it was called.
    pub(super) ids: Vec<String>,
    /// What the model was told, by id.
    pub(super) answers: BTreeMap<String, Vec<String>>,
    /// When the call was last sent to a supervisor.
    told_at: Option<Instant>,
    /// Whether the call and the question to call again met on their way: then the supervisor has two calls to run.
    pub(super) crossed: bool,
}

/// What a connection is told to do.
enum Sent {
    Event(String),
    Close,
}

impl Wanted {
    pub(super) fn new(tool: &'static str) -> Self {
        Self { tool, ids: Vec::new(), answers: BTreeMap::new(), told_at: None, crossed: false }
    }
}

impl Session {
    pub(super) fn new(chance: &mut Chance, wanted: Vec<Wanted>) -> Self {
        let appears_in = if chance.one_in(4) { chance.millis(0, 2_000) } else { Duration::ZERO };
        Self {
            appears_at: Instant::now() + appears_in,
            ended: None,
            exclusive: chance.one_in(3),
            connections: BTreeMap::new(),
            wanted,
            refers: Vec::new(),
            refer_leaves: chance.one_in(2),
            last: 0,
        }
    }

    /// Calls that the model waits for.
    pub(super) fn unanswered(&self) -> impl Iterator<Item = &str> {
        let waits = self.wanted.iter().filter(|wanted| wanted.answers.is_empty());
        waits.filter_map(|wanted| wanted.ids.last().map(String::as_str))
    }

    fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// Sends an event to everybody who is attached.
    fn send(&mut self, mut event: Value) {
        event["event_id"] = format!("event_{}", self.next()).into();
        let text = event.to_string();
        for (_, connection) in self.connections.values() {
            let _ = connection.send(Sent::Event(text.clone()));
        }
    }
}

impl Calls {
    /// An event of the model's backend, as the session's API tells it.
    fn send_response(&mut self, event: Value) {
        let event = match self.api {
            CallApi::Live => json!({"type": "response.event", "delegation_id": "deleg_1", "event": event}),
            CallApi::Realtime => event,
        };
        self.session.send(event);
    }

    /// What a client event of this id is confirmed by.
    fn confirm(&mut self, connection: u64, mut event: Value, id: &Value) {
        let number = self.session.next();
        event["event_id"] = format!("event_{number}").into();
        if self.api == CallApi::Live {
            event["client_event_id"] = id.clone();
        }
        if let Some((_, connection)) = self.session.connections.get(&connection) {
            let _ = connection.send(Sent::Event(event.to_string()));
        }
    }
}

impl State {
    // The model and the caller ----------------------------------------------------------------------------------------

    /// Has the model call a tool, or tell the same call again.
    pub(super) fn call_tool(&mut self, number: usize) {
        let wanted = &mut self.calls().session.wanted[number];
        if wanted.ids.is_empty() {
            wanted.ids.push(format!("call_{number}"));
        }
        self.tell_call(number);
    }

    /// Has the model call again what it waits for, under other ids.
    fn call_again(&mut self) {
        for number in 0..self.calls().session.wanted.len() {
            let wanted = &mut self.calls().session.wanted[number];
            if !wanted.ids.is_empty() && wanted.answers.is_empty() {
                wanted.crossed |= wanted.told_at.is_some_and(|at| at.elapsed() < ON_ITS_WAY);
                wanted.ids.push(format!("call_{number}_{}", wanted.ids.len()));
                self.tell_call(number);
            }
        }
    }

    fn tell_call(&mut self, number: usize) {
        let copies = if self.chance.has(Trouble::Copy) { 2 } else { 1 };
        let calls = self.calls();
        let Wanted { tool, ids, .. } = &calls.session.wanted[number];
        let arguments = match *tool {
            "transfer" => r#"{"target":"sales"}"#,
            "collect_digits" => r#"{"length":1}"#,
            _ => r#"{"number":7}"#,
        };
        let id = ids.last().cloned().unwrap_or_default();
        let item = json!({"type": "function_call", "status": "completed", "call_id": id, "name": tool, "arguments": arguments});
        let attached = calls.session.connections.len();
        if attached > 0 {
            calls.session.wanted[number].told_at = Some(Instant::now());
        }
        let response = format!("resp_{}", calls.session.next());
        calls.send_response(json!({"type": "response.created", "response": {"id": response}}));
        for _ in 0..copies {
            calls.send_response(json!({"type": "response.output_item.done", "item": item}));
        }
        let (done, output) = match calls.api {
            CallApi::Live => ("response.completed", json!([])),
            CallApi::Realtime => ("response.done", json!([item])),
        };
        let response = json!({"id": response, "status": "completed", "output": output, "usage": {"total_tokens": 7}});
        calls.send_response(json!({"type": done, "response": response}));
        let tool = calls.session.wanted[number].tool;
        self.count("tool calls");
        self.note(|| format!("the model calls {tool} as {id}, {attached} attached"));
        // Whoever has just heard of it may die at once.
        if self.chance.has(Trouble::CrashBefore) {
            self.calls().checks.kill_next = true;
        }
    }

    pub(super) fn caller_speaks(&mut self) {
        let calls = self.calls();
        let event = match calls.api {
            CallApi::Live => {
                json!({"type": "session.input_transcript.delta", "delta": "Hello?", "start_ms": 0, "end_ms": 200})
            }
            CallApi::Realtime => json!({"type": "conversation.item.input_audio_transcription.completed",
                "item_id": format!("item_{}", calls.session.last), "transcript": "Hello?"}),
        };
        calls.session.send(event);
    }

    pub(super) fn caller_presses(&mut self) {
        let calls = self.calls();
        let kind = match calls.api {
            CallApi::Live => "transport.dtmf.received",
            CallApi::Realtime => "input_audio_buffer.dtmf_event_received",
        };
        calls.session.send(json!({"type": kind, "event": "5"}));
    }

    /// Ends the session.
    pub(super) fn end_session(&mut self, reason: &str) {
        let calls = self.calls();
        if calls.session.ended.is_some() {
            return;
        }
        calls.session.ended = Some(Instant::now());
        if calls.api == CallApi::Live {
            calls.session.send(json!({"type": "session.closed", "reason": reason, "usage": {"seconds": 60}}));
        }
        for (_, connection) in calls.session.connections.values() {
            let _ = connection.send(Sent::Close);
        }
        self.note(|| format!("the session ends: {reason}"));
    }

    // What supervisors send --------------------------------------------------------------------------------------------

    /// Whether a connection is taken, and what it is then told.
    fn attach(&mut self, life: Life) -> Result<(u64, UnboundedReceiver<Sent>), u16> {
        let status = if self.chance.has(Trouble::ServerError) {
            Some(500)
        } else if self.chance.has(Trouble::Throttle) {
            Some(429)
        } else {
            let session = &self.calls().session;
            let is_there = session.appears_at <= Instant::now() && session.ended.is_none();
            let is_taken = session.exclusive && !session.connections.is_empty();
            if is_there { is_taken.then_some(409) } else { Some(404) }
        };
        if let Some(status) = status {
            self.note(|| format!("{life}  is refused by the session: {status}"));
            return Err(status);
        }
        let (sender, receiver) = unbounded_channel();
        let calls = self.calls();
        let number = calls.session.next();
        calls.session.connections.insert(number, (life, sender));
        let kind = if calls.api == CallApi::Live { "session.started" } else { "session.created" };
        calls.confirm(number, json!({"type": kind, "session": {"id": ID}}), &Value::Null);
        self.note(|| format!("{life}  is attached"));
        Ok((number, receiver))
    }

    fn detached(&mut self, life: Life, connection: u64) {
        self.calls().session.connections.remove(&connection);
        self.note(|| format!("{life}  is detached"));
    }

    /// Takes a client event.
    fn client_event(&mut self, life: Life, connection: u64, event: &Value) {
        let kind = event["type"].as_str().unwrap_or_default();
        let result = self.check_acting(life, kind);
        self.check(result);
        self.note(|| format!("{life}  sends {kind}"));
        let id = &event["event_id"];
        let item = &event["item"];
        let is_result = item["type"] == "function_call_output";
        let is_spoken = matches!(kind, "session.commentary.append" | "response.create");
        if is_spoken && self.chance.has(Trouble::RefusedEntry) {
            let error = json!({"code": "refused", "message": "No.", "event_id": id});
            return self.calls().confirm(connection, json!({"type": "error", "error": error}), id);
        }
        match (self.calls().api, kind) {
            (CallApi::Live, "session.commentary.append" | "session.instructions.append") => {
                self.calls().confirm(connection, json!({"type": format!("{kind}ed"), "start_ms": 0, "end_ms": 0}), id);
                if event["content"].as_str().is_some_and(|text| text.contains(AGAIN)) {
                    self.call_again();
                }
            }
            (CallApi::Live, "response.item.create") if is_result => self.answered(life, item),
            (CallApi::Realtime, "conversation.item.create") => {
                self.calls().session.send(json!({"type": "conversation.item.added", "item": item}));
                if is_result {
                    self.answered(life, item);
                } else if item["content"][0]["text"].as_str().is_some_and(|text| text.contains(AGAIN)) {
                    self.call_again();
                }
            }
            (api, "response.create") => {
                let calls = self.calls();
                let response = format!("resp_{}", calls.session.next());
                let created = json!({"type": "response.created", "response": {"id": response,
                    "metadata": event["response"]["metadata"]}});
                let done = if api == CallApi::Live { "response.completed" } else { "response.done" };
                let done = json!({"type": done, "response": {"id": response, "status": "completed", "output": []}});
                calls.send_response(created);
                calls.send_response(done);
            }
            _ => self.violated(format!("{kind} is not played here")),
        }
    }

    /// The model has the result of a tool call.
    fn answered(&mut self, life: Life, item: &Value) {
        let [id, output] = ["call_id", "output"].map(|name| item[name].as_str().unwrap_or_default().to_owned());
        self.note(|| format!("{life}  answers {id}: {output}"));
        self.count("answers");
        let found = self.calls().session.wanted.iter_mut().find(|wanted| wanted.ids.contains(&id));
        let Some(wanted) = found else { return self.violated(format!("{id} is answered and was never called")) };
        let answers = wanted.answers.entry(id.clone()).or_default();
        let before = answers.first().cloned();
        answers.push(output.clone());
        match before {
            // The ledger was out of reach for 20 s: the result was given and could not be kept, and then its supervisor died.
            Some(before) if before != output && !self.call_checks().was_kept(&id, &before) => {
                self.count("results that were given and not kept");
            }
            Some(before) if before != output => {
                self.violated(format!("{id} is answered twice, and not the same: {before} and {output}"));
            }
            Some(_) => self.count("answers again"),
            None => {}
        }
    }

    /// A request to hang up or to refer.
    pub(crate) fn session_asked(&mut self, life: Life, path: &str, body: &Value) -> Reply {
        if self.calls().session.ended.is_some() {
            return Reply::error(Service::OpenAi, 404, "not_found");
        }
        self.note(|| format!("{life}  asks for {path} {body}"));
        if path.ends_with("/hangup") {
            self.end_session("close_requested");
        } else {
            let target = body["target_uri"].as_str().unwrap_or_default().to_owned();
            let session = &mut self.calls().session;
            session.refers.push(target.clone());
            let leaves = session.refer_leaves;
            let result = self.check_refer(&target);
            self.check(result);
            if leaves {
                self.end_session("remote_hangup");
            }
        }
        Reply::json(200, &json!({}))
    }
}

// The connection ------------------------------------------------------------------------------------------------------

/// A process's way to the session's sideband.
pub(super) fn dial(world: &Arc<World>, process: &Arc<Process>) -> Dial {
    let (world, process) = (Arc::clone(world), Arc::clone(process));
    Arc::new(move || -> BoxFuture<'static, std::io::Result<Box<dyn Transport>>> {
        let (world, process) = (Arc::clone(&world), Arc::clone(&process));
        Box::pin(async move {
            let (time, breaks, hangs) = {
                let mut state = world.lock();
                let slowest = if state.chance.has(Trouble::Slow) { 8_000 } else { 40 };
                (state.chance.millis(1, slowest), state.chance.has(Trouble::Unsent), state.chance.one_in(2))
            };
            sleep(time).await;
            if breaks && hangs {
                pending::<()>().await;
            } else if breaks {
                return Err(std::io::Error::other("the connection broke"));
            }
            let (client, server) = duplex(IN_FLIGHT);
            drop(tokio::spawn(serve(world, process, server)));
            Ok(Box::new(client) as Box<dyn Transport>)
        })
    })
}

/// The server's side of a connection.
async fn serve(world: Arc<World>, process: Arc<Process>, io: DuplexStream) {
    let life = process.life;
    let attached = world.lock().attach(life);
    let refused = attached.as_ref().err().copied();
    #[expect(clippy::result_large_err, reason = "the type is the library's")]
    let answer = move |_: &Request, response: Response| match refused {
        None => Ok(response),
        Some(status) => {
            let mut refusal =
                ErrorResponse::new(Some(json!({"error": {"code": "refused", "message": "No."}}).to_string()));
            *refusal.status_mut() = status.try_into().unwrap_or_default();
            Err(refusal)
        }
    };
    let accepted = accept_hdr_async(io, answer).await;
    let Ok((connection, mut events)) = attached else { return };
    if let Ok(mut socket) = accepted {
        loop {
            match select(socket.next(), std::pin::pin!(events.recv())).await {
                Either::Left((Some(Ok(Message::Text(text))), _)) => {
                    let event = serde_json::from_str(&text).unwrap_or_default();
                    world.lock().client_event(life, connection, &event);
                    world.changed.notify_waiters();
                }
                Either::Left((Some(Ok(Message::Ping(_) | Message::Pong(_))), _)) => {}
                Either::Left(_) | Either::Right((None, _)) => break,
                Either::Right((Some(sent), _)) => {
                    let (time, is_cut, is_killed) = {
                        let mut state = world.lock();
                        let slowest = if state.chance.has(Trouble::Slow) { 900 } else { 20 };
                        let is_killed = std::mem::take(&mut state.calls().checks.kill_next) && !state.chance.calm;
                        (state.chance.millis(1, slowest), state.chance.has(Trouble::Lost), is_killed)
                    };
                    sleep(time).await;
                    let (Sent::Event(text), false) = (sent, is_cut) else { break };
                    if socket.send(Message::text(text)).await.is_err() {
                        break;
                    }
                    if is_killed {
                        process.die();
                    }
                }
            }
        }
        drop(socket);
    }
    // A server may notice late that nobody is there.
    let linger = {
        let mut state = world.lock();
        if process.is_dead() && state.chance.one_in(3) { state.chance.millis(0, 5_000) } else { Duration::ZERO }
    };
    sleep(linger).await;
    world.lock().detached(life, connection);
    world.changed.notify_waiters();
}
