//! Alerts: who gets them, a test, and the alarms.

use axum::Extension;
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};

use super::{Seen, head};
use crate::data::setup;
use crate::http::gate::Posted;
use crate::view::format::{count, counted};
use crate::view::layout::BASE;
use crate::view::parts::{commands, labelled, say, unreadable};
use crate::view::{Page, Place};
use crate::{Failure, Result};
use hooks_aws::outcomes::Severity;
use hooks_operate::alerts::{Subscription, filter, is_endpoint};
use hooks_webhook::Category;

pub(super) async fn page(seen: Seen) -> Response {
    show(&seen, &html! {}).await
}

async fn show(seen: &Seen, told: &Markup) -> Response {
    let console = &seen.app.console;
    let (subscribers, alarms) = tokio::join!(setup::subscribers(console), setup::alarms(console));
    let page = seen.page(Place::Alerts, "Alerts");
    page.render(&content(&page, told, &subscribers, &alarms)).into_response()
}

fn content(
    page: &Page<'_>,
    told: &Markup,
    subscribers: &Result<Vec<Subscription>>,
    alarms: &Result<(Vec<String>, usize)>,
) -> Markup {
    html! {
        (head(&html! { "Alerts" }, &page.freshness()))
        (told)
        section {
            div.heading { h2 { "Subscribers" } }
            @match subscribers {
                Err(failure) => (unreadable("The subscribers", failure)),
                Ok(all) => (subscriber_list(all)),
            }
            form.line.note method="post" action={ (BASE) "/alerts/subscribe" } {
                (page.csrf())
                label for="address" { "E-mail address or https URL" }
                input.short #address name="address" required maxlength="2048" placeholder="oncall@example.com";
                label { span.unseen { "Severity" } select name="severity" {
                    option value="" { "every severity" }
                    @for severity in Severity::ALL.map(Severity::as_str) { option value=(severity) { "only " (severity) } }
                } }
                label { span.unseen { "Category" } select name="category" {
                    option value="" { "every category" }
                    @for category in Category::ALL { option value=(category) { "only " (category) } }
                } }
                (page.act("", "Subscribe"))
                span.small.quiet { "AWS asks for confirmation first." }
            }
            form.line.note method="post" action={ (BASE) "/alerts/test" } {
                (page.csrf())
                label { span.unseen { "Severity of the test" } select name="severity" { @for severity in Severity::ALL.map(Severity::as_str) { option value=(severity) { (severity) } } } }
                (page.act("", "Send a test alert"))
            }
        }
        section {
            div.heading { h2 { "Alarms" } span.aside { "CloudWatch's, which publish to the same topic" } }
            @match alarms {
                Err(failure) => (unreadable("The alarms", failure)),
                Ok((raised, all)) => {
                    p { (count(raised.len() as u64)) " of " (count(*all as u64)) " raised." }
                    ul.rows { @for name in raised { li { span { code { bdi { (name) } } } (labelled("failed", "raised")) } } }
                }
            }
        }
        (commands(&["alerts list", "alerts subscribe ADDRESS --severity critical", "alerts test"].map(|one| page.console.command(one))))
    }
}

fn subscriber_list(all: &[Subscription]) -> Markup {
    html! {
        @if !all.iter().any(|one| one.is_confirmed) {
            (say("warn", "bell", "Nobody is subscribed to alerts.", &html! { p { "Failures, safety notices and overdue work are told to nobody." } }))
        }
        ul.rows { @for one in all { li {
            span { bdi { (one.endpoint) } br; span.small.quiet { (one.protocol) ", " @match &one.filter { Some(filter) => code { bdi { (filter) } }, None => "every alert" } } }
            (if one.is_confirmed { labelled("done", "confirmed") } else { labelled("wait", "not confirmed yet") })
        } } }
    }
}

pub(super) async fn subscribe(seen: Seen, Extension(form): Extension<Posted>) -> Response {
    let address = form.get("address").unwrap_or_default().trim();
    let severities = form.get("severity").into_iter().map(Severity::named).collect::<Option<Vec<_>>>();
    let categories = form.get("category").into_iter().map(|name| name.parse().ok()).collect::<Option<Vec<Category>>>();
    let (true, Some(severities), Some(categories)) = (is_endpoint(address), severities, categories) else {
        let failure = Failure::usage("this is neither an e-mail address nor an https URL, or there is no such filter");
        return seen.failed(Place::Alerts, &failure);
    };
    let subscribed = async {
        setup::topic(&seen.app.console)?.subscribe(address, filter(&severities, &categories).as_deref()).await
    };
    let told = match subscribed.await {
        Ok(true) => say("good", "done", "It is told of failures from now on.", &html! {}),
        Ok(false) => say(
            "good",
            "done",
            "AWS has asked it for confirmation.",
            &html! { p { "Once that is done, send a test." } },
        ),
        Err(failure) => unreadable("The subscription", &failure),
    };
    show(&seen, &told).await
}

pub(super) async fn test(seen: Seen, Extension(form): Extension<Posted>) -> Response {
    let severity = form.get("severity").and_then(Severity::named).unwrap_or(Severity::Info);
    let (console, sent) = (&seen.app.console, async {
        setup::topic(&seen.app.console)?.test(&seen.app.console.stack.name, severity).await
    });
    let told = match (sent.await, setup::subscribers(console).await) {
        (Ok(()), Ok(all)) => {
            let confirmed = all.iter().filter(|one| one.is_confirmed).count() as u64;
            let lead =
                format!("A test is sent to the topic, which has {}.", counted(confirmed, "confirmed subscriber"));
            say(
                if confirmed > 0 { "good" } else { "warn" },
                "bell",
                &lead,
                &html! { p.quiet { "Those with a filter get it if it fits." } },
            )
        }
        (Ok(()), Err(_)) => say("good", "bell", "A test is sent to the topic.", &html! {}),
        (Err(failure), _) => unreadable("The test", &failure),
    };
    show(&seen, &told).await
}
