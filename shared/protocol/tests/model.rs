//! Explores every interleaving of consumers, people and failures under the rules of this crate.
//!
//! The world: three events of one meaning (two deliveries, one of reconciliation), a queue, a dead-letter queue, the
//! record, the events' histories, and invocations that walk the steps. At any moment: an invocation dies; a request
//! fails, made or not; a message is received twice; OpenAI delivers once more; a lease ends, also of a holder that
//! lives on; somebody redrives a dead letter or replays an event. Each of these as often as the budget says.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};

use hooks_protocol::{
    AFTER_LOST_CLAIM, DUPLICATE, Decision, Ending, Kind, OnError, REJECT, Record, Status, Step, decide, steps,
};

type Id = u8;

const EVENTS: usize = 3;

/// How many invocations there are at a time.
const CONSUMERS: usize = 2;

/// How often each kind of trouble may come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Budget {
    crashes: u8,
    /// Requests that fail, made or not.
    errors: u8,
    /// Messages that are received twice.
    copies: u8,
    /// Deliveries by OpenAI of an event that was delivered before.
    deliveries: u8,
    /// Leases that end while the holder lives on.
    frozen: u8,
    retries: u8,
    redrives: u8,
    replays: u8,
    /// Copies by reconciliation.
    reconciliations: u8,
    /// Messages that are received too often while others hold their record.
    rejects: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Message {
    event: Id,
    kind: Kind<Id>,
    /// Only the old rules look at it.
    sent_at: u8,
}

/// Where an invocation is with its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum At {
    /// It is about to claim.
    Claim,
    /// It holds the record and works.
    Work { token: Id, replaying: bool },
    /// It walks a list of steps.
    Walk { list: List, step: u8, back: bool },
}

/// A list of steps, with what the invocation knows when it walks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum List {
    After {
        ending: Ending,
        token: Id,
        replaying: bool,
    },
    LostClaim {
        token: Id,
    },
    Reject,
    Duplicate(Record<Id>),
    /// Nothing but to return the message.
    Return,
}

