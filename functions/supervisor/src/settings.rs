//! Settings of a session's supervision: the `supervise` object of the policy's rule that accepted the call.
//!
//! The policy is checked where it is stored; here every field that is missing or cannot be read has its default, because a
//! caller is on the line.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

/// Longest time for which a tool may run, in seconds. It must end within the time of a hand-over.
const MAX_SECONDS: u64 = 60;

/// Settings of a session's supervision.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Settings {
    /// What the model says first.
    pub(crate) greeting: Option<String>,
    pub(crate) tools: Vec<Tool>,
    pub(crate) limits: Limits,
    /// Whether the session's recording is kept, which OpenAI stores if the session has `store`.
    pub(crate) recording: bool,
}

/// Limits of a session. What is absent has no limit.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Limits {
    /// Seconds after which the call is ended.
    pub(crate) maximum_seconds: Option<u64>,
    /// Seconds without a word or a key, from either side, after which the caller is asked.
    pub(crate) idle_seconds: Option<u64>,
    /// What the caller is asked then. The call is ended after as long again.
    pub(crate) idle_warning: Option<String>,
    /// Dollars that the session may cost by `prices`.
    pub(crate) cost_usd: Option<f64>,
    pub(crate) prices: Prices,
    /// What is said before a limit ends the call.
    pub(crate) farewell: Option<String>,
}

/// Prices in dollars. They are the team's own figures: OpenAI tells a session its usage, not its cost.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Prices {
    pub(crate) minute: f64,
    pub(crate) million_input_tokens: f64,
    pub(crate) million_output_tokens: f64,
}

/// A tool that the model may call.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Tool {
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) kind: ToolKind,
    /// Seconds for which a tool may run.
    #[serde(default)]
    timeout_seconds: Option<u64>,
    /// What the caller hears while it is slow.
    #[serde(default)]
    pub(crate) wait_message: Option<String>,
    /// Whether it may be run again under the same idempotency key when it is not known whether it was run.
    #[serde(default)]
    pub(crate) idempotent: bool,
}

/// What a tool does.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ToolKind {
    /// Invokes this Lambda function, by name or ARN.
    Lambda(String),
    /// Posts to this URL, signed by Standard Webhooks.
    Https(String),
    HangUp(Map<String, Value>),
    Transfer(Transfer),
    CollectDigits(Digits),
    LookUp(LookUp),
    LeaveNote(Map<String, Value>),
}

/// Transfer of the caller.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Transfer {
    /// Targets by the name that the model gives: `tel:` or `sip:` URIs.
    pub(crate) targets: std::collections::BTreeMap<String, String>,
    /// Seconds in which the session must have ended; after them the transfer has failed.
    check_seconds: Option<u64>,
    /// Second target, tried once when the first has failed.
    pub(crate) fallback: Option<String>,
}

/// Digits that the caller enters.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Digits {
    /// Number of digits that are enough.
    pub(crate) length: Option<usize>,
    /// Seconds for all of them.
    timeout_seconds: Option<u64>,
}

/// Look-up of a number in a table of the team's.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct LookUp {
    /// Name of the `DynamoDB` table.
    pub(crate) table: String,
    /// Name of its partition key, whose type is string.
    pub(crate) key: String,
}

impl Settings {
    /// Reads the settings in a session's record. Unusable ones are the defaults: the session is still recorded.
    pub(crate) fn read(json: &str) -> Self {
        serde_json::from_str(json).unwrap_or_else(|error| {
            tracing::error!(line = error.line(), column = error.column(), "the settings of the session cannot be read");
            Self::default()
        })
    }

    pub(crate) fn tool(&self, name: &str) -> Option<&Tool> {
        self.tools.iter().find(|tool| tool.name == name)
    }
}

impl Tool {
    /// Time for which it may run.
    pub(crate) fn timeout(&self) -> Duration {
        let usual = match &self.kind {
            ToolKind::CollectDigits(digits) => digits.timeout().as_secs() + 1,
            ToolKind::Transfer(transfer) => transfer.check().as_secs() * 2 + 10,
            _ => 10,
        };
        Duration::from_secs(self.timeout_seconds.unwrap_or(usual).clamp(1, MAX_SECONDS))
    }
}

impl Transfer {
    pub(crate) fn check(&self) -> Duration {
        Duration::from_secs(self.check_seconds.unwrap_or(8).clamp(1, 20))
    }
}

impl Digits {
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds.unwrap_or(30).clamp(1, MAX_SECONDS - 1))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_are_read_with_defaults() {
        let settings = Settings::read(
            &json!({
                "greeting": "Hello",
                "tools": [
                    {"name": "orders", "lambda": "orders", "timeout_seconds": 4, "description": "Looks up orders"},
                    {"name": "bye", "hang_up": {}},
                    {"name": "operator", "transfer": {"targets": {"sales": "tel:+49301234567"}}},
                    {"name": "pin", "collect_digits": {"length": 4, "timeout_seconds": 20}},
                ],
                "limits": {"maximum_seconds": 60},
            })
            .to_string(),
        );
        assert_eq!(settings.greeting.as_deref(), Some("Hello"));
        let seconds: Vec<_> = settings.tools.iter().map(|tool| tool.timeout().as_secs()).collect();
        assert_eq!(seconds, [4, 10, 26, 21]);
        assert!(settings.tool("other").is_none());
        assert_eq!(settings.limits.maximum_seconds, Some(60));
    }

    #[test]
    fn settings_that_cannot_be_read_are_the_defaults() {
        for json in ["", "[]", "7", r#"{"tools": [{"name": "x"}]}"#, r#"{"greeting": {}}"#] {
            assert!(Settings::read(json).tools.is_empty(), "{json}");
        }
    }
}
