//! Acting: a dry run that says how many and which, then the act on exactly those, then its result.

use std::collections::{BTreeMap, HashSet};

use axum::Extension;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use hooks_operate::dead_letters::{DlqAction, DlqResult};
use hooks_operate::event_log::Entry;
use hooks_operate::job::{JobKind, JobReport, body_not_stored, new_name};
use hooks_webhook::Category;
use maud::{Markup, html};
use serde_json::json;

use super::{Seen, head, sentence};
use crate::actions;
use crate::data::filter::Filter;
use crate::data::letters::{self, Letter};
use crate::data::setup;
use crate::http::gate::Posted;
use crate::view::format::{count, counted};
use crate::view::layout::BASE;
use crate::view::parts::{event_state, id, say};
use crate::view::{Page, Place};
use crate::{Failure, FailureKind, Result};

/// Most events that are marked at a time.
const MAX_KEYS: usize = 100;

/// Most events of one replay of all that match.
const MAX_MATCHING: usize = 1_000;

/// Most pages of the index that are read to find them.
const MAX_READS: usize = 320;

/// Events that a dry run lists.
const SHOWN: usize = 50;

pub(super) async fn act(seen: Seen, Extension(form): Extension<Posted>) -> Response {
    let place = if form.get("action") == Some("replay") { Place::Events } else { Place::DeadLetters };
    let done = async {
        let (action, confirmed) = (form.get("action").unwrap_or_default(), form.get("confirm").is_some());
        let letters = if action == "purge" { DlqAction::Purge } else { DlqAction::Redrive };
        let planned = match (action, confirmed) {
            ("replay", true) => return replay(&seen, &form).await,
            ("redrive" | "purge", true) => return apply(&seen, &form, letters).await,
            ("replay", false) => plan_replay(&seen, &form).await?,
            ("redrive" | "purge", false) => plan_letters(&seen, &form, letters).await?,
            _ => return Err(Failure::usage("there is no such action")),
        };
        Ok(seen.page(place, "Dry run").render(&planned).into_response())
    };
    done.await.unwrap_or_else(|failure| seen.failed(place, &failure))
}

fn keys(form: &Posted) -> Result<Vec<&str>> {
    let mut keys: Vec<_> = form.all("key").collect();
    keys.dedup();
    match keys.len() {
        0 => Err(Failure::usage("no event is marked").hint("Mark events in the list, then act.")),
        1..=MAX_KEYS => Ok(keys),
        _ => Err(Failure::usage(format!("at most {MAX_KEYS} events are replayed at a time"))
            .hint("openai-webhooks events replay takes a filter, and any number.")),
    }
}

/// What a replay would do: the events that are marked, or all that a filter selects.
async fn plan_replay(seen: &Seen, form: &Posted) -> Result<Markup> {
    let log = &seen.app.console.log;
    let (good, bad, more, filter) = if let Some(query) = form.get("filter") {
        let parameters: Vec<_> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let found = log.list(Filter::read(&parameters)?.to_events(None)?, MAX_MATCHING, MAX_READS).await?;
        let (kept, left): (Vec<_>, Vec<_>) = found.entries.into_iter().partition(|entry| entry.body_omitted.is_none());
        let kept = kept.into_iter().filter(|entry| entry.duplicate_of.is_none()).collect();
        (kept, left.iter().map(body_not_stored).collect(), found.next.is_some(), query.to_owned())
    } else {
        let (good, bad) = actions::plans(log, &keys(form)?).await;
        (good, bad, false, "marked".to_owned())
    };
    let page = seen.page(Place::Events, "Replay");
    let name = new_name(JobKind::Replay);
    let note = html! {
        p { "Consumers act again. The outcomes go out with " code { "\"source\": \"replay\"" } ". The job is " code { (name) } "." }
        @if more { p.caution { "More match; these are the newest." } }
        (left_out(bad.into_iter()))
        @if good.is_empty() { p.note { a.button href={ (BASE) "/events" } { "Back" } } }
        @else {
            form.note method="post" action={ (BASE) "/act" } {
                (page.csrf())
                input type="hidden" name="action" value="replay";
                input type="hidden" name="confirm" value="1";
                input type="hidden" name="job" value=(name);
                input type="hidden" name="asked" value=(filter);
                @for one in &good { input type="hidden" name="key" value=(one.key()); }
                div.line { (page.act("main", &format!("Replay {}", counted(good.len() as u64, "event")))) a.button href={ (BASE) "/events" } { "Back" } }
            }
        }
    };
    Ok(html! {
        (head(&html! { "Replay, dry run" }, &html! {}))
        (say("", "retry", &format!("{} would be handled again.", counted(good.len() as u64, "event")), &note))
        (events(&good))
    })
}

