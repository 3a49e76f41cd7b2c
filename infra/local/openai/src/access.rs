//! Who may call, and what every answer of OpenAI carries.

use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::app::Shared;
use crate::errors::ApiError;
use crate::ids::hex_id;

/// Lets only the configured API key through.
pub(crate) async fn check_key(State(app): State<Shared>, request: Request, next: Next) -> Response {
    let given = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    match given.and_then(|value| value.strip_prefix("Bearer ")) {
        Some(key) if key == app.api_key => next.run(request).await,
        Some(_) => ApiError::of_status(StatusCode::UNAUTHORIZED).into_response(),
        None => ApiError::invalid(
            "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer \
             auth (i.e. Authorization: Bearer YOUR_KEY).",
        )
        .status(StatusCode::UNAUTHORIZED)
        .into_response(),
    }
}

/// Adds the headers that OpenAI sends with every answer, good or bad.
pub(crate) async fn add_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&hex_id("req_")) {
        headers.insert("x-request-id", id);
    }
    headers.insert("openai-version", HeaderValue::from_static("2020-10-01"));
    headers.insert("openai-processing-ms", HeaderValue::from_static("1"));
    response
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use crate::testing::Server;

    #[tokio::test]
    async fn a_wrong_key_is_refused_in_openai_s_shape() {
        let server = Server::start().await;
        let answer = server.request("GET", "/v1/files").bearer(Some("sk-other")).send().await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert_eq!(answer.json()["error"]["code"], "invalid_api_key");
    }

    #[tokio::test]
    async fn a_missing_key_is_refused_in_openai_s_shape() {
        let server = Server::start().await;
        let answer = server.request("GET", "/v1/files").bearer(None).send().await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert_eq!(answer.json()["error"]["type"], "invalid_request_error");
    }

    #[tokio::test]
    async fn every_answer_has_a_request_id_of_its_own() {
        let server = Server::start().await;
        let good = server.get("/v1/files").await;
        let bad = server.request("GET", "/v1/files").bearer(None).send().await;
        assert!(good.headers["x-request-id"].to_str().unwrap().starts_with("req_"));
        assert_ne!(good.headers["x-request-id"], bad.headers["x-request-id"]);
    }

    #[tokio::test]
    async fn an_unknown_url_is_not_found_in_openai_s_words() {
        let answer = Server::start().await.get("/v1/nothing").await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        assert_eq!(answer.json()["error"]["message"], "Invalid URL (GET /v1/nothing)");
    }
}
