//! What must hold of a supervised session, from what the services see.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::TOOLS;
use super::session::{ID, Wanted};
use crate::clock;
use crate::dynamodb::{Item, number, text};
use crate::network::{Life, Reply};
use crate::sqs::Message;
use crate::world::State;

/// Within this time a supervisor that died is replaced.
const REPLACED: Duration = Duration::from_secs(30);

/// For this time a supervisor may act after another one has taken the session: its lease, and what is on its way.
const MAY_ACT: Duration = Duration::from_secs(15);

/// What is remembered for the checks.
#[derive(Default)]
pub(crate) struct CallChecks {
    /// Whether processes die, and nothing else fails.
    kills_alone: bool,
    /// Whether the watchdog was: nobody replaces a supervisor then for 16 minutes.
    pub(super) blind: bool,
    /// Who has the session, and since when.
    holder: Option<(Life, Instant)>,
    /// Since when nobody has the session.
    pub(super) alone_since: Option<Instant>,
    /// Who has claimed a tool call. A request of whoever has lost the claim may take effect late.
    claimers: BTreeSet<(String, Life)>,
    /// The result of each tool call that has one.
    kept: BTreeMap<String, String>,
    /// Whether whoever gets the next event dies of it.
    pub(super) kill_next: bool,
}

impl CallChecks {
    pub(super) fn new(kills_alone: bool) -> Self {
        Self { kills_alone, ..Self::default() }
    }

    /// Whether this was the result in the ledger at any time.
    pub(super) fn was_kept(&self, call: &str, result: &str) -> bool {
        self.kept.get(call).is_some_and(|kept| kept == result)
    }
}

fn is_ended(item: &Item) -> bool {
    text(item, "state") == Some("ended")
}

impl State {
    pub(super) fn call_checks(&mut self) -> &mut CallChecks {
        &mut self.calls().checks
    }

    /// Checks a change of an item of the session.
    pub(crate) fn check_call_item(
        &mut self,
        life: Life,
        sk: &str,
        before: Option<&Item>,
        after: &Item,
    ) -> Result<(), String> {
        if let Some(call) = sk.strip_prefix("tool#") {
            return self.check_tool_item(life, call, before, after);
        }
        if sk != "session" {
            return Ok(());
        }
        let Some(before) = before else { return Ok(()) };
        self.note(|| {
            let field = |item, name| text(item, name).unwrap_or("-").to_owned();
            let generation = |item| number(item, "generation").unwrap_or_default();
            format!(
                "{life}  session: {} of generation {} -> {} of {}",
                field(before, "state"),
                generation(before),
                field(after, "state"),
                generation(after)
            )
        });
        if is_ended(before) && !is_ended(after) {
            return Err(format!("{life} brings a session back that has ended"));
        }
        if text(before, "token") == text(after, "token") {
            let holder = self.call_checks().holder.map(|(holder, _)| holder);
            return if holder == Some(life) {
                Ok(())
            } else {
                Err(format!("{life} writes to the session, which {holder:?} has"))
            };
        }
        let generation = |item| number(item, "generation").unwrap_or_default();
        if generation(after) <= generation(before) {
            return Err(format!("{life} takes the session as generation {} again", generation(after)));
        }
        self.count("sessions taken");
        let checks = self.call_checks();
        checks.holder = Some((life, Instant::now()));
        let alone = checks.alone_since.take().filter(|_| checks.kills_alone && !checks.blind);
        match alone.map(|since| since.elapsed()).filter(|alone| *alone > REPLACED) {
            Some(alone) => Err(format!("nobody had the session for {:.1} s", alone.as_secs_f64())),
            None => Ok(()),
        }
    }

    fn check_tool_item(&mut self, life: Life, call: &str, before: Option<&Item>, after: &Item) -> Result<(), String> {
        if before.and_then(|before| text(before, "token")) != text(after, "token") {
            self.note(|| format!("{life}  claims {call}"));
            let until = before.and_then(|before| number(before, "run_until"));
            if until.is_some_and(|until| until > clock::true_ms()) {
                return Err(format!("{life} claims {call}, which may be running"));
            }
            self.call_checks().claimers.insert((call.to_owned(), life));
        }
        let result = |item| text(item, "result").map(str::to_owned);
        if let Some(kept) = result(after) {
            self.call_checks().kept.entry(call.to_owned()).or_insert(kept);
        }
        match (before.and_then(result), result(after)) {
            (Some(before), after) if after.as_ref() != Some(&before) => {
                Err(format!("the result of {call} was {before} and is {after:?}"))
            }
            _ => Ok(()),
        }
    }

