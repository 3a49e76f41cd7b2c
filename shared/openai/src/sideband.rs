//! Sidebands: control connections to live sessions.
//!
//! A sideband is a WebSocket beside a call's audio. [`Client::attach`] opens one to a Live session or to a Realtime call,
//! [`Sideband::send`] gives a command, [`Sideband::next`] waits for the next event:
//!
//! ```no_run
//! # async fn example(client: hooks_openai::Client) -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use hooks_openai::{CallApi, Command, EventKind};
//! use tokio::time::Instant;
//!
//! let deadline = Instant::now() + Duration::from_secs(5);
//! let mut sideband = client.attach(CallApi::Live, "live_123", deadline).await?;
//! sideband.request(Command::Say("Hello!".into()), Duration::from_secs(3)).await?;
//! while let Some(event) = sideband.next().await {
//!     match event?.kind {
//!         EventKind::ToolCall(call) => println!("{} is called", call.name),
//!         EventKind::Closed { reason, .. } => println!("over: {}", reason.as_str()),
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! What the server sends never ends the reader. A message that is not an event is [`EventKind::Unreadable`], an unknown one
//! [`EventKind::Other`]; reflected audio (7.7 MB a minute) is only counted. What makes the connection unusable (a message
//! longer than [`MAX_EVENT_BYTES`], a breach of the protocol, text that is not UTF-8, silence) is
//! [`SidebandError::Disconnected`], after which [`Sideband::reconnect`] goes on.
//!
//! Documented by OpenAI: the paths, the events and their fields, that a late connection gets no event again that it missed,
//! and that several connections may observe a Live session. Assumed: that a second connection that is not taken is refused
//! with 409; that a Live session may repeat its last events to a late connection (then each is told once).

mod audio;
mod command;
mod confirm;
mod connect;
mod error;
mod event;
mod read;
mod text;

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use hooks_webhook::CallApi;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_tungstenite::tungstenite::{Bytes, Error as WebSocketError, Message};

pub use command::{Command, Item, MAX_COMMAND_BYTES};
pub use connect::{Dial, MAX_EVENT_BYTES, Transport};
pub use error::{AttachError, Disconnect, Refusal, SidebandError};
pub use event::{
    CloseReason, Delegation, EventKind, ResponseDone, ServerEvent, SessionState, Side, TokenUsage, ToolCall, Transcript,
};
pub use read::ServerMessage;
pub use text::CallText;

use crate::client::Client;
use crate::for_display;
use confirm::{Awaited, By};
use connect::WebSocket;

/// How long a command may take to be written.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a ping is sent, and how long the server may be silent after one: nobody else notices a dead connection.
const PING_EVERY: Duration = Duration::from_secs(15);

/// How long a command that its API confirms by no event can still be refused.
const REFUSAL_WINDOW: Duration = Duration::from_millis(500);

/// The pause before the second attempt to reconnect; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How long a connection lasts at least after which the next one is opened without a pause. What breaks one may come again:
/// Live repeats the last events to a late connection.
const STABLE: Duration = Duration::from_secs(5);

/// The limits of events that are kept while a command waits for its confirmation.
const MAX_KEPT: usize = 1024;
const MAX_KEPT_BYTES: usize = 8 * 1024 * 1024;

/// How many ids of events are remembered, to tell an event once that is sent again after a reconnection.
const REMEMBERED_IDS: usize = 512;

impl Client {
    /// Attaches to a session that was accepted or created: a Live session's id, or a Realtime call's.
    ///
    /// It takes 4 seconds at most.
    pub async fn attach(&self, api: CallApi, id: &str, deadline: Instant) -> Result<Sideband, AttachError> {
        let socket = self.open_sideband(api, id, deadline).await?;
        Ok(Sideband::new(self.clone(), api, id.to_owned(), socket))
    }
}

