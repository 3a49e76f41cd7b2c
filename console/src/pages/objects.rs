//! Lists of objects of one category: responses, calls, agents, fine-tuning jobs, files, safety notices.

use axum::Extension;
use axum::extract::Path;
use axum::response::{IntoResponse as _, Redirect, Response};
use hooks_webhook::Category;
use maud::{Markup, html};

use super::batches::older;
use super::expectations::{expectation_due, expectation_state};
use super::overview::EXPECTED;
use super::{Seen, head};
use crate::data::filter::before;
use crate::data::objects::{self, Object, ObjectPage};
use crate::data::setup;
use crate::http::gate::Posted;
use crate::view::format::{bytes, count, counted};
use crate::view::layout::BASE;
use crate::view::parts::{aged, commands, empty, event_state, id_link, labelled, state, unreadable, visible};
use crate::view::{Page, Place};
use crate::{Failure, Result};
use hooks_operate::models::{Alias, shutdown_date};
use hooks_operate::timestamp::Timestamp;

/// Name of the list, and what is said of an empty one.
pub(super) const fn named(category: Category) -> (&'static str, &'static str) {
    match category {
        Category::Batch => ("Batches", "A batch is here as soon as its event was handled."),
        Category::Response => ("Responses", "A background response is kept as soon as it has ended."),
        Category::FineTuning => ("Fine-tuning", "A job is here as soon as its event was handled."),
        Category::Realtime => ("Calls", "A call is here as soon as it was answered."),
        Category::Agent => ("Agents", "A session is here as soon as it waits, or has ended."),
        Category::Safety => ("Safety", "No notice of OpenAI's has come."),
        Category::File => ("Files", "A file is here as soon as OpenAI has processed it."),
        Category::Archive => ("Other events", "Events of unknown types are recorded here."),
    }
}

pub(crate) fn place(category: Category) -> Place {
    if category == Category::Batch { Place::Batches } else { Place::Objects(category.as_str()) }
}

/// Address of an object's page.
pub(crate) fn address(category: Category, id: &str) -> String {
    if category == Category::Batch {
        return super::batches::address(id);
    }
    let id = form_urlencoded::byte_serialize(id.as_bytes()).collect::<String>().replace('+', "%20");
    format!("{BASE}/objects/{category}/{id}")
}

pub(super) async fn page(seen: Seen, Path(name): Path<String>) -> Response {
    let category = match name.parse::<Category>() {
        Ok(Category::Batch) => return Redirect::to(&format!("{BASE}/batches")).into_response(),
        Ok(category) => category,
        Err(_) => return seen.failed(Place::Events, &Failure::failed("there is no such category")),
    };
    let before = match before(&seen.parameters) {
        Ok(before) => before,
        Err(failure) => return seen.failed(place(category), &failure),
    };
    let console = &seen.app.console;
    let expected = async {
        if EXPECTED.contains(&category) && before.is_none() {
            objects::expected(console, category).await
        } else {
            Ok(Vec::new())
        }
    };
    let models = async {
        if category == Category::FineTuning && before.is_none() { Some(setup::models(console).await) } else { None }
    };
    let (found, expected, models) = tokio::join!(objects::list(console, category, before), expected, models);
    let mut page = seen.page(place(category), named(category).0);
    page.every = before.is_none().then_some(15);
    page.render(&content(&page, category, before, &found, &expected, models.as_ref())).into_response()
}

