//! Overview: is it well, what to do, and the figures that prove it.

use std::collections::BTreeMap;

use axum::response::{IntoResponse as _, Response};
use futures::FutureExt as _;
use hooks_webhook::Category;
use maud::{Markup, html};

use super::{Seen, head};
use crate::Result;
use crate::console::Console;
use crate::data::deliveries::Deliveries;
use crate::data::filter::Filter;
use crate::data::letters;
use crate::data::objects::{self, Object};
use crate::data::setup::{self, EndpointState};
use crate::data::survey::{MAX_EVENTS, Survey};
use crate::view::chart::{Buckets, Series, bars, figures, legend, spark};
use crate::view::format::{age, count, counted, share, span};
use crate::view::layout::BASE;
use crate::view::parts::{ago, clock, empty, id_link, labelled, now_millis, number, say, unreadable};
use crate::view::{Page, Place};
use hooks_operate::alerts::Subscription;
use hooks_operate::dead_letters::QueueDepth;
use hooks_operate::metrics::oldest_ages;
use hooks_operate::models::Alias;
use hooks_operate::pause::SourceState;
use hooks_operate::timestamp::Timestamp;

/// Categories whose objects can be expected.
pub(crate) const EXPECTED: [Category; 3] = [Category::Response, Category::Batch, Category::FineTuning];

/// Everything that the overview shows, each part readable or not.
struct Parts {
    survey: Result<Survey>,
    deliveries: Result<Deliveries>,
    queues: Vec<Queue>,
    expected: Result<Vec<(Category, Object, Timestamp)>>,
    subscribers: Result<Vec<Subscription>>,
    alarms: Result<(Vec<String>, usize)>,
    models: Result<Vec<Alias>>,
    endpoints: Result<Vec<EndpointState>>,
}

/// Queues and consumer of a category.
struct Queue {
    category: Category,
    depths: Result<(QueueDepth, QueueDepth)>,
    consumer: Result<SourceState>,
    oldest: Option<i64>,
}

impl Queue {
    fn waiting(&self) -> u64 {
        self.depths.as_ref().map_or(0, |(queue, _)| queue.total())
    }

    fn letters(&self) -> u64 {
        self.depths.as_ref().map_or(0, |(_, dead)| dead.total())
    }

    fn is_paused(&self) -> bool {
        matches!(&self.consumer, Ok(consumer) if !consumer.is_on())
    }
}

/// Something to do: its sentence, and where.
struct Todo {
    bad: bool,
    lead: String,
    text: String,
    link: (String, String),
}

pub(super) async fn page(seen: Seen) -> Response {
    let days = seen.get("span") == Some("14d");
    let parts = Box::pin(read(&seen.app.console, days)).await;
    let page = Page { every: Some(15), ..seen.page(Place::Overview, "Overview") };
    page.render(&content(&page, &parts, days)).into_response()
}

async fn read(console: &Console, days: bool) -> Parts {
    let filter = Filter::read(&[]).and_then(|filter| filter.to_events(None));
    let survey = async {
        match filter {
            Ok(filter) => Survey::read(&console.log, filter, MAX_EVENTS).await.map(|(survey, _)| survey),
            Err(failure) => Err(failure),
        }
    };
    let (survey, deliveries, queues, expected, subscribers, alarms, models, endpoints) = tokio::join!(
        survey,
        Deliveries::read(console, days),
        queues(console),
        expected(console),
        setup::subscribers(console),
        setup::alarms(console),
        setup::models(console),
        setup::endpoints(console),
    );
    Parts { survey, deliveries, queues, expected, subscribers, alarms, models, endpoints }
}

