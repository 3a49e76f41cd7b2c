//! One object: what it is now, its artifacts, its events.

use std::time::Duration;

use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use hooks_aws::artifacts::GetResult;
use hooks_webhook::Category;
use maud::{Markup, html};
use serde_json::Value;

use super::events::{address, result};
use super::objects::{named, place};
use super::{Seen, sentence};
use crate::console::Console;
use crate::data::objects::{self, Object};
use crate::view::format::{bytes, count, counted, words};
use crate::view::layout::BASE;
use crate::view::parts::{clock, commands, copy, day_clock, event_state, foreign, json, large, say, visible, whole};
use crate::view::{Page, Place};
use crate::{Failure, Result};
use hooks_operate::event_log::Entry;
use hooks_operate::timestamp::Timestamp;

/// Time for which a link to an artifact is valid.
const LINK_LIFETIME: Duration = Duration::from_mins(5);

/// Longest key of an artifact in S3, in bytes.
const MAX_KEY: usize = 1024;

/// The largest artifact that a page shows, in bytes.
const MAX_SHOWN: usize = 1024 * 1024;

pub(super) async fn page(seen: Seen, Path((name, id)): Path<(String, String)>) -> Response {
    let Ok(category) = name.parse::<Category>() else {
        return seen.failed(Place::Events, &Failure::failed("there is no such category"));
    };
    match objects::one(&seen.app.console, category, &id).await {
        Ok(Some((object, events))) => {
            let kept = kept(&seen.app.console, category, &object).await;
            let mut page = seen.page(place(category), format!("{category} {}", object.status()));
            page.every = (!object.is_terminal()).then_some(15);
            page.render(&content(&page, category, &object, &events, kept.as_ref())).into_response()
        }
        Ok(None) => {
            let missing = Failure::failed(format!("the ledger has no {category} {id}")).hint(format!(
                "It may be older than 35 days, or of another stack: this is {}.",
                seen.app.console.stack.name
            ));
            seen.failed(place(category), &missing)
        }
        Err(failure) => seen.failed(place(category), &failure),
    }
}

/// A response that is kept: its text, its usage, the whole of it.
struct Kept {
    text: String,
    usage: Option<Value>,
    whole: String,
}

/// The response as it is kept; `None` for other objects, and if it cannot be read: its artifact says why.
async fn kept(console: &Console, category: Category, object: &Object) -> Option<Kept> {
    if category != Category::Response {
        return None;
    }
    let keys = object.artifacts();
    let key = keys.iter().find(|key| key.rsplit_once('.').is_some_and(|(_, form)| form == "json"))?;
    let GetResult::Object { bytes, .. } = console.artifacts.get(key, None, MAX_SHOWN).await.ok()? else { return None };
    let value: Value = serde_json::from_slice(&bytes).ok()?;
    let items = value.get("output").and_then(Value::as_array).into_iter().flatten();
    let parts = items.filter_map(|item| item.get("content")?.as_array()).flatten();
    let texts: Vec<_> = parts.filter_map(|part| part.get("text")?.as_str()).collect();
    let usage = value.get("usage").filter(|usage| usage.is_object()).cloned();
    Some(Kept { text: texts.join("\n"), usage, whole: String::from_utf8_lossy(&bytes).into_owned() })
}

/// The numbers of a response's usage, those of its details below them.
fn usage(kept: &Kept) -> Markup {
    let numbers = |map: &Value| -> Vec<(String, u64)> {
        let entries = map.as_object().into_iter().flatten();
        entries.filter_map(|(name, value)| Some((name.clone(), value.as_u64()?))).collect()
    };
    let Some(usage) = &kept.usage else { return html! {} };
    let details = usage.as_object().into_iter().flatten().flat_map(|(_, value)| numbers(value));
    html! {
        section { div.heading { h2 { "Usage" } }
            dl.list { @for (name, number) in numbers(usage).into_iter().chain(details) { dt { (words(name)) } dd { (count(number)) } } } }
    }
}