fn content(
    page: &Page<'_>,
    category: Category,
    before: Option<i64>,
    found: &Result<ObjectPage>,
    expected: &Result<Vec<(Object, Timestamp)>>,
    models: Option<&Result<Vec<Alias>>>,
) -> Markup {
    let (title, none) = named(category);
    html! {
        (head(&html! { (title) }, &page.freshness()))
        @match models {
            Some(Ok(models)) if !models.is_empty() => section { div.heading { h2 { "Models in production" } } (model_table(models)) (promotions(page, models)) },
            Some(Err(failure)) => section { div.heading { h2 { "Models in production" } } (unreadable("The models", failure)) },
            _ => {},
        }
        @match expected {
            Err(failure) => (unreadable("What is expected", failure)),
            Ok(expected) if !expected.is_empty() => section {
                div.heading { h2 { "Expected" } span.aside { "not ended yet" } }
                div.scroll { table.stack data-rows {
                    caption.unseen { "Expected objects, due first" }
                    thead { tr { th scope="col" { "Object" } th scope="col" { "State" } th scope="col" { "Due" } } }
                    tbody { @for (object, due) in expected { tr {
                        th scope="row" { (id_link(&address(category, &object.id), &object.id)) }
                        td.end { (expectation_state(object, *due)) }
                        td data-label="due" { (expectation_due(*due)) }
                    } } }
                } }
            },
            Ok(_) => {},
        }
        section {
            div.heading { h2 { "Known to the ledger" } span.aside { "newest event first" } }
            @match found {
                Err(failure) => (unreadable("The list", failure)),
                Ok(found) if found.objects.is_empty() => (empty("Nothing here yet", &html! { p.quiet { (none) } })),
                Ok(found) => { (table(category, &found.objects)) (older(&format!("/objects/{category}"), before, found.next)) }
            }
        }
        (commands(&the_commands(page, category, models)))
    }
}

fn the_commands(page: &Page<'_>, category: Category, models: Option<&Result<Vec<Alias>>>) -> Vec<String> {
    let list = page.console.command(format_args!("events list --category {category} --since 35d"));
    let history = models.map(|_| page.console.command("models list --history"));
    let aliases = models.and_then(|models| models.as_ref().ok()).into_iter().flatten();
    let back = aliases.map(|alias| page.console.command(format_args!("models rollback {}", alias.name)));
    [list].into_iter().chain(history).chain(back).collect()
}

fn table(category: Category, objects: &[Object]) -> Markup {
    let (first, second) = columns(category);
    html! {
        div.scroll { table.stack data-rows {
            caption.unseen { (named(category).0) }
            thead { tr { th scope="col" { "Object" } th scope="col" { "State" } th scope="col" { (first) } th scope="col" { (second) }
                th.wide scope="col" { "Event" } th.number scope="col" { "Age" } } }
            tbody { @for object in objects {
                @let (one, other) = cells(category, object);
                tr {
                    th scope="row" { (id_link(&address(category, &object.id), &object.id)) }
                    td.end { (object_state(object)) }
                    td.full { bdi { (one) } }
                    td.full { bdi { (other) } }
                    td.wide { @if let Some(event) = &object.event { a href=(super::events::address(event)) { bdi { (event.event_type) } } } }
                    td.number { @if let Some(event) = &object.event { (aged(event.received_at)) } }
                }
            } }
        } }
    }
}

/// The record's state; of an object without a record, its event's.
fn object_state(object: &Object) -> Markup {
    match &object.event {
        Some(event) if object.job.is_empty() => {
            event_state(&event.state, event.error.as_ref().map(|error| error.reason.as_str()))
        }
        _ => state(object.status()),
    }
}

const fn columns(category: Category) -> (&'static str, &'static str) {
    match category {
        Category::Response => ("Model", "Tokens"),
        Category::FineTuning => ("Model", "Smoke test and promotion"),
        Category::Realtime => ("From, to", "Rule"),
        Category::Agent => ("Agent", "Waits for"),
        Category::Safety => ("Whom", "Why"),
        Category::File => ("Name", "Purpose, size"),
        Category::Batch | Category::Archive => ("What", "Result"),
    }
}