async fn queues(console: &Console) -> Vec<Queue> {
    let read = Category::ALL.map(|category| queue(console, category).boxed());
    let mut queues = futures::future::join_all(read).await;
    let names: Vec<_> =
        Category::ALL.iter().map(|one| console.queue(*one).map(|queue| queue.queue_name().to_owned())).collect();
    let names: Vec<_> = names.iter().map(|name| name.as_deref().unwrap_or_default()).collect();
    let ages = oldest_ages(&console.aws, &names).await.unwrap_or_default();
    for (queue, oldest) in queues.iter_mut().zip(ages) {
        #[expect(clippy::cast_possible_truncation, reason = "seconds of two weeks at most")]
        let millis = oldest.map(|seconds| (seconds * 1000.0) as i64);
        queue.oldest = millis.filter(|_| queue.waiting() > 0);
    }
    queues
}

async fn queue(console: &Console, category: Category) -> Queue {
    let (depths, consumer) = tokio::join!(letters::depths(console, category), setup::consumer(console, category));
    Queue { category, depths, consumer, oldest: None }
}

async fn expected(console: &Console) -> Result<Vec<(Category, Object, Timestamp)>> {
    let mut all = Vec::new();
    for category in EXPECTED {
        let found = objects::expected(console, category).await?;
        all.extend(found.into_iter().map(|(object, due)| (category, object, due)));
    }
    all.sort_by_key(|(.., due)| *due);
    Ok(all)
}

fn content(page: &Page<'_>, parts: &Parts, days: bool) -> Markup {
    let range = html! {
        nav.tabs.bare.end aria-label="Time range" {
            a href=(BASE) aria-current=[(!days).then_some("true")] { "24 h" }
            a href={ (BASE) "?span=14d" } aria-current=[days.then_some("true")] { "14 d" }
        }
        (page.freshness())
    };
    html! {
        (head(&html! { "Overview" }, &range))
        (health(parts))
        (facts(parts))
        (deliveries(parts))
        (handled(parts))
        (failures(parts))
        (categories(parts))
        div.columns { (overdue(parts)) (alerts(parts)) }
        div.columns { (models(parts)) (endpoints(parts)) }
        (super::super::view::parts::commands(&[page.console.command("status"), page.console.command("doctor")]))
    }
}

/// The answer first: is it well, in a sentence, then what to do.
fn health(parts: &Parts) -> Markup {
    let todos = todos(parts);
    let newest = parts.survey.as_ref().ok().and_then(|survey| survey.newest.as_ref());
    let arrived = html! {
        @match newest {
            Some(entry) => p.quiet { "The last event came " (ago(entry.received_at)) ". Failed events wait as dead letters: nothing is lost." },
            None => p.quiet { "No event came in the last 24 hours." },
        }
    };
    let more = html! {
        (arrived)
        @if !todos.is_empty() {
            ul.rows {
                @for (at, todo) in todos.iter().enumerate() {
                    li {
                        span { b { (todo.lead) } " " (todo.text) }
                        a.button.main[at == 0] href=(todo.link.0) { (todo.link.1) }
                    }
                }
            }
        }
    };
    let bad = todos.iter().filter(|todo| todo.bad).count();
    match (bad, todos.len()) {
        (0, 0) => say("good", "done", "All is well: what came was handled.", &more),
        (0, _) => say("warn", "wait", "Events are handled. Something should be looked at.", &more),
        _ => say("bad", "failed", &format!("Needs attention: {}", todos[0].lead), &more),
    }
}

