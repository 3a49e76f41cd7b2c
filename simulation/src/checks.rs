//! What must hold. The rules are stated anew here, from what the services see, and take nothing from the code's word.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tokio::time::Instant;

use crate::clock;
use crate::dynamodb::{Item, number, text};
use crate::network::{Call, Life, Service};
use crate::openai::call_of;
use crate::sqs::Message;
use crate::world::State;

/// How far clocks of processes are off, in milliseconds. Leases last two seconds longer than invocations.
pub(crate) const MAX_SKEW: i64 = 900;

/// What is remembered for the checks.
#[derive(Default)]
pub(crate) struct Checks {
    /// The accepted events, and their idempotency keys.
    pub(crate) events: BTreeMap<String, String>,
    /// Everything that a process has received.
    pub(crate) received: BTreeMap<Life, Vec<Message>>,
    /// Who made the latest claim on a key, and when.
    holders: BTreeMap<String, (Life, Instant)>,
    outcomes: BTreeMap<String, Vec<(Life, Instant)>>,
    letters: BTreeMap<String, Vec<(Life, Instant)>>,
    not_found: BTreeSet<String>,
    /// Events whose history may lack its end: a copy of their message may have been at work when the message was deleted, and
    /// at the last receive an event is acknowledged even if its history could not be written.
    pub(crate) excused: BTreeSet<String>,
}

impl Checks {
    pub(crate) fn dead_letter(&mut self, life: Life, event: String) {
        self.letters.entry(event).or_default().push((life, Instant::now()));
    }
}

fn status(record: &Item) -> &str {
    text(record, "status").unwrap_or_default()
}

fn is_held(record: &Item) -> bool {
    matches!(status(record), "in_progress" | "replaying")
}

/// The artifacts of a record's outcome.
fn artifacts(record: &Item) -> Vec<&str> {
    let artifacts = record.get("outcome").and_then(|outcome| outcome["M"]["artifacts"]["L"].as_array());
    artifacts.into_iter().flatten().filter_map(|artifact| artifact["S"].as_str()).collect()
}

impl State {
    fn record(&self, key: &str) -> Option<&Item> {
        self.table.get(&format!("idempotency#{key}"))
    }

    /// No accepted event is ever nowhere.
    pub(crate) fn check_nowhere(&self) -> Result<(), String> {
        for (event, key) in &self.checks.events {
            let record = self.record(key);
            let is_done = record.is_some_and(|record| matches!(status(record), "completed" | "replaying"));
            let has_ended = is_done || self.checks.not_found.contains(event);
            if !has_ended && !self.queue.has(event) && !self.letters.has(event) {
                return Err(format!("{event} is nowhere: its record is {:?}", record.map(status)));
            }
        }
        Ok(())
    }

    /// What is acknowledged has a history, or a letter.
    pub(crate) fn check_history(&mut self, message: &Message) -> Result<(), String> {
        let event = message.event();
        if message.receives >= self.settings.max_receives {
            self.checks.excused.insert(event);
            return Ok(());
        }
        let has_letter = self.checks.letters.contains_key(&event);
        if self.table.get(&format!("event#{event}")).is_some() || has_letter || self.checks.excused.contains(&event) {
            return Ok(());
        }
        Err(format!("{event} is acknowledged without a history"))
    }

    /// Checks a request when it is sent: what takes effect on others is sent by the holder of the record alone.
    pub(crate) fn check_sent(&self, life: Life, call: &Call) -> Result<(), String> {
        if self.calls.is_some() {
            return Ok(());
        }
        let json = &call.json;
        let key = match call.service {
            Service::EventBridge => {
                let detail = json["Entries"][0]["Detail"].as_str().and_then(|text| serde_json::from_str(text).ok());
                detail.and_then(|detail: Value| Some(detail["idempotency_key"].as_str()?.to_owned()))
            }
            Service::DynamoDb if json["Key"]["pk"]["S"].as_str().is_some_and(|pk| pk.starts_with("job#")) => {
                let event = json["ExpressionAttributeValues"][":event"]["S"].as_str().unwrap_or_default();
                self.checks.events.get(event).cloned()
            }
            Service::OpenAi => call_of(&call.path).map(|id| format!("call/realtime/{id}")),
            _ => return Ok(()),
        };
        let Some(key) = key else { return Ok(()) };
        let record = self.record(&key).ok_or_else(|| format!("{life} acts on {key}, which nobody has claimed"))?;
        let holder = self.checks.holders.get(&key).map(|(life, _)| *life);
        if holder != Some(life) || !is_held(record) {
            return Err(format!("{life} acts on {key}, which is {} and whose holder is {holder:?}", status(record)));
        }
        if number(record, "lease_until").unwrap_or_default() < clock::true_ms() {
            return Err(format!("{life} acts on {key} after its lease"));
        }
        if call.service == Service::OpenAi && !record.contains_key("acting") {
            return Err(format!("{life} answers {key} without having noted it"));
        }
        Ok(())
    }

