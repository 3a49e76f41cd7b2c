//! Runs of a live session: the real supervisor as Lambda runs it, killed and handed over at any moment.
//!
//! OpenAI's side of the session is played on a script, over the real WebSocket. What a model does that has to be relied
//! on is what the API documents: a call is told to whoever is attached, and it is made again, under another id, when the
//! supervisor asks for that.

mod checks;
mod lambda;
mod session;

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, select};
use hooks_aws::ledger::{Ledger, NewSession};
use hooks_consumer::Category;
use hooks_openai::CallApi;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::chance::Chance;
use crate::consumer::{change, config};
use crate::network::{Life, Process};
use crate::sqs::Attributes;
use crate::world::{Settings, State, World};
use crate::{Run, clock};
use checks::CallChecks;
use session::{Session, Wanted};

/// Within this time after the last trouble every call of a tool has its answer.
const ANSWERED: Duration = Duration::from_mins(3);

/// Within this time after the session's end its record has ended. A watchdog whose process dies before it has hidden its
/// message is blind for 16 minutes.
const RECORDED: Duration = Duration::from_mins(40);

/// Time after which the watchdog looks for the first time.
const FIRST_LOOK: Duration = Duration::from_secs(12);

/// The tools of the policy: name, attempts after the first one.
pub(crate) const TOOLS: [(&str, u32); 3] = [("order", 0), ("invoice", 0), ("stock", 2)];

/// What a run with a live session has besides.
pub(crate) struct Calls {
    pub(crate) api: CallApi,
    pub(crate) session: Session,
    /// Lambda's asynchronous events, and when each is delivered.
    starts: Vec<(Instant, Value)>,
    /// Invocations that are running.
    invocations: u32,
    /// How often each tool call was run.
    runs: BTreeMap<String, u32>,
    /// How often what was told to others.
    told: BTreeMap<String, u32>,
    checks: CallChecks,
}

/// Something that happens in the call.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// The model calls a tool, or tells the same call again.
    Call(usize),
    /// The caller says something.
    Words,
    /// The caller presses a key.
    Key,
    /// The caller hangs up, or has left by a transfer.
    End,
}

