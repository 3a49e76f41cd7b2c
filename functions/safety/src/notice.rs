//! The kinds of safety notices, and their severity.

use hooks_consumer::{Event, EventData, Severity};
use hooks_openai::{SafetyAlert, SafetyCase};

/// The subject of a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// An alert about a model's activity in a request of the project.
    Alert,
    /// An alert about a model's activity in a `ChatGPT` workspace.
    OrgAlert,
    /// A warning or a deactivation for a safety identifier.
    Case,
    /// A blocked safety identifier. The event has all its data.
    Identifier,
    /// A notice of an unknown type.
    Unknown,
}

/// The retrieved object of a notice.
pub(crate) enum Object {
    Alert(SafetyAlert),
    Case(SafetyCase),
}

impl Subject {
    /// By the event type, and for unknown types by the object's id.
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

    /// The subject's name in messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Alert => "safety alert",
            Self::OrgAlert => "workspace safety alert",
            Self::Case => "safety case",
            Self::Identifier => "blocked safety identifier",
            Self::Unknown => "safety notice",
        }
    }

    /// The permission that the API key needs to read the object.
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

/// Critical for an alert, since a model may have moved or deleted data (also before OpenAI paused its request), and for
/// a deactivation, which ends a user's access. A warning and a blocked identifier do not change the application.
pub(crate) fn severity(event: &Event, subject: Subject, object: Option<&Object>) -> Severity {
    let deactivated = event.event_type == "safety.deactivation_issued"
        || matches!(object, Some(Object::Case(case)) if case.notice.as_deref() == Some("deactivation"));
    match subject {
        Subject::Alert | Subject::OrgAlert => Severity::Critical,
        _ if deactivated => Severity::Critical,
        _ => Severity::Warning,
    }
}
