//! What happens in a call: its script, and how OpenAI and the network behave.

use serde::Deserialize;
use serde_json::Value;

/// A call's course.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Plan {
    /// What happens, one after the other, once the session has started.
    pub(super) script: Vec<Step>,
    /// How many times faster than the clock call time runs.
    pub(super) speed: f64,
    /// Call time from the accept until the session has started.
    pub(super) setup_ms: u64,
    /// Live: how far back a late connection gets the events again.
    pub(super) replay_ms: u64,
    /// Live: whether audio is reflected.
    pub(super) audio: bool,
    /// Call time after which the session expires.
    pub(super) expires_ms: u64,
    /// Live: call time between two events of usage.
    pub(super) usage_every_ms: u64,
    /// Whether an accept that is answered 200 sets up a session.
    pub(super) accept: Accept,
    /// How many connections are first refused with 404.
    pub(super) not_found: u32,
    /// What becomes of a connection while another one is open.
    pub(super) second_attach: SecondAttach,
    /// After how many events the first, second... connection breaks; 0 never.
    pub(super) drop_after: Vec<u64>,
    /// Call time until a client event is answered.
    pub(super) answer_ms: u64,
    /// Types of client events that are answered with an error.
    pub(super) refuse: Vec<String>,
    /// Types of client events that are answered with nothing and have no effect.
    pub(super) ignore: Vec<String>,
    /// Whether a referred call leaves.
    pub(super) refer: Refer,
    /// Live: whether the session tells its end.
    pub(super) last_event: bool,
    /// Live: whether outbound calls are enabled for the account.
    pub(super) outbound_sip: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            script: Vec::new(),
            speed: 1.0,
            setup_ms: 200,
            replay_ms: 3_000,
            audio: true,
            expires_ms: 3_600_000,
            usage_every_ms: 10_000,
            accept: Accept::Normal,
            not_found: 0,
            second_attach: SecondAttach::Allowed,
            drop_after: Vec::new(),
            answer_ms: 0,
            refuse: Vec::new(),
            ignore: Vec::new(),
            refer: Refer::Leaves,
            last_event: true,
            outbound_sip: false,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Accept {
    /// It does, and a malformed one is refused.
    Normal,
    /// A malformed one is answered 200 as well, and no session is set up.
    Lenient,
    /// Any is answered 200, and no session is set up.
    Dead,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum SecondAttach {
    Allowed,
    Refused,
    /// The first one is closed.
    Replaces,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Refer {
    Leaves,
    /// It is answered 200, and nothing happens.
    Stays,
}

/// A step of a script.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Step {
    /// Call time in which nothing happens.
    Wait(u64),
    /// Goes on when a connection is open (`attach`), or a client event of this type has come.
    Await(String),
    /// The caller says this.
    Caller(String),
    /// The model says this.
    Model(String),
    /// The model says this, and the caller interrupts it in the middle.
    BargeIn { model: String, caller: String },
    /// The model calls a tool.
    Tool(ToolStep),
    /// The model delegates work to the client. Live only.
    Delegate(String),
    /// The caller presses these keys.
    Dtmf(String),
    /// The other side of an outbound call: `ringing`, `answered`, or `failed` with a code.
    Transport { state: String, code: Option<String> },
    /// Usage so far, in seconds. Live only.
    Usage(u64),
    /// The session sends this error of nobody.
    Error { code: String, message: String },
    /// Sends this event as it is.
    Event(Value),
    /// Sends this text as it is.
    Text(String),
    /// Sends so many bytes of a binary message.
    Binary(usize),
    /// Sends an event of so many bytes.
    Huge(usize),
    /// Sends this event again and again.
    Flood { event: Value, count: u32 },
    /// All connections break; the session goes on.
    Drop,
    /// The caller hangs up.
    HangUp,
    /// The session ends for this reason: `expired`, `content`, `connection_lost`...
    Close(String),
}

/// A call of a tool by the model.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ToolStep {
    pub(super) name: String,
    #[serde(default)]
    pub(super) arguments: Value,
    /// New without.
    pub(super) call_id: Option<String>,
    /// How often the call is told.
    #[serde(default = "once")]
    pub(super) copies: u32,
    /// What the model says to the result.
    pub(super) then: Option<String>,
    /// Whether the script goes on without the result.
    #[serde(default)]
    pub(super) go_on: bool,
}

const fn once() -> u32 {
    1
}

impl Plan {
    /// A sentence, if it makes no sense.
    pub(super) fn check(&self) -> Result<(), String> {
        if !(self.speed > 0.0 && self.speed <= 10_000.0) {
            return Err("plan.speed must be above 0 and at most 10000".to_owned());
        }
        Ok(())
    }
}