fn events(entries: &[Entry]) -> Markup {
    html! { @if !entries.is_empty() { div.scroll { table.stack {
        caption.unseen { "Events to replay" }
        thead { tr { th scope="col" { "Type" } th scope="col" { "State" } th scope="col" { "Object" } } }
        tbody { @for entry in entries.iter().take(SHOWN) { tr {
            td { a href=(super::events::address(entry)) { bdi { (entry.event_type) } } }
            td.end { (event_state(&entry.state, entry.error.as_ref().map(|error| error.reason.as_str()))) }
            td { @if let Some(object) = &entry.object_id { (id(object)) } }
        } } }
    } } @if entries.len() > SHOWN { p.note { "and " (count((entries.len() - SHOWN) as u64)) " more" } } } }
}

fn left_out(failures: impl Iterator<Item = Failure>) -> Markup {
    html! { @for failure in failures { p.caution { "Left out: " bdi { (sentence(&failure.message)) } } } }
}

/// Begins the job that the dry run has named. A form that is sent twice finds that there is one of this name.
async fn replay(seen: &Seen, form: &Posted) -> Result<Response> {
    let name = form.get("job").ok_or_else(|| Failure::usage("the form is not whole"))?;
    let mut steps: Vec<_> = form.all("key").map(str::to_owned).collect();
    // The oldest first.
    steps.reverse();
    let filter = json!({ "console": form.get("asked").unwrap_or_default() });
    let job = actions::begin(&seen.app.console, (JobKind::Replay, name), filter, steps, &seen.caller.name).await;
    began(job, name)
}

/// To the job's page, also when it had begun before.
fn began(report: Result<JobReport>, name: &str) -> Result<Response> {
    match report {
        Err(failure) if failure.kind == FailureKind::Failed => {}
        report => drop(report?),
    }
    Ok(Redirect::to(&super::jobs::running(name)).into_response())
}

/// The dead letters that a form means: the marked ones, or all of a category and reason.
async fn wanted(seen: &Seen, form: &Posted) -> Result<Vec<Letter>> {
    let category = form.get("category").map(str::parse::<Category>).transpose();
    let category = category.map_err(|_| Failure::usage("there is no such category"))?;
    let marked: HashSet<_> = form.all("letter").collect();
    if category.is_none() && marked.is_empty() {
        return Err(Failure::usage("no dead letter is marked").hint("Mark dead letters in the list, then act."));
    }
    let found = letters::list(&seen.app.console, category, form.get("reason")).await?;
    Ok(found.into_iter().filter(|letter| marked.is_empty() || marked.contains(letter.step().as_str())).collect())
}

