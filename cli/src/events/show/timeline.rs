//! What happened to an event, in the order of time: receipt, attempts, replays and by whom, alerts, dead letter, expectation.

use std::fmt::Write as _;

use hooks_aws::ledger::IdempotencyRecord;
use hooks_aws::ledger::value::{read_number, read_text};
use hooks_aws::outcomes::Severity;
use hooks_aws::queue::{ENDPOINT, WEBHOOK_ID};
use hooks_webhook::Category;
use serde::Serialize;
use serde_json::{Map, Value};

use super::plain;
use crate::aws::{DeadLetter, Entry};
use crate::context::Context;
use crate::error::Result;
use crate::output::{key_values, printable, shell_word};
use crate::timestamp::{Timestamp, duration};

/// Window of alerts of one kind, in seconds: those that follow the first one in it are told together when it is over.
const ALERT_WINDOW: i64 = 15 * 60;

/// What is known of an event beside its item.
pub(super) struct Story<'a> {
    entry: &'a Entry,
    job: Option<&'a Map<String, Value>>,
    record: Option<&'a IdempotencyRecord>,
    pub(super) dead_letter: Option<Letter>,
    pub(super) alerts: Vec<AlertState>,
    is_paused: bool,
}

/// Dead letter of the event.
#[derive(Serialize)]
pub(super) struct Letter {
    id: String,
    sent_at: Timestamp,
    reason: Option<String>,
}

/// Alerts of the kind that this event's failure belongs to.
#[derive(Serialize)]
pub(super) struct AlertState {
    reason: String,
    severity: &'static str,
    /// Number of alerts that people were not told of yet, and are told together.
    waiting: i64,
    /// When those that wait are told; without any, when the last message was sent.
    at: Timestamp,
}

/// A moment of the timeline.
#[derive(Serialize)]
pub(super) struct Moment {
    at: Timestamp,
    what: &'static str,
    detail: String,
}

impl<'a> Story<'a> {
    pub(super) async fn read(
        entry: &'a Entry,
        job: Option<&'a Map<String, Value>>,
        record: Option<&'a IdempotencyRecord>,
        context: &Context,
    ) -> Result<Self> {
        let category = entry.category.parse::<Category>().ok();
        let has_failed = entry.state == "failed";
        let mut story = Self { entry, job, record, dead_letter: None, alerts: Vec::new(), is_paused: false };
        if let Some(category) = category.filter(|_| has_failed) {
            let _spinner = context.out.spinner("Reading the dead letters");
            let select = |letter: DeadLetter| {
                let is_own = letter.attribute(WEBHOOK_ID) == Some(&entry.webhook_id)
                    && letter.attribute(ENDPOINT) == Some(&entry.endpoint);
                is_own.then(|| Letter {
                    id: letter.id.clone(),
                    sent_at: Timestamp(letter.sent_at),
                    reason: letter.reason().map(str::to_owned),
                })
            };
            story.dead_letter = context.dead_letter_queue(category).await?.peek(1, select).await?.pop();
        }
        if let Some(error) = entry.error.as_ref().filter(|_| has_failed) {
            story.alerts = alerts(&entry.category, &error.reason, context).await?;
        }
        if let Some(category) = category.filter(|_| entry.state == "in_progress") {
            // Whoever may not read it still sees everything else.
            story.is_paused = context.is_paused(category).await.unwrap_or_default();
        }
        Ok(story)
    }

    /// All moments, oldest first.
    pub(super) fn moments(&self) -> Vec<Moment> {
        let entry = self.entry;
        let at = |millis| Timestamp(millis);
        let mut moments = vec![Moment {
            at: entry.received_at,
            what: "received",
            detail: format!("from {} at the endpoint {}", entry.source, entry.endpoint),
        }];
        moments.extend(entry.history.iter().filter_map(attempt));
        if let Some(record) = self.record.filter(|record| record.lease_until > Timestamp::now().0) {
            let detail = format!("until {} UTC at the latest", at(record.lease_until).text());
            moments.push(Moment { at: at(record.claimed_at), what: "being handled", detail });
        }
        if let Some(handled_at) = entry.handled_at {
            let result = crate::events::result(entry);
            let after = duration((handled_at.0 - entry.received_at.0) / 1000);
            moments.push(Moment {
                at: handled_at,
                what: "outcome",
                detail: format!("{}: {result}, {after} after receipt", entry.state),
            });
        }
        if let Some(letter) = &self.dead_letter {
            let reason = letter.reason.as_deref().unwrap_or("no reason: its function died");
            moments.push(Moment {
                at: letter.sent_at,
                what: "dead letter",
                detail: format!("{} ({reason})", letter.id),
            });
        }
        for AlertState { reason, severity, waiting, at } in &self.alerts {
            let detail = if *waiting > 0 {
                format!("{severity}, {reason}: {waiting} wait, and are told together at {} UTC", at.text())
            } else {
                format!("{severity}, {reason}: told, as the first of its kind or with others")
            };
            moments.push(Moment { at: *at, what: "alert", detail });
        }
        moments.extend(self.job.into_iter().flat_map(expectation));
        moments.sort_by_key(|moment| moment.at);
        moments
    }

