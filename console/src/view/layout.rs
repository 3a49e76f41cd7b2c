//! The frame of every page: bar, navigation, head.

use maud::{DOCTYPE, Markup, html};

use super::icons::{icon, sprite};
use crate::console::Console;
use crate::http::assets;
use crate::http::session::{Caller, Role};

/// Address below which all pages are.
pub(crate) const BASE: &str = "/console";

/// Settings of htmx: nothing that the Content-Security-Policy refuses.
const HTMX: &str = r#"{"includeIndicatorStyles":false,"allowEval":false,"selfRequestsOnly":true,"allowScriptTags":false,"historyEnabled":false}"#;

/// Place in the navigation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Overview,
    Events,
    Failures,
    DeadLetters,
    Batches,
    Objects(&'static str),
    Expectations,
    Endpoints,
    Alerts,
    Jobs,
    Api,
    Help,
}

impl Place {
    const HAPPENED: [(Self, &'static str, &'static str); 5] = [
        (Self::Overview, "", "Overview"),
        (Self::Events, "/events", "Events"),
        (Self::Failures, "/events?state=failed", "Failures"),
        (Self::DeadLetters, "/dead-letters", "Dead letters"),
        (Self::Jobs, "/jobs", "Jobs"),
    ];
    const OBJECTS: [(Self, &'static str, &'static str); 7] = [
        (Self::Batches, "/batches", "Batches"),
        (Self::Objects("response"), "/objects/response", "Responses"),
        (Self::Objects("realtime"), "/calls", "Calls"),
        (Self::Objects("agent"), "/objects/agent", "Agents"),
        (Self::Objects("fine-tuning"), "/objects/fine-tuning", "Fine-tuning"),
        (Self::Objects("file"), "/objects/file", "Files"),
        (Self::Objects("safety"), "/objects/safety", "Safety"),
    ];
    const SETUP: [(Self, &'static str, &'static str); 5] = [
        (Self::Expectations, "/expectations", "Expectations"),
        (Self::Endpoints, "/endpoints", "Endpoints"),
        (Self::Alerts, "/alerts", "Alerts"),
        (Self::Api, "/reference", "API"),
        (Self::Help, "/help", "Keys and help"),
    ];
}

/// A page.
pub(crate) struct Page<'a> {
    pub(crate) console: &'a Console,
    pub(crate) caller: &'a Caller,
    pub(crate) place: Place,
    /// Title, as text.
    pub(crate) title: String,
    /// The address of this page, for refreshing it.
    pub(crate) address: String,
    /// Seconds after which it is read again while somebody looks; `None` for never.
    pub(crate) every: Option<u16>,
}

impl Page<'_> {
    /// The whole document around the content of `main`.
    pub(crate) fn render(&self, content: &Markup) -> Markup {
        let stack = &self.console.stack.name;
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { (self.title) " · " (stack) }
                    meta name="color-scheme" content="light dark";
                    meta name="htmx-config" content=(HTMX);
                    link rel="icon" href="data:,";
                    link rel="stylesheet" href=(assets::css().path);
                    script src=(assets::htmx().path) defer {}
                    script src=(assets::script().path) defer {}
                }
                body data-base=(BASE) {
                    a.skip href="#main" { "Skip to the content" }
                    (sprite())
                    (self.bar())
                    div.frame {
                        (self.navigation())
                        main #main data-every=[self.every] hx-get=(self.address) hx-select="#main" hx-target="#main"
                            hx-swap="outerHTML" hx-trigger="refresh from:body" { (content) }
                    }
                    div.unseen #said role="status" {}
                }
            }
        }
    }

    fn bar(&self) -> Markup {
        let (console, caller) = (self.console, self.caller);
        html! {
            header.top {
                button.button.menu type="button" popovertarget="navigation" aria-label="Menu" { (icon("menu")) }
                a.brand href=(BASE) { span.wide { "openai-" } "webhooks" }
                span.tag title={ "Stack " (console.stack.name) ", " (console.region) } { (console.stack.name) }
                form role="search" action={ (BASE) "/find" } {
                    label.unseen for="find" { "Find an event, object or batch" }
                    input #find name="q" type="search" placeholder="Find by id or type" aria-keyshortcuts="/" maxlength="512";
                }
                kbd.wide aria-hidden="true" { "/" }
                span.wide { bdi { (caller.name) } ", " (caller.role.word()) }
            }
        }
    }

    fn navigation(&self) -> Markup {
        let link = |(place, path, name): &(Place, &str, &str)| {
            html! { li { a href={ (BASE) (path) } aria-current=[(*place == self.place).then_some("page")] { (name) } } }
        };
        html! {
            nav #navigation popover aria-label="Main" {
                ul { @for one in &Place::HAPPENED { (link(one)) } }
                h2 { "Objects" }
                ul { @for one in &Place::OBJECTS { (link(one)) } }
                h2 { "Set-up" }
                ul { @for one in &Place::SETUP { (link(one)) } }
                form method="post" action={ (BASE) "/leave" } {
                    input type="hidden" name="csrf" value=(self.caller.csrf);
                    button.button { "Sign out" }
                }
            }
        }
    }

    /// The hidden field that every form which acts carries.
    pub(crate) fn csrf(&self) -> Markup {
        html! { input type="hidden" name="csrf" value=(self.caller.csrf); }
    }

    /// Whether the caller may act. If not, the buttons of a page say why.
    pub(crate) fn may_act(&self) -> bool {
        self.caller.role == Role::Operator
    }

    /// A button that submits, disabled for a reader, with the reason beside it.
    pub(crate) fn act(&self, class: &str, text: &str) -> Markup {
        html! {
            @if self.may_act() { button.button.(class) data-act { (text) } }
            @else {
                button.button disabled { (text) }
                span.small.quiet { "Read-only: this is for operators." }
            }
        }
    }

    /// Age of the data, and the way to read it again.
    pub(crate) fn freshness(&self) -> Markup {
        html! {
            span.end.line.small.quiet {
                span data-fresh { "read at " (super::parts::clock(hooks_operate::timestamp::Timestamp::now())) " " span data-zone { "UTC" } }
                a.button href=(self.address) { "Refresh" }
            }
        }
    }
}

/// A page of its own, for those who are not signed in: no navigation, nothing of the stack.
pub(crate) fn bare(title: &str, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                meta name="color-scheme" content="light dark";
                link rel="icon" href="data:,";
                link rel="stylesheet" href=(assets::css().path);
            }
            body.bare { (sprite()) main #main { p.quiet { "openai-webhooks, the console" } (content) } }
        }
    }
}
