//! Retry of a batch: a dry run that says which requests have no answer, then a new batch with them, once.

use axum::Extension;
use axum::extract::Path;
use axum::response::{IntoResponse as _, Redirect, Response};
use maud::{Markup, html};

use super::batches::address;
use super::{Seen, head};
use crate::data::retry::{self, Planned};
use crate::http::gate::Posted;
use crate::http::tokens::random;
use crate::once;
use crate::view::format::{count, counted};
use crate::view::layout::BASE;
use crate::view::parts::{commands, say};
use crate::view::{Page, Place};
use crate::{Failure, Result};

/// Most codes of a retry, and the longest, in bytes.
const MAX_CODES: (usize, usize) = (100, 100);

pub(super) async fn retry(seen: Seen, Path(id): Path<String>, Extension(form): Extension<Posted>) -> Response {
    let done = async {
        let only: Vec<_> = form.all("only").map(str::to_owned).collect();
        if only.len() > MAX_CODES.0 || only.iter().any(|code| code.len() > MAX_CODES.1) {
            return Err(Failure::usage("these are not error codes of a batch"));
        }
        match form.get("once") {
            None => {
                let planned = retry::plan(&seen.app.console, &id, only.clone()).await?;
                let page = seen.page(Place::Batches, "Retry, dry run");
                Ok(page.render(&dry_run(&page, &id, &only, &planned, &random()?)).into_response())
            }
            Some(token) => submit(&seen, &id, only, token).await,
        }
    };
    done.await.unwrap_or_else(|failure| seen.failed(Place::Batches, &failure))
}

fn dry_run(page: &Page<'_>, id: &str, only: &[String], planned: &Planned, once: &str) -> Markup {
    let plan = &planned.plan;
    let lead = format!(
        "{} of {} would be submitted again, as a new batch.",
        counted(plan.retried, "request"),
        count(plan.total)
    );
    let more = html! {
        dl.list {
            @for (code, number) in &plan.codes {
                @let taken = only.is_empty() || only.contains(code);
                dt { code { bdi { (code) } } } dd { (count(*number)) @if !taken { span.quiet { ", left out" } } }
            }
            @if !plan.metadata.is_empty() { dt { "Metadata" } dd { @for (name, value) in &plan.metadata { code { bdi { (name) "=" (value) } } " " } } }
            @if plan.unreadable > 0 { dt { "Unreadable lines" } dd.caution { (count(plan.unreadable)) ", whose requests count as missing" } }
        }
        @for name in &plan.left_out { p.caution { "The metadata entry " code { bdi { (name) } } " has no room in the new batch." } }
        form.note.line method="post" action={ (address(id)) "/retry" } {
            (page.csrf())
            input type="hidden" name="once" value=(once);
            @for code in only { input type="hidden" name="only" value=(code); }
            @if plan.retried > 0 { (page.act("main", &format!("Submit {}", counted(plan.retried, "request")))) }
            a.button href=(address(id)) { "Back" }
            @if plan.retried > 0 { span.small.quiet { "OpenAI bills what it runs. A request that has an answer in the batch or in an earlier retry is not repeated." } }
        }
    };
    html! {
        nav.path aria-label="Path" { a href={ (BASE) "/batches" } { "Batches" } " / " a href=(address(id)) { bdi { (crate::view::format::short(id)) } } " / retry" }
        (head(&html! { "Retry, dry run" }, &html! {}))
        (say(if plan.retried > 0 { "" } else { "good" }, "retry", &lead, &more))
        (commands(&[page.console.command(command(id, only))]))
    }
}

fn command(id: &str, only: &[String]) -> String {
    let codes =
        only.iter().filter(|code| code.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)));
    codes.fold(format!("batch retry {id}"), |command, code| format!("{command} --only {code}"))
}

async fn submit(seen: &Seen, id: &str, only: Vec<String>, token: &str) -> Result<Response> {
    let console = &seen.app.console;
    if !once::first(&console.ledger, token).await? {
        return Err(Failure::usage("this form was submitted before, and is not submitted twice")
            .hint("The new batch is in the list of batches."));
    }
    let (batch, failure) = retry::submit(console, id, only).await?;
    let Some(failure) = failure else { return Ok(Redirect::to(&address(&batch.id)).into_response()) };
    let page = seen.page(Place::Batches, "Retry");
    Ok(page.render(&super::submit::unexpected(&batch.id, &failure)).into_response())
}
