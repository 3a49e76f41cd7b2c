//! Refusals: problem details (RFC 9457) for programs, a page for people.

use std::collections::BTreeMap;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::openapi::{Content, Ref, RefOr, Response as Described, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};

use crate::{Failure, FailureKind};

/// What an operation answers that fails, for the API's document.
pub(crate) fn problem_responses<T: ToSchema>() -> BTreeMap<String, RefOr<Described>> {
    let content = Content::new(Some(Ref::from_schema_name(T::name())));
    let problem = ResponseBuilder::new().description("A problem").content("application/problem+json", content).build();
    ["4XX", "5XX"].map(|statuses| (statuses.to_owned(), problem.clone().into())).into()
}

/// Problem details (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// Status code.
    pub status: u16,
    /// The status in words.
    pub title: String,
    /// Short code of the reason, such as `not_found`.
    pub reason: String,
    /// What happened.
    pub detail: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, reason: &str, detail: impl Into<String>) -> Self {
        Self {
            status: status.as_u16(),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            reason: reason.to_owned(),
            detail: detail.into(),
            next: None,
        }
    }

    #[must_use]
    pub(crate) fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("There is no {what}."))
    }

    pub(crate) fn bad_request(reason: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason, detail)
    }

    pub(crate) fn code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl IntoResponses for Problem {
    fn responses() -> BTreeMap<String, RefOr<Described>> {
        problem_responses::<Self>()
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        let (status, reason) = match failure.kind {
            FailureKind::Failed => (StatusCode::NOT_FOUND, "missing"),
            FailureKind::Usage => (StatusCode::BAD_REQUEST, "unusable"),
            FailureKind::Service => (StatusCode::FAILED_DEPENDENCY, "service_unavailable"),
        };
        Self { next: failure.hint, ..Self::new(status, reason, failure.message) }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_string(&self).unwrap_or_default();
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json")),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        ];
        (self.code(), headers, body).into_response()
    }
}
