//! Live calls: the list, one call with its transcript and what can be asked of it, the policy with a tester.

mod act;
mod one;
mod policy;

use std::sync::Arc;

use axum::Router;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use hooks_aws::ledger::SessionRecord;
use hooks_operate::calls::{self, CallPage};
use hooks_operate::event_log::EventLog;
use hooks_operate::timestamp::{DAY_MILLIS, Timestamp};
use maud::{Markup, html};
use serde_json::Value;

use super::batches::older;
use super::{Seen, head};
use crate::Result;
use crate::console::App;
use crate::data::calls::length;
use crate::data::filter::before;
use crate::view::format::{span_of_seconds, words};
use crate::view::layout::BASE;
use crate::view::parts::{aged, commands, day_clock, empty, id_link, labelled, visible};
use crate::view::{Page, Place};

/// Calls of a page.
const PAGE: usize = 50;

/// Days in which calls are looked for.
const DAYS: i64 = 35;

/// Days of a page, of which the index is read shard by shard.
const PAGE_DAYS: i64 = 7;

/// Seconds after which the list is read again.
const REFRESH: u16 = 5;

const PLACE: Place = Place::Objects("realtime");

pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/calls", get(page))
        .route("/calls/policy", get(policy::page))
        .route("/calls/{id}", get(one::page))
        .route("/calls/{id}/act", post(act::act))
}

/// Address of a call's page.
fn address(id: &str) -> String {
    // An id of a call has no character that a path could not have.
    format!("{BASE}/calls/{id}")
}

async fn page(seen: Seen) -> Response {
    let found = match before(&seen.parameters) {
        Ok(before) => days(&seen.app.console.log, before).await.map(|found| (found, before)),
        Err(failure) => Err(failure),
    };
    match found {
        Ok((found, before)) => {
            let mut page = seen.page(PLACE, "Calls");
            page.every = before.is_none().then_some(REFRESH);
            page.render(&list(&page, &found, before)).into_response()
        }
        Err(failure) => seen.failed(PLACE, &failure),
    }
}

/// The calls of [`PAGE_DAYS`] days at most.
async fn days(log: &EventLog, before: Option<i64>) -> Result<CallPage> {
    let now = Timestamp::now().0;
    let first = before.unwrap_or(now) - PAGE_DAYS * DAY_MILLIS;
    let oldest = now - DAYS * DAY_MILLIS;
    let mut found = calls::list(log, Timestamp(first.max(oldest)), before, PAGE).await?;
    if found.next.is_none() && first > oldest {
        found.next = Some(first - 1);
    }
    Ok(found)
}

fn list(page: &Page<'_>, found: &CallPage, before: Option<i64>) -> Markup {
    let (open, ended): (Vec<_>, Vec<_>) = found.calls.iter().partition(|call| calls::is_open(call));
    html! {
        (head(&html! { "Calls" }, &page.freshness()))
        p.quiet { "Supervised calls. " a href={ (BASE) "/objects/realtime" } { "All calls that events told of" }
            ", also those that nobody supervises. " a href={ (BASE) "/calls/policy" } { "The policy" } " decides which are answered." }
        section {
            div.heading { h2 { "Live" } span.aside { (open.len()) } }
            @if open.is_empty() { (empty("No call goes on", &html! { p.quiet { "A call is here as soon as it is accepted under supervision." } })) }
            @else { (table("Live calls", &open)) }
        }
        section {
            div.heading { h2 { "Ended" } }
            @if ended.is_empty() { p.quiet { "None in these " (PAGE_DAYS) " days." } }
            @else { (table("Calls that have ended", &ended)) }
            (older("/calls", before, found.next))
        }
        (commands(&[page.console.command("calls list --open"), page.console.command("calls list --since 7d")]))
    }
}

fn table(caption: &str, found: &[&SessionRecord]) -> Markup {
    html! { div.scroll { table.stack data-rows {
        caption.unseen { (caption) }
        thead { tr { th scope="col" { "Call" } th scope="col" { "State" } th scope="col" { "From" } th scope="col" { "To" }
            th.number scope="col" { "Length" } th scope="col" { "Ended by" } th scope="col" { "Came" } } }
        tbody { @for call in found { tr {
            th scope="row" { (id_link(&address(&call.id), &call.id)) }
            td.end { (state(call)) }
            td { (number(call, "from")) }
            td { (number(call, "to")) }
            td.number { @if let Some(length) = length(call) { (span_of_seconds(length)) } @else { span.zero { "–" } } }
            td { @if let Some(reason) = &call.reason { (words(visible(reason))) } }
            td { (aged(Timestamp(call.opened_at))) span.wide.small.quiet { " " (day_clock(Timestamp(call.opened_at))) } }
        } } }
    } } }
}

fn state(call: &SessionRecord) -> Markup {
    let kind = match call.state.as_str() {
        "active" => "busy",
        "ended" => "done",
        _ => "wait",
    };
    labelled(kind, call.state.as_str())
}

/// A number, which is masked.
fn number(call: &SessionRecord, name: &str) -> Markup {
    html! { @match call.facts.get(name).and_then(Value::as_str) {
        Some(number) => code { bdi { (visible(number)) } },
        None => span.zero { "–" },
    } }
}
