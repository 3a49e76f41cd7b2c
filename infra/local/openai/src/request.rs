//! The JSON body of a request to `/v1`, and OpenAI's checks of its parameters.

use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use serde_json::{Map, Value};

use crate::errors::ApiError;

const MAX_METADATA: usize = 16;
const MAX_METADATA_KEY: usize = 64;
const MAX_METADATA_VALUE: usize = 512;

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
