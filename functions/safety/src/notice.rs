//! The notices there are, and how bad each is.

use hooks_consumer::{Event, Severity};
use hooks_openai::{SafetyAlert, SafetyCase};
use hooks_webhook::EventData;

/// What a notice is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// A model did something in one of the project's requests.
    Alert,
    /// The same in a workspace of `ChatGPT`.
    OrgAlert,
    /// A warning or a deactivation, issued for a safety identifier.
    Case,
    /// A blocked safety identifier. The event says it all.
    Identifier,
    /// Nobody has seen such a notice yet.
    Unknown,
}

/// What was retrieved.
pub(crate) enum Object {
    Alert(SafetyAlert),
    Case(SafetyCase),
}

impl Subject {
    /// By the type, or for types that nobody has seen yet by the id.
    pub(crate) fn of(event: &Event) -> Self {
        let id = event.object_id().unwrap_or_default();
        match (event.event_type.as_str(), &event.data) {
            ("safety.alert.created", _) => Self::Alert,
            ("safety.org_alert.created", _) => Self::OrgAlert,
            ("safety.warning_issued" | "safety.deactivation_issued", _) => Self::Case,
            (_, EventData::SafetyIdentifier { .. }) => Self::Identifier,
            _ if id.starts_with("alert_") => Self::Alert,
            _ if id.starts_with("C-") => Self::Case,
            _ => Self::Unknown,
        }
    }

    /// What people call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Alert => "safety alert",
            Self::OrgAlert => "workspace safety alert",
            Self::Case => "safety case",
            Self::Identifier => "blocked safety identifier",
            Self::Unknown => "safety notice",
        }
    }

    /// What the API key needs to read it.
    pub(crate) fn permission(self) -> &'static str {
        match self {
            Self::Case => {
                "the permission api.safety.read, and it must be a key of the organization that got the notice"
            }
            Self::OrgAlert => {
                "to be another one: alerts of ChatGPT workspaces are read at https://api.chatgpt.com with an admin key \
                 that has the permission chatgpt.enterprise.safety_alerts.read, not with a project's key"
            }
            _ => "the permission api.safety.alerts.read, and it must be a key of the project that got the alert",
        }
    }
}

/// A deactivation takes a user's access away, and behind an alert a model may have moved or deleted data: both are
/// somebody's to look at now, and a paused request proves nothing about what was done before. A warning and a blocked
/// identifier leave the application as it is.
pub(crate) fn severity(event: &Event, subject: Subject, object: Option<&Object>) -> Severity {
    let deactivated = event.event_type == "safety.deactivation_issued"
        || matches!(object, Some(Object::Case(case)) if case.notice.as_deref() == Some("deactivation"));
    match subject {
        Subject::Alert | Subject::OrgAlert => Severity::Critical,
        _ if deactivated => Severity::Critical,
        _ => Severity::Warning,
    }
}
