//! One event: its timeline, attempts, body, and the object now.

use std::time::Duration;

use axum::extract::Path;
use axum::response::{IntoResponse as _, Response};
use hooks_aws::ledger::IdempotencyRecord;
use hooks_webhook::Category;
use maud::{Markup, html};
use serde_json::{Map, Value};

use tokio::time::timeout;

use super::events::{address, result};
use super::timeline::{attempt_state, attempts, timeline};
use super::{Seen, object};
use crate::data::objects;
use crate::view::format::{bytes, span, words};
use crate::view::layout::BASE;
use crate::view::parts::{
    ago, clock, commands, event_state, exact, foreign, json, kind, labelled, large, say, unreadable, whole,
};
use crate::view::{Page, Place};
use crate::{Failure, FailureKind, Result};
use hooks_operate::event_log::{Entry, EventFilter, Field};
use hooks_operate::log_lines::{FunctionLog, LogLine};
use hooks_operate::timestamp::Timestamp;

/// Related events that are shown.
const RELATED: usize = 10;

/// Time before and after an event in which its log lines are looked for, in milliseconds.
const LOG_MARGIN: i64 = 120_000;

/// Time that the page waits for a log.
const LOG_TIMEOUT: Duration = Duration::from_secs(3);

/// Most pages of CloudWatch's answers that are read of a log.
const LOG_PAGES: usize = 4;

/// What is known of an event.
struct Known {
    entry: Entry,
    record: Result<Option<(String, IdempotencyRecord)>>,
    job: Result<Option<Map<String, Value>>>,
    related: Result<Vec<Entry>>,
    log: Vec<LogLine>,
    /// Why lines of a log are missing.
    log_failure: Option<Failure>,
}

pub(super) async fn page(seen: Seen, Path((endpoint, webhook_id)): Path<(String, String)>) -> Response {
    let known = match read(&seen, &format!("{endpoint}#{webhook_id}")).await {
        Ok(Some(known)) => known,
        Ok(None) => {
            let missing = Failure::failed(format!("the ledger has no event {webhook_id}")).hint(format!(
                "It may be older than 35 days, or of another stack: this is {}.",
                seen.app.console.stack.name
            ));
            return seen.failed(Place::Events, &missing);
        }
        Err(failure) => return seen.failed(Place::Events, &failure),
    };
    let mut page = seen.page(Place::Events, format!("{}, {}", known.entry.event_type, words(&known.entry.state)));
    page.every = (known.entry.state == "in_progress").then_some(5);
    page.render(&content(&page, &known)).into_response()
}

async fn read(seen: &Seen, key: &str) -> Result<Option<Known>> {
    let log = &seen.app.console.log;
    let Some(entry) = log.entry(key).await? else { return Ok(None) };
    let record = async {
        match entry.idempotency_key() {
            Some(key) => Ok(log.idempotency_record(&key).await?.map(|record| (key, record))),
            None => Ok(None),
        }
    };
    let job = async {
        match &entry.object_id {
            Some(id) => log.job_record(&entry.category, id).await,
            None => Ok(None),
        }
    };
    let (record, job, related, log) = tokio::join!(record, job, related(seen, &entry), log_of(seen, &entry));
    let (log, log_failure) = log;
    Ok(Some(Known { entry, record, job, related, log, log_failure }))
}

/// The lines about an event in the logs of the verifier and of its consumer, and why some are missing.
async fn log_of(seen: &Seen, entry: &Entry) -> (Vec<LogLine>, Option<Failure>) {
    let console = &seen.app.console;
    let since = entry.received_at.0 - LOG_MARGIN;
    let until = entry.handled_at.map(|at| at.0 + LOG_MARGIN);
    let read = ["verifier", entry.category.as_str()].map(|function| {
        let log = FunctionLog::new(&console.aws, &console.stack.name, function).about(entry);
        async move {
            let late = || Failure::service("CloudWatch did not answer in time").hint("Read them by the command below.");
            timeout(LOG_TIMEOUT, log.lines(since, until, LOG_PAGES)).await.unwrap_or_else(|_| Err(late()))
        }
    });
    let (mut lines, mut failure) = (Vec::new(), None);
    for found in futures::future::join_all(read).await {
        match found {
            Ok(found) => lines.extend(found),
            // A function that never ran has no log.
            Err(error) if error.kind == FailureKind::Failed => {}
            Err(error) => failure = Some(error),
        }
    }
    lines.sort_by_key(|line| line.at);
    (lines, failure)
}