fn todos(parts: &Parts) -> Vec<Todo> {
    let mut todos = Vec::new();
    let mut add = |bad: bool, lead: String, text: String, link: &str, button: &str| {
        todos.push(Todo { bad, lead, text, link: (format!("{BASE}{link}"), button.to_owned()) });
    };
    if let Ok(survey) = &parts.survey {
        let mut groups: Vec<_> = survey.failures.iter().collect();
        groups.sort_by_key(|(_, group)| std::cmp::Reverse(group.count));
        for ((category, reason), group) in groups.into_iter().take(3) {
            let link = format!("/events?category={category}&state=failed&reason={reason}");
            let lead = format!("{}: {reason}.", counted(group.count, &format!("{category} event")));
            let text = format!("{} Then redrive.", remedy(reason));
            add(true, lead, text, &link, &format!("Look at the {}", count(group.count)));
        }
    }
    if matches!(&parts.subscribers, Ok(all) if !all.iter().any(|one| one.is_confirmed)) {
        let text = "Nobody learns of failures, safety notices or overdue work.".to_owned();
        add(true, "Alerts have no subscriber.".to_owned(), text, "/alerts", "Subscribe…");
    }
    for queue in parts.queues.iter().filter(|queue| queue.is_paused()) {
        let oldest = queue.oldest.map(|oldest| format!(", the oldest for {}", span(oldest))).unwrap_or_default();
        let text = format!("{} wait{oldest}.", counted(queue.waiting(), "event"));
        let link = format!("/events?category={}", queue.category);
        add(false, format!("{} is paused.", queue.category), text, &link, "Look");
    }
    if let Ok(expected) = &parts.expected {
        let late = expected.iter().filter(|(.., due)| due.0 < now_millis()).count();
        if late > 0 {
            let lead = format!("{} overdue.", counted(late as u64, "expectation"));
            let text = if late == 1 { "It should have ended by now." } else { "They should have ended by now." };
            add(true, lead, text.to_owned(), "/expectations", "Look");
        }
    }
    if let Ok((raised, _)) = &parts.alarms
        && !raised.is_empty()
    {
        add(false, format!("{} raised.", counted(raised.len() as u64, "alarm")), raised.join(", "), "/alerts", "Look");
    }
    for state in parts.endpoints.iter().flatten().filter(|state| matches!(state.secret, Ok(None))) {
        let (name, text) = (&state.endpoint.name, "Its deliveries are refused with 503, and OpenAI repeats them.");
        let bad = name == hooks_operate::endpoints::PROJECT;
        add(bad, format!("The signing secret of {name} was never set."), text.to_owned(), "/endpoints", "Look");
    }
    todos
}

/// What removes a cause.
pub(crate) fn remedy(reason: &str) -> &'static str {
    match reason {
        "unauthorized" => "The API key may not read them. Store a key that may.",
        "quota_exhausted" => "The account has no credit left. Add some.",
        "retries_exhausted" => "OpenAI or AWS failed twelve times. Wait until they answer again.",
        "undecodable_message" => "The messages are not events. Find who sends to the queue.",
        "panic" => "The handler stopped. Its log says where.",
        _ => "The newest one says why.",
    }
}

fn facts(parts: &Parts) -> Markup {
    let survey = parts.survey.as_ref().ok();
    let waiting = parts.queues.iter().filter(|queue| queue.oldest.is_some()).max_by_key(|queue| queue.oldest);
    let letters: u64 = parts.queues.iter().map(Queue::letters).sum();
    let secret =
        parts.endpoints.iter().flatten().find(|state| state.endpoint.name == hooks_operate::endpoints::PROJECT);
    html! {
        dl.facts {
            div { dt { "Last event" } dd { @match survey.and_then(|survey| survey.newest.as_ref()) {
                Some(entry) => { (ago(entry.received_at)) small { "to " (entry.endpoint) } },
                None => { "none" small { "in 24 h" } },
            } } }
            @if let Ok(deliveries) = &parts.deliveries {
                div { dt { "Accepted" } dd { (share(deliveries.sum("accepted"), deliveries.total()))
                    small { (count(deliveries.sum("accepted"))) " of " (count(deliveries.total())) " deliveries" } } }
            }
            div { dt { "Handled in" } dd { @match survey.and_then(|survey| Some((survey.percentile(50)?, survey.percentile(95)?))) {
                Some((median, most)) => { (span(median)) small { "p50; " (span(most)) " at p95" } },
                None => { "–" small { "no event ended" } },
            } } }
            div { dt { "Oldest waiting" } dd { @match waiting {
                Some(queue) => { (span(queue.oldest.unwrap_or_default())) small { (queue.category) } },
                None => { "–" small { (counted(parts.queues.iter().map(Queue::waiting).sum::<u64>(), "event")) " in queues" } },
            } } }
            div { dt { "Dead letters" } dd.alarm[letters > 0] { a.alarm[letters > 0] href={ (BASE) "/dead-letters" } { (count(letters)) }
                small { (counted(parts.queues.iter().filter(|queue| queue.letters() > 0).count() as u64, "queue")) } } }
            div { dt { "Found by reconcile" } dd { (count(survey.and_then(|survey| survey.sources.get("reconcile")).copied().unwrap_or(0)))
                small { "lost webhooks, 24 h" } } }
            div { dt { "Signing secret" } dd { @match secret.map(|state| &state.secret) {
                Some(Ok(Some(stored))) => { (age(now_millis() - stored.0)) " old" small { "of project" } },
                Some(Ok(None)) => { span.alarm { "not set" } small { "of project" } },
                _ => { "–" small { "not readable" } },
            } } }
        }
    }
}

