//! Event types in filters.

use std::str::FromStr;

/// An event type, or a prefix with `*` at its end.
#[derive(Clone, Debug)]
pub(crate) struct EventTypePattern(String);

impl EventTypePattern {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn matches(&self, event_type: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(prefix) => event_type.starts_with(prefix),
            None => event_type == self.0,
        }
    }
}

impl FromStr for EventTypePattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            Err("an event type cannot be empty".to_owned())
        } else if text.strip_suffix('*').unwrap_or(text).contains('*') {
            Err("the `*` is not at its end; a prefix is written as `batch.*`".to_owned())
        } else {
            Ok(Self(text.to_owned()))
        }
    }
}
