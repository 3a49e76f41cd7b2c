//! Errors in OpenAI's format, and the plainer ones of the control API.

use axum::Json;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// An error as OpenAI answers it: `{"error": {"message", "type", "param", "code"}}`.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    message: String,
    kind: &'static str,
    param: Option<&'static str>,
    code: Option<&'static str>,
}

impl ApiError {
    fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), kind, param: None, code: None }
    }

    /// 400: a request that OpenAI refuses as sent.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", message)
    }

    /// 404: an object that does not exist or belongs to another project; OpenAI makes no difference.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "invalid_request_error", message)
    }

    pub(crate) fn missing_parameter(name: &'static str) -> Self {
        Self::invalid(format!("Missing required parameter: '{name}'.")).param(name).code("missing_required_parameter")
    }

    pub(crate) fn invalid_type(name: &'static str, expected: &str) -> Self {
        Self::invalid(format!("Invalid type for '{name}': expected {expected}.")).param(name).code("invalid_type")
    }

    /// 403: a key without the permission.
    pub(crate) fn missing_scope(scope: &str) -> Self {
        let message = format!("You have insufficient permissions for this operation. Missing scopes: {scope}.");
        Self::new(StatusCode::FORBIDDEN, "invalid_request_error", message).code("missing_scope")
    }

    /// A value that is not one of `allowed`.
    pub(crate) fn unsupported_value(name: &'static str, given: &str, allowed: &[&str]) -> Self {
        let allowed: Vec<String> = allowed.iter().map(|value| format!("'{value}'")).collect();
        let message = format!("Invalid value: '{given}'. Supported values are: {}.", allowed.join(", "));
        Self::invalid_value(name, message)
    }

    pub(crate) fn invalid_value(name: &'static str, message: impl Into<String>) -> Self {
        Self::invalid(message).param(name).code("invalid_value")
    }

    /// OpenAI's usual error with this status, for errors that are played on command.
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

    /// 429 that does not pass by waiting.
    pub(crate) fn insufficient_quota() -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "insufficient_quota",
            "You exceeded your current quota, please check your plan and billing details.",
        )
        .code("insufficient_quota")
    }

    pub(crate) fn param(mut self, name: &'static str) -> Self {
        self.param = Some(name);
        self
    }

    pub(crate) fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    pub(crate) fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// The body alone, as a batch's error file has it.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        let Self { message, kind, param, code, .. } = self;
        json!({ "error": { "message": message, "type": kind, "param": param, "code": code } })
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, Json(self.to_json())).into_response()
    }
}

/// OpenAI's answer to an unknown URL, or to a known one with an unknown method.
pub(crate) async fn unknown_url(method: Method, uri: Uri) -> ApiError {
    ApiError::not_found(format!("Invalid URL ({method} {})", uri.path()))
}

/// A refused command: `{"error": "what to do"}`.
#[derive(Debug)]
pub(crate) struct ControlError {
    status: StatusCode,
    message: String,
}

impl ControlError {
    /// 400: the command itself is wrong.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message: message.into() }
    }

    /// 404: the command names something that does not exist.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, message: message.into() }
    }

    /// 409: the command does not fit the present state.
    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self { status: StatusCode::CONFLICT, message: message.into() }
    }
}

impl IntoResponse for ControlError {
    fn into_response(self) -> Response {
        (self.status, Json(json!({ "error": self.message }))).into_response()
    }
}

impl From<ApiError> for ControlError {
    fn from(error: ApiError) -> Self {
        Self { status: error.status, message: error.message }
    }
}

/// The `error` of an object that failed.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ObjectError {
    pub(crate) code: String,
    #[serde(default)]
    pub(crate) message: String,
}

impl ObjectError {
    pub(crate) fn new(code: &str, message: &str) -> Self {
        Self { code: code.to_owned(), message: message.to_owned() }
    }
}

pub(crate) async fn unknown_command(method: Method, uri: Uri) -> ControlError {
    ControlError::not_found(format!("no command {method} /_control{}; see infra/local/openai/README.md", uri.path()))
}