impl List {
    fn steps(self, rules: &Rules) -> &'static [Step] {
        match self {
            Self::After { ending, replaying, .. } => (rules.steps)(ending, replaying),
            Self::LostClaim { .. } => AFTER_LOST_CLAIM,
            Self::Reject => REJECT,
            Self::Duplicate(_) => DUPLICATE,
            Self::Return => &[Step::Return],
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Process {
    message: Message,
    at: At,
}

/// The history of an event: by which claim it was written last, and what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum History {
    Of(Status),
    DuplicateOfAnother,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    record: Option<Record<Id>>,
    /// Messages, and whether they are in flight. Sorted.
    queue: Vec<(Message, bool)>,
    letters: Vec<Id>,
    processes: Vec<Process>,
    histories: [Option<(Id, History)>; EVENTS],
    budget: Budget,
    next_token: Id,
    /// Whether the record was ever completed.
    completed: bool,
    /// The events whose object was not found. People were told.
    told: [bool; EVENTS],
    accepted: [bool; EVENTS],
    /// How often somebody worked to the end, for a replay or not.
    acts: [u8; 2],
    /// Only under the old rules: the time, and when the record ended.
    clock: u8,
    ended_at: u8,
}

/// The rules that are explored.
#[derive(Clone, Copy)]
struct Rules {
    decide: fn(&State, Message) -> Decision,
    steps: fn(Ending, bool) -> &'static [Step],
    /// Whether the holder's writes name its token.
    fenced: bool,
    /// Whether times matter.
    timed: bool,
}

const RULES: Rules = Rules {
    decide: |state, message| decide(state.record.as_ref(), &message.event, &message.kind),
    steps,
    fenced: true,
    timed: false,
};

/// A transition's name, and whether it needs no trouble to happen.
type Move = (&'static str, bool, Result<State, String>);

impl State {
    fn start(budget: Budget) -> Self {
        let message = |event| (Message { event, kind: Kind::Delivery, sent_at: 0 }, false);
        Self {
            record: None,
            queue: vec![message(0), message(1)],
            letters: Vec::new(),
            processes: Vec::new(),
            histories: [None; EVENTS],
            budget,
            next_token: 1,
            completed: false,
            told: [false; EVENTS],
            accepted: [true, true, false],
            acts: [0, 0],
            clock: 0,
            ended_at: 0,
        }
    }

    fn is_held(&self) -> bool {
        self.record.is_some_and(|record| matches!(record.status, Status::InProgress | Status::Replaying))
    }

    /// Whether a claim is still the record's latest, and has not ended.
    fn is_of(&self, token: Id, rules: &Rules) -> bool {
        !rules.fenced || (self.is_held() && self.record.is_some_and(|record| record.token == token))
    }

    fn tick(&mut self, rules: &Rules) -> u8 {
        self.clock += u8::from(rules.timed);
        self.clock
    }

    fn put(&mut self, event: Id, kind: Kind<Id>, rules: &Rules) {
        let sent_at = self.tick(rules);
        self.queue.push((Message { event, kind, sent_at }, false));
    }

    /// Forgets a message, or lets it come again.
    fn settle(&mut self, message: Message, again: bool) {
        // What another receive of it has deleted does not come back, and what another one has returned may be deleted.
        let place = |in_flight| self.queue.iter().position(|queued| *queued == (message, in_flight));
        let place = if again { place(true) } else { place(true).or_else(|| place(false)) };
        if let Some(position) = place {
            self.queue.remove(position);
            if again {
                self.queue.push((message, false));
            }
        }
    }

    /// Every token in it.
    fn tokens(&mut self) -> Vec<&mut Id> {
        fn seen(kind: &mut Kind<Id>) -> Option<&mut Id> {
            if let Kind::Replay { seen } = kind { seen.as_mut() } else { None }
        }
        let mut tokens: Vec<_> = self.record.iter_mut().map(|record| &mut record.token).collect();
        tokens.extend(self.queue.iter_mut().filter_map(|(message, _)| seen(&mut message.kind)));
        tokens.extend(self.histories.iter_mut().flatten().map(|(token, _)| token));
        for Process { message, at } in &mut self.processes {
            tokens.extend(seen(&mut message.kind));
            match at {
                At::Work { token, .. }
                | At::Walk { list: List::After { token, .. } | List::LostClaim { token }, .. } => {
                    tokens.push(token);
                }
                At::Walk { list: List::Duplicate(record), .. } => tokens.push(&mut record.token),
                _ => {}
            }
        }
        tokens
    }

    /// The one that stands for all states that mean the same: of tokens only the order counts, of lists not even that.
    fn normal(mut self) -> Self {
        let mut tokens = self.tokens();
        let mut order: Vec<_> = tokens.iter().map(|token| **token).collect();
        order.sort_unstable();
        order.dedup();
        for token in &mut tokens {
            let place = order.iter().position(|other| other == *token).unwrap();
            **token = u8::try_from(place + 1).unwrap();
        }
        self.next_token = u8::try_from(order.len() + 1).unwrap();
        self.queue.sort_unstable();
        self.letters.sort_unstable();
        self.processes.sort_unstable();
        self
    }

    /// What must hold at every moment.
    fn check(&self, rules: &Rules, first: &Budget) -> Result<(), String> {
        let status = self.record.map(|record| record.status);
        let done = matches!(status, Some(Status::Completed | Status::Replaying));
        if self.completed && !done {
            return Err(format!("what was completed is {status:?}"));
        }
        let is_somewhere = |event: Id| {
            self.queue.iter().any(|(message, _)| message.event == event)
                || self.processes.iter().any(|process| process.message.event == event)
                || self.letters.contains(&event)
        };
        for event in 0..EVENTS {
            let ended = done || self.told[event] || !self.accepted[event];
            if !ended && !is_somewhere(event.try_into().unwrap()) {
                return Err(format!("event {event} is lost: the record is {status:?}"));
            }
        }
        if let Some(Record { status: Status::Failed, event, .. }) = self.record
            && !is_somewhere(event)
        {
            return Err(format!("event {event} failed without a letter"));
        }
        let trouble = |of: fn(&Budget) -> u8| of(first) - of(&self.budget);
        let faults = trouble(|b| b.crashes) + trouble(|b| b.errors) + trouble(|b| b.frozen);
        if self.acts[0] > 1 + faults || self.acts[1] > trouble(|b| b.replays) + faults {
            return Err(format!("acted {:?} times after {faults} faults", self.acts));
        }
        // A copy may work after its message was deleted. If it dies then, no receive is left to repair the history.
        let without_message = rules.timed || (trouble(|b| b.copies) > 0 && faults > 0);
        if self.queue.is_empty() && self.processes.is_empty() && !without_message {
            return self.check_at_rest();
        }
        Ok(())
    }

    /// What must hold when no message is left.
    fn check_at_rest(&self) -> Result<(), String> {
        for event in 0..EVENTS {
            let has_letter = self.letters.contains(&event.try_into().unwrap());
            if self.accepted[event] && self.histories[event].is_none() && !has_letter {
                return Err(format!("event {event} has no history"));
            }
        }
        if let Some(Record { status: Status::Completed, event, .. }) = self.record
            && !matches!(self.histories[usize::from(event)], Some((_, History::Of(Status::Completed))))
        {
            return Err(format!("the history of event {event} does not say that it is completed"));
        }
        Ok(())
    }

    /// Everything that can happen next.
    fn moves(&self, rules: &Rules) -> Vec<Move> {
        let mut moves = Vec::new();
        self.environment(rules, &mut moves);
        for position in 0..self.processes.len() {
            let mut base = self.clone();
            let process = base.processes.remove(position);
            if self.budget.crashes > 0 {
                let mut next = base.clone();
                next.budget.crashes -= 1;
                next.settle(process.message, true);
                moves.push(("crash", false, Ok(next)));
            }
            match process.at {
                At::Claim => base.claim(process.message, rules, &mut moves),
                At::Work { token, replaying } => base.work(process.message, token, replaying, rules, &mut moves),
                At::Walk { list, step, back } => base.step(process.message, list, step, back, rules, &mut moves),
            }
        }
        moves
    }

    /// What others do.
    fn environment(&self, rules: &Rules, moves: &mut Vec<Move>) {
        let budget = self.budget;
        let mut happens = |name, ordinary, change: &dyn Fn(&mut Self)| {
            let mut next = self.clone();
            change(&mut next);
            moves.push((name, ordinary, Ok(next)));
        };
        for (position, (message, in_flight)) in self.queue.iter().enumerate() {
            let received = Process { message: *message, at: At::Claim };
            if self.processes.len() == CONSUMERS {
                continue;
            }
            if !in_flight {
                happens("receive", true, &|next| {
                    next.queue[position].1 = true;
                    next.processes.push(received);
                });
            } else if budget.copies > 0 {
                happens("receive again", false, &|next| {
                    next.budget.copies -= 1;
                    next.processes.push(received);
                });
            }
        }
        for (position, event) in self.letters.iter().enumerate() {
            if budget.redrives > 0 {
                happens("redrive", false, &|next| {
                    next.budget.redrives -= 1;
                    next.letters.remove(position);
                    next.put(*event, Kind::Redriven, rules);
                });
            }
        }
        if budget.deliveries > 0 {
            happens("deliver again", false, &|next| {
                next.budget.deliveries -= 1;
                next.put(0, Kind::Delivery, rules);
            });
        }
        if budget.reconciliations > 0 {
            happens("reconcile", false, &|next| {
                next.budget.reconciliations -= 1;
                next.accepted[2] = true;
                next.put(2, Kind::Reconciliation, rules);
            });
        }
        if budget.replays > 0 {
            for event in 0..2 {
                happens("replay", false, &|next| {
                    next.budget.replays -= 1;
                    let seen = next.record.map(|record| record.token);
                    next.put(event, Kind::Replay { seen }, rules);
                });
            }
        }
        if let Some(record) = self.record.filter(|record| record.leased && self.is_held()) {
            let lives = self.processes.iter().any(|process| match process.at {
                At::Work { token, .. }
                | At::Walk { list: List::After { token, .. } | List::LostClaim { token }, .. } => token == record.token,
                _ => false,
            });
            if !lives || budget.frozen > 0 {
                happens(if lives { "lease of a living holder ends" } else { "lease ends" }, !lives, &|next| {
                    next.budget.frozen -= u8::from(lives);
                    next.record = Some(Record { leased: false, ..record });
                });
            }
        }
    }

    fn begin(&mut self, message: Message, list: List, rules: &Rules) {
        self.walk(message, list, 0, false, rules);
    }

    /// Goes to a step. Steps that change nothing here are passed over: to die or to fail before or after them is the
    /// same as at the next one, and of those that fail alike the first speaks for all.
    fn walk(&mut self, message: Message, list: List, mut step: u8, back: bool, rules: &Rules) {
        let all = list.steps(rules);
        let fails = self.budget.errors > 0;
        while matches!(all[usize::from(step)], Step::Outcome | Step::Alert)
            || (all[usize::from(step)] == Step::Job && !fails)
        {
            step += 1;
        }
        self.processes.push(Process { message, at: At::Walk { list, step, back } });
    }

    fn claim(&self, message: Message, rules: &Rules, moves: &mut Vec<Move>) {
        match (rules.decide)(self, message) {
            Decision::Take(status) => {
                let mut next = self.clone();
                let token = next.next_token;
                next.next_token += 1;
                next.record = Some(Record { status, token, event: message.event, leased: true });
                if self.budget.errors > 0 {
                    let mut lost = next.clone();
                    lost.budget.errors -= 1;
                    lost.begin(message, List::LostClaim { token }, rules);
                    moves.push(("claim, its answer is lost", false, Ok(lost)));
                }
                if self.completed && !matches!(message.kind, Kind::Replay { .. }) {
                    return moves.push(("claim", true, Err("claimed after it was completed".to_owned())));
                }
                let replaying = status == Status::Replaying;
                next.processes.push(Process { message, at: At::Work { token, replaying } });
                moves.push(("claim", true, Ok(next)));
            }
            Decision::Busy => {
                let mut next = self.clone();
                next.settle(message, true);
                moves.push(("busy", true, Ok(next)));
                if self.budget.rejects > 0 {
                    let mut next = self.clone();
                    next.budget.rejects -= 1;
                    next.begin(message, List::Reject, rules);
                    moves.push(("busy too often", false, Ok(next)));
                }
            }
            Decision::Acknowledge => {
                let mut next = self.clone();
                let record = next.record.expect("there is a record that says so");
                next.begin(message, List::Duplicate(record), rules);
                moves.push(("duplicate", true, Ok(next)));
            }
        }
    }

    fn work(&self, message: Message, token: Id, replaying: bool, rules: &Rules, moves: &mut Vec<Move>) {
        for (name, ending) in [
            ("completed", Ending::Completed),
            ("not found", Ending::NotFound),
            ("give up", Ending::GivenUp),
            ("later", Ending::Later),
        ] {
            let mut next = self.clone();
            if ending == Ending::Later {
                if self.budget.retries == 0 {
                    continue;
                }
                next.budget.retries -= 1;
            }
            if ending == Ending::Completed {
                next.acts[usize::from(replaying)] += 1;
            }
            next.begin(message, List::After { ending, token, replaying }, rules);
            moves.push((name, ending != Ending::Later, Ok(next)));
        }
    }

    fn step(&self, message: Message, list: List, step: u8, back: bool, rules: &Rules, moves: &mut Vec<Move>) {
        let this = list.steps(rules)[usize::from(step)];
        let go_on = |next: &mut Self, back| next.walk(message, list, step + 1, back, rules);
        let mut made = self.clone();
        let counted = made.make(message, list, this, back, rules);
        let is_last = matches!(this, Step::Acknowledge | Step::Return);
        let mut next = made.clone();
        if !counted {
            next.begin(message, List::Return, rules);
        } else if !is_last {
            go_on(&mut next, back);
        }
        moves.push((name(this), true, Ok(next)));
        if self.budget.errors == 0 || is_last {
            return;
        }
        // The request fails: it was made and its answer got lost, or it was not.
        for mut next in [made, self.clone()] {
            next.budget.errors -= 1;
            match (this.on_error(), list) {
                (OnError::GoOn, _) => go_on(&mut next, back),
                (OnError::GoOnAndReturn, _) => go_on(&mut next, true),
                (OnError::EndLater, List::After { token, replaying, .. }) => {
                    for ending in [Ending::Later, Ending::GivenUp] {
                        let mut next = next.clone();
                        next.begin(message, List::After { ending, token, replaying }, rules);
                        moves.push(("a request fails", false, Ok(next)));
                    }
                    continue;
                }
                (OnError::EndLater | OnError::Return, _) => next.begin(message, List::Return, rules),
            }
            moves.push(("a request fails", false, Ok(next)));
        }
    }

    /// Makes a step. `false` when the record has another token by now.
    fn make(&mut self, message: Message, list: List, step: Step, back: bool, rules: &Rules) -> bool {
        let event = usize::from(message.event);
        let token = match list {
            List::After { token, .. } | List::LostClaim { token } => token,
            _ => 0,
        };
        match step {
            Step::Job | Step::Outcome | Step::Alert => {}
            Step::DeadLetter => self.letters.push(message.event),
            Step::End(_) | Step::Restore | Step::Release if !self.is_of(token, rules) => {
                return step == Step::Release;
            }
            Step::End(_) | Step::Restore => {
                let status = if let Step::End(status) = step { status } else { Status::Completed };
                self.ended_at = self.tick(rules);
                let record = self.record.as_mut().expect("it is held");
                (record.status, record.leased) = (status, false);
                self.completed |= status == Status::Completed;
                self.told[event] |= status == Status::NotFound;
            }
            Step::Release => self.record.as_mut().expect("it is held").leased = false,
            Step::Log => self.log(event, list),
            Step::Acknowledge => self.settle(message, back),
            Step::Return => self.settle(message, true),
        }
        true
    }

    fn log(&mut self, event: usize, list: List) {
        let history = &mut self.histories[event];
        let written = history.map_or(0, |(token, _)| token);
        let is_completed = matches!(history, Some((_, History::Of(Status::Completed))));
        match list {
            List::After { ending, token, replaying } if token >= written => {
                let says = match (ending, replaying) {
                    (Ending::Completed, _) | (Ending::NotFound | Ending::GivenUp, true) => Status::Completed,
                    (Ending::NotFound, false) => Status::NotFound,
                    (Ending::GivenUp, false) => Status::Failed,
                    // An event that was completed before stays so while it is replayed.
                    (Ending::Later, true) => return,
                    (Ending::Later, false) => Status::InProgress,
                };
                *history = Some((token, History::Of(says)));
            }
            List::Duplicate(record)
                if usize::from(record.event) == event
                    && record.token > written
                    && record.status != Status::Replaying =>
            {
                *history = Some((record.token, History::Of(record.status)));
            }
            List::Duplicate(record) if usize::from(record.event) != event && !is_completed => {
                *history = Some((record.token, History::DuplicateOfAnother));
            }
            _ => {}
        }
    }
}

fn name(step: Step) -> &'static str {
    match step {
        Step::Job => "job",
        Step::Outcome => "outcome",
        Step::Alert => "alert",
        Step::DeadLetter => "dead letter",
        Step::End(Status::Completed) => "complete",
        Step::End(Status::Failed) => "fail",
        Step::End(_) => "end",
        Step::Restore => "restore",
        Step::Release => "release",
        Step::Log => "log",
        Step::Acknowledge => "acknowledge",
        Step::Return => "return",
    }
}

/// The states by fingerprint, so that millions fit into little memory. Two that collide within 128 bits are not
/// expected in the life of this planet.
#[derive(Default)]
struct Explored {
    numbers: HashMap<u128, u32, BuildHasherDefault<DefaultHasher>>,
    /// From which state each one was reached first, and by which of its moves.
    parents: Vec<(u32, u16)>,
    /// The moves that need no trouble, from and to.
    ordinary: Vec<(u32, u32)>,
    at_rest: Vec<u32>,
}

fn fingerprint(state: &State) -> u128 {
    let half = |salt: u64| {
        let mut hasher = DefaultHasher::new();
        salt.hash(&mut hasher);
        state.hash(&mut hasher);
        u128::from(hasher.finish())
    };
    (half(1) << 64) | half(2)
}

impl Explored {
    /// Visits every state, breadth first. `Err` has what is broken and the shortest way there.
    fn run(rules: &Rules, budget: Budget, most: usize) -> Result<Self, String> {
        let start = State::start(budget).normal();
        let mut explored = Self::default();
        explored.numbers.insert(fingerprint(&start), 0);
        explored.parents.push((0, 0));
        let mut waiting = VecDeque::from([(0, start)]);
        while let Some((number, state)) = waiting.pop_front() {
            if state.queue.is_empty() && state.processes.is_empty() {
                explored.at_rest.push(number);
            }
            for (position, (name, ordinary, next)) in state.moves(rules).into_iter().enumerate() {
                let position = position.try_into().unwrap();
                let next = next.map(State::normal).and_then(|next| next.check(rules, &budget).map(|()| next));
                let next =
                    next.map_err(|why| format!("{why}: {} > {name}", explored.way(rules, budget, number).join(" > ")))?;
                let fresh = u32::try_from(explored.parents.len()).unwrap();
                let to = *explored.numbers.entry(fingerprint(&next)).or_insert(fresh);
                if ordinary {
                    explored.ordinary.push((number, to));
                }
                if to == fresh {
                    explored.parents.push((number, position));
                    waiting.push_back((to, next));
                    assert!(explored.parents.len() <= most, "more than {most} states");
                }
            }
        }
        Ok(explored)
    }

