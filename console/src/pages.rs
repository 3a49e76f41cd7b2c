//! Pages, one module each. A part that cannot be read says so in its place and never takes the page with it.

mod act;
mod alerts;
mod batch;
mod batches;
mod calls;
mod dead_letters;
mod endpoints;
mod event;
mod events;
mod expectations;
mod help;
mod jobs;
mod lines;
mod object;
mod objects;
mod overview;
mod retry;
mod submit;
mod timeline;

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, OriginalUri, Query};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use maud::{Markup, html};

use crate::console::App;
use crate::http::problem::Problem;
use crate::http::session::Caller;
use crate::view::layout::BASE;
use crate::view::parts::say;
use crate::view::{Page, Place};
use crate::{Failure, FailureKind};

/// A request by somebody who is signed in.
pub(crate) struct Seen {
    pub(crate) app: Arc<App>,
    pub(crate) caller: Caller,
    /// Path and query.
    pub(crate) address: String,
    pub(crate) parameters: Vec<(String, String)>,
}

impl FromRequestParts<Arc<App>> for Seen {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let caller = parts.extensions.get::<Caller>().cloned();
        let caller =
            caller.ok_or_else(|| Problem::new(StatusCode::UNAUTHORIZED, "not_signed_in", "You are not signed in."))?;
        let parameters = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|_| Problem::bad_request("malformed_query", "The address's parameters are not readable."))?;
        // The routers of pages see the address without what they are nested below.
        let whole = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |whole| &whole.0);
        let address = whole.path_and_query().map(ToString::to_string).unwrap_or_default();
        Ok(Self { app: Arc::clone(app), caller, address, parameters: parameters.0 })
    }
}

impl Seen {
    /// The first value of a parameter that is not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(parameter, _)| parameter == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// A page of this request.
    pub(crate) fn page(&self, place: Place, title: impl Into<String>) -> Page<'_> {
        Page {
            console: &self.app.console,
            caller: &self.caller,
            place,
            title: title.into(),
            address: self.address.clone(),
            every: None,
        }
    }

    /// A page that only says why there is no other.
    pub(crate) fn failed(&self, place: Place, failure: &Failure) -> Response {
        let (status, icon) = match failure.kind {
            FailureKind::Failed => (StatusCode::NOT_FOUND, "gone"),
            FailureKind::Usage => (StatusCode::BAD_REQUEST, "failed"),
            FailureKind::Service => (StatusCode::BAD_GATEWAY, "failed"),
        };
        let more = html! {
            @if let Some(hint) = &failure.hint { p { (hint) } }
            p.note.line { a.button href=(self.address) { "Try again" } a.button href=(BASE) { "Overview" } }
        };
        let content = html! { div.heading { h1 { "Not shown" } } (say("", icon, &sentence(&failure.message), &more)) };
        (status, self.page(place, "Not shown").render(&content)).into_response()
    }
}

/// The text as a sentence: a capital, a full stop.
pub(crate) fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    let end = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{first}{}{end}", characters.as_str())
}

/// The head of a page: title and what is at its right.
pub(crate) fn head(title: &Markup, end: &Markup) -> Markup {
    html! { div.heading { h1 { (title) } (end) } }
}

pub(crate) fn router() -> Router<Arc<App>> {
    let pages = Router::new()
        .route("/", get(overview::page))
        .route("/events", get(events::page))
        .route("/events/{endpoint}/{webhook_id}", get(event::page))
        .route("/find", get(events::find))
        .route("/batches", get(batches::page))
        .route("/batches/new", get(submit::form).post(submit::check))
        .route("/batches/submit", post(submit::submit))
        .route("/batches/{id}", get(batch::page))
        .route("/batches/{id}/cancel", post(batch::cancel))
        .route("/batches/{id}/retry", post(retry::retry))
        .route("/views", post(events::save))
        .route("/models/{alias}/rollback", post(objects::roll_back))
        .route("/objects/{category}", get(objects::page))
        .route("/objects/{category}/{id}", get(object::page))
        .route("/artifact", get(object::artifact))
        .route("/artifact/link", get(object::download))
        .route("/dead-letters", get(dead_letters::page))
        .route("/act", post(act::act))
        .route("/jobs", get(jobs::page))
        .route("/jobs/{name}", get(jobs::one))
        .route("/jobs/{name}/resume", post(jobs::resume))
        .route("/consumers/{category}", post(act::consumer))
        .route("/expectations", get(expectations::page))
        .route("/endpoints", get(endpoints::page))
        .route("/endpoints/test", post(endpoints::test))
        .route("/endpoints/rotate", post(endpoints::rotate))
        .route("/alerts", get(alerts::page))
        .route("/alerts/subscribe", post(alerts::subscribe))
        .route("/alerts/test", post(alerts::test))
        .route("/help", get(help::page))
        .route("/reference", get(help::reference))
        .merge(calls::router());
    Router::new().route("/", get(|| async { Redirect::to(BASE) })).nest(BASE, pages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_pages_have_the_same_path() {
        let _ = router().merge(crate::api::router());
    }

    #[test]
    fn what_is_said_is_a_sentence() {
        assert_eq!(sentence("could not read the ledger"), "Could not read the ledger.");
        assert_eq!(sentence("Done."), "Done.");
    }
}