fn deliveries(parts: &Parts) -> Markup {
    html! {
        section aria-labelledby="deliveries" {
            div.heading { h2 #deliveries { "Deliveries by answer" } }
            @match &parts.deliveries {
                Err(failure) => (unreadable("The deliveries", failure)),
                Ok(deliveries) if deliveries.total() == 0 => (empty("CloudWatch has counted no delivery", &html! {
                    p.quiet { "Counts arrive about a minute after the delivery." }
                })),
                Ok(deliveries) => (delivery_chart(deliveries)),
            }
        }
    }
}

fn delivery_chart(deliveries: &Deliveries) -> Markup {
    let buckets = Buckets { labels: &deliveries.labels, unit: deliveries.unit };
    let series =
        |outcome: &String, class| Series { name: outcome.clone(), class, values: deliveries.outcomes[outcome].clone() };
    let accepted: Vec<_> = deliveries
        .outcomes
        .keys()
        .filter(|outcome| *outcome == "accepted")
        .map(|one| series(one, "fill-usual"))
        .collect();
    let unavailable = |outcome: &str| outcome.ends_with("_unavailable");
    let refused: Vec<_> = deliveries
        .outcomes
        .keys()
        .filter(|outcome| *outcome != "accepted")
        .map(|one| series(one, if unavailable(one) { "hatch-warn" } else { "hatch-bad" }))
        .collect();
    let all: Vec<_> = accepted.iter().chain(&refused).collect();
    let (good, bad): (u64, u64) = (accepted.iter().map(Series::sum).sum(), refused.iter().map(Series::sum).sum());
    html! {
        figure aria-labelledby="deliveries" {
            (legend(all.iter().copied()))
            div.chart {
                (bars(&accepted.iter().collect::<Vec<_>>(), &buckets, 132, &format!("{} accepted", count(good)), bad == 0))
                @if bad > 0 { (bars(&refused.iter().collect::<Vec<_>>(), &buckets, 40, &format!("{} refused", count(bad)), true)) }
            }
            p.note { "By " (deliveries.unit.to_lowercase()) ", UTC." @if bad > 0 { " Above accepted, below refused on a scale of its own." } }
            (figures("Deliveries by answer", &all, &buckets))
        }
    }
}

/// Attempts at events, each category on a scale of its own.
fn handled(parts: &Parts) -> Markup {
    let Ok(counts) = &parts.deliveries else { return html! {} };
    let buckets = Buckets { labels: &counts.labels, unit: counts.unit };
    let series = counts.handled.iter().map(|(category, values)| Series {
        name: category.clone(),
        class: "fill-usual",
        values: values.clone(),
    });
    let series: Vec<_> = series.collect();
    let all: Vec<_> = series.iter().collect();
    html! {
        @if !series.is_empty() { section {
            div.heading { h2 { "Attempts by category" } span.aside { "by " (counts.unit.to_lowercase()) ", as CloudWatch counts them; each on a scale of its own" } }
            div.small-charts { @for one in &series {
                figure {
                    figcaption.small { a href={ (BASE) "/events?category=" (one.name) } { (one.name) } " " b { (count(one.sum())) } }
                    div.chart { (bars(&[one], &buckets, 44, &format!("{} attempts of {}", count(one.sum()), one.name), false)) }
                }
            } }
            (figures("Attempts by category", &all, &buckets))
        } }
    }
}

fn failures(parts: &Parts) -> Markup {
    let Ok(survey) = &parts.survey else { return html! {} };
    html! {
        section {
            div.heading { h2 { "Failures by reason" }
                span.aside { a href={ (BASE) "/events?state=failed" } { "All " (counted(survey.state("failed"), "failed event")) } } }
            @if survey.failures.is_empty() {
                (empty("No failed event in the last 24 hours", &html! { p.quiet { a href={ (BASE) "/events?since=14d&state=failed" } { "Look at 14 days" } } }))
            } @else {
                div.scroll { table.stack data-rows {
                    caption.unseen { "Failures of the last 24 hours by reason" }
                    thead { tr { th scope="col" { "Reason" } th.number scope="col" { "Failed" } th scope="col" { "Category" }
                        th scope="col" { "Since" } th scope="col" { "Last" } th.wide scope="col" { "24 h" } th scope="col" { "What to do" } } }
                    tbody { @for ((category, reason), group) in &survey.failures {
                        @let link = format!("{BASE}/events?category={category}&state=failed&reason={reason}");
                        tr {
                            th scope="row" { a.id href=(link) { (reason) } }
                            td.number data-label="failed" { b.alarm { (count(group.count)) } }
                            td.full data-label="category" { (category) }
                            td data-label="since" { (clock(Timestamp(group.since))) }
                            td.end data-label="last" { (clock(Timestamp(group.last))) }
                            td.wide { (spark(&group.hours, "fill-bad")) }
                            td.full.quiet { (remedy(reason)) }
                        }
                    } }
                } }
            }
        }
    }
}

fn categories(parts: &Parts) -> Markup {
    let survey = match &parts.survey {
        Ok(survey) => survey,
        Err(failure) => {
            return html! { section { div.heading { h2 { "Events by category" } } (unreadable("The events", failure)) } };
        }
    };
    let none = BTreeMap::new();
    let counts = if survey.events > 0 { &survey.categories } else { &none };
    html! {
        section {
            div.heading { h2 { "Events by category" }
                span.aside { @if survey.more { "the newest " (count(survey.events)) " of 24 h" } @else { (counted(survey.events, "event")) " in 24 h" } } }
            div.scroll { table.stack data-rows {
                caption.unseen { "Events of the last 24 hours by category" }
                thead { tr { th scope="col" { "Category" } th.wide scope="col" { "By hour" } th.number scope="col" { "Events" }
                    th.number scope="col" { "Failed" } th.number scope="col" { "In progress" } th.number scope="col" { "Waiting" }
                    th.number scope="col" { "Oldest" } th.number scope="col" { "Dead letters" } th scope="col" { "Consumer" } } }
                tbody { @for queue in &parts.queues {
                    @let of = counts.get(queue.category.as_str());
                    tr {
                        th scope="row" { a href={ (BASE) "/events?category=" (queue.category) } { (queue.category) } }
                        td.wide { @if let Some(of) = of { (spark(&of.hours, "fill-usual")) } }
                        td.number data-label="events" { (number(of.map_or(0, |of| of.events))) }
                        td.number data-label="failed" { @let failed = of.map_or(0, |of| of.failed); b.alarm[failed > 0] { (number(failed)) } }
                        td.number data-label="in progress" { (number(of.map_or(0, |of| of.in_progress))) }
                        td.number data-label="waiting" { @match &queue.depths { Ok(_) => (number(queue.waiting())), Err(_) => "not readable" } }
                        td.number data-label="oldest" { @match queue.oldest { Some(oldest) => (span(oldest)), None => span.zero { "–" } } }
                        td.number data-label="dead letters" { @if queue.letters() > 0 {
                            a.alarm href={ (BASE) "/dead-letters?category=" (queue.category) } { b { (count(queue.letters())) } }
                        } @else { (number(0)) } }
                        td.end { @match &queue.consumer {
                            Ok(consumer) if consumer.is_on() => (labelled("done", "running")),
                            Ok(_) => (labelled("paused", "paused")),
                            Err(_) => span.small.quiet { "not readable" },
                        } }
                    }
                } }
            } }
        }
    }
}

fn overdue(parts: &Parts) -> Markup {
    html! {
        section {
            div.heading { h2 { "Expectations" } span.aside { a href={ (BASE) "/expectations" } { "All that is expected" } } }
            @match &parts.expected {
                Err(failure) => (unreadable("What is expected", failure)),
                Ok(all) if all.is_empty() => (empty("Nothing is expected", &html! { p.quiet { "Submitted batches are expected by themselves." } })),
                Ok(all) => div.scroll { table data-rows {
                    caption.unseen { "What is expected, due first" }
                    thead { tr { th scope="col" { "Object" } th scope="col" { "Due" } th scope="col" { "State" } } }
                    tbody { @for (category, object, due) in all.iter().take(5) { tr {
                        td { (id_link(&super::objects::address(*category, &object.id), &object.id)) }
                        td { @if due.0 < now_millis() { span.alarm { (span(now_millis() - due.0)) " late" } } @else { (ago(*due)) } }
                        td { (labelled(super::super::view::parts::kind(object.status()), object.status())) }
                    } } }
                } }
            }
        }
    }
}

fn alerts(parts: &Parts) -> Markup {
    html! {
        section {
            div.heading { h2 { "Alerts" } span.aside { a href={ (BASE) "/alerts" } { "Subscribers" } } }
            @match &parts.subscribers {
                Err(failure) => (unreadable("The subscribers", failure)),
                Ok(all) if !all.iter().any(|one| one.is_confirmed) => (say("warn", "bell", "Nobody is subscribed to alerts.",
                    &html! { p { "The topic has no confirmed subscriber; what it sends is lost." } })),
                Ok(all) => p.quiet { (counted(all.iter().filter(|one| one.is_confirmed).count() as u64, "subscriber")) " get every alert." },
            }
            @match &parts.alarms {
                Err(failure) => (unreadable("The alarms", failure)),
                Ok((raised, all)) => p.note { (count(raised.len() as u64)) " of " (counted(*all as u64, "alarm")) " raised" @if !raised.is_empty() { ": " (raised.join(", ")) } "." },
            }
        }
    }
}

fn models(parts: &Parts) -> Markup {
    html! {
        section {
            div.heading { h2 { "Models in production" } span.aside { a href={ (BASE) "/objects/fine-tuning" } { "Promotions" } } }
            @match &parts.models {
                Err(failure) => (unreadable("The models", failure)),
                Ok(models) if models.is_empty() => (empty("No model was promoted", &html! { p.quiet { "A fine-tuned model is promoted when it has passed its smoke test." } })),
                Ok(models) => (super::objects::model_table(models)),
            }
        }
    }
}

fn endpoints(parts: &Parts) -> Markup {
    html! {
        section {
            div.heading { h2 { "Endpoints" } span.aside { a href={ (BASE) "/endpoints" } { "Test or rotate" } } }
            @match &parts.endpoints {
                Err(failure) => (unreadable("The endpoints", failure)),
                Ok(all) => div.scroll { table {
                    caption.unseen { "Endpoints" }
                    thead { tr { th scope="col" { "Endpoint" } th scope="col" { "Signing secret" } } }
                    tbody { @for state in all { tr {
                        td { (state.endpoint.name) }
                        td { (super::endpoints::secret(&state.secret)) }
                    } } }
                } }
            }
        }
    }
}