    /// The names of the moves to a state.
    fn way(&self, rules: &Rules, budget: Budget, mut number: u32) -> Vec<&'static str> {
        let mut positions = Vec::new();
        while number != 0 {
            let (parent, position) = self.parents[number as usize];
            positions.push(position);
            number = parent;
        }
        let mut state = State::start(budget).normal();
        let mut names = Vec::new();
        for position in positions.into_iter().rev() {
            let (name, _, next) = state.moves(rules).swap_remove(position.into());
            state = next.unwrap().normal();
            names.push(name);
        }
        names
    }

    /// The states from which rest is never reached, however kind the world is from then on.
    fn stuck(&self) -> usize {
        let mut ordinary = self.ordinary.clone();
        ordinary.sort_unstable_by_key(|(_, to)| *to);
        let mut reached = vec![false; self.parents.len()];
        let mut waiting = self.at_rest.clone();
        while let Some(number) = waiting.pop() {
            if std::mem::replace(&mut reached[number as usize], true) {
                continue;
            }
            let first = ordinary.partition_point(|(_, to)| *to < number);
            waiting.extend(ordinary[first..].iter().take_while(|(_, to)| *to == number).map(|(from, _)| *from));
        }
        reached.into_iter().filter(|reached| !reached).count()
    }
}

