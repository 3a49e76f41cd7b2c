//! Errors in OpenAI's shape, and the plainer ones of the control API.

use axum::Json;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// An error as OpenAI answers it: `{"error": {"message", "type", "param", "code"}}`.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    body: ErrorBody,
}

#[derive(Debug, Serialize)]
struct ErrorBody {
    message: String,
    r#type: &'static str,
    param: Option<&'static str>,
    code: Option<&'static str>,
}

impl ApiError {
    fn new(status: StatusCode, r#type: &'static str, message: impl Into<String>) -> Self {
        Self { status, body: ErrorBody { message: message.into(), r#type, param: None, code: None } }
    }

    /// A request that OpenAI refuses as sent.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", message)
    }

    /// An object that is not there, or not this project's: OpenAI makes no difference.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "invalid_request_error", message)
    }

    pub(crate) fn missing_parameter(name: &'static str) -> Self {
        Self::invalid(format!("Missing required parameter: '{name}'.")).param(name).code("missing_required_parameter")
    }

    pub(crate) fn invalid_type(name: &'static str, expected: &str) -> Self {
        Self::invalid(format!("Invalid type for '{name}': expected {expected}.")).param(name).code("invalid_type")
    }

    /// A key that may not do this.
    pub(crate) fn missing_scope(scope: &str) -> Self {
        let message = format!("You have insufficient permissions for this operation. Missing scopes: {scope}.");
        Self::new(StatusCode::FORBIDDEN, "invalid_request_error", message).code("missing_scope")
    }

    pub(crate) fn invalid_value(name: &'static str, message: impl Into<String>) -> Self {
        Self::invalid(message).param(name).code("invalid_value")
    }

    /// What OpenAI usually says with a status, for errors that are played on command.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        match status.as_u16() {
            401 => Self::new(status, "invalid_request_error", "Incorrect API key provided.").code("invalid_api_key"),
            403 => Self::missing_scope("api.files.read"),
            404 => Self::not_found("The requested resource was not found."),
            409 => Self::new(status, "invalid_request_error", "The resource was changed by another request."),
            429 => Self::new(status, "requests", "Rate limit reached for requests. Please try again later.")
                .code("rate_limit_exceeded"),
            500.. => Self::new(
                status,
                "server_error",
                "The server had an error while processing your request. Sorry about that!",
            ),
            _ => Self::new(status, "invalid_request_error", "The request was refused."),
        }
    }

    /// 429 that waiting doesn't mend.
    pub(crate) fn insufficient_quota() -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "insufficient_quota",
            "You exceeded your current quota, please check your plan and billing details.",
        )
        .code("insufficient_quota")
    }

    pub(crate) fn param(mut self, name: &'static str) -> Self {
        self.body.param = Some(name);
        self
    }

    pub(crate) fn code(mut self, code: &'static str) -> Self {
        self.body.code = Some(code);
        self
    }

    pub(crate) fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// The body without a response around it, as it stands in a batch's error file.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        json!({ "error": self.body })
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, Json(self.to_json())).into_response()
    }
}

/// OpenAI's answer to a URL that it doesn't know, or to a known one with another method.
pub(crate) async fn unknown_url(method: Method, uri: Uri) -> ApiError {
    ApiError::not_found(format!("Invalid URL ({method} {})", uri.path()))
}

/// A command that can't be carried out: `{"error": "what to do"}`.
#[derive(Debug)]
pub(crate) struct ControlError {
    status: StatusCode,
    message: String,
}

impl ControlError {
    /// The command itself is wrong.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message: message.into() }
    }

    /// The command names something that doesn't exist.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, message: message.into() }
    }

    /// The command doesn't fit the present state.
    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self { status: StatusCode::CONFLICT, message: message.into() }
    }
}

impl IntoResponse for ControlError {
    fn into_response(self) -> Response {
        (self.status, Json(json!({ "error": self.message }))).into_response()
    }
}

/// Why an object ended in failure, as its `error` says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Failure {
    code: String,
    #[serde(default)]
    message: String,
}

impl Failure {
    /// What a failure is unless told otherwise.
    pub(crate) fn of_server(message: &str) -> Self {
        Self { code: "server_error".to_owned(), message: message.to_owned() }
    }
}

pub(crate) async fn unknown_command(method: Method, uri: Uri) -> ControlError {
    ControlError::not_found(format!("no command {method} /_control{}; see infra/local/openai/README.md", uri.path()))
}