/// A control connection to a session.
///
/// Events come in the order of the server. All its calls can be dropped while they wait: nothing is lost by that, except that
/// a command that is being sent may be sent or not.
pub struct Sideband {
    client: Client,
    api: CallApi,
    id: String,
    socket: Option<WebSocket>,
    command_ids: CommandIds,
    awaited: Awaited,
    kept: VecDeque<ServerEvent>,
    kept_bytes: usize,
    skipped: SkippedAudio,
    remembered: VecDeque<String>,
    before_the_gap: HashSet<String>,
    heard_at: Instant,
    pinged_at: Instant,
    opened_at: Instant,
    lost_at: Option<Instant>,
    /// How many connections in a row were lost before they were [`STABLE`].
    short_lived: u32,
    has_closed: bool,
}

/// Reflected audio that was skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SkippedAudio {
    /// Number of messages.
    pub messages: u64,
    /// Sum of their lengths.
    pub bytes: u64,
}

/// What became of a command that was not refused.
#[derive(Clone, Debug, PartialEq)]
pub enum Confirmation {
    /// The server confirmed it by this event.
    Confirmed(Box<ServerEvent>),
    /// The API has no confirmation for it, and no error came for half a second.
    NotRefused,
}

/// The time without a connection, and what may have been missed in it.
///
/// Events of that time are lost: transcripts, tool calls, keys. At Realtime, [`ResponseDone::tool_calls`] tells calls again
/// that a response made before it ended. At Live nothing does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// How long it was.
    pub length: Duration,
    /// The last event before it.
    pub last_event: Option<String>,
    /// Commands that were not confirmed before it. They may have taken effect or not, and nothing will confirm them.
    pub unconfirmed: Vec<String>,
    /// How often connecting was tried.
    pub attempts: u32,
}

impl Sideband {
    fn new(client: Client, api: CallApi, id: String, socket: WebSocket) -> Self {
        let now = Instant::now();
        Self {
            client,
            api,
            id,
            socket: Some(socket),
            command_ids: CommandIds::new(),
            awaited: Awaited::default(),
            kept: VecDeque::new(),
            kept_bytes: 0,
            skipped: SkippedAudio::default(),
            remembered: VecDeque::new(),
            before_the_gap: HashSet::new(),
            heard_at: now,
            pinged_at: now,
            opened_at: now,
            lost_at: None,
            short_lived: 0,
            has_closed: false,
        }
    }

    /// The session's API.
    #[must_use]
    pub const fn api(&self) -> CallApi {
        self.api
    }

    /// The id that it was attached by.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// All reflected audio so far.
    #[must_use]
    pub const fn skipped_audio(&self) -> SkippedAudio {
        self.skipped
    }

    /// Sends a command and returns its id. The event that [`answers`](ServerEvent::answers) this id confirms or refuses it.
    ///
    /// # Errors
    ///
    /// [`SidebandError::NoSuchCommand`], [`NoSuchKey`](SidebandError::NoSuchKey) or [`TooLarge`](SidebandError::TooLarge):
    /// nothing was sent. [`Disconnected`](SidebandError::Disconnected): it may have been.
    pub async fn send(&mut self, command: Command) -> Result<String, SidebandError> {
        let id = result_id(&command).unwrap_or_else(|| self.command_ids.next());
        let by = By::of(self.api, &command);
        let event = command.event(self.api, &id)?;
        let Some(socket) = &mut self.socket else { return Err(disconnected(None, NO_CONNECTION)) };
        self.awaited.push(id.clone(), by);
        match timeout(SEND_TIMEOUT, socket.send(Message::text(event))).await {
            Ok(Ok(())) => Ok(id),
            Ok(Err(error)) => Err(self.lost(None, &error.to_string())),
            Err(_) => Err(self.lost(None, "the command could not be written in time")),
        }
    }

