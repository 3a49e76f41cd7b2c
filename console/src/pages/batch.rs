//! One batch: progress, error codes with samples, its lines.

use axum::Extension;
use axum::extract::Path;
use axum::response::{IntoResponse as _, Redirect, Response};
use hooks_aws::artifacts::GetResult;
use maud::{Markup, html};
use serde_json::{Map, Value};

use super::batches::{address, bar, took};
use super::lines::{self, Lines};
use super::{Seen, object, sentence};
use crate::console::Console;
use crate::data::batches::{self, BatchView};
use crate::data::objects::{MAX_ID, Object};
use crate::data::prices::Prices;
use crate::http::gate::Posted;
use crate::view::format::{count, share};
use crate::view::layout::BASE;
use crate::view::parts::{clock, commands, foreign, large, say, unreadable, whole};
use crate::view::{Page, Place};
use crate::{Failure, Result};

/// The largest summary that is read, in bytes.
const MAX_SUMMARY: usize = 1024 * 1024;

pub(super) async fn page(seen: Seen, Path(id): Path<String>) -> Response {
    if id.is_empty() || id.len() > MAX_ID {
        return seen.failed(Place::Batches, &super::batches::unknown("of that id"));
    }
    let console = &seen.app.console;
    let (view, object) = match batches::one(console, &id).await {
        Ok((view, object, _)) => (view, object),
        Err(failure) => return seen.failed(Place::Batches, &failure),
    };
    let more = match &object {
        Some(object) if object.is_terminal() => Some(Box::pin(More::read(&seen, object)).await),
        _ => None,
    };
    let mut page = seen.page(Place::Batches, format!("Batch, {}", view.status));
    page.every = (!view.ended).then_some(15);
    page.render(&content(&page, &seen, &view, object.as_ref(), more.as_ref())).into_response()
}

/// What is read of a batch that has ended.
struct More {
    lines: Result<Lines>,
    /// `errors` of `summary.json`: the first of each code.
    samples: Map<String, Value>,
    prices: Result<Option<Prices>>,
}

impl More {
    async fn read(seen: &Seen, object: &Object) -> Self {
        let console = &seen.app.console;
        let (lines, samples, prices) = tokio::join!(
            lines::read(console, &object.id, seen.get("lines"), seen.get("custom_id")),
            samples(console, object),
            Prices::read(console),
        );
        Self { lines, samples: samples.unwrap_or_default(), prices }
    }
}

/// The first line of each error code, from the summary that is kept.
async fn samples(console: &Console, object: &Object) -> Option<Map<String, Value>> {
    let keys = object.artifacts();
    let key = keys.iter().find(|key| key.ends_with("/summary.json"))?;
    let GetResult::Object { bytes, .. } = console.artifacts.get(key, None, MAX_SUMMARY).await.ok()? else {
        return None;
    };
    let summary: Value = serde_json::from_slice(&bytes).ok()?;
    summary.get("errors")?.as_object().cloned()
}

fn content(page: &Page<'_>, seen: &Seen, view: &BatchView, object: Option<&Object>, more: Option<&More>) -> Markup {
    let title = match (&view.endpoint, view.total) {
        (Some(endpoint), total) if total > 0 => format!("{} requests to {endpoint}", count(total)),
        (Some(endpoint), _) => format!("Requests to {endpoint}"),
        (None, _) => "Batch".to_owned(),
    };
    let event = object.and_then(|object| object.event.as_ref());
    html! {
        nav.path aria-label="Path" { a href={ (BASE) "/batches" } { "Batches" } " / " bdi { (crate::view::format::short(&view.id)) } }
        div.heading {
            h1 { bdi { (title) } } (large(&view.status))
            span.end.line {
                @if let Some(event) = event { a.button href=(super::events::address(event)) { "Its event" } }
                (page.freshness())
            }
        }
        p { (whole(&view.id, "the batch's id")) }
        div.heading.note { b { (count(view.completed)) "/" (count(view.total)) " complete" @if view.failed > 0 { ", " span.alarm { (count(view.failed)) " failed" } } }
            span.aside { @match object.filter(|object| object.summary("lines").is_some()) { Some(object) => (counted_lines(object)), None => "counted by OpenAI" } } }
        (bar(view))
        (facts(view, object, more))
        @if let Some(error) = &view.error { (say("bad", "failed", &sentence(error), &html! {})) }
        @if let Some(note) = disagreement(object) { (say("warn", "wait", &sentence(note), &html! {})) }
        @if let (Some(object), Some(more)) = (object, more) { (errors(page, object, more)) (lines::section(view, seen, &more.lines)) }
        @else if view.ended { p.note { "Its results are not kept yet: its event has not been handled." } }
        @else { (under_way(page, view)) }
        @if let Some(object) = object { (object::artifact_list(page.console, &object.artifacts())) }
        (commands(&the_commands(page.console, view)))
    }
}

fn the_commands(console: &Console, view: &BatchView) -> Vec<String> {
    let id = &view.id;
    let safe = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    if !safe {
        return Vec::new();
    }
    let watch = console.command(format_args!("batch watch {id} --out results"));
    if !view.ended {
        return vec![watch, console.command(format_args!("batch cancel {id}"))];
    }
    vec![
        watch,
        console.command(format_args!("batch results {id}")),
        console.command(format_args!("batch retry {id} --dry-run")),
        console.command(format_args!("events list --since 35d --object {id}")),
    ]
}

fn counted_lines(object: &Object) -> Markup {
    let line = |name: &str| object.summary("lines").and_then(|lines| lines.get(name)?.as_u64()).unwrap_or(0);
    html! { "lines: " (count(line("succeeded"))) " succeeded, " (count(line("failed"))) " failed, " (count(line("malformed"))) " malformed" }
}

