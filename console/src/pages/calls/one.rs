//! One call: its transcript as it comes, its tools, what was asked of it, and what can be asked.

use axum::extract::Path;
use axum::response::{IntoResponse as _, Redirect, Response};
use hooks_aws::ledger::{Control, SessionRecord, ToolCall};
use hooks_operate::calls::{self, Utterance};
use hooks_operate::timestamp::Timestamp;
use maud::{Markup, html};
use serde_json::Value;

use super::{PLACE, act, address, number};
use crate::data::calls::{self as data, Detail, Found, length};
use crate::pages::object::artifact_list;
use crate::pages::{Seen, objects};
use crate::view::Page;
use crate::view::format::{count, short, span_of_seconds, words};
use crate::view::layout::BASE;
use crate::view::parts::{clock, commands, day_clock, exact, labelled, large, say, unreadable, visible, whole};
use crate::{Failure, Result};
use hooks_webhook::Category;

/// Seconds after which a call that goes on is read again.
const REFRESH: u16 = 3;

/// Utterances that are shown: the last ones.
const SHOWN: usize = 500;

pub(in crate::pages) async fn page(seen: Seen, Path(id): Path<String>) -> Response {
    let told = match seen.get("did") {
        Some(kind) if act::is_kind(kind) => {
            say("good", "done", "Confirmed.", &html! { p.quiet { "It is recorded below, with your name." } })
        }
        _ => html! {},
    };
    show(&seen, &id, &told).await
}

/// The page of a call, with what became of an act.
pub(super) async fn show(seen: &Seen, id: &str, told: &Markup) -> Response {
    match data::find(&seen.app.console, id).await {
        Ok(Found::Session(record)) => match data::detail(&seen.app.console, *record, None).await {
            Ok(detail) => {
                let is_open = calls::is_open(&detail.record);
                let mut page = seen.page(PLACE, format!("Call, {}", detail.record.state.as_str()));
                page.address = address(id);
                page.every = is_open.then_some(REFRESH);
                page.render(&content(&page, seen, &detail, told).await).into_response()
            }
            Err(failure) => seen.failed(PLACE, &failure),
        },
        Ok(Found::Job(_)) => Redirect::to(&objects::address(Category::Realtime, id)).into_response(),
        Ok(Found::Nothing) => {
            let failure = Failure::failed("there is no such call")
                .hint("Calls are supervised if the rule of the policy that accepts them has `supervise`.");
            seen.failed(PLACE, &failure)
        }
        Err(failure) => seen.failed(PLACE, &failure),
    }
}

async fn content(page: &Page<'_>, seen: &Seen, detail: &Detail, told: &Markup) -> Markup {
    let record = &detail.record;
    let is_open = calls::is_open(record);
    let kept = if is_open { Ok(Vec::new()) } else { artifacts(seen, &record.id).await };
    html! {
        nav.path aria-label="Path" { a href={ (BASE) "/calls" } { "Calls" } " / " bdi { (short(&record.id)) } }
        div.heading {
            h1 { @if record.facts.contains_key("from") { (number(record, "from")) " to " (number(record, "to")) } @else { "A session of a browser" } }
            (large(record.state.as_str()))
            span.end.line { (page.freshness()) }
        }
        p { (whole(&record.id, "the call's id")) }
        (told)
        (facts(record))
        (transcript(&detail.said, is_open))
        @if !detail.tools.is_empty() { (tools(&detail.tools)) }
        @if is_open { (act::forms(page, detail)) }
        @if !detail.asked.is_empty() { (asked(&detail.asked)) }
        @match &kept {
            Ok(kept) => (artifact_list(page.console, &kept.iter().map(String::as_str).collect::<Vec<_>>())),
            Err(failure) => (unreadable("The artifacts", failure)),
        }
        (commands(&the_commands(page, &record.id, is_open)))
    }
}

async fn artifacts(seen: &Seen, id: &str) -> Result<Vec<String>> {
    let job = seen.app.console.log.job_record("realtime", id).await?.unwrap_or_default();
    let all = job.get("artifacts").and_then(Value::as_array);
    Ok(all.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect())
}

fn the_commands(page: &Page<'_>, id: &str, is_open: bool) -> Vec<String> {
    let mut all = vec![page.console.command(format_args!("calls show {id}"))];
    if is_open {
        all.push(page.console.command(format_args!("calls follow {id}")));
        all.push(page.console.command(format_args!("calls say {id} 'One moment, please.'")));
        all.push(page.console.command(format_args!("calls hangup {id}")));
    }
    all
}

