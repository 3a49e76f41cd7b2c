//! Endpoints of the stack and at OpenAI, and the consumers of the categories.

use axum::Extension;
use axum::response::{IntoResponse as _, Response};
use futures::FutureExt as _;
use hooks_openai::WebhookEndpoint;
use hooks_operate::pause::SourceState;
use hooks_webhook::Category;
use maud::{Markup, html};

use super::{Seen, act, head};
use crate::console::Console;
use crate::data::setup::{self, EndpointState};
use crate::http::gate::Posted;
use crate::view::format::{age, counted};
use crate::view::layout::BASE;
use crate::view::parts::{commands, day_clock, empty, labelled, now_millis, say, unreadable};
use crate::view::{Page, Place};
use crate::{Failure, Result};
use hooks_operate::timestamp::Timestamp;

/// Endpoints of OpenAI's list that are shown.
const SHOWN: u8 = 50;

/// Event types that can be sent as a test.
const TYPES: [&str; 5] =
    ["response.completed", "batch.completed", "batch.failed", "fine_tuning.job.succeeded", "realtime.call.incoming"];

type Consumers = Vec<(Category, Result<SourceState>)>;

pub(super) async fn page(seen: Seen) -> Response {
    show(&seen, &html! {}).await
}

async fn show(seen: &Seen, told: &Markup) -> Response {
    let console = &seen.app.console;
    let consumers = Category::ALL.map(|category| consumer(console, category).boxed());
    let (ours, theirs, consumers) =
        tokio::join!(setup::endpoints(console), registered(console), futures::future::join_all(consumers));
    let page = seen.page(Place::Endpoints, "Endpoints");
    page.render(&content(&page, told, &ours, &theirs, &consumers)).into_response()
}

async fn consumer(console: &Console, category: Category) -> (Category, Result<SourceState>) {
    (category, setup::consumer(console, category).await)
}

async fn registered(console: &Console) -> Result<Vec<WebhookEndpoint>> {
    Ok(console.openai().await?.webhook_endpoints(None, SHOWN, Console::deadline()).await?.items)
}

fn content(
    page: &Page<'_>,
    told: &Markup,
    ours: &Result<Vec<EndpointState>>,
    theirs: &Result<Vec<WebhookEndpoint>>,
    consumers: &Consumers,
) -> Markup {
    html! {
        (head(&html! { "Endpoints" }, &page.freshness()))
        (told)
        section {
            div.heading { h2 { "Of this stack" } }
            @match ours {
                Err(failure) => (unreadable("The endpoints", failure)),
                Ok(all) => div.scroll { table.stack {
                    caption.unseen { "Endpoints of this stack" }
                    thead { tr { th scope="col" { "Endpoint" } th scope="col" { "Signing secret" } th scope="col" { "URL" } } }
                    tbody { @for state in all { tr {
                        th scope="row" { (state.endpoint.name) }
                        td.end { (secret(&state.secret)) }
                        td.full { code.id.whole { bdi { (state.endpoint.url) } } }
                    } } }
                } },
            }
        }
        section {
            div.heading { h2 { "Registered at OpenAI" } span.aside { "of the project; an organization's are in OpenAI's dashboard only" } }
            @match theirs {
                Err(failure) => (unreadable("The endpoints at OpenAI", failure)),
                Ok(all) if all.is_empty() => (empty("The project has no endpoint", &html! { p { code.id { (page.console.command("endpoints create")) } } })),
                Ok(all) => (registered_table(page, all, &ours.iter().flatten().map(|state| state.endpoint.url.as_str()).collect::<Vec<_>>())),
            }
        }
        section #consumers {
            div.heading { h2 { "Consumers" } span.aside { "a paused category's events wait in its queue, 14 days at most" } }
            div.scroll { table {
                caption.unseen { "Consumers" }
                thead { tr { th scope="col" { "Category" } th scope="col" { "State" } th scope="col" { span.unseen { "Action" } } } }
                tbody { @for (category, consumer) in consumers { tr {
                    th scope="row" { (category) }
                    @match consumer {
                        Ok(consumer) => {
                            td { (if consumer.is_on() { labelled("done", "running") } else { labelled("paused", "paused") })
                                @if !["Enabled", "Disabled"].contains(&consumer.state.as_str()) { " " span.small.quiet { (consumer.state) } } }
                            td.number { (act::switch(page, *category, consumer.is_on())) }
                        }
                        Err(failure) => td colspan="2" { span.small.caution { bdi { (failure.message) } } },
                    }
                } } }
            } }
        }
        (commands(&[page.console.command("endpoints list"), page.console.command("endpoints test"), page.console.command("endpoints rotate"), page.console.command("doctor")]))
    }
}