fn disagreement(object: Option<&Object>) -> Option<&str> {
    object?.summary_text("disagreement")
}

fn facts(view: &BatchView, object: Option<&Object>, more: Option<&More>) -> Markup {
    html! {
        dl.facts {
            @if let Some(took) = took(view) { div { dt { @if view.ended { "Took" } @else { "So far" } } dd { (took)
                small { @if let Some(at) = view.created_at { (clock(at)) } @if let Some(at) = view.ended_at { " to " (clock(at)) } ", of 24 h" } } } }
            @if let Some(model) = &view.model { div { dt { "Model" } dd { bdi { (model) } } } }
            @if let Some(tokens) = view.tokens { div { dt { "Tokens" } dd { (count(tokens)) small { (token_text(object)) } } } }
            @if let (Some(object), Some(more)) = (object, more) { (price(object, &more.prices)) }
            @if let Some(at) = view.as_of { div { dt { "As of" } dd { (clock(at)) } } }
        }
    }
}

fn token_text(object: Option<&Object>) -> String {
    let models = object.and_then(|object| object.summary("tokens")?.as_object());
    let sum = |name: &str| models.into_iter().flatten().filter_map(|(_, model)| model.get(name)?.as_u64()).sum::<u64>();
    format!("{} in, {} out, {} cached", count(sum("input")), count(sum("output")), count(sum("cached")))
}

/// The price, if there is a table.
fn price(object: &Object, prices: &Result<Option<Prices>>) -> Markup {
    html! {
        @match prices {
            Ok(None) => {},
            Err(failure) => div { dt { "Price" } dd { "–" small { bdi { (failure.message) } } } },
            Ok(Some(prices)) => @match prices.of(object) {
                Some(sum) => div { dt { "Price" } dd { "$" (format!("{sum:.2}")) small { "by the price table" } } },
                None => div { dt { "Price" } dd { "–" small { "the table lacks the model" } } },
            },
        }
    }
}

/// The codes of what failed, with the first line of each; those to repeat are marked.
fn errors(page: &Page<'_>, object: &Object, more: &More) -> Markup {
    let codes = object.summary("error_codes").and_then(Value::as_object);
    let mut codes: Vec<_> =
        codes.into_iter().flatten().filter_map(|(code, count)| Some((code, count.as_u64()?))).collect();
    codes.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let all: u64 = codes.iter().map(|(_, count)| count).sum();
    if all == 0 {
        return html! {};
    }
    let is_worth = |code: &str| {
        ["rate_limit_exceeded", "server_error", "request_timeout", "batch_expired", "timeout"].contains(&code)
    };
    let sample = |code: &str, name: &str| more.samples.get(code).and_then(|sample| sample.get(name)?.as_str());
    html! {
        section {
            div.heading { h2 { "Why " (count(all)) " lines failed" } span.aside { (share(all, object.count("total").unwrap_or(all))) " of the lines" } }
            form method="post" action={ (address(&object.id)) "/retry" } {
                (page.csrf())
                div.scroll { table.stack {
                    caption.unseen { "Error codes" }
                    thead { tr { th scope="col" { "Code" } th.number scope="col" { "Lines" } th.wide scope="col" { "Share" } th scope="col" { "Retry?" } th scope="col" { "First message" } th scope="col" { "First line" } } }
                    tbody { @for (code, number) in &codes { tr {
                        th scope="row" { label { input type="checkbox" name="only" value=(code) checked[is_worth(code)]; " " code.id { bdi { (code) } } } }
                        td.number data-label="lines" { (count(*number)) }
                        td.wide { (crate::view::chart::progress(&[(*number, "hatch-bad")], all, &share(*number, all))) }
                        td.end.nowrap { (if is_worth(code) { "worth it" } else { "will fail again" }) }
                        td.full { @if let Some(message) = sample(code, "first_message") { bdi { (message) } } }
                        td { @if let Some(id) = sample(code, "first_custom_id") { a.id href=(lines::line_address(&address(&object.id), id)) { bdi { (id) } } } }
                    } } }
                } }
                div.line.note { (page.act("", "Retry the marked codes…")) span.small.quiet { "A dry run comes first. Nothing is sent yet." } }
            }
        }
    }
}

/// What can be done while it runs.
fn under_way(page: &Page<'_>, view: &BatchView) -> Markup {
    html! {
        section {
            details {
                summary.alarm { "Cancel" }
                p.quiet { "OpenAI takes up to ten minutes. Requests that are completed by then are billed, and their results kept." }
                form.note.line method="post" action={ (address(&view.id)) "/cancel" } {
                    (page.csrf())
                    (page.act("risk", "Cancel the batch"))
                }
            }
        }
    }
}

pub(super) async fn cancel(seen: Seen, Path(id): Path<String>, Extension(_form): Extension<Posted>) -> Response {
    let console = &seen.app.console;
    let cancelled = async {
        console.openai().await?.cancel_batch(&id, Console::deadline()).await?;
        console.forget(&id).await;
        Ok::<_, Failure>(())
    };
    match cancelled.await {
        Ok(()) => Redirect::to(&address(&id)).into_response(),
        Err(failure) => seen.failed(Place::Batches, &failure),
    }
}

/// A failure to read the lines, in its place.
pub(super) fn unread(failure: &Failure) -> Markup {
    unreadable("The lines", failure)
}

/// A line's text beside its title.
pub(super) fn side(title: &str, text: Option<&str>) -> Markup {
    html! { figure { figcaption.small.quiet { (title) } @match text {
        Some(text) => (crate::view::parts::json(title, text)),
        None => (foreign(title, "not found")),
    } } }
}