async fn plan_letters(seen: &Seen, form: &Posted, action: DlqAction) -> Result<Markup> {
    let found = wanted(seen, form).await?;
    let page = seen.page(Place::DeadLetters, "Dry run");
    let number = found.len() as u64;
    let which = match (form.get("category"), form.get("reason")) {
        (Some(category), Some(reason)) => format!(" of {category} ({reason})"),
        (Some(category), None) => format!(" of {category}"),
        _ => String::new(),
    };
    let (verb, title, does, class) = match action {
        DlqAction::Redrive => ("Redrive", "Redrive, dry run", "handled again", "main"),
        DlqAction::Purge => ("Purge", "Purge, dry run", "deleted", "risk"),
    };
    let lead = format!("{}{which} would be {does}.", counted(number, "dead letter"));
    let undecodable = found.iter().filter(|letter| letter.webhook_id.is_none()).count() as u64;
    let name = new_name(JobKind::Redrive);
    let more = html! {
        @match action {
            DlqAction::Redrive => p { "What was handled meanwhile is recognised, and not handled twice. The job is " code { (name) } "." },
            DlqAction::Purge => p { "Their events stay in the ledger for 35 days and can be replayed." @if undecodable > 0 { " " b.alarm { (counted(undecodable, "message")) " that are not events would be lost for good." } } },
        }
        form.note method="post" action={ (BASE) "/act" } {
            (page.csrf())
            input type="hidden" name="action" value=(verb.to_lowercase());
            input type="hidden" name="asked" value=(which.trim_start());
            input type="hidden" name="job" value=(name);
            input type="hidden" name="confirm" value="1";
            @for letter in &found { input type="hidden" name="letter" value=(letter.step()); }
            div.line { @if !found.is_empty() { (page.act(class, &format!("{verb} {}", count(number)))) } a.button href={ (BASE) "/dead-letters" } { "Back" } }
        }
    };
    Ok(html! {
        (head(&html! { (title) }, &html! {}))
        (say(if action == DlqAction::Purge { "warn" } else { "" }, "retry", &lead, &more))
        (super::dead_letters::listed(&found))
    })
}

async fn apply(seen: &Seen, form: &Posted, action: DlqAction) -> Result<Response> {
    let steps: Vec<_> = form.all("letter").map(str::to_owned).collect();
    if action == DlqAction::Redrive {
        let name = form.get("job").ok_or_else(|| Failure::usage("the form is not whole"))?;
        let filter = json!({ "console": form.get("asked").unwrap_or("marked") });
        let job = actions::begin(&seen.app.console, (JobKind::Redrive, name), filter, steps, &seen.caller.name).await;
        return began(job, name);
    }
    let mut by_category = BTreeMap::<Category, HashSet<String>>::new();
    for (category, id) in steps.iter().filter_map(|step| step.split_once('/')) {
        let category = category.parse().map_err(|_| Failure::usage("there is no such category"))?;
        by_category.entry(category).or_default().insert(id.to_owned());
    }
    let mut result = DlqResult::default();
    for (category, ids) in &by_category {
        let done = actions::purge(&seen.app.console, *category, ids).await?;
        result.letters += done.letters;
        result.refused += done.refused;
        result.cause = result.cause.or(done.cause);
    }
    let gone = steps.len().saturating_sub(result.letters + result.refused) as u64;
    let more = html! {
        @if result.refused > 0 { p.alarm { (count(result.refused as u64)) " refused: " bdi { (result.cause.as_deref().unwrap_or("SQS gave no cause")) } } }
        @if gone > 0 { p { (count(gone)) " gone meanwhile, or received by somebody else." } }
        p.note.line { a.button href={ (BASE) "/dead-letters" } { "Dead letters" } }
    };
    let content = html! { (head(&html! { "Purged" }, &html! {})) (say("good", "done", &format!("{} deleted.", counted(result.letters as u64, "dead letter")), &more)) };
    Ok(seen.page(Place::DeadLetters, "Purged").render(&content).into_response())
}

/// Pauses or resumes the consumer of a category.
pub(super) async fn consumer(seen: Seen, Path(name): Path<String>, Extension(form): Extension<Posted>) -> Response {
    let Ok(category) = name.parse::<Category>() else {
        return seen.failed(Place::Endpoints, &Failure::failed("there is no such category"));
    };
    let running = match form.get("run") {
        Some("true") => true,
        Some("false") => false,
        _ => return (StatusCode::BAD_REQUEST, "run is true or false").into_response(),
    };
    match setup::set_running(&seen.app.console, category, running).await {
        Ok(()) => Redirect::to(&format!("{BASE}/endpoints#consumers")).into_response(),
        Err(failure) => seen.failed(Place::Endpoints, &failure),
    }
}

/// The button that pauses or resumes a consumer.
pub(super) fn switch(page: &Page<'_>, category: Category, is_running: bool) -> Markup {
    html! {
        form.line method="post" action={ (BASE) "/consumers/" (category) } {
            (page.csrf())
            input type="hidden" name="run" value=(!is_running);
            (page.act("", if is_running { "Pause" } else { "Resume" }))
        }
    }
}