#[test]
fn no_event_is_lost_nobody_acts_twice_and_every_message_ends() {
    let none = Budget::default();
    let budgets = [
        Budget { crashes: 1, errors: 1, redrives: 1, ..none },
        Budget { errors: 1, redrives: 1, replays: 1, ..none },
        Budget { crashes: 1, redrives: 1, replays: 1, ..none },
        Budget { crashes: 1, copies: 1, redrives: 1, ..none },
        Budget { crashes: 1, copies: 1, replays: 1, ..none },
        Budget { crashes: 1, frozen: 1, redrives: 1, ..none },
        Budget { crashes: 1, frozen: 1, replays: 1, ..none },
        Budget { retries: 1, copies: 1, redrives: 1, ..none },
        Budget { reconciliations: 1, deliveries: 1, redrives: 1, rejects: 1, ..none },
        Budget { reconciliations: 1, crashes: 1, replays: 1, ..none },
    ];
    let mut states = 0;
    for budget in budgets {
        let explored = Explored::run(&RULES, budget, 5_000_000).unwrap_or_else(|broken| panic!("{budget:?}: {broken}"));
        assert_eq!(explored.stuck(), 0, "{budget:?}: messages that never end");
        println!("{} states with {budget:?}", explored.parents.len());
        states += explored.parents.len();
    }
    println!("{states} states");
    assert!(states > 1_000_000, "{states} states are too few");
}

