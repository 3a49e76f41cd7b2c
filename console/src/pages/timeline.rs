//! The waterfall of an event: its delivery, each attempt and each replay on a scale of its own, and the waits in words.

use hooks_operate::event_log::Entry;
use hooks_operate::log_lines::LogLine;
use hooks_operate::timestamp::Timestamp;
use maud::{Markup, html};
use serde_json::Value;

use crate::view::chart::step;
use crate::view::format::{counted, micros, span};
use crate::view::icons::icon;
use crate::view::parts::{clock, kind, labelled};

/// An attempt of the history.
pub(super) struct Attempt<'a> {
    pub(super) number: usize,
    pub(super) begun: i64,
    pub(super) ended: Option<i64>,
    pub(super) result: &'a str,
    pub(super) reason: Option<&'a str>,
    pub(super) message: Option<&'a str>,
    pub(super) source: &'a str,
    pub(super) asked_by: Option<&'a str>,
}

pub(super) fn attempts(entry: &Entry) -> Vec<Attempt<'_>> {
    let first = usize::try_from(entry.attempts).unwrap_or(0).saturating_sub(entry.history.len());
    entry
        .history
        .iter()
        .enumerate()
        .map(|(at, attempt)| {
            let time = |name: &str| attempt.get(name).and_then(Value::as_i64);
            let said = |name: &str| attempt.get(name).and_then(Value::as_str);
            Attempt {
                number: at + first + 1,
                begun: time("begun").unwrap_or_default(),
                ended: time("ended"),
                result: said("result").unwrap_or("unknown"),
                reason: said("reason"),
                message: said("message"),
                source: said("source").unwrap_or_default(),
                asked_by: said("asked_by"),
            }
        })
        .collect()
}

pub(super) fn attempt_state(result: &str) -> Markup {
    match result {
        "retry" => labelled("retry", "retrying"),
        "kept" => labelled("gone", "changed nothing"),
        "interrupted" => labelled("wait", "interrupted"),
        "duplicate" => labelled("done", "duplicate"),
        result => labelled(if kind(result) == "failed" && result != "failed" { "done" } else { kind(result) }, result),
    }
}

/// A step of a part, in microseconds from the part's beginning.
struct Step {
    name: String,
    icon: Option<&'static str>,
    class: &'static str,
    start: i64,
    length: i64,
}

impl Step {
    fn new(name: impl Into<String>, start: i64, length: i64) -> Self {
        Self { name: name.into(), icon: None, class: "fill-usual", start, length }
    }
}

/// The waterfall. `seen_at` is when OpenAI was asked for the object as the ledger has it; `log` are the lines about the event.
pub(super) fn timeline(entry: &Entry, seen_at: Option<i64>, log: &[LogLine]) -> Markup {
    let attempts = attempts(entry);
    let mut until = entry.received_at.0;
    html! {
        section {
            div.heading { h2 { "Timeline" } span.aside { "blue left the stack; each part has its own scale" } }
            ol.fall {
                (delivery(entry, log))
                @for one in &attempts {
                    li.gap { (waited(one, until, &entry.category)) }
                    ({ until = one.ended.unwrap_or(one.begun); part(entry, one, seen_at) })
                }
                @if attempts.is_empty() { li.gap { "Waits in the queue of " (entry.category) "." } }
            }
        }
    }
}

/// What the verifier did, as its log line says.
fn delivery(entry: &Entry, log: &[LogLine]) -> Markup {
    let line = log.iter().filter_map(LogLine::fields).find(|line| line.contains_key("VerifyTime"));
    let time = |name: &str| line.as_ref().and_then(|line| line.get(name)?.as_i64());
    let (verify, enqueue) = (time("VerifyTime"), time("EnqueueTime"));
    let size = entry.body.as_ref().map(|body| format!(", body {} bytes", body.len())).unwrap_or_default();
    let mut steps = Vec::new();
    if let Some(verify) = verify {
        steps.push(Step::new("signature verified", 0, verify));
    }
    if let Some(enqueue) = enqueue {
        steps.push(Step::new("queued in SQS".to_owned(), verify.unwrap_or(0), enqueue));
    }
    let total = verify.unwrap_or(0) + enqueue.unwrap_or(0);
    html! {
        li {
            div.heading { h3 { "Delivery" } (labelled("done", if entry.source == "openai" { "accepted" } else { &entry.source }))
                span.aside { (clock(entry.received_at)) @if total > 0 { ", " (micros(total)) } } }
            @if steps.is_empty() { p.small.quiet { "received from " (entry.source) (size) ", verified and queued" } }
            @else { (rows(&steps, total)) }
        }
    }
}