async fn related(seen: &Seen, entry: &Entry) -> Result<Vec<Entry>> {
    let Some(object) = &entry.object_id else { return Ok(Vec::new()) };
    let week = 7 * hooks_operate::timestamp::DAY_MILLIS;
    let filter = EventFilter {
        since: entry.received_at.0 - week,
        until: entry.received_at.0.saturating_add(week),
        include: vec![(Field::Object, object.clone())],
        ..EventFilter::default()
    };
    let found = seen.app.console.log.list(filter, RELATED, super::events::MAX_READS).await?;
    Ok(found.entries.into_iter().filter(|other| other.key() != entry.key()).collect())
}

fn content(page: &Page<'_>, known: &Known) -> Markup {
    let entry = &known.entry;
    let seen_at = known.job.as_ref().ok().and_then(|job| job.as_ref()?.get("as_of")?.as_i64());
    let state =
        if entry.error.as_ref().is_some_and(|error| error.reason == "retry") { "retrying" } else { &entry.state };
    html! {
        nav.path aria-label="Path" { a href={ (BASE) "/events" } { "Events" } " / " bdi { (entry.event_type) } }
        div.heading {
            h1 { bdi { (entry.event_type) } } (large(state))
            span.quiet { (attempts_text(entry.attempts)) }
            form.end.line method="post" action={ (BASE) "/act" } {
                (page.csrf())
                input type="hidden" name="action" value="replay";
                input type="hidden" name="key" value=(entry.key());
                (page.act("main", "Replay…"))
            }
        }
        (facts(entry, known))
        div.detail {
            div { (failure(entry)) (timeline(entry, seen_at, &known.log)) (history(entry)) (body(entry)) (log_lines(known)) }
            aside aria-label="Object and commands" { (now(known)) (artifacts(page, entry)) (same_object(known)) (the_commands(page, entry)) }
        }
    }
}

fn attempts_text(attempts: i64) -> String {
    match attempts {
        0 => "not tried yet".to_owned(),
        1 => "at the first attempt".to_owned(),
        more => format!("after {more} attempts"),
    }
}

fn facts(entry: &Entry, known: &Known) -> Markup {
    html! {
        dl.list {
            @if let Some(object) = &entry.object_id { dt { "Object" } dd { (whole(object, "the object's id")) } }
            dt { "Webhook" } dd { (whole(&entry.webhook_id, "the webhook's id")) }
            dt { "Event" } dd { (whole(&entry.event_id, "the event's id")) }
            dt { "Received" } dd { (exact(entry.received_at)) ", " (ago(entry.received_at)) }
            @if let Some(handled) = entry.handled_at { dt { "Handled" } dd { (exact(handled)) ", " (span(handled.0 - entry.received_at.0)) " after it came" } }
            dt { "Source" } dd { (entry.source) ", to the endpoint " (entry.endpoint) }
            @if let Ok(Some((key, record))) = &known.record {
                dt { "Key" } dd { code { bdi { (key) } } ", " (words(record.status.as_str()))
                    @if record.event != entry.key() { " by " bdi { (record.event.replacen('#', "/", 1)) } } }
            }
            dt { "Forgotten" } dd { (entry.expires_at.text().get(..10).unwrap_or_default()) }
        }
    }
}

fn failure(entry: &Entry) -> Markup {
    let Some(error) = entry.error.as_ref().filter(|_| entry.state != "completed") else { return html! {} };
    let more = html! {
        @if let Some(message) = &error.message { p { bdi { (message) } } }
        @if entry.state == "failed" { p.quiet { (super::overview::remedy(&error.reason)) " Its dead letter waits 14 days." } }
    };
    if entry.state == "failed" {
        say("bad", "failed", &format!("Given up: {}.", error.reason), &more)
    } else {
        say("", "retry", &format!("Not done yet: {}.", words(&error.reason)), &more)
    }
}

fn history(entry: &Entry) -> Markup {
    let attempts = attempts(entry);
    if attempts.is_empty() {
        return html! {};
    }
    html! {
        section {
            div.heading { h2 { "Attempts" } span.aside { (attempts.len()) " of " (entry.attempts.max(attempts.len().try_into().unwrap_or(0))) " kept, the last first" } }
            div.scroll { table.stack {
                caption.unseen { "Attempts, the last first" }
                thead { tr { th scope="col" { "Attempt" } th scope="col" { "Begun" } th.number scope="col" { "Took" } th scope="col" { "Result" } th scope="col" { "Asked by" } } }
                tbody { @for one in attempts.iter().rev() {
                    tr.above[one.message.is_some()] {
                        th scope="row" { "Attempt " (one.number) }
                        td.end { (clock(Timestamp(one.begun))) }
                        td.number { @match one.ended { Some(ended) => (span(ended - one.begun)), None => "not ended" } }
                        td.end { (attempt_state(one.result)) @if let Some(reason) = one.reason.filter(|reason| *reason != one.result) { " " code { bdi { (reason) } } } }
                        td.full { (one.source) @if let Some(who) = one.asked_by { ", by " bdi { (who) } } }
                    }
                    @if let Some(message) = one.message { tr.below { td.full colspan="5" { bdi { (message) } } } }
                } }
            } }
        }
    }
}