/// The rules before: what came back was told by comparing the time at which a message was sent with the time at which
/// its event ended, and a replay was like a first try.
fn decide_by_times(state: &State, message: Message) -> Decision {
    let Some(record) = state.record else { return Decision::Take(Status::InProgress) };
    let asked_later = state.ended_at < message.sent_at;
    match (record.status, message.kind) {
        (Status::InProgress | Status::Replaying, _) if record.leased => Decision::Busy,
        (Status::InProgress | Status::Replaying, _) => Decision::Take(Status::InProgress),
        (Status::Failed, _) if record.event != message.event => Decision::Take(Status::InProgress),
        (Status::Failed, Kind::Redriven | Kind::Replay { .. }) if asked_later => Decision::Take(Status::InProgress),
        (Status::Completed | Status::NotFound, Kind::Replay { .. }) if asked_later => {
            Decision::Take(Status::InProgress)
        }
        _ => Decision::Acknowledge,
    }
}

#[test]
fn rules_that_are_broken_are_caught() {
    let budget = Budget { crashes: 1, redrives: 1, copies: 1, frozen: 1, replays: 1, retries: 1, ..Budget::default() };
    let broken: [(&str, &str, Rules); 6] = [
        (
            "times decide",
            "is lost",
            Rules {
                decide: decide_by_times,
                timed: true,
                steps: |ending, _| steps(if ending == Ending::NotFound { Ending::Completed } else { ending }, false),
                ..RULES
            },
        ),
        (
            "failed before its letter",
            "is lost",
            Rules {
                steps: |ending, replaying| match ending {
                    Ending::GivenUp if !replaying => {
                        &[Step::End(Status::Failed), Step::DeadLetter, Step::Log, Step::Acknowledge]
                    }
                    _ => steps(ending, replaying),
                },
                ..RULES
            },
        ),
        (
            "a redriven letter acts on what is completed",
            "claimed after it was completed",
            Rules {
                decide: |state, message| match (state.record, message.kind) {
                    (Some(Record { status: Status::Completed, .. }), Kind::Redriven) => {
                        Decision::Take(Status::Replaying)
                    }
                    _ => (RULES.decide)(state, message),
                },
                ..RULES
            },
        ),
        (
            "a replay goes by no token",
            "acted",
            Rules {
                decide: |state, message| match (state.record, message.kind) {
                    (Some(Record { status: Status::Completed, .. }), Kind::Replay { .. }) => {
                        Decision::Take(Status::Replaying)
                    }
                    _ => (RULES.decide)(state, message),
                },
                ..RULES
            },
        ),
        (
            "a replay that fails is a failure",
            "what was completed",
            Rules { steps: |ending, _| steps(ending, false), ..RULES },
        ),
        ("writes name no token", "", Rules { fenced: false, ..RULES }),
    ];
    for (what, why, rules) in broken {
        let budget = if rules.timed { Budget { replays: 0, ..budget } } else { budget };
        let found =
            Explored::run(&rules, budget, 5_000_000).err().unwrap_or_else(|| panic!("{what}: nothing is found"));
        println!("{what}: {found}");
        assert!(found.contains(why), "{what}: {found}");
    }
}

