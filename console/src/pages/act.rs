//! Acting: a dry run that says how many and which, then the act on exactly those, then its result.

use std::collections::HashSet;

use axum::Extension;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use hooks_webhook::Category;
use maud::{Markup, html};

use super::{Seen, head, sentence};
use crate::actions::{self, Replay};
use crate::aws::DlqAction;
use crate::data::letters;
use crate::data::setup;
use crate::error::{Failure, Result};
use crate::http::gate::Posted;
use crate::view::format::{count, counted};
use crate::view::layout::BASE;
use crate::view::parts::{event_state, id, say};
use crate::view::{Page, Place};

/// Most events of one replay.
const MAX_KEYS: usize = 100;

pub(super) async fn act(seen: Seen, Extension(form): Extension<Posted>) -> Response {
    let confirmed = form.get("confirm").is_some();
    let (place, done) = match form.get("action") {
        Some("replay") => {
            (Place::Events, if confirmed { replay(&seen, &form).await } else { plan_replay(&seen, &form).await })
        }
        Some("redrive") => (Place::DeadLetters, letters_of(&seen, &form, DlqAction::Redrive, confirmed).await),
        Some("purge") => (Place::DeadLetters, letters_of(&seen, &form, DlqAction::Purge, confirmed).await),
        _ => (Place::Events, Err(Failure::unusable("there is no such action"))),
    };
    match done {
        Ok(content) => seen.page(place, "Act").render(&content).into_response(),
        Err(failure) => seen.failed(place, &failure),
    }
}

fn keys(form: &Posted) -> Result<Vec<&str>> {
    let mut keys: Vec<_> = form.all("key").collect();
    keys.dedup();
    match keys.len() {
        0 => Err(Failure::unusable("no event is marked").hint("Mark events in the list, then act.")),
        1..=MAX_KEYS => Ok(keys),
        _ => Err(Failure::unusable(format!("at most {MAX_KEYS} events are replayed at a time"))
            .hint("openai-webhooks events replay takes a filter, and any number.")),
    }
}

async fn plan_replay(seen: &Seen, form: &Posted) -> Result<Markup> {
    let plans = actions::plans(&seen.app.console.log, &keys(form)?).await;
    let (good, bad): (Vec<_>, Vec<_>) = plans.into_iter().partition(Result::is_ok);
    let good: Vec<Replay> = good.into_iter().flatten().collect();
    let page = seen.page(Place::Events, "Replay");
    let more = html! {
        p { "Consumers act again. The outcome goes out with " code { "\"source\": \"replay\"" } "." }
        (left_out(bad.into_iter().filter_map(Result::err)))
        @if good.is_empty() { p.note { a.button href={ (BASE) "/events" } { "Back" } } }
        @else {
            form.note method="post" action={ (BASE) "/act" } {
                (page.csrf())
                input type="hidden" name="action" value="replay";
                input type="hidden" name="confirm" value="1";
                @for one in &good {
                    input type="hidden" name="key" value=(one.entry.key());
                    input type="hidden" name="token" value=(one.seen_token.as_deref().unwrap_or_default());
                }
                div.line { (page.act("main", &format!("Replay {}", counted(good.len() as u64, "event")))) a.button href={ (BASE) "/events" } { "Back" } }
            }
        }
    };
    Ok(html! {
        (head(&html! { "Replay, dry run" }, &html! {}))
        (say("", "retry", &format!("{} would be handled again.", counted(good.len() as u64, "event")), &more))
        (events(&good))
    })
}

fn events(replays: &[Replay]) -> Markup {
    html! { @if !replays.is_empty() { div.scroll { table.stack {
        caption.unseen { "Events to replay" }
        thead { tr { th scope="col" { "Type" } th scope="col" { "State" } th scope="col" { "Object" } } }
        tbody { @for Replay { entry, .. } in replays { tr {
            td { a href=(super::events::address(entry)) { bdi { (entry.event_type) } } }
            td.end { (event_state(&entry.state, entry.error.as_ref().map(|error| error.reason.as_str()))) }
            td { @if let Some(object) = &entry.object_id { (id(object)) } }
        } } }
    } } } }
}

fn left_out(failures: impl Iterator<Item = Failure>) -> Markup {
    html! { @for failure in failures { p.caution { "Left out: " bdi { (sentence(&failure.message)) } } } }
}

