//! Replays and redrives of many, by name: how far each is, and going on with one that was stopped.

use axum::extract::Path;
use axum::response::{IntoResponse as _, Redirect, Response};
use hooks_operate::job::{Job, JobKind, Jobs, check_name};
use maud::{Markup, html};

use super::{Seen, head};
use crate::actions;
use crate::view::chart::progress;
use crate::view::format::count;
use crate::view::layout::BASE;
use crate::view::parts::{ago, commands, day_clock, empty, exact, json, labelled, large, now_millis};
use crate::view::{Page, Place};
use crate::{Failure, Result};

/// Time after which a job's page does not go on with it by itself, in milliseconds.
const LATELY: i64 = 60_000;

/// Jobs that are listed.
const SHOWN: usize = 50;

/// Address of a job's page.
pub(super) fn address(name: &str) -> String {
    format!("{BASE}/jobs/{name}")
}

/// Address of a job's page that works on it while it is open.
pub(super) fn running(name: &str) -> String {
    format!("{}?run=1", address(name))
}

pub(super) async fn page(seen: Seen) -> Response {
    match Jobs::new(seen.app.console.ledger.clone()).list(SHOWN).await {
        Ok(jobs) => {
            let page = seen.page(Place::Jobs, "Jobs");
            page.render(&list(&page, &jobs)).into_response()
        }
        Err(failure) => seen.failed(Place::Jobs, &failure),
    }
}

fn list(page: &Page<'_>, jobs: &[Job]) -> Markup {
    html! {
        (head(&html! { "Jobs" }, &page.freshness()))
        @if jobs.is_empty() { (empty("No job", &html! { p.quiet { "A replay or redrive of several is a job. It has a name, and can be resumed." } })) }
        @else { div.scroll { table.stack data-rows {
            caption.unseen { "Jobs, newest first" }
            thead { tr { th scope="col" { "Job" } th scope="col" { "State" } th scope="col" { "Progress" } th.number scope="col" { "Done" } th scope="col" { "By" } th scope="col" { "Began" } } }
            tbody { @for job in jobs { tr {
                th scope="row" { a.id href=(address(&job.name)) { (job.name) } }
                td.end { (state(job)) }
                td.full { (bar(job)) }
                td.number.nowrap { (count(job.sent + job.left_out)) "/" (count(job.total)) }
                td { @if let Some(who) = &job.asked_by { bdi { (who) } } }
                td { (day_clock(job.created_at)) }
            } } }
        } } }
        (commands(&[page.console.command("jobs list")]))
    }
}

fn state(job: &Job) -> Markup {
    if job.is_done { labelled("done", "done") } else { labelled("paused", "stopped") }
}

fn bar(job: &Job) -> Markup {
    let text = format!("{} of {} sent, {} left out", count(job.sent), count(job.total), count(job.left_out));
    progress(&[(job.sent, "fill-usual"), (job.left_out, "hatch-warn")], job.total, &text)
}

pub(super) async fn one(seen: Seen, Path(name): Path<String>) -> Response {
    match read(&seen, &name).await {
        Ok(job) => {
            let page = seen.page(Place::Jobs, job.name.clone());
            let lately = now_millis() - job.updated_at.0 < LATELY;
            let is_running = !job.is_done && page.may_act() && lately && seen.get("run").is_some();
            page.render(&content(&page, &job, is_running)).into_response()
        }
        Err(failure) => seen.failed(Place::Jobs, &failure),
    }
}

async fn read(seen: &Seen, name: &str) -> Result<Job> {
    check_name(name)?;
    let found = Jobs::new(seen.app.console.ledger.clone()).get(name).await?;
    found.ok_or_else(|| Failure::failed(format!("there is no job {name}")))
}

fn content(page: &Page<'_>, job: &Job, is_running: bool) -> Markup {
    let noun = if job.kind == JobKind::Replay { "events" } else { "dead letters" };
    let resume = format!("{}/resume", address(&job.name));
    html! {
        nav.path aria-label="Path" { a href={ (BASE) "/jobs" } { "Jobs" } " / " (job.kind.as_str()) }
        div.heading {
            h1 { (job.name) }
            (large(if job.is_done { "done" } else if is_running { "in_progress" } else { "stopped" }))
            @if is_running {
                form.end.line method="post" action=(resume) hx-post=(resume) hx-trigger="load delay:300ms" hx-target="#main" hx-select="#main" hx-swap="outerHTML" {
                    (page.csrf())
                    noscript { button.button.main { "Go on" } }
                    a.button href=(address(&job.name)) { "Stop" }
                }
            } @else if !job.is_done {
                form.end.line method="post" action=(resume) { (page.csrf()) (page.act("main", "Go on")) }
            } @else { (page.freshness()) }
        }
        @if is_running { p.note { "It is worked on while this page is open." } }
        @else if !job.is_done { p.note { "Nobody works on it here. What was sent is sent; the rest waits." } }
        div.heading.note { b { (count(job.sent)) "/" (count(job.total)) " " (noun) " sent again" } @if job.left_out > 0 { span.caution { (count(job.left_out)) " left out" } } }
        (bar(job))
        dl.list {
            @if let Some(who) = &job.asked_by { dt { "By" } dd { bdi { (who) } } }
            dt { "Began" } dd { (exact(job.created_at)) ", " (ago(job.created_at)) }
            dt { "Worked on" } dd { (ago(job.updated_at)) }
        }
        section {
            @if job.filter.get("console").is_some_and(|chosen| chosen == "marked") {
                div.heading { h2 { "Which" } }
                p { "Those that were marked on a page of the console." }
            } @else {
                div.heading { h2 { "Filter" } span.aside { "as it was when the job began" } }
                (json("Filter", &job.filter.to_string()))
            }
        }
        (commands(&the_commands(page, job)))
    }
}

fn the_commands(page: &Page<'_>, job: &Job) -> Vec<String> {
    let show = page.console.command(format_args!("jobs show {}", job.name));
    let resume = (!job.is_done).then(|| page.console.command(format_args!("jobs resume {}", job.name)));
    [show].into_iter().chain(resume).collect()
}

pub(super) async fn resume(seen: Seen, Path(name): Path<String>) -> Response {
    let resumed = async {
        let job = read(&seen, &name).await?;
        actions::work(&seen.app.console, &job).await
    };
    match resumed.await {
        Ok(_) => Redirect::to(&running(&name)).into_response(),
        Err(failure) => seen.failed(Place::Jobs, &failure),
    }
}
