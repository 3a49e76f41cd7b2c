//! The list of events, with its filter in the address.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use axum::Extension;
use axum::response::{IntoResponse as _, Redirect, Response};
use maud::{Markup, html};

use super::{Seen, head};
use crate::data::filter::{Filter, METADATA, Term, before, span};
use crate::data::survey::{Survey, largest};
use crate::data::views::{self, View};
use crate::http::gate::Posted;
use crate::view::chart::{Buckets, Series, bars};
use crate::view::format::{count, words};
use crate::view::icons::icon;
use crate::view::layout::BASE;
use crate::view::parts::{aged, clock, commands, copy, day_clock, empty, event_state, id, kind, labelled, unreadable};
use crate::view::{Page, Place};
use crate::{Failure, Result};
use hooks_operate::event_log::{Entry, Field};

/// Events of a page.
pub(crate) const PAGE: usize = 50;

/// Most pages of the index that are read for one page.
pub(crate) const MAX_READS: usize = 160;

/// Most pages of the index whose events' metadata are looked up for one page.
const MAX_LOOK_UPS: usize = 64;

/// Newest events that a list counts.
const LIST_SAMPLE: usize = 2_000;

const PATH: &str = "/console/events";

/// Values that are listed of each field.
const SHOWN: usize = 6;

/// A list that was read.
struct List {
    entries: Vec<Entry>,
    next: Option<i64>,
    /// Counts of all that match, on the first page.
    survey: Option<Survey>,
    /// The saved views, on the first page.
    saved: Result<Vec<View>>,
}

pub(super) async fn page(seen: Seen) -> Response {
    let found = async {
        let (filter, before) = (Filter::read(&seen.parameters)?, before(&seen.parameters)?);
        let list = read(&seen, &filter, before).await?;
        Ok::<_, Failure>((filter, before, list))
    };
    let (filter, before, list) = match found.await {
        Ok(found) => found,
        Err(failure) => return seen.failed(Place::Events, &failure),
    };
    let is_failures = filter.value("state") == Some("failed");
    let place = if is_failures { Place::Failures } else { Place::Events };
    let mut page = seen.page(place, if is_failures { "Failed events" } else { "Events" });
    page.every = before.is_none().then_some(15);
    page.render(&content(&page, &filter, before, &list)).into_response()
}

async fn read(seen: &Seen, filter: &Filter, before: Option<i64>) -> Result<List> {
    let log = &seen.app.console.log;
    // Metadata are looked up event by event: a page of them is not counted beyond what it shows.
    let is_looked_up = filter.metadata().next().is_some();
    let reads = if is_looked_up { MAX_LOOK_UPS } else { MAX_READS };
    if before.is_some() || is_looked_up {
        let (found, saved) =
            tokio::join!(log.list(filter.to_events(before)?, PAGE, reads), views::list(&seen.app.console));
        let found = found?;
        return Ok(List { entries: found.entries, next: found.next, survey: None, saved });
    }
    let (found, saved) =
        tokio::join!(Survey::read(log, filter.to_events(None)?, LIST_SAMPLE), views::list(&seen.app.console));
    let (survey, mut entries) = found?;
    let mut end = PAGE.min(entries.len());
    while end > 0 && entries.get(end).is_some_and(|next| next.received_at == entries[end - 1].received_at) {
        end += 1;
    }
    let is_more = entries.len() > end || survey.more;
    let next = entries.get(..end).and_then(|shown| shown.last()).filter(|_| is_more).map(|last| last.received_at.0 - 1);
    entries.truncate(end);
    Ok(List { entries, next, survey: Some(survey), saved })
}