fn facts(record: &SessionRecord) -> Markup {
    let usage = |name: &str| record.usage.get(name).and_then(Value::as_u64).unwrap_or_default();
    let fact = |name: &str| record.facts.get(name).and_then(Value::as_str).map(visible);
    html! {
        dl.facts {
            div { dt { "Came" } dd { (day_clock(Timestamp(record.opened_at))) small { (words(&record.api)) } } }
            @if let Some(length) = length(record) { div { dt { @if record.ended_at.is_some() { "Took" } @else { "So far" } } dd { (span_of_seconds(length)) } } }
            @if let Some(reason) = &record.reason { div { dt { "Ended by" } dd { (words(visible(reason))) @if let Some(at) = record.ended_at { small { (clock(Timestamp(at))) } } } } }
            div { dt { "Tokens" } dd { (count(usage("total_tokens"))) small { (count(usage("input_tokens"))) " in, " (count(usage("output_tokens"))) " out" } } }
            @if let Some(cost) = record.usage.get("cost_usd").and_then(Value::as_f64) { div { dt { "Cost" } dd { (format!("{cost:.4} USD")) @if usage("unpriced_responses") > 0 { small { "without " (count(usage("unpriced_responses"))) " responses that have no price here" } } } } }
            div { dt { "Supervisor" } dd { "generation " (record.generation)
                @if calls::is_open(record) { small { (lease(record)) } } } }
            @if let Some(who) = fact("asked_by") { div { dt { "Called by" } dd { bdi { (who) } } } }
            @if let Some(model) = fact("model") { div { dt { "Model" } dd { bdi { (model) } } } }
        }
    }
}

fn lease(record: &SessionRecord) -> Markup {
    let left = record.lease_until - Timestamp::now().0;
    html! { @match (record.lease_until, left) {
        (0, _) => "none yet",
        (_, 1..) => { "lease for " (span_of_seconds(left)) },
        _ => span.caution { "the lease is over: the watchdog starts another one" },
    } }
}

fn transcript(said: &[Utterance], is_open: bool) -> Markup {
    let left_out = said.len().saturating_sub(SHOWN);
    html! {
        section {
            div.heading { h2 { "Transcript" } span.aside { @if is_open { "as it comes" } @else { "kept for three days here, then as an artifact" } } }
            @if said.is_empty() { p.quiet { @if is_open { "Nothing was said yet." } @else { "Nothing is kept here." } } }
            @else {
                @if left_out > 0 { p.quiet { (count(left_out as u64)) " earlier lines are left out." } }
                div.scroll { table.stack {
                    caption.unseen { "What was said" }
                    thead { tr { th scope="col" { "Time" } th scope="col" { "Who" } th scope="col" { "Words" } } }
                    tbody { @for one in &said[left_out..] { tr {
                        td { (clock(one.at)) }
                        td.end { (words(visible(&one.role))) }
                        td.full { bdi { (visible(&one.text)) } }
                    } } }
                } }
            }
        }
    }
}

fn tools(all: &[ToolCall]) -> Markup {
    html! {
        section {
            div.heading { h2 { "Tools" } span.aside { "each call is run once" } }
            div.scroll { table.stack {
                caption.unseen { "Calls of tools" }
                thead { tr { th scope="col" { "Tool" } th scope="col" { "Result" } th scope="col" { "Call" } th scope="col" { "At" } } }
                tbody { @for call in all { tr {
                    th scope="row" { code { bdi { (visible(&call.name)) } } }
                    td.end { @match &call.result {
                        Some(result) if result.is_success => (labelled("done", "done")),
                        Some(_) => (labelled("failed", "failed")),
                        None => (labelled("busy", "running")),
                    } @if call.result.is_some() && !call.given { " " span.small.quiet { "not given yet" } } }
                    td { code.id { bdi { (visible(&call.call_id)) } } }
                    td { (clock(Timestamp(call.claimed_at))) }
                } } }
            } }
        }
    }
}

fn asked(all: &[Control]) -> Markup {
    html! {
        section {
            div.heading { h2 { "Asked" } span.aside { "by people and programs" } }
            div.scroll { table.stack {
                caption.unseen { "What was asked of the call" }
                thead { tr { th scope="col" { "What" } th scope="col" { "Answer" } th scope="col" { "By" } th scope="col" { "When" } } }
                tbody { @for one in all { tr {
                    th scope="row" { (words(visible(&one.kind))) }
                    td.end { @match &one.answer {
                        Some(answer) if answer.confirmed => (labelled("done", "confirmed")),
                        Some(_) => (labelled("failed", "refused")),
                        None => (labelled("wait", "no answer")),
                    } @if let Some(reason) = one.answer.as_ref().and_then(|answer| answer.reason.as_ref()) { " " span.small { bdi { (visible(reason)) } } } }
                    td { bdi { (visible(&one.asked_by)) } }
                    td { (exact(Timestamp(one.asked_at))) }
                } } }
            } }
        }
    }
}
