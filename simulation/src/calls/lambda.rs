//! The supervisor function as Lambda runs it: one session or one look of the watchdog per invocation, in a process that
//! serves one invocation after the other.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::{Either, LocalBoxFuture, pending, select};
use futures::stream::FuturesUnordered;
use hooks_function::Deadline;
use serde_json::{Value, json};
use supervisor::host::Host;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::session::dial;
use crate::chance::Trouble;
use crate::clock;
use crate::consumer::{client, config, environment};
use crate::network::{Life, Process, openai};
use crate::sqs::Message;
use crate::world::{State, World};

/// How far the clocks of hosts are off, in milliseconds.
const SKEWS: [i64; 4] = [0, 0, 900, -900];

/// A process that waits for an invocation.
struct Warm {
    process: Arc<Process>,
    host: Host,
    skew: i64,
}

/// What is invoked.
enum Event {
    Start(Value),
    Watch(Vec<Message>),
}

/// Runs invocations for ever.
pub(super) async fn run(world: Arc<World>) {
    let mut warm: Vec<Warm> = Vec::new();
    let mut processes = 0;
    let mut running: FuturesUnordered<LocalBoxFuture<'_, Option<Warm>>> = FuturesUnordered::new();
    loop {
        let changed = std::pin::pin!(world.changed.notified());
        let due = world.lock().due();
        if let Some(event) = due {
            let process = warm.pop().unwrap_or_else(|| {
                processes += 1;
                started(&world, processes)
            });
            world.lock().calls().invocations += 1;
            running.push(Box::pin(invocation(&world, process, event)));
            continue;
        }
        let next = world.lock().next_due();
        let time = std::pin::pin!(async {
            match next {
                Some(at) => sleep_until(at).await,
                None => pending().await,
            }
        });
        let ended = std::pin::pin!(async {
            match running.next().await {
                Some(ended) => ended,
                None => pending().await,
            }
        });
        if let Either::Left((ended, _)) = select(ended, select(changed, time)).await {
            world.lock().calls().invocations -= 1;
            warm.extend(ended);
            world.changed.notify_waiters();
        }
    }
}

fn started(world: &Arc<World>, number: u16) -> Warm {
    let process = Process::new(Life { consumer: 18, life: number });
    let skew = {
        let mut state = world.lock();
        let skew = state.chance.pick(&SKEWS);
        state.note(|| format!("{}  starts, its clock is {skew} ms off", process.life));
        skew
    };
    let client = client().answered_by(openai(world, &process)).dialled_by(dial(world, &process));
    match Host::over(Some(config(world, &process)), Some(client), environment(1)) {
        Ok(host) => Warm { process, host, skew },
        Err(faults) => unreachable!("{faults}"),
    }
}

/// One invocation. The process is there for another one, unless it died.
async fn invocation(world: &Arc<World>, warm: Warm, event: Event) -> Option<Warm> {
    let Warm { process, host, skew } = warm;
    let life = process.life;
    let (time, kill) = {
        let mut state = world.lock();
        let time = state.settings.timeout;
        let (one_in, longest) = match event {
            Event::Start(_) => (2, Duration::from_mins(1)),
            Event::Watch(_) => (12, Duration::from_millis(300)),
        };
        let may_kill = !state.chance.calm && state.chance.one_in(one_in);
        let kill = may_kill.then(|| state.chance.within(longest));
        state.note(|| match &event {
            Event::Start(event) => format!("{life}  is invoked with {event}"),
            Event::Watch(_) => format!("{life}  is invoked by the watchdog's message"),
        });
        (time, kill)
    };
    let end = clock::true_ms() + i64::try_from(time.as_millis()).unwrap_or_default();
    let input = match &event {
        Event::Start(event) => event.clone(),
        Event::Watch(messages) => json!({"Records": messages.iter().map(Message::record).collect::<Vec<_>>()}),
    };
    let answered = {
        let work = std::pin::pin!(clock::with_skew(skew, async {
            timeout(time, host.handle(input, Deadline::at(end.unsigned_abs()))).await
        }));
        let killed = std::pin::pin!(async {
            match kill {
                Some(after) => sleep(after).await,
                None => pending().await,
            }
            if world.lock().chance.calm {
                pending::<()>().await;
            }
            world.lock().note(|| format!("{life}  is killed"));
            process.die();
            pending::<()>().await;
        });
        match select(std::pin::pin!(process.death()), select(work, killed)).await {
            Either::Right((Either::Left((Ok(answered), _)), _)) => Some(answered),
            Either::Right(_) => {
                let mut state = world.lock();
                state.count("timeouts");
                state.note(|| format!("{life}  is stopped by Lambda"));
                drop(state);
                process.die();
                None
            }
            Either::Left(_) => None,
        }
    };
    let mut state = world.lock();
    state.invocation_ended(life, answered.is_none());
    if let Event::Watch(messages) = &event {
        state.watchdog_looked(messages);
    }
    let Some(answered) = answered else {
        state.count("deaths");
        state.note(|| format!("{life}  is dead"));
        return None;
    };
    if let (Event::Watch(messages), Ok(answer)) = (&event, &answered) {
        let failed = answer["batchItemFailures"].as_array().cloned().unwrap_or_default();
        for message in messages {
            let id = message.id.to_string();
            let has_failed = failed.iter().any(|failure| failure["itemIdentifier"] == id.as_str());
            if !has_failed && !state.chance.has(Trouble::Undeleted) {
                state.queue.remove(message.id);
            }
        }
    }
    state.note(|| match &answered {
        Ok(answer) => format!("{life}  answers {answer}"),
        Err(error) => format!("{life}  fails: {error}"),
    });
    Some(Warm { process, host, skew })
}

impl State {
    /// What is to be invoked now.
    fn due(&mut self) -> Option<Event> {
        let now = Instant::now();
        let starts = &mut self.calls().starts;
        if let Some(at) = starts.iter().position(|(at, _)| *at <= now) {
            return Some(Event::Start(starts.remove(at).1));
        }
        let visibility = self.settings.visibility;
        let mut received = Vec::new();
        for message in self.queue.messages.iter_mut().filter(|message| message.visible_at <= now) {
            message.receives += 1;
            message.visible_at = now + visibility;
            received.push(message.clone());
        }
        (!received.is_empty()).then_some(Event::Watch(received))
    }

    fn next_due(&mut self) -> Option<Instant> {
        let visible = self.queue.next_visible();
        self.calls().starts.iter().map(|(at, _)| *at).chain(visible).min()
    }
}
