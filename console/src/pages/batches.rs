//! Batches: those under way, then those that events told of.

use axum::response::{IntoResponse as _, Response};
use hooks_webhook::Category;
use maud::{Markup, html};

use super::{Seen, head};
use crate::data::batches::{self, BatchView};
use crate::data::filter::before;
use crate::data::objects::{self, ObjectPage};
use crate::view::chart::progress;
use crate::view::format::{count, span_of_seconds};
use crate::view::layout::BASE;
use crate::view::parts::{aged, commands, empty, id_link, now_millis, state, unreadable};
use crate::view::{Page, Place};
use crate::{Failure, Result};
use hooks_operate::timestamp::Timestamp;

pub(super) async fn page(seen: Seen) -> Response {
    let console = &seen.app.console;
    let before = match before(&seen.parameters) {
        Ok(before) => before,
        Err(failure) => return seen.failed(Place::Batches, &failure),
    };
    let (under_way, ended) = tokio::join!(batches::under_way(console), objects::list(console, Category::Batch, before));
    let is_live = under_way.as_ref().is_ok_and(|batches| !batches.is_empty());
    let mut page = seen.page(Place::Batches, "Batches");
    page.every = (before.is_none() && is_live).then_some(15);
    page.render(&content(&page, before, &under_way, &ended)).into_response()
}

fn content(
    page: &Page<'_>,
    before: Option<i64>,
    under_way: &Result<Vec<BatchView>>,
    ended: &Result<ObjectPage>,
) -> Markup {
    let main = html! {
        (page.freshness())
        a.button.main href={ (BASE) "/batches/new" } { "Submit…" }
    };
    html! {
        (head(&html! { "Batches" }, &main))
        @if before.is_none() {
            section {
                div.heading { h2 { "Under way" } span.aside { "OpenAI is asked again every 15 s while you look" } }
                @match under_way {
                    Err(failure) => (unreadable("What is under way", failure)),
                    Ok(batches) if batches.is_empty() => (empty("No batch is under way", &html! {
                        p { a.button href={ (BASE) "/batches/new" } { "Submit one…" } }
                    })),
                    Ok(batches) => (table("Batches under way", batches)),
                }
            }
        }
        section {
            div.heading { h2 { "Known to the ledger" } span.aside { "newest event first" } }
            @match ended {
                Err(failure) => (unreadable("The batches", failure)),
                Ok(found) if found.objects.is_empty() => (empty("No batch has ended yet", &html! {
                    p.quiet { "A batch is here as soon as its event was handled." }
                })),
                Ok(found) => {
                    (table("Batches that events told of", &found.objects.iter().map(BatchView::of_object).collect::<Vec<_>>()))
                    (older("/batches", before, found.next))
                }
            }
        }
        (commands(&[page.console.command("batch submit requests.jsonl")]))
    }
}

/// Links to the newest and to the next page.
pub(crate) fn older(path: &str, before: Option<i64>, next: Option<i64>) -> Markup {
    html! {
        p.note.line {
            @if before.is_some() { a.button href={ (BASE) (path) } { "Newest" } }
            @if let Some(next) = next { a.button rel="next" href={ (BASE) (path) "?before=" (next) } { "Older" } }
        }
    }
}

fn table(caption: &str, batches: &[BatchView]) -> Markup {
    html! {
        div.scroll { table.stack data-rows {
            caption.unseen { (caption) }
            thead { tr { th scope="col" { "Batch" } th scope="col" { "State" } th scope="col" { "Progress" } th.number scope="col" { "Complete" }
                th.number scope="col" { "Failed" } th.wide scope="col" { "Model" } th.number.wide scope="col" { "Tokens" } th.number scope="col" { "Age" } } }
            tbody { @for batch in batches { tr {
                th scope="row" { (id_link(&address(&batch.id), &batch.id)) }
                td.end { (state(&batch.status)) }
                td.full { (bar(batch)) }
                td.number.start.nowrap { (count(batch.completed)) "/" (count(batch.total)) " complete" }
                td.number { @if batch.failed > 0 { span.alarm { (count(batch.failed)) " failed" } } @else { span.zero { "0 failed" } } }
                td.wide.quiet { @if let Some(model) = &batch.model { bdi { (model) } } }
                td.number.wide { @if let Some(tokens) = batch.tokens { (count(tokens)) } }
                td.number data-label="age" { @match batch.created_at { Some(at) => (aged(at)), None => "–" } }
            } } }
        } }
    }
}

/// The bar of a batch: what succeeded, what failed hatched behind it, the rest pale.
pub(crate) fn bar(batch: &BatchView) -> Markup {
    let text = format!("{} of {} complete, {} failed", count(batch.completed), count(batch.total), count(batch.failed));
    let class = if batch.ended { "fill-usual" } else { "fill-accent" };
    progress(&[(batch.completed, class), (batch.failed, "hatch-bad")], batch.total, &text)
}

/// Address of a batch's page.
pub(crate) fn address(id: &str) -> String {
    let id = form_urlencoded::byte_serialize(id.as_bytes()).collect::<String>().replace('+', "%20");
    format!("{BASE}/batches/{id}")
}

/// Time that a batch took, or has taken so far.
pub(crate) fn took(batch: &BatchView) -> Option<String> {
    let end = batch.ended_at.unwrap_or(Timestamp(now_millis()));
    Some(span_of_seconds(end.0 - batch.created_at?.0))
}

/// The failure of a batch that neither the ledger nor OpenAI has.
pub(crate) fn unknown(id: &str) -> Failure {
    Failure::failed(format!("neither the ledger nor OpenAI has the batch {id}"))
        .hint("It may be of another project than the API key.")
}
