//! The outcome and the alert for an environment.

use hooks_consumer::object::present;
use hooks_consumer::{Alert, Event, Outcome, Severity, text};
use hooks_openai::{AgentEnvironment, for_display};

/// The outcome for a retrieved environment, stored at `place`, without its artifact.
pub(crate) fn seen(environment: &AgentEnvironment, event: &Event, place: &str, as_of: i64) -> Outcome {
    let AgentEnvironment { id, status, kind, .. } = environment;
    let ended = matches!(status.as_str(), "failed" | "expired");
    // The end has an event of its own, which alerts people.
    let alerts = !matches!(event.event_type.as_str(), "agent.environment.ready" | "agent.environment.suspended");
    Outcome {
        object_id: Some(id.clone()),
        terminal: ended,
        summary: present([("object", Some("agent.environment")), ("environment_type", kind.as_deref())]),
        alert: (ended && alerts).then(|| unusable(environment, event, place)),
        ..Outcome::new(status.clone(), as_of)
    }
}

/// The alert for an environment that cannot be used any more.
fn unusable(environment: &AgentEnvironment, event: &Event, place: &str) -> Alert {
    let (id, status) = (for_display(&environment.id), for_display(&environment.status));
    let kind = environment.kind.as_deref().map_or_else(|| "environment".to_owned(), for_display);
    let (why, to_do) = match environment.status.as_str() {
        "expired" => (
            "It was not used for too long, and OpenAI deleted its snapshot. It cannot be resumed.",
            "Create a new environment, or let a new session create one. Files that were only in it are lost.",
        ),
        _ => (
            "OpenAI gives no reason. Its setup failed before a session used it.",
            "Check what it installs (packages, files, network access), then create it again.",
        ),
    };
    let created = text::moment(event.created_at);
    let message = format!(
        "Agent environment {id} is {status}.\n\n\
         What   {kind}\n\
         When   {created}\n\
         Why    {why}\n\
         To do  {to_do}\n\
         Where  {place}\n"
    );
    Alert { severity: Severity::Warning, subject: format!("Agent environment {id} is {status}"), message }
}