fn content(page: &Page<'_>, filter: &Filter, before: Option<i64>, list: &List) -> Markup {
    let matching = html! {
        @if let Some(survey) = &list.survey {
            span.quiet { @if survey.more { "more than " } (count(survey.events)) " match" }
        }
        (page.freshness())
    };
    let days = filter.since != "24h";
    html! {
        (head(&html! { @if page.place == Place::Failures { "Failed events" } @else { "Events" } }, &matching))
        (tabs(filter, &list.saved))
        (chips(filter))
        @if let Some(survey) = list.survey.as_ref().filter(|survey| survey.events > 0) {
            @if !days { (chart(survey)) }
            details open { summary { "Counts by state, reason, category and type" } (counts(filter, survey)) }
        }
        @if list.entries.is_empty() { (nothing(filter, list)) }
        @else { (table(page, filter, &list.entries, days)) }
        div.bulk.bare { (older(filter, before, list)) }
        (saving(page, filter, &list.saved))
        (commands(&the_commands(page, filter)))
    }
}

/// Views that are asked for often, and those that were saved.
fn tabs(filter: &Filter, saved: &Result<Vec<View>>) -> Markup {
    let all = Filter { since: "24h".to_owned(), until: String::new(), terms: Vec::new() };
    let views = [
        ("All", all.clone()),
        ("Failed", all.with("state", "failed", false)),
        ("Waiting or retried", all.with("state", "in_progress", false)),
        ("Not found", all.with("state", "not_found", false)),
        ("Not calls", all.with("category", "realtime", true)),
        ("Found by reconcile", all.with("source", "reconcile", false)),
        ("14 days", all.over("14d")),
    ];
    html! {
        nav.tabs aria-label="Views" {
            @for (name, view) in &views {
                a href=(view.address(PATH)) aria-current=[(view == filter).then_some("page")] { (name) }
            }
            @for view in saved.iter().flatten() {
                a href=(view.filter.address(PATH)) aria-current=[(view.filter == *filter).then_some("page")] { bdi { (view.name) } }
            }
        }
    }
}

/// Saves this view for the team, or removes it.
fn saving(page: &Page<'_>, filter: &Filter, saved: &Result<Vec<View>>) -> Markup {
    let present = saved.iter().flatten().find(|view| view.filter == *filter);
    html! {
        section {
            div.heading { h2 { "Saved views" } span.aside { "the whole team has them" } }
            @if let Err(failure) = saved { (unreadable("The saved views", failure)) }
            form.line.note method="post" action={ (BASE) "/views" } {
                (page.csrf())
                input type="hidden" name="query" value=(filter.query());
                @if let Some(view) = present {
                    input type="hidden" name="name" value=(view.name);
                    input type="hidden" name="remove" value="1";
                    span { "This view is saved as " b { bdi { (view.name) } } "." }
                    (page.act("", "Remove it"))
                } @else {
                    label for="view-name" { "Save this view as" }
                    input.short #view-name name="name" required maxlength="60" placeholder="Failed batches";
                    (page.act("", "Save"))
                }
            }
        }
    }
}

/// Saves or removes a view.
pub(super) async fn save(seen: Seen, Extension(form): Extension<Posted>) -> Response {
    let (console, query) = (&seen.app.console, form.get("query").unwrap_or_default());
    let name = form.get("name").unwrap_or_default().trim();
    let changed = match form.get("remove") {
        Some(_) => views::remove(console, name).await,
        None => views::save(console, name, query).await,
    };
    let parameters: Vec<_> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    match (changed, Filter::read(&parameters)) {
        (Ok(()), Ok(filter)) => Redirect::to(&filter.address(PATH)).into_response(),
        (Err(failure), _) | (_, Err(failure)) => seen.failed(Place::Events, &failure),
    }
}

