//! What is expected to end, and by when.

use axum::response::{IntoResponse as _, Response};
use futures::FutureExt as _;
use hooks_webhook::Category;
use maud::{Markup, html};

use super::overview::EXPECTED;
use super::{Seen, head};
use crate::Result;
use crate::console::Console;
use crate::data::objects::{self, Object};
use crate::view::format::{counted, span};
use crate::view::parts::{ago, commands, empty, id_link, kind, labelled, now_millis, unreadable};
use crate::view::{Page, Place};
use hooks_operate::timestamp::Timestamp;

/// What is expected of a category.
type Expected = (Category, Result<Vec<(Object, Timestamp)>>);

pub(super) async fn page(seen: Seen) -> Response {
    let console = &seen.app.console;
    let read = EXPECTED.map(|category| expected(console, category).boxed());
    let found = futures::future::join_all(read).await;
    let page = Page { every: Some(30), ..seen.page(Place::Expectations, "Expectations") };
    page.render(&content(&page, &found)).into_response()
}

async fn expected(console: &Console, category: Category) -> Expected {
    (category, objects::expected(console, category).await)
}

fn content(page: &Page<'_>, found: &[Expected]) -> Markup {
    let all: usize = found.iter().filter_map(|(_, found)| found.as_ref().ok()).map(Vec::len).sum();
    html! {
        (head(&html! { "Expectations" }, &page.freshness()))
        @if all == 0 { (empty("Nothing is expected", &html! { p.quiet { "Whoever creates a response, batch or job may say by when it must have ended. Batches that are submitted here are expected by themselves." } })) }
        @for (category, found) in found {
            @match found {
                Err(failure) => (unreadable(&format!("What is expected of {category}"), failure)),
                Ok(found) if found.is_empty() => {},
                Ok(found) => section {
                    div.heading { h2 { (category) } span.aside { (counted(found.len() as u64, "expectation")) } }
                    div.scroll { table.stack data-rows {
                        caption.unseen { "Expected, due first" }
                        thead { tr { th scope="col" { "Object" } th scope="col" { "State" } th scope="col" { "Due" } th scope="col" { "Context" } } }
                        tbody { @for (object, due) in found { tr {
                            th scope="row" { (id_link(&super::objects::address(*category, &object.id), &object.id)) }
                            td.end { (expectation_state(object, *due)) }
                            td data-label="due" { (expectation_due(*due)) }
                            td.full { @if let Some(context) = object.text("context") { code { bdi { (context.chars().take(120).collect::<String>()) } } } }
                        } } }
                    } }
                },
            }
        }
        (commands(&[page.console.command("expect list"), page.console.command("expect batch ID --by 26h")]))
    }
}

/// The state of what is expected: trouble only if it is late.
pub(crate) fn expectation_state(object: &Object, due: Timestamp) -> Markup {
    if due.0 < now_millis() { labelled("wait", "overdue") } else { labelled(kind(object.status()), object.status()) }
}

/// When it is due, or for how long it was.
pub(crate) fn expectation_due(due: Timestamp) -> Markup {
    html! { @if due.0 < now_millis() { span.alarm { (span(now_millis() - due.0)) " late" } } @else { (ago(due)) } }
}
