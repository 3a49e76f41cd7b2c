//! Dead letters, by reason, with redrive and purge.

use std::collections::BTreeMap;

use axum::response::{IntoResponse as _, Response};
use hooks_webhook::Category;
use maud::{Markup, html};

use super::overview::remedy;
use super::{Seen, head};
use crate::data::letters::{self, Letter};
use crate::view::format::{count, counted};
use crate::view::layout::BASE;
use crate::view::parts::{aged, commands, empty, id, unreadable};
use crate::view::{Page, Place};
use crate::{Failure, Result};

/// Letters that are listed.
const SHOWN: usize = 100;

pub(super) async fn page(seen: Seen) -> Response {
    let Ok(category) = seen.get("category").map(str::parse::<Category>).transpose() else {
        return seen.failed(Place::DeadLetters, &Failure::usage("there is no such category"));
    };
    let found = letters::list(&seen.app.console, category, seen.get("reason")).await;
    let page = seen.page(Place::DeadLetters, "Dead letters");
    page.render(&content(&page, category, seen.get("reason"), &found)).into_response()
}

fn content(page: &Page<'_>, category: Option<Category>, reason: Option<&str>, found: &Result<Vec<Letter>>) -> Markup {
    let narrowed = category.is_some() || reason.is_some();
    html! {
        (head(&html! { "Dead letters" }, &page.freshness()))
        @if narrowed { p.chips {
            span.small { "only" @if let Some(category) = category { " " b { (category) } } @if let Some(reason) = reason { " " code { bdi { (reason) } } } }
            a.button href={ (BASE) "/dead-letters" } { "All" }
        } }
        @match found {
            Err(failure) => (unreadable("The dead letters", failure)),
            Ok(letters) if letters.is_empty() => (empty("Nobody waits", &html! { p.quiet { "No dead letter" @if narrowed { " of these" } @else { " in any category" } "." } })),
            Ok(letters) => { (groups(page, letters)) (table(page, letters)) }
        }
        (commands(&[page.console.command("dlq list"), page.console.command("dlq redrive --dry-run")]))
    }
}

/// Letters by category and reason, each group with what can be done.
fn groups(page: &Page<'_>, letters: &[Letter]) -> Markup {
    let mut groups = BTreeMap::<(&str, &str), Vec<&Letter>>::new();
    for letter in letters {
        groups.entry((&letter.category, &letter.reason)).or_default().push(letter);
    }
    html! {
        section {
            div.heading { h2 { "By reason" } span.aside { (counted(letters.len() as u64, "dead letter")) } }
            ul.rows { @for ((category, reason), group) in &groups {
                li {
                    span { b { (count(group.len() as u64)) " of " (category) ": " } a.id href={ (BASE) "/dead-letters?category=" (category) "&reason=" (reason) } { bdi { (reason) } }
                        br; span.small.quiet { (remedy(reason)) @if let Some(oldest) = group.first() { " The oldest waits for " (aged(oldest.sent_at)) "." } } }
                    (button(page, "redrive", category, reason, &format!("Redrive {}…", count(group.len() as u64))))
                    details { summary.alarm { "Purge" } (button(page, "purge", category, reason, &format!("Purge {}…", count(group.len() as u64)))) }
                }
            } }
        }
    }
}

fn button(page: &Page<'_>, action: &str, category: &str, reason: &str, text: &str) -> Markup {
    html! {
        form.line method="post" action={ (BASE) "/act" } {
            (page.csrf())
            input type="hidden" name="action" value=(action);
            input type="hidden" name="category" value=(category);
            input type="hidden" name="reason" value=(reason);
            (page.act(if action == "purge" { "risk" } else { "" }, text))
        }
    }
}

fn table(page: &Page<'_>, letters: &[Letter]) -> Markup {
    html! {
        section {
            div.heading { h2 { "Oldest first" } @if letters.len() > SHOWN { span.aside { "the first " (SHOWN) } } }
            form method="post" action={ (BASE) "/act" } {
                (page.csrf())
                (rows(letters, true))
                div.bulk {
                    button.button name="action" value="redrive" disabled[!page.may_act()] data-act { "Redrive the marked…" }
                    button.button.risk name="action" value="purge" disabled[!page.may_act()] { "Purge the marked…" }
                    span.small.quiet { @if page.may_act() { "A dry run comes first." } @else { "Read-only: this is for operators." } }
                }
            }
        }
    }
}

/// The letters that a dry run is about.
pub(super) fn listed(letters: &[Letter]) -> Markup {
    html! { @if !letters.is_empty() { section { div.heading { h2 { "Which" } @if letters.len() > SHOWN { span.aside { "the first " (SHOWN) } } } (rows(letters, false)) } } }
}

fn rows(letters: &[Letter], marks: bool) -> Markup {
    html! {
        div.scroll { table.stack.marks[marks] data-rows {
            caption.unseen { "Dead letters, oldest first" }
            thead { tr {
                @if marks { th.mark scope="col" { input type="checkbox" data-all="letter" aria-label="Mark all"; } }
                th scope="col" { "Event" } th scope="col" { "Reason" } th scope="col" { "Category" } th scope="col" { "Object" } th.number scope="col" { "Age" }
            } }
            tbody { @for letter in letters.iter().take(SHOWN) {
                tr.above[letter.message.is_some()] {
                    @if marks { td.mark { input type="checkbox" name="letter" value=(letter.step()) aria-label={ "Mark " (letter.id) }; } }
                    td { (name(letter)) }
                    td.end { code.alarm { bdi { (letter.reason) } } }
                    td { (letter.category) }
                    td { @if let Some(object) = &letter.object_id { (id(object)) } }
                    td.number { (aged(letter.sent_at)) }
                }
                @if let Some(message) = &letter.message { tr.below { @if marks { td.mark {} } td.full colspan="5" { bdi { (message) } } } }
            } }
        } }
    }
}

fn name(letter: &Letter) -> Markup {
    let part = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20");
    let event_type = letter.event_type.as_deref().unwrap_or("no event");
    html! {
        @match (&letter.endpoint, &letter.webhook_id) {
            (Some(endpoint), Some(webhook)) => a href={ (BASE) "/events/" (part(endpoint)) "/" (part(webhook)) } { bdi { (event_type) } },
            _ => bdi { (event_type) },
        }
    }
}
