//! What happens to the consumers in a run: OpenAI delivers, reconciliation copies, a person redrives and replays.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, join_all, select};
use hooks_consumer::{Category, Event};
use serde_json::json;
use tokio::time::Instant;

use crate::chance::Chance;
use crate::openai::{Object, object_id};
use crate::sqs::{Attributes, event};
use crate::world::{Settings, State, World};
use crate::{Run, clock, consumer};

/// Within this time after the last trouble, everything has ended.
const PATIENCE: Duration = Duration::from_hours(14 * 24);

/// An event of the run.
#[derive(Clone, Debug)]
struct Sent {
    body: String,
    attributes: Attributes,
}

/// Something that happens at a moment.
#[derive(Clone, Debug)]
enum Act {
    Send(Sent),
    /// A person puts a dead letter back.
    Redrive,
    /// A person decides to replay, and the message is sent after this time.
    Replay(Sent, Duration),
}

/// What happens when, in no order.
type Script = Vec<(Duration, Act)>;

fn settings(chance: &mut Chance) -> Settings {
    let (category, timeout, visibility, batch_size) = chance.pick(&[
        (Category::Batch, 900, 960, 1),
        (Category::Response, 30, 180, 10),
        (Category::FineTuning, 120, 720, 10),
        (Category::Realtime, 10, 15, 1),
        (Category::Realtime, 10, 15, 1),
        (Category::Agent, 30, 180, 10),
        (Category::Safety, 30, 180, 10),
        (Category::File, 60, 360, 10),
        (Category::Archive, 60, 360, 10),
    ]);
    let max_receives = chance.pick(&[2, 3, 5, 12]);
    Settings {
        category,
        timeout: Duration::from_secs(timeout),
        visibility: Duration::from_secs(visibility),
        batch_size,
        max_receives,
        max_receive_count: max_receives + chance.pick(&[1, 2, 4]),
    }
}

/// How long there is trouble.
fn trouble(chance: &mut Chance) -> Duration {
    Duration::from_secs(chance.pick(&[30, 300, 3_600, 8 * 3_600]))
}

fn kind(category: Category) -> (&'static str, &'static str) {
    match category {
        Category::Batch => ("batch.completed", "completed"),
        Category::Response => ("response.completed", "completed"),
        Category::FineTuning => ("fine_tuning.job.succeeded", "succeeded"),
        Category::Realtime => ("realtime.call.incoming", ""),
        Category::Agent => ("agent.session.idle", "idle"),
        Category::Safety => ("safety.alert.created", "created"),
        Category::File => ("file.processed", "processed"),
        Category::Archive => ("video.completed", "completed"),
    }
}

/// An event about an object, as it stands in the queue.
fn sent(category: Category, object: &str, webhook_id: &str, event_id: &str, source: &str, age: u64) -> Sent {
    let (event_type, _) = kind(category);
    let now = clock::true_ms().unsigned_abs();
    let data = match category {
        Category::Realtime => json!({"call_id": object, "sip_headers": [{"name": "From", "value": "sip:+1@x"}]}),
        _ => json!({ "id": object }),
    };
    let created_at = now / 1000 - age;
    let body = json!({"id": event_id, "object": "event", "created_at": created_at, "type": event_type, "data": data});
    let attributes = [
        ("webhook-id", webhook_id.to_owned()),
        ("webhook-timestamp", created_at.to_string()),
        ("endpoint", "project".to_owned()),
        ("event-type", event_type.to_owned()),
        ("received-at", now.to_string()),
        ("source", source.to_owned()),
    ];
    Sent { body: body.to_string(), attributes: attributes.map(|(name, text)| (name.to_owned(), text)).into() }
}

/// Chooses the objects and what happens when.
fn script(chance: &mut Chance, category: Category, whole: Duration) -> (Vec<(String, Object)>, Script) {
    let (now, far) = (Instant::now(), Duration::from_hours(365 * 24));
    let mut objects = Vec::new();
    let mut acts = Vec::new();
    let mut events = Vec::new();
    for number in 0..=chance.up_to(1) {
        let id = object_id(category, number);
        let sometimes = |chance: &mut Chance, time| if chance.one_in(4) { chance.within(time) } else { Duration::ZERO };
        let appears_at = now + sometimes(chance, Duration::from_mins(15));
        let gone_at = match category {
            Category::Realtime => now + chance.within(Duration::from_mins(2)),
            _ if chance.one_in(5) => now + chance.within(whole),
            _ => now + far,
        };
        let object = Object {
            appears_at,
            ends_at: appears_at + sometimes(chance, Duration::from_mins(15)),
            gone_at,
            status: kind(category).1.to_owned(),
            answered: 0,
            forgets: chance.one_in(2),
        };
        objects.push((id.clone(), object));
        // Two events that mean the same, or one.
        for copy in 0..=chance.up_to(1) {
            let age = if chance.one_in(4) { chance.within(Duration::from_hours(1)).as_secs() } else { 0 };
            let name = format!("{number}{copy}");
            let event = sent(category, &id, &format!("wh_{name}"), &format!("evt_{name}"), "openai", age);
            let first = if chance.one_in(2) { Duration::ZERO } else { chance.within(whole / 4) };
            events.push(event.clone());
            acts.push((first, Act::Send(event.clone())));
            for _ in 0..chance.pick(&[0, 0, 1, 2]) {
                acts.push((chance.within(whole), Act::Send(event.clone())));
            }
        }
        if category != Category::Realtime && chance.one_in(3) {
            let name = format!("evt_reconcile_{number}");
            let event = sent(category, &id, &name, &name, "reconcile", 0);
            for _ in 0..=chance.up_to(1) {
                acts.push((chance.within(whole), Act::Send(event.clone())));
            }
        }
    }
    for _ in 0..chance.pick(&[0, 0, 1, 3]) {
        acts.push((chance.within(whole), Act::Redrive));
    }
    for _ in 0..chance.pick(&[0, 0, 1, 3]) {
        let event = events[chance.up_to(events.len() - 1)].clone();
        let pause = chance.within(Duration::from_mins(10));
        acts.push((chance.within(whole), Act::Replay(event, pause)));
    }
    (objects, acts)
}