    /// Sends a command and waits for what becomes of it. Other events are kept for [`next`](Self::next), within limits: when
    /// they are reached, the command counts as unconfirmed.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send); [`SidebandError::Refused`] and [`Unconfirmed`](SidebandError::Unconfirmed).
    pub async fn request(&mut self, command: Command, within: Duration) -> Result<Confirmation, SidebandError> {
        let is_confirmed = By::of(self.api, &command) != By::Nothing;
        let within = if is_confirmed { within } else { within.min(REFUSAL_WINDOW) };
        let until = Instant::now() + within;
        let id = self.send(command).await?;
        while self.kept.len() < MAX_KEPT && self.kept_bytes < MAX_KEPT_BYTES {
            let event = match timeout_at(until, self.receive()).await {
                Ok(Some(event)) => event?,
                Ok(None) => return Err(disconnected(None, "the session has ended")),
                Err(_) if !is_confirmed => {
                    self.awaited.forget(&id);
                    return Ok(Confirmation::NotRefused);
                }
                Err(_) => break,
            };
            let Received { event, bytes } = event;
            if event.answers.as_deref() == Some(id.as_str()) {
                return match event.kind {
                    EventKind::Error(refusal) => Err(SidebandError::Refused(refusal)),
                    _ => Ok(Confirmation::Confirmed(Box::new(event))),
                };
            }
            self.kept_bytes += bytes;
            self.kept.push_back(event);
        }
        Err(SidebandError::Unconfirmed(within))
    }

    /// The next event, in order. `None` after the session has ended, and then alone: without a connection, whoever noticed
    /// that it was lost, each call is an error until it is reconnected.
    ///
    /// # Errors
    ///
    /// [`SidebandError::Disconnected`] alone. A Realtime session ends in this way too: [`reconnect`](Self::reconnect) tells.
    pub async fn next(&mut self) -> Option<Result<ServerEvent, SidebandError>> {
        if let Some(event) = self.kept.pop_front() {
            if self.kept.is_empty() {
                self.kept_bytes = 0;
            }
            return Some(Ok(event));
        }
        self.receive().await.map(|received| received.map(|received| received.event))
    }

    /// Opens another connection to the session, after growing pauses until the deadline, and tells what may have been missed.
    /// There is a pause before the first attempt as well if several connections in a row were lost soon.
    ///
    /// # Errors
    ///
    /// [`AttachError::NoSession`] when the session has ended meanwhile. The last error at the deadline.
    pub async fn reconnect(&mut self, deadline: Instant) -> Result<Gap, AttachError> {
        self.socket = None;
        let lost_at = *self.lost_at.get_or_insert_with(Instant::now);
        let (mut attempts, mut pause) = (0, FIRST_PAUSE);
        if let Some(doublings) = self.short_lived.checked_sub(2) {
            let first = LONGEST_PAUSE.min(pause * 2_u32.pow(doublings.min(8)));
            sleep_until(deadline.min(Instant::now() + first)).await;
        }
        let socket = loop {
            attempts += 1;
            match self.client.open_sideband(self.api, &self.id, deadline).await {
                Ok(socket) => break socket,
                Err(error) if !error.is_retryable() => return Err(error),
                Err(error) => {
                    // Calls that lost one server come back at different times.
                    let until = Instant::now() + pause.mul_f64(0.5 + fastrand::f64() / 2.0);
                    if until >= deadline {
                        return Err(error);
                    }
                    sleep_until(until).await;
                    pause = LONGEST_PAUSE.min(pause * 2);
                }
            }
        };
        let now = Instant::now();
        (self.socket, self.lost_at) = (Some(socket), None);
        (self.opened_at, self.heard_at, self.pinged_at) = (now, now, now);
        let last_event = self.remembered.back().cloned();
        self.before_the_gap.extend(self.remembered.drain(..));
        Ok(Gap { length: now - lost_at, last_event, unconfirmed: self.awaited.take(), attempts })
    }

    /// Closes the connection. The session goes on.
    pub async fn detach(mut self) {
        if let Some(socket) = &mut self.socket {
            let _ = timeout(SEND_TIMEOUT, socket.close(None)).await;
        }
    }