fn registered_table(page: &Page<'_>, all: &[WebhookEndpoint], urls: &[&str]) -> Markup {
    html! {
        div.scroll { table.stack {
            caption.unseen { "Endpoints at OpenAI" }
            thead { tr { th scope="col" { "Endpoint" } th scope="col" { "Types" } th scope="col" { "URL" } th scope="col" { "Changed" } th scope="col" { "Secret" } th scope="col" { span.unseen { "Test" } } } }
            tbody { @for endpoint in all { tr {
                th scope="row" { bdi { (endpoint.name) } }
                td.end.nowrap title=(endpoint.event_types.join(", ")) { (counted(endpoint.event_types.len() as u64, "type")) }
                td.full { code.id.whole { bdi { (endpoint.url) } } }
                td { @if let Some(at) = endpoint.updated_at.or(endpoint.created_at) { (day_clock(Timestamp::from_seconds(at))) } }
                td.end { @if urls.contains(&endpoint.url.as_str()) { details { summary { "Rotate…" }
                    form.line method="post" action={ (BASE) "/endpoints/rotate" } {
                        (page.csrf())
                        input type="hidden" name="id" value=(endpoint.id);
                        span.small { "OpenAI makes a new signing secret, and the stack stores it. The old one is valid for another 24 hours." }
                        (page.act("", "Rotate the secret"))
                    }
                } } }
                td.full.end { form.line.nowrap method="post" action={ (BASE) "/endpoints/test" } {
                    (page.csrf())
                    input type="hidden" name="id" value=(endpoint.id);
                    label { span.unseen { "Type of the sample" } select name="type" { @for one in TYPES { option value=(one) { (one) } } } }
                    (page.act("", "Test"))
                } }
            } } }
        } }
    }
}

/// The state of a signing secret.
pub(crate) fn secret(secret: &Result<Option<Timestamp>>) -> Markup {
    match secret {
        Ok(Some(stored)) => labelled("done", &format!("{} old", age(now_millis() - stored.0))),
        Ok(None) => labelled("failed", "not set"),
        Err(_) => labelled("wait", "not readable"),
    }
}

/// Has OpenAI deliver a sample to an endpoint.
pub(super) async fn test(seen: Seen, Extension(form): Extension<Posted>) -> Response {
    let (id, event_type) = (form.get("id").unwrap_or_default(), form.get("type").unwrap_or(TYPES[0]));
    let tested = async {
        let openai = seen.app.console.openai().await?;
        Ok::<_, Failure>(openai.test_webhook_endpoint(id, event_type, Console::deadline()).await?)
    };
    let told = match tested.await {
        Ok(200) => say(
            "good",
            "done",
            "OpenAI delivered a sample, and it was accepted.",
            &html! { p { a href={ (BASE) "/events" } { "Look at it" } } },
        ),
        Ok(status) => say(
            "bad",
            "failed",
            &format!("OpenAI delivered a sample; the answer was {status}."),
            &html! { p { "Only 200 means accepted: " code { "openai-webhooks doctor" } " says why." } },
        ),
        Err(failure) => unreadable("The test", &failure),
    };
    show(&seen, &told).await
}

/// Has OpenAI make a new secret, and stores it.
pub(super) async fn rotate(seen: Seen, Extension(form): Extension<Posted>) -> Response {
    let told = match setup::rotate(&seen.app.console, form.get("id").unwrap_or_default()).await {
        Ok(ours) => {
            let lead = format!("The endpoint {} has a new signing secret.", ours.name);
            say("good", "done", &lead, &html! { p { "The old one is valid for another 24 hours. Test it now." } })
        }
        Err(failure) => unreadable("The rotation", &failure),
    };
    show(&seen, &told).await
}