fn body(entry: &Entry) -> Markup {
    html! {
        section {
            @match (&entry.body, entry.body_omitted) {
                (Some(body), _) => { div.heading { h2 { "Body" } span.aside { (bytes(body.len() as u64)) ", as it was delivered" } } (json("Body", body)) },
                (None, omitted) => { div.heading { h2 { "Body" } } p.quiet { "Not stored: it has " (bytes(omitted.unwrap_or_default().unsigned_abs())) "." } },
            }
        }
    }
}

fn log_lines(known: &Known) -> Markup {
    let text = known.log.iter().map(log_text).collect::<String>();
    html! {
        section {
            div.heading { h2 { "Log lines" } span.aside { "of the verifier and of " (known.entry.category) } }
            @if let Some(failure) = &known.log_failure { (unreadable("Some log lines", failure)) }
            @if text.is_empty() { p.quiet { "None. CloudWatch shows a line some seconds after it was written, and keeps it as long as the stack says." } }
            @else { (foreign("Log lines", &text)) }
        }
    }
}

/// `06:14:06.439 INFO  event handled  category=batch attempt=2`
fn log_text(line: &LogLine) -> String {
    let at = line.at.json();
    let at = at.get(11..23).unwrap_or_default();
    let Some(fields) = line.fields() else { return format!("{at} {}\n", line.text.trim_end()) };
    let said = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
    let others = fields.iter().filter(|(name, _)| !["timestamp", "level", "message", "_aws"].contains(&name.as_str()));
    let others = others.map(|(name, value)| match value {
        Value::String(text) => format!(" {name}={text}"),
        other => format!(" {name}={other}"),
    });
    format!("{at} {:5} {} {}\n", said("level"), said("message"), others.collect::<String>())
}

fn now(known: &Known) -> Markup {
    let (Some(id), entry) = (&known.entry.object_id, &known.entry) else { return html! {} };
    html! {
        section {
            div.heading { h2 { "Object now" } }
            @match &known.job {
                Err(failure) => (unreadable("The object", failure)),
                Ok(None) => p.quiet { "The ledger has no record of it yet." },
                Ok(Some(job)) => {
                    @let object = objects::Object { id: id.clone(), job: job.clone(), event: None };
                    dl.list {
                        dt { "Status" } dd { (labelled(kind(object.status()), object.status())) }
                        (object::details(&object, true))
                    }
                }
            }
            @if let Ok(category) = entry.category.parse::<Category>() {
                p.note.line { a.button href=(super::objects::address(category, id)) { "Open it" } }
            }
        }
    }
}

fn artifacts(page: &Page<'_>, entry: &Entry) -> Markup {
    let keys = entry.outcome.as_ref().and_then(|outcome| outcome.get("artifacts")?.as_array());
    let keys: Vec<_> = keys.into_iter().flatten().filter_map(Value::as_str).collect();
    object::artifact_list(page.console, &keys)
}

fn same_object(known: &Known) -> Markup {
    html! {
        @match &known.related {
            Err(failure) => section { div.heading { h2 { "Same object" } } (unreadable("Its other events", failure)) },
            Ok(related) if related.is_empty() => {},
            Ok(related) => section {
                div.heading { h2 { "Same object" } }
                ul.rows { @for other in related {
                    li {
                        span { a href=(address(other)) { bdi { (other.event_type) } } " " (clock(other.received_at)) br; span.small.quiet { (result(other)) } }
                        (event_state(&other.state, other.error.as_ref().map(|error| error.reason.as_str())))
                    }
                } }
            },
        }
    }
}

fn the_commands(page: &Page<'_>, entry: &Entry) -> Markup {
    let console = page.console;
    let id = &entry.webhook_id;
    let safe = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    if !safe {
        return html! {};
    }
    let mut all = vec![
        console.command(format_args!("events show {id}")),
        console.command(format_args!("events replay {id} --dry-run")),
        console.command(format_args!("logs {} --event {id}", entry.category)),
    ];
    if entry.state == "failed" {
        all.push(console.command(format_args!("dlq list --category {}", entry.category)));
    }
    commands(&all)
}