fn chips(filter: &Filter) -> Markup {
    html! {
        div.chips {
            span.chip { a href="#add" { "received " b { "is" } } span { (span(filter)) } a href=(filter.over("24h").address(PATH)) aria-label="The last 24 hours" { (icon("cross")) } }
            @for term in &filter.terms {
                @let operator = if term.excludes { "is not" } else { "is" };
                span.chip.not[term.excludes] {
                    @if term.field == METADATA { span { (term.field) " " b { (operator) } } }
                    @else { a href=(filter.turned(term).address(PATH)) title="Turn into its opposite" { (term.field) " " b { (operator) } } }
                    span { bdi { (term.value) } }
                    a href=(filter.without(term).address(PATH)) aria-label={ "Remove " (term.field) " " (operator) " " (term.value) } { (icon("cross")) }
                }
            }
            details #add {
                summary.button data-filter { "Add a filter…" }
                form.line method="get" action=(PATH) {
                    @for (name, value) in form_urlencoded::parse(filter.query().as_bytes()) {
                        @if name != "since" && name != "until" { input type="hidden" name=(name) value=(value); }
                    }
                    label { span.unseen { "Since" } input.short name="since" value=(filter.since) placeholder="24h or 2026-11-21" size="10"; }
                    label { span.unseen { "Until" } input.short name="until" value=(filter.until) placeholder="until now" size="10"; }
                    label { span.unseen { "Category" } select name="category" {
                        option value="" { "any category" }
                        @for category in hooks_webhook::Category::ALL { option value=(category) { (category) } }
                    } }
                    label { span.unseen { "State" } select name="state" {
                        option value="" { "any state" }
                        @for state in ["in_progress", "completed", "failed", "not_found"] { option value=(state) { (words(state)) } }
                    } }
                    label { span.unseen { "Type" } input.short name="type" placeholder="type, or batch.*" maxlength="512"; }
                    label { span.unseen { "Reason" } input.short name="reason" placeholder="reason" maxlength="512"; }
                    label { span.unseen { "Object" } input.short name="object" placeholder="whole object id" maxlength="512"; }
                    label { span.unseen { "Metadata of the object" } input.short name="metadata" placeholder="metadata NAME=VALUE" maxlength="577"; }
                    button.button { "Apply" }
                }
            }
            @let address = filter.address(PATH);
            span.small.quiet { code { (address) } (copy(&address, "the address")) }
        }
    }
}

fn chart(survey: &Survey) -> Markup {
    let labels = survey.labels();
    let buckets = Buckets { labels: &labels, unit: "Hour" };
    let all = Series { name: "events".to_owned(), class: "fill-usual", values: survey.by_hour(false) };
    let failed = Series { name: "failed".to_owned(), class: "hatch-bad", values: survey.by_hour(true) };
    html! {
        div.chart {
            (bars(&[&all], &buckets, 44, &format!("{} events in 24 hours", count(all.sum())), failed.sum() == 0))
            @if failed.sum() > 0 { (bars(&[&failed], &buckets, 24, &format!("{} failed", count(failed.sum())), true)) }
        }
        p.note { "By hour, UTC" @if failed.sum() > 0 { "; below: failed, on a scale of its own" } "." }
    }
}

