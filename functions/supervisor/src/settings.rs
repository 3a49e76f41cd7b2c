//! Settings of a session's supervision: the `supervise` object of the policy's rule that accepted the call.

use std::time::Duration;

use hooks_policy::{BuiltIn, LookUp, Supervise, Tool};

/// Longest time for which a tool may run, with all attempts. It must end within the time of a hand-over.
const MAX_TIME: Duration = Duration::from_secs(70);

/// Usual time of a built-in tool.
const USUAL_TIME: Duration = Duration::from_secs(10);

/// Time for which a caller may enter digits.
pub(crate) const DIGITS_TIME: Duration = Duration::from_secs(30);

/// Longest time for which a transfer is checked.
const MAX_CHECK: Duration = Duration::from_secs(25);

/// A tool that the supervisor runs.
#[derive(Clone, Debug)]
pub(crate) enum ToolKind {
    /// The team's own.
    Own(Tool),
    LookUp(LookUp),
    LeaveNote,
    HangUp,
    Transfer,
    CollectDigits,
}

/// Reads the settings in a session's record. Unusable ones are the defaults: the session is recorded all the same.
pub(crate) fn read(json: &str) -> Supervise {
    serde_json::from_str(json).unwrap_or_else(|error| {
        tracing::error!(line = error.line(), column = error.column(), "the settings of the session cannot be read");
        Supervise::default()
    })
}

impl ToolKind {
    /// The tool of this name. `None`: the supervisor has none, and leaves the call to people.
    pub(crate) fn named(name: &str, settings: &Supervise) -> Option<Self> {
        if let Some(tool) = settings.tools.iter().find(|tool| tool.name == name) {
            return Some(Self::Own(tool.clone()));
        }
        Some(match settings.built_in.iter().find(|tool| tool.as_str() == name)? {
            BuiltIn::HangUp => Self::HangUp,
            BuiltIn::Transfer => Self::Transfer,
            BuiltIn::CollectDigits => Self::CollectDigits,
            BuiltIn::LookUp => Self::LookUp(settings.look_up.clone()?),
            BuiltIn::LeaveNote => Self::LeaveNote,
        })
    }

    /// Whether the session itself does it, and not a task beside it.
    pub(crate) const fn is_of_session(&self) -> bool {
        matches!(self, Self::HangUp | Self::Transfer | Self::CollectDigits)
    }

    /// Whether it may be run again, under the same idempotency key, when it is not known whether it was run.
    pub(crate) const fn may_repeat(&self) -> bool {
        match self {
            Self::Own(tool) => tool.retries > 0,
            Self::LookUp(_) => true,
            _ => false,
        }
    }

    /// What the caller hears while it is slow.
    pub(crate) fn while_slow(&self) -> &str {
        match self {
            Self::Own(tool) => &tool.while_slow,
            _ => "One moment, please.",
        }
    }

    /// Time of one attempt.
    pub(crate) fn attempt_time(&self) -> Duration {
        match self {
            Self::Own(tool) => Duration::from_secs(tool.timeout_seconds.into()).min(MAX_TIME),
            _ => USUAL_TIME,
        }
    }

    /// Number of attempts after the first one.
    pub(crate) const fn retries(&self) -> u32 {
        match self {
            Self::Own(tool) => tool.retries,
            _ => 0,
        }
    }

    /// Time for which it may run, with all attempts.
    pub(crate) fn time(&self, settings: &Supervise) -> Duration {
        match self {
            Self::CollectDigits => DIGITS_TIME + Duration::from_secs(1),
            Self::Transfer => check_time(settings) * 2 + USUAL_TIME,
            _ => (self.attempt_time() * (self.retries() + 1) + Duration::from_secs(2)).min(MAX_TIME),
        }
    }
}

/// Time after which a session that has not ended was not transferred.
pub(crate) fn check_time(settings: &Supervise) -> Duration {
    let seconds = settings.transfer.as_ref().map_or(0, |transfer| transfer.confirm_seconds);
    Duration::from_secs(seconds.into()).min(MAX_CHECK)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_are_those_of_the_policy() {
        let settings = read(
            &json!({
                "greeting": "Hello",
                "tools": [{"name": "orders", "lambda": "arn:aws:lambda:us-east-1:1:function:x", "timeout_seconds": 4, "retries": 1}],
                "built_in": ["hang_up", "transfer", "collect_digits"],
                "transfer": {"targets": [{"name": "sales", "target_uri": "tel:+49301234567"}], "confirm_seconds": 8},
                "limits": {"max_duration_seconds": 60},
            })
            .to_string(),
        );
        let seconds = |name: &str| ToolKind::named(name, &settings).map(|tool| tool.time(&settings).as_secs());
        assert_eq!(
            ["orders", "transfer", "collect_digits", "leave_note", "other"].map(seconds),
            [Some(10), Some(26), Some(31), None, None]
        );
        assert_eq!(settings.limits.max_duration_seconds, 60);
    }

    #[test]
    fn settings_that_cannot_be_read_are_the_defaults() {
        for json in ["", "[]", "7", r#"{"tools": [{"name": "x"}]}"#, r#"{"greeting": {}}"#] {
            assert_eq!(read(json), Supervise::default(), "{json}");
        }
    }
}