fn supervise(chance: &mut Chance) -> Value {
    let tools =
        TOOLS.map(|(name, retries)| json!({"name": name, "lambda": name, "timeout_seconds": 6, "retries": retries}));
    let fallback = chance.pick(&[r#"{"say": "Sorry."}"#, r#"{"refer": "tel:+492"}"#, r#""hang_up""#]);
    let short = chance.one_in(8);
    json!({
        "greeting": "Hello.",
        "tools": tools,
        "built_in": ["hang_up", "transfer", "collect_digits", "leave_note"],
        "transfer": {
            "targets": [{"name": "sales", "target_uri": "tel:+491"}],
            "confirm_seconds": chance.pick(&[2, 8]),
            "fallback": serde_json::from_str::<Value>(fallback).unwrap_or_default(),
        },
        "limits": {
            "max_duration_seconds": if short { 60 } else { 3600 },
            "idle_seconds": if short { 30 } else { 3000 },
        },
    })
}

/// Chooses what the model calls and when.
fn script(chance: &mut Chance, whole: Duration) -> (Vec<Wanted>, Vec<(Duration, Act)>) {
    let mut acts = Vec::new();
    let mut wanted = Vec::new();
    for _ in 0..=chance.up_to(4) {
        let tool =
            chance.pick(&["order", "order", "invoice", "invoice", "stock", "collect_digits", "leave_note", "unknown"]);
        // Before, nobody can be attached: the session is being set up.
        let at = chance.within(whole) + chance.millis(2_500, 10_000);
        acts.push((at, Act::Call(wanted.len())));
        if chance.one_in(6) {
            acts.push((at + chance.millis(100, 20_000), Act::Call(wanted.len())));
        }
        wanted.push(Wanted::new(tool));
    }
    if chance.one_in(3) {
        let last = chance.pick(&["transfer", "transfer", "hang_up"]);
        acts.push((whole + chance.millis(0, 30_000), Act::Call(wanted.len())));
        wanted.push(Wanted::new(last));
    }
    for _ in 0..chance.up_to(4) {
        acts.push((chance.within(whole), chance.pick(&[Act::Words, Act::Key])));
    }
    (wanted, acts)
}

/// Plays the run of a seed.
pub(crate) async fn play(seed: u64, show: bool) -> Run {
    clock::begin();
    let mut chance = Chance::of(seed);
    // Half of the runs have kills alone, so that the time is checked in which a dead supervisor is replaced.
    let kills_alone = chance.one_in(2);
    if kills_alone {
        chance.kills_alone();
    }
    let whole = Duration::from_secs(chance.pick(&[5, 20, 60, 150]));
    let api = chance.pick(&[CallApi::Live, CallApi::Realtime]);
    let settings = Settings {
        category: Category::Realtime,
        timeout: Duration::from_secs(chance.pick(&[900, 150, 130, 130])),
        visibility: Duration::from_mins(16),
        batch_size: 10,
        max_receives: 1,
        max_receive_count: 1,
    };
    let supervise = supervise(&mut chance);
    let (wanted, acts) = script(&mut chance, whole);
    let session = Session::new(&mut chance, wanted);
    let began = Instant::now();
    chance.calm = true;
    let world = Arc::new(World::new(settings, chance, show));
    world.lock().calls = Some(Calls {
        api,
        session,
        starts: Vec::new(),
        invocations: 0,
        runs: BTreeMap::new(),
        told: BTreeMap::new(),
        checks: CallChecks::new(kills_alone),
    });
    world.lock().note(|| format!("{api} session, {settings:?}, trouble for {} s", whole.as_secs()));
    accept(&world, api, &supervise).await;
    let working = pin!(lambda::run(Arc::clone(&world)));
    let playing = pin!(to_end(&world, began, acts, whole));
    if let Either::Right(_) = select(playing, working).await {
        world.lock().violated("Lambda ended".to_owned());
    }
    world.lock().run()
}

/// What the realtime function does with a call: records the session, sends the watchdog off, accepts, starts a supervisor.
async fn accept(world: &Arc<World>, api: CallApi, supervise: &Value) {
    let process = Process::new(Life { consumer: 17, life: 0 });
    let ledger = Ledger::new(&config(world, &process), "sim");
    let settings = supervise.to_string();
    let new = NewSession {
        api: api.as_str(),
        id: session::ID,
        settings: &settings,
        event: "project#wh_1",
        facts: &Map::new(),
        caller: None,
    };
    if let Err(error) = ledger.open_session(&new).await {
        return world.lock().violated(format!("the session cannot be recorded: {error}"));
    }
    let mut state = world.lock();
    state.chance.calm = false;
    state.watch(&json!({"api": api.as_str(), "id": session::ID}).to_string(), FIRST_LOOK);
    // Its process may die before it starts the supervisor.
    if !state.chance.one_in(6) {
        state.start(&json!({"api": api.as_str(), "id": session::ID, "generation": 1, "accepted": true}));
    }
    state.call_checks().alone_since = Some(Instant::now());
}

/// Lets everything happen, ends the trouble and then the session, and waits until all is quiet.
async fn to_end(world: &World, began: Instant, mut acts: Vec<(Duration, Act)>, whole: Duration) {
    acts.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    let mut hung_up = false;
    loop {
        let elapsed = began.elapsed();
        let next = {
            let mut state = world.lock();
            if state.violation.is_some() {
                return;
            }
            if let Some((_, act)) = acts.pop_if(|(at, _)| *at <= elapsed) {
                state.act(act);
                world.changed.notify_waiters();
                continue;
            }
            if !state.chance.calm && elapsed >= whole {
                state.chance.calm = true;
                state.note(|| "the trouble is over".to_owned());
            }
            if let Some(ended) = state.session().ended {
                if state.is_quiet() || ended.elapsed() > RECORDED {
                    let result = state.check_call_at_rest();
                    return state.check(result);
                }
            } else if acts.is_empty() && state.chance.calm && !hung_up {
                let blind = state.call_checks().blind;
                let unanswered = state.session().unanswered().next().filter(|_| !blind).map(str::to_owned);
                match unanswered {
                    None => {
                        hung_up = true;
                        let at = elapsed + state.chance.millis(0, 10_000);
                        acts.push((at, Act::End));
                    }
                    Some(id) if elapsed > whole.max(Duration::from_secs(30)) + ANSWERED => {
                        let what = format!("{id} was never answered");
                        return state.violated(what);
                    }
                    Some(_) => {}
                }
            }
            let next = acts.last().map_or(elapsed + Duration::from_secs(1), |(at, _)| *at);
            if state.chance.calm { next } else { next.min(whole) }
        };
        change(world, next.saturating_sub(elapsed).max(Duration::from_millis(1))).await;
    }
}

impl State {
    pub(crate) fn calls(&mut self) -> &mut Calls {
        self.calls.as_mut().unwrap_or_else(|| unreachable!("the run has a session"))
    }

    fn session(&mut self) -> &mut Session {
        &mut self.calls().session
    }

    fn act(&mut self, act: Act) {
        if self.session().ended.is_some() {
            return;
        }
        match act {
            Act::Call(number) => self.call_tool(number),
            Act::Words => self.caller_speaks(),
            Act::Key => self.caller_presses(),
            Act::End => self.end_session("remote_hangup"),
        }
    }

    fn is_quiet(&mut self) -> bool {
        self.queue.messages.is_empty()
            && self.late == 0
            && self.calls().starts.is_empty()
            && self.calls().invocations == 0
    }

    /// Puts a message into the supervisors' queue.
    pub(crate) fn watch(&mut self, body: &str, delay: Duration) {
        self.next_id += 1;
        self.queue.send(self.next_id, body.to_owned(), Attributes::new());
        if let Some(message) = self.queue.messages.last_mut() {
            message.visible_at += delay;
        }
    }

    /// Has Lambda start a supervisor: soon, perhaps twice.
    fn start(&mut self, event: &Value) {
        let times = if self.chance.has(crate::chance::Trouble::Copy) { 2 } else { 1 };
        for _ in 0..times {
            let slowest = if self.chance.has(crate::chance::Trouble::Slow) { 20_000 } else { 800 };
            let at = Instant::now() + self.chance.millis(20, slowest);
            self.calls().starts.push((at, event.clone()));
        }
    }
}
