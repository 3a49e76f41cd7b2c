//! One event: its timeline, attempts, body, and the object now.

use axum::extract::Path;
use axum::response::{IntoResponse as _, Response};
use hooks_aws::ledger::IdempotencyRecord;
use hooks_webhook::Category;
use maud::{Markup, html};
use serde_json::{Map, Value};

use super::events::{address, result};
use super::{Seen, object};
use crate::data::objects;
use crate::view::chart::progress;
use crate::view::format::{bytes, span, words};
use crate::view::layout::BASE;
use crate::view::parts::{
    ago, clock, commands, event_state, exact, json, kind, labelled, large, say, unreadable, whole,
};
use crate::view::{Page, Place};
use crate::{Failure, Result};
use hooks_operate::event_log::{Entry, EventFilter, Field};
use hooks_operate::timestamp::Timestamp;

/// Related events that are shown.
const RELATED: usize = 10;

/// What is known of an event.
struct Known {
    entry: Entry,
    record: Result<Option<(String, IdempotencyRecord)>>,
    job: Result<Option<Map<String, Value>>>,
    related: Result<Vec<Entry>>,
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
    let (record, job, related) = tokio::join!(record, job, related(seen, &entry));
    Ok(Some(Known { entry, record, job, related }))
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
            div { (failure(entry)) (timeline(entry)) (history(entry)) (body(entry)) }
            aside aria-label="Object and commands" { (now(known)) (artifacts(entry)) (same_object(known)) (the_commands(page, entry)) }
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

/// An attempt of the history.
struct Attempt<'a> {
    number: usize,
    begun: i64,
    ended: Option<i64>,
    result: &'a str,
    reason: Option<&'a str>,
    message: Option<&'a str>,
    source: &'a str,
    asked_by: Option<&'a str>,
}

fn attempts(entry: &Entry) -> Vec<Attempt<'_>> {
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

fn attempt_state(result: &str) -> Markup {
    match result {
        "retry" => labelled("retry", "retrying"),
        "kept" => labelled("gone", "changed nothing"),
        "interrupted" => labelled("wait", "interrupted"),
        "duplicate" => labelled("done", "duplicate"),
        result => labelled(if kind(result) == "failed" && result != "failed" { "done" } else { kind(result) }, result),
    }
}

/// The waterfall: the wait before each attempt in words, the attempts on a scale of their own.
fn timeline(entry: &Entry) -> Markup {
    let attempts = attempts(entry);
    let longest = attempts.iter().filter_map(|one| Some(one.ended? - one.begun)).max().unwrap_or(1).max(1);
    let mut until = entry.received_at.0;
    html! {
        section {
            div.heading { h2 { "Timeline" } span.aside { "bars: time of an attempt; waits in words" } }
            ol.fall {
                li { div.heading { h3 { "Received" } span.aside { (clock(entry.received_at)) } }
                    p.small.quiet { "verified and queued, from " (entry.source) } }
                @for one in &attempts {
                    li.gap { (waited(one, until)) }
                    li {
                        ({ until = one.ended.unwrap_or(one.begun); html! {} })
                        div.heading { h3 { "Attempt " (one.number) @if one.source == "replay" { ", a replay" } }
                            (attempt_state(one.result))
                            span.aside { (clock(Timestamp(one.begun))) @if let Some(ended) = one.ended { ", " (span(ended - one.begun)) } } }
                        @if let Some(ended) = one.ended {
                            @let took = (ended - one.begun).max(0).unsigned_abs();
                            @let class = if one.result == "failed" { "hatch-bad" } else { "fill-usual" };
                            (progress(&[(took, class)], longest.unsigned_abs(), &format!("took {}", span(ended - one.begun))))
                        }
                    }
                }
                @if attempts.is_empty() { li.gap { "Waits in the queue of " (entry.category) "." } }
            }
        }
    }
}

fn waited(attempt: &Attempt<'_>, until: i64) -> String {
    let waited = span(attempt.begun - until);
    match (attempt.number, attempt.source, attempt.asked_by) {
        (1, ..) => format!("Waited {waited} in the queue"),
        (_, "replay", Some(who)) => format!("{waited} later {who} asked for it again"),
        (_, "replay", None) => format!("{waited} later somebody asked for it again"),
        _ => format!("Waited {waited}, then it was tried again"),
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
                        (object::details(&object))
                    }
                }
            }
            @if let Ok(category) = entry.category.parse::<Category>() {
                p.note.line { a.button href=(super::objects::address(category, id)) { "Open it" } }
            }
        }
    }
}

fn artifacts(entry: &Entry) -> Markup {
    let keys = entry.outcome.as_ref().and_then(|outcome| outcome.get("artifacts")?.as_array());
    let keys: Vec<_> = keys.into_iter().flatten().filter_map(Value::as_str).collect();
    object::artifact_list(&keys)
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
    ];
    if entry.state == "failed" {
        all.push(console.command(format_args!("dlq list --category {}", entry.category)));
    }
    commands(&all)
}