    /// Checks an outcome that was published.
    pub(crate) fn check_outcome(&mut self, life: Life, detail: &Value) -> Result<(), String> {
        let key = detail["idempotency_key"].as_str().unwrap_or_default().to_owned();
        self.count("outcomes");
        let is_answered = key.strip_prefix("call/realtime/").and_then(|id| self.openai.objects.get(id));
        let is_answered = is_answered.is_some_and(|call| call.answered > 0);
        // What was completed before a replay is not the replay's to know.
        let is_first = detail["source"] != "replay";
        if is_first && is_answered && detail["note"].as_str().is_some_and(|note| note.contains("test delivery")) {
            return Err(format!("the outcome of {key} says that there was no such call, but it was answered"));
        }
        self.checks.outcomes.entry(key).or_default().push((life, Instant::now()));
        Ok(())
    }

    /// Checks a change of an idempotency record.
    pub(crate) fn check_record(
        &mut self,
        life: Life,
        key: &str,
        before: Option<&Item>,
        after: &Item,
    ) -> Result<(), String> {
        let is_claim = before.and_then(|before| text(before, "token")) != text(after, "token");
        if is_claim {
            self.count(if status(after) == "replaying" { "replays" } else { "claims" });
            let result = self.check_claim(life, before, after);
            self.checks.holders.insert(key.to_owned(), (life, Instant::now()));
            return result.map_err(|why| format!("{life} claims {key}: {why}"));
        }
        let Some(before) = before else { return Err(format!("{key} has no token")) };
        let (holder, since) = self.checks.holders[key];
        if holder != life {
            return Err(format!("{life} writes to {key}, which is {holder}'s"));
        }
        if !is_held(before) {
            return Err(format!("{life} writes to {key}, which has ended as {}", status(before)));
        }
        let replaying = status(before) == "replaying";
        let of_this = |all: Option<&Vec<(Life, Instant)>>| {
            all.is_some_and(|all| all.iter().any(|(by, at)| replaying || (*by == life && *at >= since)))
        };
        let event = text(after, "event").unwrap_or_default();
        match status(after) {
            "completed" | "not_found" if !of_this(self.checks.outcomes.get(key)) => {
                Err(format!("{key} is {} without an outcome", status(after)))
            }
            "not_found" if replaying => Err(format!("{key} was completed and is not found now")),
            "completed" => {
                self.count("completed");
                let artifacts = artifacts(after);
                if replaying && artifacts.len() < self::artifacts(before).len() {
                    return Err(format!("{key} has fewer artifacts than before it was replayed"));
                }
                match artifacts.into_iter().find(|artifact| !self.bucket.contains_key(*artifact)) {
                    Some(missing) => Err(format!("{key} is completed, but its artifact {missing} is missing")),
                    None => Ok(()),
                }
            }
            "not_found" => {
                self.count("not found");
                self.checks.not_found.insert(event.to_owned());
                Ok(())
            }
            "failed" if replaying => Err(format!("{key} was completed and has failed now")),
            "failed" if !of_this(self.checks.letters.get(event)) => Err(format!("{event} has failed without a letter")),
            "failed" => {
                self.count("failed");
                Ok(())
            }
            now if now == status(before) => Ok(()),
            now => Err(format!("{key} goes from {} to {now}", status(before))),
        }
    }

    /// Whether a process may claim, with what it has received.
    fn check_claim(&self, life: Life, before: Option<&Item>, after: &Item) -> Result<(), String> {
        let Some(before) = before else { return Ok(()) };
        let is_over = number(before, "lease_until").unwrap_or_default() < clock::true_ms() + MAX_SKEW;
        if is_held(before) && !is_over {
            return Err("its lease is running".to_owned());
        }
        let was_completed = matches!(status(before), "completed" | "replaying");
        if was_completed != (status(after) == "replaying") {
            return Err(format!("it goes from {} to {}", status(before), status(after)));
        }
        let may_claim = |message: &Message| {
            let attribute = |name: &str| message.attributes.get(name).map(String::as_str);
            let is_own = text(before, "event") == Some(&message.event());
            let is_redriven = attribute("failure-reason").is_some();
            let is_replay = !is_redriven && attribute("source") == Some("replay");
            match status(before) {
                "completed" => is_replay && attribute("seen-token") == text(before, "token"),
                "replaying" => is_replay,
                "failed" => !is_own || is_redriven || is_replay,
                "not_found" => !is_own || is_redriven || attribute("source") != Some("openai"),
                _ => true,
            }
        };
        if self.checks.received.get(&life).is_some_and(|all| all.iter().any(may_claim)) {
            return Ok(());
        }
        Err(format!("it is {}, and no message that {life} received may change that", status(before)))
    }

    /// What must hold at rest.
    pub(crate) fn check_at_rest(&mut self) -> Result<(), String> {
        self.check_nowhere()?;
        if let Some(message) = self.queue.messages.first() {
            return Err(format!("{} has not ended", message.event()));
        }
        for (event, key) in &self.checks.events {
            let Some(record) = self.record(key) else { continue };
            let is_of_this = text(record, "event") == Some(event.as_str()) && status(record) == "completed";
            let history = self.table.get(&format!("event#{event}"));
            let says = history.and_then(|history| text(history, "state"));
            let is_excused = self.checks.excused.contains(event) || self.letters.has(event);
            if is_of_this && !is_excused && says != Some("completed") {
                return Err(format!("{event} is completed, but its history says {says:?}"));
            }
        }
        Ok(())
    }
}