fn counts(filter: &Filter, survey: &Survey) -> Markup {
    let categories: BTreeMap<_, _> =
        survey.categories.iter().map(|(name, counts)| (name.clone(), counts.events)).collect();
    let fields: [(&'static str, &str, &BTreeMap<String, u64>); 4] = [
        ("state", "State", &survey.states),
        ("reason", "Reason", &survey.reasons),
        ("category", "Category", &categories),
        ("type", "Type", &survey.types),
    ];
    html! {
        div.counts {
            @for (field, title, counts) in fields {
                @let all = largest(counts);
                div {
                    h3 { (title) }
                    ul {
                        @for (value, number) in all.iter().take(SHOWN) {
                            li {
                                a href=(filter.with(field, value, false).address(PATH)) { @if field == "state" { (labelled(kind(value), value)) } @else { bdi { (value) } } }
                                span { (count(*number)) }
                                a.sign href=(filter.with(field, value, false).address(PATH)) aria-label={ "Only " (title) " " (value) } { "+" }
                                a.sign href=(filter.with(field, value, true).address(PATH)) aria-label={ "Without " (title) " " (value) } { "−" }
                            }
                        }
                        @if all.len() > SHOWN { li.quiet { (all.len() - SHOWN) " more" } }
                        @if all.is_empty() { li.quiet { "none" } }
                    }
                }
            }
        }
    }
}

fn table(page: &Page<'_>, filter: &Filter, entries: &[Entry], days: bool) -> Markup {
    html! {
        form method="post" action={ (BASE) "/act" } {
            (page.csrf())
            div.scroll { table.stack.marks data-rows {
                caption.unseen { "Events, newest first" }
                thead { tr {
                    th.mark scope="col" { input type="checkbox" data-all="key" aria-label="Mark all"; }
                    th scope="col" { "Received" } th scope="col" { "Type" } th scope="col" { "State" } th scope="col" { "Object" }
                    th scope="col" { "Result or reason" } th.number scope="col" { "Attempts" } th.number scope="col" { "Age" }
                    th.least scope="col" { "Source" }
                } }
                tbody { @for entry in entries { (row(entry, days)) } }
            } }
            div.bulk {
                input type="hidden" name="action" value="replay";
                button.button disabled[!page.may_act()] data-act { "Replay the marked…" }
                button.button name="filter" value=(whole_query(filter)) disabled[!page.may_act()] { "Replay all that match…" }
                span.small.quiet { @if page.may_act() { "A dry run comes first." } @else { "Read-only: this is for operators." } }
                span.small.quiet.kbd-hint { kbd { "j" } " " kbd { "k" } " move, " kbd { "enter" } " opens, " kbd { "x" } " marks, " kbd { "?" } " shows all keys." }
            }
        }
    }
}

/// The parameters of a filter, never empty.
fn whole_query(filter: &Filter) -> String {
    let query = filter.query();
    if query.is_empty() { "since=24h".to_owned() } else { query }
}

fn row(entry: &Entry, days: bool) -> Markup {
    let reason = entry.error.as_ref().map(|error| error.reason.as_str());
    html! {
        tr {
            td.mark { input type="checkbox" name="key" value=(entry.key()) aria-label={ "Mark " (entry.webhook_id) }; }
            td.wide { @if days { (day_clock(entry.received_at)) } @else { (clock(entry.received_at)) } }
            td { a href=(address(entry)) { bdi { (entry.event_type) } } }
            td.end { (event_state(&entry.state, reason)) }
            td { @if let Some(object) = &entry.object_id { (id(object)) } }
            td.full { (result(entry)) }
            td.number.wide { (count(entry.attempts)) }
            td.number.beside { (aged(entry.received_at)) }
            td.least.wide.quiet { (entry.source) }
        }
    }
}

/// What an event found, or why it did not.
pub(crate) fn result(entry: &Entry) -> Markup {
    let found = entry.outcome.as_ref().and_then(|outcome| outcome.get("status")?.as_str());
    html! {
        @if entry.duplicate_of.is_some() { span.quiet { "duplicate" } }
        @else if let Some(error) = entry.error.as_ref().filter(|_| entry.state != "completed") {
            code.alarm[entry.state == "failed"] { bdi { (error.reason) } }
        } @else if let Some(found) = found { bdi { (words(found)) } }
    }
}

/// Address of an event's page.
pub(crate) fn address(entry: &Entry) -> String {
    let part = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20");
    format!("{BASE}/events/{}/{}", part(&entry.endpoint), part(&entry.webhook_id))
}

fn nothing(filter: &Filter, list: &List) -> Markup {
    let newest_term = filter.terms.last();
    html! {
        @if list.next.is_some() {
            (empty("No event so far matches", &html! { p.quiet { "The newest ones were looked at. Look on, or choose a smaller span." } }))
        } @else if let Some(term) = newest_term {
            (empty(&format!("No event matches {} filters", filter.terms.len() + 1), &html! { p.line { (without(filter, term))
                a.button href=(PATH) { "Remove all" } a.button href=(filter.over("14d").address(PATH)) { "Look at 14 days" } } }))
        } @else if filter.since == "24h" {
            (empty("No event in the last 24 hours", &html! {
                p.quiet { "Send one to see it arrive:" } p { code.id { "openai-webhooks send batch.completed" } }
                p { a.button href=(filter.over("14d").address(PATH)) { "Look at 14 days" } }
            }))
        } @else { (empty("No event in this span", &html! { p { a.button href=(filter.over("35d").address(PATH)) { "Look at 35 days" } } })) }
    }
}

fn without(filter: &Filter, term: &Term) -> Markup {
    let operator = if term.excludes { "is not" } else { "is" };
    html! { a.button href=(filter.without(term).address(PATH)) { span { "Without " (term.field) " " (operator) " " bdi { (term.value) } } } }
}

fn older(filter: &Filter, before: Option<i64>, list: &List) -> Markup {
    let address = filter.address(PATH);
    let and = if address.contains('?') { '&' } else { '?' };
    html! {
        @if before.is_some() { a.button href=(address) { "Newest" } }
        @if let Some(next) = list.next { a.button href={ (address) (and) "before=" (next) } rel="next" { "Older" } }
    }
}

/// The list, and a replay of all that it has.
fn the_commands(page: &Page<'_>, filter: &Filter) -> Vec<String> {
    let options = options(filter);
    ["list", "replay --dry-run"].map(|verb| page.console.command(format_args!("events {verb}{options}"))).into()
}

/// The filter as options of the command line, which has no word for some fields.
fn options(filter: &Filter) -> String {
    let mut options = format!(" --since {}", quoted(&filter.since));
    if !filter.until.is_empty() {
        let _ = write!(options, " --until {}", quoted(&filter.until));
    }
    for Term { field, value, excludes } in &filter.terms {
        let is_known = Field::NAMED.iter().any(|(name, _)| name == field) || *field == METADATA;
        let _ = match (is_known, excludes) {
            (false, _) => Ok(()),
            (true, false) => write!(options, " --{field} {}", quoted(value)),
            (true, true) => write!(options, " --exclude {}", quoted(&format!("{field}={value}"))),
        };
    }
    options
}

/// The text as a shell reads it as one word.
fn quoted(text: &str) -> String {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-:=/".contains(&byte));
    if plain { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// Finds by an id: an event, an object; else the list of a type.
pub(super) async fn find(seen: Seen) -> Response {
    let text = seen.get("q").unwrap_or_default().trim().to_owned();
    let parameter = match text.split(['_', '-', '.']).next().unwrap_or_default() {
        _ if text.is_empty() => return Redirect::to(PATH).into_response(),
        "evt" => "event",
        "wh" => {
            return match by_webhook(&seen, &text).await {
                Ok(Some(address)) => Redirect::to(&address).into_response(),
                Ok(None) => {
                    let missing = Failure::failed(format!("the ledger has no event {text}"))
                        .hint("It may be older than 35 days, or of another stack.");
                    seen.failed(Place::Events, &missing)
                }
                Err(failure) => seen.failed(Place::Events, &failure),
            };
        }
        _ if text.contains('.') => "type",
        _ => "object",
    };
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("since", "35d")
        .append_pair(parameter, &text)
        .finish();
    Redirect::to(&format!("{PATH}?{query}")).into_response()
}

/// The event of a webhook id at one of the stack's endpoints.
async fn by_webhook(seen: &Seen, id: &str) -> Result<Option<String>> {
    for endpoint in seen.app.console.stack.endpoints()? {
        if let Some(entry) = seen.app.console.log.entry(&format!("{}#{id}", endpoint.name)).await? {
            return Ok(Some(address(&entry)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_becomes_options_that_a_shell_reads_as_they_were() {
        let read = |query: &str| {
            Filter::read(&form_urlencoded::parse(query.as_bytes()).into_owned().collect::<Vec<_>>()).unwrap()
        };
        let filter = read("since=7d&category=batch&not.type=video.*&object=a'%3B+rm&source=replay&metadata=team%3Dops");
        assert_eq!(
            options(&filter),
            r" --since 7d --category batch --exclude 'type=video.*' --object 'a'\''; rm' --metadata team=ops"
        );
    }
}
