//! Keys and states, and the reference of the API.

use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};

use super::{Seen, head};
use crate::api;
use crate::view::Place;
use crate::view::parts::{commands, labelled};

const KEYS: [(&[&str], &str); 11] = [
    (&["j", "k"], "next, previous row"),
    (&["enter"], "open the row"),
    (&["x"], "mark the row"),
    (&["/"], "find"),
    (&["f"], "add a filter"),
    (&["r"], "replay or redrive, with a dry run first"),
    (&["."], "refresh"),
    (&["g"], "then o, e, b, c, d: overview, events, batches, calls, dead letters"),
    (&["c"], "copy the id"),
    (&["esc"], "leave the field"),
    (&["?"], "this list"),
];

const STATES: [(&str, &str, &str); 6] = [
    ("busy", "in progress", "claimed, its lease is running"),
    ("retry", "retrying", "released; tried again with growing delay"),
    ("done", "completed", "handled, its outcome announced"),
    ("failed", "failed", "given up; its dead letter waits 14 days"),
    ("gone", "not found", "OpenAI has no such object"),
    ("paused", "paused", "of a category: its consumer takes nothing"),
];

pub(super) async fn page(seen: Seen) -> Response {
    let page = seen.page(Place::Help, "Keys and states");
    page.render(&content()).into_response()
}

fn content() -> Markup {
    html! {
        (head(&html! { "Keys and states" }, &html! { button.button.end #keys type="button" hidden { "Turn keys off" } }))
        div.columns {
            section {
                div.heading { h2 { "Keys" } }
                table {
                    caption.unseen { "Keys" }
                    thead { tr { th scope="col" { "Key" } th scope="col" { "What it does" } } }
                    tbody { @for (keys, does) in KEYS { tr { td { @for key in keys { kbd { (key) } " " } } td { (does) } } } }
                }
                p.note { "Keys work when no field has the focus. Everything they do is also a link or a button." }
            }
            section {
                div.heading { h2 { "States of an event" } }
                table {
                    caption.unseen { "States" }
                    thead { tr { th scope="col" { "State" } th scope="col" { "What it means" } } }
                    tbody { @for (kind, word, means) in STATES { tr { td { (labelled(kind, word)) } td { (means) } } } }
                }
            }
        }
    }
}

pub(super) async fn reference(seen: Seen) -> Response {
    let document = api::document();
    let page = seen.page(Place::Api, "API");
    let content = html! {
        (head(&html! { "API" }, &html! { a.button.end href="/api/openapi.json" { "OpenAPI 3.1" } }))
        p { "Everything that the pages show and do, as JSON. Sign in as here, or send " code { "Authorization: Bearer TOKEN" } "." }
        section {
            div.heading { h2 { "Paths" } }
            div.scroll { table.stack {
                caption.unseen { "Paths of the API" }
                thead { tr { th scope="col" { "Method" } th scope="col" { "Path" } th scope="col" { "What" } } }
                tbody { @for (method, path, what) in api::paths(&document) { tr {
                    td { code { (method) } } td.full { code { (path) } } td.full { (what) }
                } } }
            } }
        }
        (commands(&["curl --header 'Authorization: Bearer TOKEN' URL/api/dashboard".to_owned()]))
    };
    page.render(&content).into_response()
}