    /// Lambda starts a supervisor, or runs a tool.
    pub(crate) fn invoke(&mut self, life: Life, kind: &str, path: &str, event: &Value) -> Reply {
        let function = path.split('/').nth(3).unwrap_or_default();
        if kind == "Event" {
            self.start(event);
            return Reply::json(202, &json!({}));
        }
        let call = event["call_id"].as_str().unwrap_or_default().to_owned();
        let runs = self.calls().runs.entry(call.clone()).or_default();
        *runs += 1;
        let times = *runs;
        self.count("tools run");
        self.note(|| format!("{function} runs {call} for {life}, for the {times}. time"));
        let may_repeat = TOOLS.iter().any(|(name, retries)| *name == function && *retries > 0);
        if times > 1 && !may_repeat {
            self.violated(format!("{call} is run by {function} {times} times"));
        }
        if !self.calls().checks.claimers.contains(&(call.clone(), life)) {
            self.violated(format!("{life} has {call} run without a claim"));
        }
        Reply::json(200, &json!({"run": times, "of": call}))
    }

    /// Checks who sends something to the session.
    pub(super) fn check_acting(&mut self, life: Life, what: &str) -> Result<(), String> {
        match self.call_checks().holder {
            Some((holder, since)) if holder != life && since.elapsed() > MAY_ACT => Err(format!(
                "{life} sends {what} {:.1} s after {holder} has taken the session",
                since.elapsed().as_secs_f64()
            )),
            _ => Ok(()),
        }
    }

    /// A transfer is sent once for each call of the tool.
    pub(super) fn check_refer(&mut self, target: &str) -> Result<(), String> {
        let session = &self.calls().session;
        let sent = session.refers.iter().filter(|sent| *sent == target).count();
        let transfers = session.wanted.iter().filter(|wanted| wanted.tool == "transfer");
        let called: usize = transfers.map(|wanted| wanted.ids.len()).sum();
        if sent > called { Err(format!("the call is referred to {target} {sent} times")) } else { Ok(()) }
    }

    /// Notes what is told to others.
    pub(crate) fn call_told(&mut self, entry: &Value) {
        let detail: Value =
            entry["Detail"].as_str().and_then(|detail| serde_json::from_str(detail).ok()).unwrap_or_default();
        let key = detail["idempotency_key"].as_str().unwrap_or_default().to_owned();
        self.note(|| format!("told: {key}"));
        *self.calls().told.entry(key).or_default() += 1;
    }

    /// Whoever had the session may not have it any more.
    pub(super) fn invocation_ended(&mut self, life: Life, died: bool) {
        let checks = self.call_checks();
        let was_holder = checks.holder.is_some_and(|(holder, _)| holder == life);
        // A successor that died lets the watchdog begin anew.
        if was_holder || (died && checks.alone_since.is_some()) {
            checks.alone_since = Some(Instant::now());
        }
    }

    /// The watchdog has looked: its process may have died, or SQS may not have hidden its message.
    pub(super) fn watchdog_looked(&mut self, messages: &[Message]) {
        let blind = messages.iter().any(|message| {
            let hidden = self.queue.messages.iter().find(|waiting| waiting.id == message.id);
            hidden.is_some_and(|hidden| hidden.visible_at > Instant::now() + REPLACED)
        });
        if blind {
            self.count("blind watchdogs");
            self.call_checks().blind = true;
        }
    }

    /// What must hold at the end.
    pub(super) fn check_call_at_rest(&mut self) -> Result<(), String> {
        let pk = format!("session#{}#{ID}", self.calls().api);
        let key = |kind: &str, api| format!("{kind}/{api}/{ID}");
        let request = json!({"Key": {"pk": {"S": pk}, "sk": {"S": "session"}}});
        let record = self.table.item(&request).cloned().unwrap_or_default();
        if !is_ended(&record) {
            return Err(format!("the record has not ended: it is {:?}", text(&record, "state")));
        }
        if !self.bucket.contains_key(&format!("call/{ID}/summary.json")) {
            return Err("there is no summary".to_owned());
        }
        let calls = self.calls();
        if !calls.told.contains_key(&key("call.ended", calls.api)) {
            return Err("nobody was told that the call has ended".to_owned());
        }
        for Wanted { tool, ids, answers, crossed, .. } in &calls.session.wanted {
            let runs: u32 = ids.iter().filter_map(|id| calls.runs.get(id)).sum();
            // A supervisor that is alive and cut off may run what the model calls again.
            if runs > 1 && *tool != "stock" && calls.checks.kills_alone && !crossed {
                return Err(format!("{tool} was run {runs} times for one wish of the model: {ids:?}"));
            }
            let is_lost = |answer: &String| answer.contains("error");
            if runs == 0 && TOOLS.iter().any(|(name, _)| name == tool) && !answers.values().flatten().all(is_lost) {
                return Err(format!("{ids:?} have a result and were never run"));
            }
        }
        Ok(())
    }
}
