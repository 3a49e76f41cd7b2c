//! Alerts: who gets them, a test, and the alarms.

use axum::Extension;
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};

use super::{Seen, head};
use crate::data::setup::{self, Subscriber};
use crate::http::gate::Posted;
use crate::view::format::count;
use crate::view::layout::BASE;
use crate::view::parts::{commands, labelled, say, unreadable};
use crate::view::{Page, Place};
use crate::{Failure, Result};

/// Longest e-mail address, in bytes.
const MAX_ADDRESS: usize = 254;

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
    subscribers: &Result<Vec<Subscriber>>,
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
                label for="address" { "E-mail address" }
                input.short #address type="email" name="address" required maxlength=(MAX_ADDRESS) placeholder="oncall@example.com";
                (page.act("", "Subscribe"))
                span.small.quiet { "AWS asks the address for confirmation first." }
            }
            form.line.note method="post" action={ (BASE) "/alerts/test" } {
                (page.csrf())
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
        (commands(&[page.console.command("status")]))
    }
}

fn subscriber_list(all: &[Subscriber]) -> Markup {
    html! {
        @if !all.iter().any(|one| one.confirmed) {
            (say("warn", "bell", "Nobody is subscribed to alerts.", &html! { p { "Failures, safety notices and overdue work are told to nobody." } }))
        }
        ul.rows { @for one in all { li {
            span { bdi { (one.endpoint) } br; span.small.quiet { (one.protocol) } }
            (if one.confirmed { labelled("done", "confirmed") } else { labelled("wait", "not confirmed yet") })
        } } }
    }
}

pub(super) async fn subscribe(seen: Seen, Extension(form): Extension<Posted>) -> Response {
    let address = form.get("address").unwrap_or_default().trim();
    let fits = address.len() <= MAX_ADDRESS
        && address.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.'));
    if !fits || address.contains(char::is_whitespace) {
        return seen.failed(Place::Alerts, &Failure::usage("this is no e-mail address"));
    }
    let told = match setup::subscribe(&seen.app.console, address).await {
        Ok(()) => say("good", "done", "AWS has sent the address an e-mail to confirm.", &html! {}),
        Err(failure) => unreadable("The subscription", &failure),
    };
    show(&seen, &told).await
}

pub(super) async fn test(seen: Seen, Extension(_form): Extension<Posted>) -> Response {
    let told = match setup::test_alert(&seen.app.console, &seen.caller.name).await {
        Ok(()) => say("good", "done", "A test alert was sent to every confirmed subscriber.", &html! {}),
        Err(failure) => unreadable("The test", &failure),
    };
    show(&seen, &told).await
}