fn cells(category: Category, object: &Object) -> (String, String) {
    let text = |name: &str| visible(object.summary_text(name).unwrap_or_default());
    let inner = |name: &str, field: &str| {
        visible(object.summary(name).and_then(|value| value.get(field)?.as_str()).unwrap_or_default())
    };
    match category {
        Category::Response => (text("model"), object.count("total_tokens").map(count).unwrap_or_default()),
        Category::FineTuning => {
            let model = object.summary_text("fine_tuned_model").or(object.summary_text("model")).unwrap_or_default();
            let flag = |name: &str, field: &str| object.summary(name).and_then(|value| value.get(field)?.as_bool());
            let tested = match flag("smoke_test", "passed") {
                Some(true) => "passed",
                Some(false) => "failed",
                None => "not tested",
            };
            let promoted = if flag("promotion", "promoted") == Some(true) { ", promoted" } else { "" };
            (visible(model), format!("{tested}{promoted}"))
        }
        Category::Realtime => (format!("{} to {}", text("from"), text("to")), text("rule_name")),
        Category::Agent => {
            let actions = object.summary("required_actions").and_then(|actions| actions.as_array());
            let names = actions.into_iter().flatten().filter_map(|action| {
                action.get("name").or(action.get("type")).and_then(|name| name.as_str()).map(visible)
            });
            (inner("agent", "name"), names.collect::<Vec<_>>().join(", "))
        }
        Category::Safety => (text("entity_identifier"), text("reason")),
        Category::File => {
            let size = object.summary("bytes").and_then(serde_json::Value::as_u64).map(bytes).unwrap_or_default();
            (text("filename"), format!("{}, {size}", text("purpose")))
        }
        Category::Batch | Category::Archive => (String::new(), object.status().to_owned()),
    }
}

/// Aliases with the model in production, when it ends, and the one before.
pub(crate) fn model_table(models: &[Alias]) -> Markup {
    html! {
        div.scroll { table.stack {
            caption.unseen { "Models in production" }
            thead { tr { th scope="col" { "Alias" } th scope="col" { "Model" } th scope="col" { "End" } th.number scope="col" { "Version" } } }
            tbody { @for alias in models { @if let Some(now) = alias.history.last() { tr {
                th scope="row" { bdi { (alias.name) } }
                td.full { code { bdi { (now.value) } } }
                td.full { (end(&now.description)) }
                td.number data-label="version" { (now.version) }
            } } } }
        } }
    }
}

/// What was promoted under each alias, the latest first, with the way back.
fn promotions(page: &Page<'_>, models: &[Alias]) -> Markup {
    html! {
        @for alias in models {
            @let back = alias.earlier(None).ok();
            section { div.heading { h2 { "Promotions of " bdi { (alias.name) } } span.aside { (counted(alias.history.len() as u64, "version")) ", of the last 100" } }
            div.scroll { table.stack {
                caption.unseen { "Promotions of " (alias.name) ", the latest first" }
                thead { tr { th.number scope="col" { "Version" } th scope="col" { "Model" } th scope="col" { "How" } th scope="col" { span.unseen { "Action" } } } }
                tbody { @for (at, one) in alias.history.iter().rev().enumerate() { tr {
                    td.number { (one.version) }
                    td.full { code { bdi { (one.value) } } }
                    td.full.quiet { bdi { (one.description) } }
                    td.end {
                        @if at == 0 { (labelled("done", "in production")) }
                        @else if back == Some(one) {
                            details { summary { "Roll back…" }
                                form.line method="post" action={ (BASE) "/models/" (alias.name) "/rollback" } {
                                    (page.csrf())
                                    input type="hidden" name="version" value=(one.version);
                                    span.small { "Programs that read the alias get this model, until the next job is promoted." }
                                    (page.act("", "Roll back to it"))
                                }
                            }
                        }
                    }
                } } }
            } }
            }
        }
    }
}

/// Goes back to an earlier model.
pub(super) async fn roll_back(seen: Seen, Path(alias): Path<String>, Extension(form): Extension<Posted>) -> Response {
    let place = place(Category::FineTuning);
    let done = async {
        let version = form.get("version").map(str::parse).transpose();
        let version = version.map_err(|_| Failure::usage("this is not a version of a model"))?;
        setup::roll_back(&seen.app.console, &alias, version, &seen.caller.name).await
    };
    match done.await {
        Ok(_) => Redirect::to(&format!("{BASE}/objects/{}", Category::FineTuning)).into_response(),
        Err(failure) => seen.failed(place, &failure),
    }
}

/// When a model ends, as its promotion noted it.
fn end(description: &str) -> Markup {
    let Some(date) = shutdown_date(description) else { return html! { span.quiet { "no end announced" } } };
    labelled("wait", &format!("ends {date}"))
}