async fn replay(seen: &Seen, form: &Posted) -> Result<Markup> {
    let keys = keys(form)?;
    let tokens: Vec<_> = form.all("token").collect();
    if tokens.len() != keys.len() {
        return Err(Failure::unusable("the form is not whole"));
    }
    let plans = actions::plans(&seen.app.console.log, &keys).await;
    let (mut replays, mut failures) = (Vec::new(), Vec::new());
    for (plan, token) in plans.into_iter().zip(tokens) {
        match plan {
            // The token of the dry run: if somebody acted since, the consumer finds another and leaves it alone.
            Ok(plan) => {
                let seen_token = Some(token.to_owned()).filter(|token| !token.is_empty());
                replays.push(Replay { seen_token, ..plan });
            }
            Err(failure) => failures.push(failure),
        }
    }
    let (sent, more) = actions::replay(&seen.app.console, &replays, &seen.caller.name).await;
    failures.extend(more);
    let more = html! {
        (left_out(failures.into_iter()))
        p.note.line { @for one in replays.iter().take(3) { a.button href=(super::events::address(&one.entry)) { "Look at " bdi { (one.entry.event_type) } } }
            a.button href={ (BASE) "/events" } { "Events" } }
    };
    Ok(
        html! { (head(&html! { "Replayed" }, &html! {})) (say("good", "done", &format!("{} sent again.", counted(sent as u64, "event")), &more)) },
    )
}

async fn letters_of(seen: &Seen, form: &Posted, action: DlqAction, confirmed: bool) -> Result<Markup> {
    let category = form.get("category").unwrap_or_default();
    let category: Category = category.parse().map_err(|_| Failure::unusable("there is no such category"))?;
    if confirmed {
        return apply(seen, form, action, category).await;
    }
    let found = letters::list(&seen.app.console, Some(category), form.get("reason")).await?;
    let reason = form.get("reason").unwrap_or("any reason");
    let page = seen.page(Place::DeadLetters, "Dry run");
    let number = found.len() as u64;
    let (title, lead, button, class) = match action {
        DlqAction::Redrive => (
            "Redrive, dry run",
            format!("{} of {category} ({reason}) would be handled again.", counted(number, "dead letter")),
            "Redrive",
            "main",
        ),
        DlqAction::Purge => (
            "Purge, dry run",
            format!("{} of {category} ({reason}) would be deleted.", counted(number, "dead letter")),
            "Purge",
            "risk",
        ),
    };
    let undecodable = found.iter().filter(|letter| letter.webhook_id.is_none()).count() as u64;
    let more = html! {
        @match action {
            DlqAction::Redrive => p { "What was handled meanwhile is recognised, and not handled twice." },
            DlqAction::Purge => p { "Their events stay in the ledger for 35 days and can be replayed." @if undecodable > 0 { " " b.alarm { (counted(undecodable, "message")) " that are no events would be lost for good." } } },
        }
        form.note method="post" action={ (BASE) "/act" } {
            (page.csrf())
            input type="hidden" name="action" value=(if action == DlqAction::Redrive { "redrive" } else { "purge" });
            input type="hidden" name="category" value=(category);
            input type="hidden" name="confirm" value="1";
            @for letter in &found { input type="hidden" name="id" value=(letter.id); }
            div.line { @if !found.is_empty() { (page.act(class, &format!("{button} {}", count(number)))) } a.button href={ (BASE) "/dead-letters" } { "Back" } }
        }
    };
    Ok(
        html! { (head(&html! { (title) }, &html! {})) (say(if action == DlqAction::Purge { "warn" } else { "" }, "retry", &lead, &more)) },
    )
}

async fn apply(seen: &Seen, form: &Posted, action: DlqAction, category: Category) -> Result<Markup> {
    let ids: HashSet<String> = form.all("id").map(str::to_owned).collect();
    let result = actions::letters(&seen.app.console, action, category, &ids).await?;
    let done = (result.letters + result.copied) as u64;
    let gone = ids.len().saturating_sub(result.letters + result.copied + result.refused) as u64;
    let word = if action == DlqAction::Redrive { "redriven" } else { "deleted" };
    let more = html! {
        @if result.refused > 0 { p.alarm { (count(result.refused as u64)) " refused: " bdi { (result.cause.as_deref().unwrap_or("SQS gave no cause")) } } }
        @if gone > 0 { p { (count(gone)) " gone meanwhile, or received by somebody else." } }
        p.note.line { a.button href={ (BASE) "/dead-letters" } { "Dead letters" } a.button href={ (BASE) "/events?category=" (category) } { "Events of " (category) } }
    };
    Ok(
        html! { (head(&html! { (word) }, &html! {})) (say("good", "done", &format!("{} {word}.", counted(done, "dead letter")), &more)) },
    )
}

/// Pauses or resumes the consumer of a category.
pub(super) async fn consumer(seen: Seen, Path(name): Path<String>, Extension(form): Extension<Posted>) -> Response {
    let Ok(category) = name.parse::<Category>() else {
        return seen.failed(Place::Endpoints, &Failure::missing("there is no such category"));
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
