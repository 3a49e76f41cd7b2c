//! `metadata`, which many of OpenAI's objects have.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::errors::ApiError;

const MAX_METADATA: usize = 16;
const MAX_METADATA_KEY: usize = 64;
const MAX_METADATA_VALUE: usize = 512;

/// Checks what a request gives as `metadata`.
pub(crate) fn metadata(given: Option<&Value>) -> Result<Option<BTreeMap<String, String>>, ApiError> {
    let refuse = |message| ApiError::invalid_value("metadata", message);
    let pairs = match given {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Object(pairs)) => pairs,
        Some(_) => return Err(refuse("Invalid 'metadata': expected an object.")),
    };
    if pairs.len() > MAX_METADATA {
        return Err(refuse("Invalid 'metadata': too many properties; at most 16 are allowed."));
    }
    let mut metadata = BTreeMap::new();
    for (key, value) in pairs {
        let Value::String(value) = value else { return Err(refuse("Invalid 'metadata': values must be strings.")) };
        if key.chars().count() > MAX_METADATA_KEY || value.chars().count() > MAX_METADATA_VALUE {
            return Err(refuse("Invalid 'metadata': keys have at most 64 characters, values at most 512."));
        }
        metadata.insert(key.clone(), value.clone());
    }
    Ok(Some(metadata))
}