fn part(entry: &Entry, attempt: &Attempt<'_>, seen_at: Option<i64>) -> Markup {
    let took = attempt.ended.map(|ended| (ended - attempt.begun).max(0) * 1000);
    html! {
        li {
            div.heading { h3 { "Attempt " (attempt.number) @if attempt.source == "replay" { ", a replay" } }
                (attempt_state(attempt.result))
                @if let Some(reason) = attempt.reason.filter(|reason| *reason != attempt.result) { code { bdi { (reason) } } }
                span.aside { (clock(Timestamp(attempt.begun))) @if let Some(took) = took { ", " (span(took / 1000)) } } }
            @if let Some(took) = took { (rows(&steps(entry, attempt, took, seen_at), took)) }
        }
    }
}

/// What is known of an attempt: the ledger has its begin, its end, and when OpenAI was asked for the object.
fn steps(entry: &Entry, attempt: &Attempt<'_>, took: i64, seen_at: Option<i64>) -> Vec<Step> {
    let bad = |name: &str, icon| Step { icon: Some(icon), class: "hatch-bad", ..Step::new(name, 0, took) };
    match attempt.result {
        "failed" => vec![
            bad(attempt.reason.unwrap_or("given up"), "failed"),
            Step { icon: Some("bell"), class: "fill-accent", ..Step::new("dead letter, alert", took, 0) },
        ],
        "retry" => vec![bad("failed for now", "retry"), Step::new("released, message kept", took, 0)],
        "duplicate" => vec![Step::new("known to the ledger", 0, took)],
        "interrupted" | "kept" => vec![bad(attempt.reason.unwrap_or(attempt.result), "wait")],
        _ => {
            let artifacts = entry.outcome.as_ref().and_then(|outcome| outcome.get("artifacts")?.as_array());
            let artifacts = artifacts.map_or(0, Vec::len);
            let kept = match artifacts {
                0 => "recorded in DynamoDB".to_owned(),
                more => format!("{} to S3, recorded", counted(more as u64, "artifact")),
            };
            let asked = seen_at.filter(|at| (attempt.begun..=attempt.ended.unwrap_or(i64::MAX)).contains(at));
            let asked = asked.map(|at| (at - attempt.begun) * 1000);
            let mut steps = Vec::new();
            if let Some(asked) = asked {
                steps.push(Step::new("claimed, asked of OpenAI", 0, asked));
            }
            let from = asked.unwrap_or(0);
            steps.push(Step::new(kept, from, took - from));
            let told = "outcome to EventBridge";
            steps.push(Step { class: "fill-accent", ..Step::new(told, took, 0) });
            steps
        }
    }
}

fn rows(steps: &[Step], total: i64) -> Markup {
    html! {
        ol { @for one in steps {
            li {
                span.alarm[one.class == "hatch-bad"] { @if let Some(name) = one.icon { (icon(name)) " " } bdi { (one.name) } }
                (step(one.class, one.start, one.length, total))
                span.number.quiet { @if one.length > 0 { (micros(one.length)) } @else { "–" } }
            }
        } }
    }
}

fn waited(attempt: &Attempt<'_>, until: i64, category: &str) -> String {
    let waited = span(attempt.begun - until);
    match (attempt.number, attempt.source, attempt.asked_by) {
        (1, ..) => format!("Waited {waited} in the queue {category}"),
        (_, "replay", Some(who)) => format!("{waited} later {who} asked for it again"),
        (_, "replay", None) => format!("{waited} later somebody asked for it again"),
        _ => format!("Waited {waited}, then it was tried again"),
    }
}