fn content(page: &Page<'_>, category: Category, object: &Object, events: &[Entry], kept: Option<&Kept>) -> Markup {
    html! {
        nav.path aria-label="Path" { a href={ (BASE) "/objects/" (category) } { (named(category).0) } " / " bdi { (crate::view::format::short(&object.id)) } }
        div.heading { h1 { bdi { (crate::view::format::short(&object.id)) } } (large(object.status())) (page.freshness()) }
        p { (whole(&object.id, "the object's id")) }
        @if let Some(error) = object.text("error") { (say("bad", "failed", &sentence(error), &html! {})) }
        (notice(events))
        div.detail {
            div {
                @if let Some(kept) = kept {
                    @if !kept.text.is_empty() { section { div.heading { h2 { "Text" } } (foreign("Text", &kept.text)) } }
                    section { div.heading { h2 { "JSON" } span.aside { "as it is kept" } } (json("JSON", &kept.whole)) }
                }
                (waits_for(category, object))
                (summary(object))
                (its_events(events))
            }
            aside aria-label="Facts and artifacts" {
                section { div.heading { h2 { "Now" } } dl.list { (details(object, kept.is_none())) } }
                @if let Some(kept) = kept { (usage(kept)) }
                (artifact_list(page.console, &object.artifacts()))
                (context(object))
                (the_commands(page, &object.id))
            }
        }
    }
}

/// What an agent's session waits for, and how it is given.
fn waits_for(category: Category, object: &Object) -> Markup {
    let actions = object.summary("required_actions").and_then(Value::as_array).filter(|actions| !actions.is_empty());
    let Some(actions) = actions.filter(|_| category == Category::Agent) else { return html! {} };
    let text = |action: &Value, name: &str| visible(action.get(name).and_then(Value::as_str).unwrap_or_default());
    html! {
        section {
            div.heading { h2 { "Waits for" } span.aside { (counted(actions.len() as u64, "action")) } }
            div.scroll { table.stack {
                caption.unseen { "What the session waits for" }
                thead { tr { th scope="col" { "Action" } th scope="col" { "Name" } th scope="col" { "Call" } th scope="col" { "Arguments" } } }
                tbody { @for action in actions { tr {
                    th scope="row" { code { bdi { (text(action, "type")) } } }
                    td.end { bdi { (text(action, "name")) } }
                    td.full { code { bdi { (text(action, "call_id")) } } }
                    td.full { code { bdi { @if let Some(arguments) = action.get("arguments") { (visible(&arguments.to_string()).chars().take(300).collect::<String>()) } } } }
                } } }
            } }
            p.note { "The session goes on when a program of yours sends " code { "agent.session.input.tool_result" } " with the call's id. The outcome has all of this." }
        }
    }
}

/// What happened by a safety notice, and what to do.
fn notice(events: &[Entry]) -> Markup {
    let Some(event) = events.first().filter(|event| event.category == Category::Safety.as_str()) else {
        return html! {};
    };
    let (class, lead, next) = match event.event_type.as_str() {
        "safety.alert.created" | "safety.org_alert.created" => (
            "bad",
            "A model may have sent, read or deleted the wrong data.",
            "Stop the agent or job, and check what its tools did.",
        ),
        "safety.warning_issued" => (
            "warn",
            "OpenAI warns about one of your users.",
            "Find the user by the identifier, and stop their requests.",
        ),
        "safety.deactivation_issued" => (
            "bad",
            "OpenAI deactivates one of your users.",
            "Find the user by the identifier, and take their access away.",
        ),
        "safety_identifier.blocked" => (
            "warn",
            "OpenAI blocked a request of one of your users.",
            "Find the user by the identifier, and check their requests.",
        ),
        _ => ("warn", "This notice is of a new type.", "Look the type up in OpenAI's documentation."),
    };
    let icon = if class == "bad" { "failed" } else { "wait" };
    say(class, icon, lead, &html! { p { (next) } })
}

/// Times of an object and, `with_counts`, its counts, as rows of a list.
pub(crate) fn details(object: &Object, with_counts: bool) -> Markup {
    let counts = object.job.get("counts").and_then(Value::as_object);
    let mut counts: Vec<_> =
        counts.into_iter().flatten().filter_map(|(name, count)| Some((name, count.as_u64()?))).collect();
    counts.sort();
    let times = object.job.get("times").and_then(Value::as_object);
    let mut times: Vec<_> = times.into_iter().flatten().filter_map(|(name, at)| Some((at.as_i64()?, name))).collect();
    times.sort();
    html! {
        @for (name, number) in counts.into_iter().filter(|_| with_counts) { dt { (words(name)) } dd { (count(number)) } }
        @for (at, name) in times { dt { (words(name)) } dd { (day_clock(Timestamp::from_seconds(at))) } }
        @if let Some(model) = object.summary_text("model") { dt { "model" } dd { bdi { (visible(model)) } } }
        @if let Some(as_of) = object.as_of() { dt { "as of" } dd { (clock(as_of)) } }
    }
}

