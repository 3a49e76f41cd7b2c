//! The body of a request to `/v1`: read in time, as JSON, and with OpenAI's checks of its parameters.

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_LENGTH;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde_json::{Map, Value};

use crate::errors::ApiError;

const READ_FIRST_BYTES: usize = 1 << 20;
const MAX_METADATA: usize = 16;
const MAX_METADATA_KEY: usize = 64;
const MAX_METADATA_VALUE: usize = 512;

/// Reads a body of up to 1 MiB before anybody answers. A server that answers before a body has come closes the connection
/// after it, and the client's next request fails.
pub(crate) async fn read_first(request: Request, next: Next) -> Response {
    let length = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if length.is_none_or(|length: usize| length > READ_FIRST_BYTES) {
        return next.run(request).await;
    }
    let (head, body) = request.into_parts();
    match to_bytes(body, READ_FIRST_BYTES).await {
        Ok(bytes) => next.run(Request::from_parts(head, Body::from(bytes))).await,
        Err(error) => ApiError::invalid(error.to_string()).into_response(),
    }
}

/// A request's JSON object; an empty body is an empty object. A parameter that is `null` counts as not given.
pub(crate) struct RequestBody(pub(crate) Map<String, Value>);

impl<S: Send + Sync> FromRequest<S> for RequestBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let body = Bytes::from_request(request, state).await;
        let body = body.map_err(|error| ApiError::invalid(error.body_text()).status(error.status()))?;
        match serde_json::from_slice(&body) {
            Ok(Value::Object(parameters)) => Ok(Self(parameters)),
            _ if body.is_empty() => Ok(Self(Map::new())),
            _ => Err(ApiError::invalid("We could not parse the JSON body of your request.")),
        }
    }
}

impl RequestBody {
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    pub(crate) fn required(&self, name: &'static str) -> Result<&Value, ApiError> {
        self.get(name).ok_or_else(|| ApiError::missing_parameter(name))
    }

    pub(crate) fn text(&self, name: &'static str) -> Result<Option<&str>, ApiError> {
        let text = |value| Value::as_str(value).ok_or_else(|| ApiError::invalid_type(name, "a string"));
        self.get(name).map(text).transpose()
    }

    pub(crate) fn required_text(&self, name: &'static str) -> Result<&str, ApiError> {
        self.text(name)?.ok_or_else(|| ApiError::missing_parameter(name))
    }

    pub(crate) fn flag(&self, name: &'static str, default: bool) -> Result<bool, ApiError> {
        let flag = |value: &Value| value.as_bool().ok_or_else(|| ApiError::invalid_type(name, "a boolean"));
        self.get(name).map_or(Ok(default), flag)
    }

    /// `metadata`, which many of OpenAI's objects have.
    pub(crate) fn metadata(&self) -> Result<Option<&Value>, ApiError> {
        let refuse = |message| Err(ApiError::invalid_value("metadata", message));
        let Some(metadata) = self.get("metadata") else { return Ok(None) };
        let Some(pairs) = metadata.as_object() else { return refuse("Invalid 'metadata': expected an object.") };
        if pairs.len() > MAX_METADATA {
            return refuse("Invalid 'metadata': too many properties; at most 16 are allowed.");
        }
        for (key, value) in pairs {
            let Value::String(value) = value else { return refuse("Invalid 'metadata': values must be strings.") };
            if key.chars().count() > MAX_METADATA_KEY || value.chars().count() > MAX_METADATA_VALUE {
                return refuse("Invalid 'metadata': keys have at most 64 characters, values at most 512.");
            }
        }
        Ok(Some(metadata))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use crate::testing::Server;

    #[tokio::test]
    async fn a_connection_outlives_a_refusal_whose_body_comes_late() {
        let server = Server::start().await;
        let mut connection = TcpStream::connect(server.address).await.unwrap();
        for _ in 0..2 {
            let head = "POST /v1/webhook_endpoints HTTP/1.1\r\nHost: stand-in\r\nAuthorization: Bearer sk-unknown\r\n\
                        Content-Length: 2\r\n\r\n";
            connection.write_all(head.as_bytes()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
            connection.write_all(b"{}").await.unwrap();
            let mut buffer = [0; 4096];
            let length = connection.read(&mut buffer).await.unwrap();
            assert!(buffer[..length].starts_with(b"HTTP/1.1 401"));
        }
    }
}
