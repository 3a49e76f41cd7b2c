//! The checks that OpenAI makes of what manages endpoints.

use axum::http::Uri;
use serde_json::{Map, Value};

use super::managed::Change;
use super::samples::EVENT_TYPES;
use crate::errors::ApiError;

const MAX_NAME: usize = 256;
const MAX_URL: usize = 2048;

type Request = Map<String, Value>;

/// The request's body. Without any, an empty one.
pub(super) fn object(body: &[u8]) -> Result<Request, ApiError> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(request)) => Ok(request),
        _ if body.is_empty() => Ok(Request::new()),
        _ => Err(ApiError::invalid("We could not parse the JSON body of your request.")),
    }
}

pub(super) fn required<T>(name: &'static str, given: Option<T>) -> Result<T, ApiError> {
    given.ok_or_else(|| ApiError::missing_parameter(name))
}

pub(super) fn change(request: &Request) -> Result<Change, ApiError> {
    Ok(Change { name: name(request)?, url: url(request)?, event_types: event_types(request)? })
}

pub(super) fn keep_old(request: &Request) -> Result<bool, ApiError> {
    const NAME: &str = "keep_old_secret_active_for_24_hours";
    let keep = request.get(NAME).map(|keep| keep.as_bool().ok_or_else(|| ApiError::invalid_type(NAME, "a boolean")));
    Ok(keep.transpose()?.unwrap_or_default())
}

pub(super) fn event_type(request: &Request) -> Result<&str, ApiError> {
    const NAME: &str = "event_type";
    let event_type = required(NAME, text(request, NAME)?)?;
    known(NAME, event_type).map(|()| event_type)
}

fn name(request: &Request) -> Result<Option<String>, ApiError> {
    let name = text(request, "name")?;
    if name == Some("") {
        return Err(ApiError::invalid(
            "Invalid 'name': empty string. Expected a string with minimum length 1, but got an empty string instead.",
        )
        .param("name")
        .code("empty_string"));
    }
    name.map(|name| bounded("name", name, MAX_NAME).map(|()| name.to_owned())).transpose()
}

/// OpenAI takes https:// only. Deliveries from here go over http://, so that passes, too.
fn url(request: &Request) -> Result<Option<String>, ApiError> {
    let Some(url) = text(request, "url")? else { return Ok(None) };
    bounded("url", url, MAX_URL)?;
    match url.parse::<Uri>() {
        Ok(parsed) if matches!(parsed.scheme_str(), Some("https" | "http")) && parsed.host() != Some("") => {
            Ok(Some(url.to_owned()))
        }
        _ => Err(ApiError::invalid_value("url", "Invalid 'url': expected an HTTPS URL.")),
    }
}

fn event_types(request: &Request) -> Result<Option<Vec<String>>, ApiError> {
    const NAME: &str = "event_types";
    let invalid_type = || ApiError::invalid_type(NAME, "an array of strings");
    let Some(given) = request.get(NAME) else { return Ok(None) };
    let given = given.as_array().ok_or_else(invalid_type)?;
    if given.is_empty() {
        return Err(ApiError::invalid(
            "Invalid 'event_types': empty array. Expected an array with minimum length 1, but got an empty array \
             instead.",
        )
        .param(NAME)
        .code("empty_array"));
    }
    let mut event_types = Vec::with_capacity(given.len());
    for event_type in given {
        let event_type = event_type.as_str().ok_or_else(invalid_type)?.to_owned();
        known(NAME, &event_type)?;
        if event_types.contains(&event_type) {
            return Err(ApiError::invalid_value(NAME, format!("Invalid 'event_types': '{event_type}' is repeated.")));
        }
        event_types.push(event_type);
    }
    Ok(Some(event_types))
}

fn text<'a>(request: &'a Request, name: &'static str) -> Result<Option<&'a str>, ApiError> {
    let text = request.get(name).map(|text| text.as_str().ok_or_else(|| ApiError::invalid_type(name, "a string")));
    text.transpose()
}

fn bounded(name: &'static str, text: &str, most: usize) -> Result<(), ApiError> {
    let length = text.chars().count();
    if length <= most {
        return Ok(());
    }
    Err(ApiError::invalid(format!(
        "Invalid '{name}': string too long. Expected a string with maximum length {most}, but got a string with length \
         {length} instead."
    ))
    .param(name)
    .code("string_above_max_length"))
}

fn known(name: &'static str, event_type: &str) -> Result<(), ApiError> {
    if EVENT_TYPES.contains(&event_type) {
        return Ok(());
    }
    let all: Vec<String> = EVENT_TYPES.iter().map(|known| format!("'{known}'")).collect();
    let message = format!("Invalid value: '{event_type}'. Supported values are: {}.", all.join(", "));
    Err(ApiError::invalid_value(name, message))
}