impl State {
    fn accept(&mut self, sent: Sent) {
        let name = event(&sent.attributes);
        if let Ok(parsed) = Event::parse(&sent.body) {
            self.checks.events.insert(name.clone(), parsed.idempotency_key().to_string());
        }
        let source = sent.attributes["source"].clone();
        self.note(|| format!("{name} is queued ({source})"));
        self.send(sent.body, sent.attributes);
    }

    fn redrive(&mut self) {
        if self.letters.messages.is_empty() {
            return;
        }
        let letter = self.letters.messages[self.chance.up_to(self.letters.messages.len() - 1)].clone();
        let name = letter.event();
        self.count("redrives");
        self.note(|| format!("somebody redrives {name}"));
        self.send(letter.body, letter.attributes);
        // The one who redrives may die in between.
        if !self.chance.one_in(8) {
            self.letters.remove(letter.id);
        }
    }

    /// The replay that is sent later, if the ledger has the event.
    fn replay(&mut self, mut sent: Sent) -> Option<Sent> {
        let name = event(&sent.attributes);
        let history = self.table.get(&format!("event#{name}"))?;
        if history.contains_key("duplicate_of") {
            return None;
        }
        let key = self.checks.events.get(&name)?;
        let record = self.table.get(&format!("idempotency#{key}"));
        let seen = record.and_then(|record| crate::dynamodb::text(record, "token")).map(str::to_owned);
        self.note(|| format!("somebody replays {name}"));
        sent.attributes.insert("source".to_owned(), "replay".to_owned());
        sent.attributes.insert("asked-by".to_owned(), "ada".to_owned());
        sent.attributes.extend(seen.map(|seen| ("seen-token".to_owned(), seen)));
        Some(sent)
    }
}

/// Plays the run of a seed.
pub(crate) async fn play(seed: u64, show: bool) -> Run {
    clock::begin();
    let mut chance = Chance::of(seed);
    let settings = settings(&mut chance);
    let whole = trouble(&mut chance);
    let (objects, acts) = script(&mut chance, settings.category, whole);
    let consumers = u8::try_from(1 + chance.up_to(2)).unwrap_or(1);
    let world = Arc::new(World::new(settings, chance, show));
    world.lock().openai.objects.extend(objects);
    world.lock().note(|| format!("{settings:?}, {consumers} consumers, trouble for {} s", whole.as_secs()));
    let working = pin!(join_all((0..consumers).map(|number| consumer::run(Arc::clone(&world), number))));
    let playing = pin!(script_to_end(&world, acts, whole));
    if let Either::Right(_) = select(playing, working).await {
        world.lock().violated("a consumer ended".to_owned());
    }
    world.lock().run()
}

/// Lets everything happen, ends the trouble, and waits until all is quiet.
async fn script_to_end(world: &World, mut acts: Script, whole: Duration) {
    let began = Instant::now();
    acts.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    let mut is_calm = false;
    loop {
        if world.lock().violation.is_some() {
            return;
        }
        let elapsed = began.elapsed();
        if let Some((_, act)) = acts.pop_if(|(at, _)| *at <= elapsed) {
            match act {
                Act::Send(sent) => world.lock().accept(sent),
                Act::Redrive => world.lock().redrive(),
                Act::Replay(sent, pause) => {
                    let replay = world.lock().replay(sent);
                    acts.extend(replay.map(|replay| (elapsed + pause, Act::Send(replay))));
                    acts.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
                }
            }
            world.changed.notify_waiters();
            continue;
        }
        if !is_calm && elapsed >= whole {
            is_calm = true;
            let mut state = world.lock();
            state.chance.calm = true;
            state.note(|| "the trouble is over".to_owned());
        }
        {
            let mut state = world.lock();
            let is_quiet = state.queue.messages.is_empty() && state.late == 0 && acts.is_empty();
            if is_calm && (is_quiet || elapsed > whole + PATIENCE) {
                let result = state.check_at_rest();
                return state.check(result);
            }
        }
        let next = acts.last().map_or(PATIENCE, |(at, _)| *at).max(elapsed);
        let next = if is_calm { next } else { next.min(whole) };
        consumer::change(world, next.saturating_sub(elapsed).max(Duration::from_millis(1))).await;
    }
}