    async fn receive(&mut self) -> Option<Result<Received, SidebandError>> {
        loop {
            let Some(socket) = &mut self.socket else { return self.over(None, NO_CONNECTION) };
            let message = match timeout_at(self.pinged_at + PING_EVERY, socket.next()).await {
                Ok(Some(Ok(message))) => message,
                Ok(Some(Err(error))) => return self.over(None, &reason(&error)),
                Ok(None) => return self.over(None, "the connection was closed"),
                Err(_) if self.heard_at < self.pinged_at => return self.over(None, "the server is silent"),
                Err(_) => {
                    self.pinged_at = Instant::now();
                    match timeout(SEND_TIMEOUT, socket.send(Message::Ping(Bytes::new()))).await {
                        Ok(Ok(())) => continue,
                        _ => return self.over(None, "the server does not read"),
                    }
                }
            };
            self.heard_at = Instant::now();
            let (mut event, bytes) = match message {
                Message::Text(text) => match ServerMessage::read(self.api, text.as_bytes()) {
                    ServerMessage::Audio { bytes, .. } => {
                        self.skipped.messages += 1;
                        self.skipped.bytes += bytes as u64;
                        continue;
                    }
                    ServerMessage::Event(event) => (*event, text.len()),
                },
                Message::Binary(bytes) => (ServerEvent::unreadable(bytes.len(), "binary"), bytes.len()),
                Message::Close(Some(frame)) => return self.over(Some(frame.code.into()), &frame.reason),
                Message::Close(None) => return self.over(None, "the server closed the connection"),
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
            };
            if self.is_repeated(&event) {
                continue;
            }
            self.has_closed |= matches!(event.kind, EventKind::Closed { .. });
            self.awaited.settle(&mut event);
            return Some(Ok(Received { event, bytes }));
        }
    }

    /// Whether the event came before the last gap. Remembers it otherwise.
    fn is_repeated(&mut self, event: &ServerEvent) -> bool {
        let Some(id) = &event.id else { return false };
        if self.before_the_gap.remove(id) {
            return true;
        }
        if self.remembered.len() == REMEMBERED_IDS {
            self.remembered.pop_front();
        }
        self.remembered.push_back(id.clone());
        false
    }

    /// The connection is over: with an error, unless the session has closed.
    fn over(&mut self, code: Option<u16>, reason: &str) -> Option<Result<Received, SidebandError>> {
        let error = self.lost(code, reason);
        (!self.has_closed).then_some(Err(error))
    }

    fn lost(&mut self, code: Option<u16>, reason: &str) -> SidebandError {
        self.socket = None;
        if self.lost_at.is_none() {
            self.lost_at = Some(Instant::now());
            self.short_lived = if self.opened_at.elapsed() < STABLE { self.short_lived.saturating_add(1) } else { 0 };
        }
        disconnected(code, reason)
    }
}

impl fmt::Debug for Sideband {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sideband").field("api", &self.api).field("id", &self.id).finish_non_exhaustive()
    }
}

const NO_CONNECTION: &str = "there is no connection";

struct Received {
    event: ServerEvent,
    bytes: usize,
}

fn disconnected(code: Option<u16>, reason: &str) -> SidebandError {
    SidebandError::Disconnected(Disconnect { code, reason: for_display(reason) })
}

fn reason(error: &WebSocketError) -> String {
    match error {
        WebSocketError::Capacity(_) => format!("a message is longer than {MAX_EVENT_BYTES} bytes"),
        error => error.to_string(),
    }
}

/// Ids of commands: unique in a session, whose connections follow each other.
struct CommandIds {
    prefix: String,
    last: u32,
}

impl CommandIds {
    fn new() -> Self {
        Self { prefix: format!("cmd_{:012x}", fastrand::u64(..) >> 16), last: 0 }
    }

    /// At most 27 characters. A Realtime item, which takes its command's id, may have 32.
    fn next(&mut self) -> String {
        self.last = self.last.wrapping_add(1);
        format!("{}_{}", self.prefix, self.last)
    }
}

/// The id of a command that gives the result of a tool: always the same for a call. At Realtime it is the item's id as well,
/// so that a result which another connection has given is refused instead of being there twice.
fn result_id(command: &Command) -> Option<String> {
    let Command::Add(Item::FunctionResult { call_id, .. }) = command else { return None };
    // FNV-1a: an id of an item has 32 characters at most, that of a call may have more.
    let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    Some(format!("result_{:016x}", call_id.bytes().fold(0xcbf2_9ce4_8422_2325, fold)))
}