#[test]
fn the_table_in_the_documentation_says_what_is_decided() {
    const OWN: u8 = 1;
    let record = |status, event, leased| Some(Record { status, token: 7, event, leased });
    let rows = [
        ("absent", None, 7),
        ("`in_progress`, lease over", record(Status::InProgress, OWN, false), 7),
        ("`in_progress`, lease running", record(Status::InProgress, OWN, true), 7),
        ("`failed` by this event", record(Status::Failed, OWN, false), 7),
        ("`failed` by another event", record(Status::Failed, 2, false), 7),
        ("`not_found` by this event", record(Status::NotFound, OWN, false), 7),
        ("`not_found` by another event", record(Status::NotFound, 2, false), 7),
        ("`completed`, the token that the replay saw", record(Status::Completed, OWN, false), 7),
        ("`completed`, another token", record(Status::Completed, OWN, false), 6),
        ("`replaying`, lease running", record(Status::Replaying, OWN, true), 7),
        ("`replaying`, lease over", record(Status::Replaying, OWN, false), 7),
    ];
    let mut table =
        "//! | record | delivery | reconciliation | redriven | replay |\n//! |---|---|---|---|---|\n".to_owned();
    for (name, record, seen) in rows {
        let kinds = [Kind::Delivery, Kind::Reconciliation, Kind::Redriven, Kind::Replay { seen: Some(seen) }];
        let cells = kinds.map(|kind| match decide(record.as_ref(), &OWN, &kind) {
            Decision::Take(Status::Replaying) => "take as `replaying`",
            Decision::Take(_) => "take",
            Decision::Busy => "busy",
            Decision::Acknowledge => "acknowledge",
        });
        let _ = writeln!(table, "//! | {name} | {} |", cells.join(" | "));
    }
    assert!(include_str!("../src/lib.rs").contains(&table), "the table should be:\n{table}");
}
