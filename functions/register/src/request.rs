//! Requests of CloudFormation.

use serde_json::Value;

use crate::error::RegistrationError;

/// Longest property, in bytes: OpenAI takes URLs of 2048 characters.
const MAX_TEXT: usize = 2048;

/// More event types than OpenAI has.
const MAX_EVENT_TYPES: usize = 200;

/// A request. Missing fields are empty: whatever it is, it must be answered.
pub(crate) struct Request {
    /// `Create`, `Update` or `Delete`.
    pub(crate) kind: String,
    /// The id in an earlier answer. CloudFormation makes one up where no answer came.
    pub(crate) physical_id: Option<String>,
    properties: Value,
    old_properties: Value,
}

/// The endpoint as the template describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DesiredEndpoint {
    pub(crate) name: String,
    pub(crate) url: String,
    /// Empty for the default: all that OpenAI offers, with few exceptions.
    pub(crate) event_types: Vec<String>,
    /// The ARN of the secret to store the signing secret in.
    pub(crate) signing_secret: String,
}

impl Request {
    pub(crate) fn new(event: &Value) -> Self {
        Self {
            kind: text(event, "RequestType").to_owned(),
            physical_id: Some(text(event, "PhysicalResourceId").to_owned()).filter(|id| !id.is_empty()),
            properties: event["ResourceProperties"].clone(),
            old_properties: event["OldResourceProperties"].clone(),
        }
    }

    /// The endpoint as it should be.
    pub(crate) fn desired(&self) -> Result<DesiredEndpoint, RegistrationError> {
        DesiredEndpoint::of(&self.properties)
    }

    /// The endpoint as the template had it before an update.
    pub(crate) fn desired_before(&self) -> Result<DesiredEndpoint, RegistrationError> {
        DesiredEndpoint::of(&self.old_properties)
    }
}

impl DesiredEndpoint {
    fn of(properties: &Value) -> Result<Self, RegistrationError> {
        let bounded = |name| match text(properties, name) {
            long if long.len() > MAX_TEXT => Err(RegistrationError::Property(name, "is too long")),
            text => Ok(text.to_owned()),
        };
        let required = |name| match bounded(name) {
            Ok(text) if text.is_empty() => Err(RegistrationError::Property(name, "is missing")),
            text => text,
        };
        let (name, url, signing_secret) = (required("Name")?, required("Url")?, required("SigningSecretArn")?);
        let mut event_types: Vec<String> = Vec::new();
        for event_type in text(properties, "EventTypes").split(',').map(str::trim).filter(|name| !name.is_empty()) {
            if event_types.len() == MAX_EVENT_TYPES || event_type.len() > MAX_TEXT {
                return Err(RegistrationError::Property("EventTypes", "is too long"));
            }
            if !event_types.iter().any(|known| known == event_type) {
                event_types.push(event_type.to_owned());
            }
        }
        Ok(Self { name, url, event_types, signing_secret })
    }
}

/// A text field; empty if it is missing.
pub(crate) fn text<'a>(object: &'a Value, name: &str) -> &'a str {
    object[name].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn desired(event_types: &Value) -> Result<DesiredEndpoint, RegistrationError> {
        let properties = json!({"Name": "n", "Url": "https://u", "SigningSecretArn": "arn", "EventTypes": event_types});
        Request::new(&json!({ "ResourceProperties": properties })).desired()
    }

    #[test]
    fn event_types_are_a_list_with_commas_and_each_counts_once() {
        let list = "batch.completed, batch.failed,,batch.completed ";
        assert_eq!(desired(&list.into()).unwrap().event_types, ["batch.completed", "batch.failed"]);
        for all in [json!(""), json!(" "), Value::Null, json!(7)] {
            assert_eq!(desired(&all).unwrap().event_types, [""; 0], "{all}");
        }
    }

    #[test]
    fn what_is_missing_or_too_long_is_named() {
        let fault = |properties: Value| {
            let request = Request::new(&json!({ "ResourceProperties": properties }));
            request.desired().unwrap_err().to_string()
        };
        assert!(fault(json!({"Name": "n", "Url": ""})).contains("Url is missing"));
        assert!(fault(json!({"Name": "n".repeat(2049)})).contains("Name is too long"));
        assert!(fault(json!(7)).contains("Name is missing"));
        let many: Vec<String> = (0..201).map(|number| format!("type.{number}")).collect();
        let fault = desired(&many.join(",").into()).unwrap_err().to_string();
        assert!(fault.contains("EventTypes is too long"), "{fault}");
    }
}
