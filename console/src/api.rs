//! The API: what the pages show and do, as JSON. The document is generated from these functions.

mod acts;
mod batches;
mod body;
mod calls;
mod dashboard;
mod events;
mod jobs;
mod objects;
mod session;
mod setup;

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::response::IntoResponse as _;
use axum::routing::get;
use serde::Serialize;
use utoipa::openapi::OpenApi as Document;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{OpenApi, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::console::App;
use crate::http::problem::Problem;

/// The document's frame.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Console of OpenAI's webhooks",
        description = "What the pages of the console show and do. Errors are problem details (RFC 9457). Lists are paged: \
                       `next` is the `before` of the next page.",
        version = "1"
    ),
    components(schemas(Problem, calls::types::CallProblem)),
    security(("session" = []))
)]
struct Frame;

/// A page of a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ListPage<T> {
    /// The entries, newest first.
    pub(crate) items: Vec<T>,
    /// `before` of the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<i64>,
}

fn open_api() -> (Router<Arc<App>>, Document) {
    let (router, mut document) = OpenApiRouter::with_openapi(Frame::openapi())
        .routes(routes!(dashboard::dashboard))
        .routes(routes!(events::list))
        .routes(routes!(events::one))
        .routes(routes!(batches::list, batches::submit))
        .routes(routes!(batches::one))
        .routes(routes!(batches::cancel))
        .routes(routes!(batches::retry))
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::one))
        .routes(routes!(jobs::resume))
        .routes(routes!(setup::models))
        .routes(routes!(setup::roll_back))
        .routes(routes!(setup::endpoints))
        .routes(routes!(setup::test))
        .routes(routes!(setup::rotate))
        .routes(routes!(setup::subscribe))
        .routes(routes!(setup::test_alert))
        .routes(routes!(setup::consumers))
        .routes(routes!(objects::list))
        .routes(routes!(objects::one))
        .routes(routes!(objects::expectations))
        .routes(routes!(objects::dead_letters))
        .routes(routes!(objects::alerts))
        .routes(routes!(acts::replay))
        .routes(routes!(acts::redrive))
        .routes(routes!(acts::purge))
        .routes(routes!(acts::consumer))
        .routes(routes!(session::sign_in))
        .merge(calls::router())
        .split_for_parts();
    let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    document.components.get_or_insert_default().add_security_scheme("session", scheme);
    (router, document)
}

/// The document, in `OpenAPI` 3.1.
pub(crate) fn document() -> Document {
    open_api().1
}

/// Method, path and summary of each operation.
pub(crate) fn paths(document: &Document) -> Vec<(&'static str, String, String)> {
    let mut all = Vec::new();
    for (path, item) in &document.paths.paths {
        for (method, operation) in [("GET", &item.get), ("POST", &item.post)] {
            if let Some(operation) = operation {
                all.push((method, path.clone(), operation.summary.clone().unwrap_or_default()));
            }
        }
    }
    all
}

pub(crate) fn router() -> Router<Arc<App>> {
    let serve = || async {
        match document().to_json() {
            Ok(text) => ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], text).into_response(),
            Err(error) => Problem::bad_request("no_document", error.to_string()).into_response(),
        }
    };
    open_api().0.route("/api/openapi.json", get(serve)).fallback(async || Problem::not_found("such page or path"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_openapi_3_1_and_names_every_operation() {
        let document = document();
        let text = document.to_json().unwrap();
        assert!(text.starts_with(r#"{"openapi":"3.1"#), "{}", &text[..40]);
        let all = paths(&document);
        assert!(all.iter().all(|(_, path, summary)| path.starts_with("/api/") && !summary.is_empty()), "{all:?}");
        assert_eq!(all.len(), 42);
    }
}