    /// Commands that change something about the event, with what they do.
    pub(super) fn commands(&self) -> Vec<(String, &'static str)> {
        let entry = self.entry;
        let (id, category) = (shell_word(&entry.webhook_id), shell_word(&entry.category));
        let mut commands = Vec::new();
        if self.is_paused {
            commands.push((format!("openai-webhooks resume {category}"), "its category is paused"));
        }
        if let Some(letter) = &self.dead_letter {
            let reason = shell_word(letter.reason.as_deref().unwrap_or("none"));
            let redrive = format!("openai-webhooks dlq redrive --category {category} --reason {reason}");
            commands.push((redrive, "once the cause is gone: this one and all of its kind"));
        }
        if entry.body.is_some() && entry.state != "in_progress" {
            commands.push((format!("openai-webhooks events replay {id}"), "handles it again"));
        }
        let object = entry.object_id.as_deref().map(shell_word);
        if let (Some(object), Some(_)) = (&object, self.job.and_then(|job| job.get("waiting"))) {
            commands.push((format!("openai-webhooks expect delete {category} {object}"), "expects its end no more"));
        }
        if let (Some(object), "batch", Some(_)) = (&object, entry.category.as_str(), &entry.outcome) {
            commands.push((
                format!("openai-webhooks batch retry {object} --dry-run"),
                "shows its requests without an answer",
            ));
        }
        commands
    }

    /// The timeline and the commands for people.
    pub(super) fn text(&self) -> String {
        let mut text = "\nTimeline (UTC)\n".to_owned();
        let moments = self.moments();
        let width = moments.iter().map(|moment| moment.what.len()).max().unwrap_or_default();
        for Moment { at, what, detail } in moments {
            let _ = writeln!(text, "  {}  {what:width$}  {}", at.text(), printable(&detail));
        }
        let commands = self.commands();
        if !commands.is_empty() {
            let rows: Vec<_> = commands.iter().map(|(command, what)| (command.as_str(), (*what).to_owned())).collect();
            let list = key_values(&rows).lines().fold(String::new(), |text, line| text + "  " + line + "\n");
            let _ = write!(text, "\nTo change it\n{list}");
        }
        text
    }
}

/// An attempt or a replay.
fn attempt(attempt: &Value) -> Option<Moment> {
    let said = |name: &str| attempt.get(name).filter(|value| !value.is_null()).map(plain);
    let begun = attempt.get("begun").and_then(Value::as_i64)?;
    let source = said("source").unwrap_or_default();
    let who = said("asked_by").map(|who| format!(" by {who}")).unwrap_or_default();
    let took =
        attempt.get("ended").and_then(Value::as_i64).map(|ended| format!(" after {} ms", (ended - begun).max(0)));
    let why = match (said("reason"), said("message")) {
        (Some(reason), Some(message)) => format!(" ({reason}: {message})"),
        (one, other) => one.or(other).map(|why| format!(" ({why})")).unwrap_or_default(),
    };
    let result = said("result").unwrap_or_default();
    let what = if source == "replay" { "replay" } else { "attempt" };
    Some(Moment {
        at: Timestamp(begun),
        what,
        detail: format!("{source}{who}: {result}{}{why}", took.unwrap_or_default()),
    })
}

/// What is expected of the object, and when it was due.
fn expectation(job: &Map<String, Value>) -> Vec<Moment> {
    let seconds = |name: &str| job.get(name).and_then(Value::as_f64);
    #[expect(clippy::cast_possible_truncation, reason = "seconds, in whatever form somebody wrote them")]
    let at = |name: &str| seconds(name).map(|seconds| Timestamp::from_seconds(seconds as i64));
    let Some(due_at) = at("due_at") else { return Vec::new() };
    let state = match (job.contains_key("waiting"), job.get("overdue_at").is_some()) {
        (true, _) => "its end is expected until then",
        (false, true) => "it was overdue, and people were told",
        (false, false) => "it was expected until then, and has ended",
    };
    let recorded = at("created_at").map(|at| Moment { at, what: "expectation", detail: "recorded".to_owned() });
    recorded.into_iter().chain([Moment { at: due_at, what: "due", detail: state.to_owned() }]).collect()
}

/// The alerts of this kind, if people were or will be told of some within their window.
async fn alerts(category: &str, reason: &str, context: &Context) -> Result<Vec<AlertState>> {
    let ledger = context.ledger().await?;
    let mut found = Vec::new();
    for severity in Severity::ALL.map(Severity::as_str).into_iter().rev() {
        let item = ledger.item("read the alerts", &format!("alerts#{category}#{reason}#{severity}"), "alerts").await?;
        if let Some(item) = item {
            let waiting = read_number(&item, "count").unwrap_or_default();
            let due_at = read_number(&item, "due_at").unwrap_or_default();
            let at = Timestamp::from_seconds(if waiting > 0 { due_at } else { due_at - ALERT_WINDOW });
            let reason = read_text(&item, "reason").unwrap_or(reason).to_owned();
            found.push(AlertState { reason, severity, waiting, at });
        }
    }
    Ok(found)
}