fn summary(object: &Object) -> Markup {
    let Some(summary) =
        object.job.get("summary").filter(|summary| summary.as_object().is_some_and(|map| !map.is_empty()))
    else {
        return html! {};
    };
    html! { section { div.heading { h2 { "Summary" } span.aside { "as it is in the outcome" } } (json("Summary", &summary.to_string())) } }
}

fn its_events(events: &[Entry]) -> Markup {
    html! {
        section {
            div.heading { h2 { "Its events" } span.aside { "newest first" } }
            @if events.is_empty() { p.quiet { "No event of it came in 35 days." } }
            @else { div.scroll { table.stack data-rows {
                caption.unseen { "Events of this object" }
                thead { tr { th scope="col" { "Received" } th scope="col" { "Type" } th scope="col" { "State" } th scope="col" { "Result or reason" } } }
                tbody { @for event in events { tr {
                    td.wide { (day_clock(event.received_at)) }
                    td { a href=(address(event)) { bdi { (event.event_type) } } }
                    td.end { (event_state(&event.state, event.error.as_ref().map(|error| error.reason.as_str()))) }
                    td.full { (result(event)) }
                } } }
            } } }
        }
    }
}

fn context(object: &Object) -> Markup {
    html! { @if let Some(context) = object.text("context") { section { div.heading { h2 { "Context" } span.aside { "of its outcome" } } (json("Context", context)) } } }
}

fn the_commands(page: &Page<'_>, id: &str) -> Markup {
    let safe = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    html! { @if safe { (commands(&[page.console.command(format_args!("events list --since 35d --object {id}"))])) } }
}

/// Artifacts: each opened here as text, or downloaded from S3 by a link that lives for minutes.
pub(crate) fn artifact_list(console: &Console, keys: &[&str]) -> Markup {
    let link = |path: &str, key: &str| {
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("key", key).finish();
        format!("{BASE}/{path}?{query}")
    };
    html! {
        @if !keys.is_empty() { section {
            div.heading { h2 { "Artifacts" } span.aside { "links live " (LINK_LIFETIME.as_secs() / 60) " min" } }
            ul.rows.files { @for key in keys { li {
                span { code title=(key) { bdi { (key.rsplit('/').next().unwrap_or(key)) } } }
                a.button href=(link("artifact", key)) { "Open" }
                a.button href=(link("artifact/link", key)) { "Download" }
                (copy(&format!("s3://{}/{key}", console.artifacts.bucket()), "its address in S3"))
            } } }
        } }
    }
}

/// To S3, by a link with the rights of the console's credentials.
pub(super) async fn download(seen: Seen) -> Response {
    let key = seen.get("key").unwrap_or_default();
    let name: String = key.rsplit('/').next().unwrap_or_default().chars().map(plain).collect();
    if key.is_empty() || key.len() > MAX_KEY {
        return seen.failed(Place::Events, &Failure::usage("this is not the key of an artifact"));
    }
    match seen.app.console.artifacts.link(key, &name, LINK_LIFETIME).await {
        Ok(link) => Redirect::to(&link).into_response(),
        Err(error) => seen.failed(Place::Events, &error.into()),
    }
}

/// A character of the name under which a file is kept.
const fn plain(character: char) -> char {
    if character.is_ascii_alphanumeric() || matches!(character, '.' | '-' | '_') { character } else { '_' }
}

/// An artifact as text, which no browser runs.
pub(super) async fn artifact(seen: Seen) -> Response {
    match read(&seen).await {
        Ok(bytes) => {
            let headers = [
                (header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")),
                (header::CONTENT_DISPOSITION, HeaderValue::from_static("inline")),
            ];
            (StatusCode::OK, headers, bytes).into_response()
        }
        Err(failure) => seen.failed(Place::Events, &failure),
    }
}

async fn read(seen: &Seen) -> Result<Vec<u8>> {
    let key = seen.get("key").unwrap_or_default();
    match seen.app.console.artifacts.get(key, None, MAX_SHOWN).await? {
        GetResult::Object { bytes, .. } => Ok(bytes.to_vec()),
        GetResult::TooLarge => Err(Failure::usage(format!("{key} is larger than {}", bytes(MAX_SHOWN as u64)))
            .hint(format!("aws s3 cp 's3://{}/{}' .", seen.app.console.artifacts.bucket(), key.replace('\'', "")))),
        GetResult::Absent | GetResult::Unchanged => Err(Failure::failed("there is no such artifact")),
    }
}
