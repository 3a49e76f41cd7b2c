//! The outcome and the alerts for a session.

use std::collections::BTreeMap;

use hooks_consumer::object::{copied, counts, error_text, present, time_text};
use hooks_consumer::{Alert, Event, EventData, Outcome, Severity};
use hooks_openai::{AgentSession, AgentTurn, Json, for_display};
use serde_json::{Map, Value, json};

use crate::actions;

/// Maximum size of a field in the summary, in bytes of JSON. A larger field is in the artifact only.
const MAX_FIELD: usize = 8 * 1024;

/// Maximum number of decisions that one alert lists.
const MAX_LISTED: usize = 10;

/// The topic of a session's event. Each alert belongs to one topic, so a late event of another topic never repeats it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Topic {
    /// The session was created, or continues.
    Progress,
    /// The session waits for an action.
    Action,
    /// A turn has ended, successfully or not.
    Turn,
    /// The session has failed.
    Failure,
}

impl Topic {
    pub(crate) fn of(event_type: &str, status: &str) -> Self {
        match event_type {
            "agent.session.created" | "agent.session.in_progress" => Self::Progress,
            "agent.session.action_required" => Self::Action,
            "agent.session.idle" => Self::Turn,
            "agent.session.failed" => Self::Failure,
            // An unknown type has the topic of the session's status.
            _ => match status {
                "requires_action" => Self::Action,
                "idle" => Self::Turn,
                "failed" => Self::Failure,
                _ => Self::Progress,
            },
        }
    }
}

/// The outcome for a retrieved session, stored at `place`, without its artifact.
pub(crate) fn seen(
    session: &AgentSession,
    topic: Topic,
    last_turn: Option<&AgentTurn>,
    event: &Event,
    place: &str,
    as_of: i64,
) -> Outcome {
    let mut summary = summary(session, last_turn);
    let (mut note, mut alert, mut exact) = (None, None, BTreeMap::new());
    match topic {
        Topic::Progress => {}
        Topic::Action => {
            let announced = announced_action(event);
            let actions = session.required_actions();
            if !actions::is_listed(&actions, announced) {
                note = Some("the action is gone: the session does not list it any more".to_owned());
            }
            let published = actions::published(&actions);
            let plain = Json::of(published.actions.get().as_bytes()).value();
            summary.extend(present([("required_actions", plain)]));
            exact.insert("required_actions", published.actions.get().to_owned());
            if published.left_out > 0 {
                summary.insert("required_actions_left_out".to_owned(), published.left_out.into());
            }
            alert = waiting(session, actions::decisions(&actions, announced), place);
        }
        Topic::Turn => alert = last_turn.and_then(|turn| turn_failed(session, turn, place)),
        Topic::Failure => alert = failed(session, place),
    }
    let mut counts = counts(session.raw(), &["/usage/input_tokens", "/usage/output_tokens", "/usage/total_tokens"]);
    counts.insert("required_actions".to_owned(), session.required_actions().len().into());
    Outcome {
        object_id: Some(session.id.clone()),
        terminal: session.status == "failed",
        counts,
        times: present([("created_at", session.created_at), ("last_active_at", session.last_active_at)]),
        summary,
        exact,
        note,
        error: session.error.as_deref().map(for_display),
        alert,
        ..Outcome::new(session.status.clone(), as_of)
    }
}

/// The kind of action that the event announces.
fn announced_action(event: &Event) -> Option<&str> {
    match &event.data {
        EventData::AgentSession { required_action, .. } => required_action.as_deref(),
        _ => None,
    }
}

/// The fields that programs need without opening the artifact. None of them contains a URL to connect to.
fn summary(session: &AgentSession, last_turn: Option<&AgentTurn>) -> Map<String, Value> {
    let agent = session.raw().get("agent");
    let mut agent = agent.map(|agent| copied(agent, ["id", "name", "model"])).unwrap_or_default();
    agent.retain(|_, value| value.is_string());
    let last_turn = last_turn.map(|AgentTurn { id, status, error, .. }| {
        let error = error.as_ref().map(|(code, message)| json!({"code": code, "message": message}));
        json!({"id": id, "status": status, "error": error})
    });
    let text = |text: &Option<String>| text.as_deref().map(Value::from);
    let mut summary = present([
        ("environment_type", text(&session.environment_type)),
        ("environment_id", text(&session.environment_id)),
        ("agent", (!agent.is_empty()).then(|| agent.into())),
        ("last_turn", last_turn),
    ]);
    summary.extend(copied(session.raw(), ["metadata", "usage", "spend_control", "error"]));
    summary.retain(|_, value| value.to_string().len() <= MAX_FIELD);
    summary.insert("object".to_owned(), "agent.session".into());
    summary
}

/// The alert for a session that failed; `None` for any other status.
fn failed(session: &AgentSession, place: &str) -> Option<Alert> {
    if session.status != "failed" {
        return None;
    }
    let why = session.error.as_deref().map_or_else(|| "OpenAI gives no reason".to_owned(), for_display);
    let (id, what, active) = (for_display(&session.id), what(session), last_active(session));
    let message = format!(
        "Agent session {id} failed.\n\n\
         What   {what}\n\
         When   last active {active}\n\
         Why    {why}\n\
         To do  A failed session cannot continue. Remove the cause, and create a new session if you still need its \
         result.\n\
         Where  {place}\n"
    );
    Some(Alert { severity: Severity::Warning, subject: format!("Agent session {id} failed"), message })
}

/// The alert for a session whose last turn failed. It is idle and can continue.
fn turn_failed(session: &AgentSession, turn: &AgentTurn, place: &str) -> Option<Alert> {
    if turn.status != "failed" {
        return None;
    }
    let why = error_text(turn.error.as_ref().unwrap_or(&(None, None)));
    let (id, turn, what, active) =
        (for_display(&session.id), for_display(&turn.id), what(session), last_active(session));
    let message = format!(
        "The last turn of agent session {id} failed. The session is idle and takes new input.\n\n\
         What   turn {turn}, {what}\n\
         When   last active {active}\n\
         Why    {why}\n\
         To do  Remove the cause, then send the input again as a new message to the session.\n\
         Where  {place}\n"
    );
    Some(Alert { severity: Severity::Warning, subject: format!("A turn of agent session {id} failed"), message })
}

/// The alert for a session that waits for a person's decisions; `None` when it waits for none.
fn waiting(session: &AgentSession, mut decisions: Vec<String>, place: &str) -> Option<Alert> {
    if decisions.is_empty() {
        return None;
    }
    let (id, what, active) = (for_display(&session.id), what(session), last_active(session));
    if decisions.len() > MAX_LISTED {
        let more = decisions.len() - MAX_LISTED;
        decisions.truncate(MAX_LISTED);
        decisions.push(format!("and {more} more"));
    }
    let why = decisions.join("\n       ");
    let message = format!(
        "Agent session {id} waits for a decision and does nothing until then.\n\n\
         What   {what}\n\
         When   last active {active}\n\
         Why    {why}\n\
         To do  Decide in the application that runs the session. It sends the decision to OpenAI with the request_id.\n\
         Where  {place} (required_actions)\n"
    );
    Some(Alert { severity: Severity::Warning, subject: format!("Agent session {id} waits for a decision"), message })
}

/// The agent, and the environment that it works in.
fn what(session: &AgentSession) -> String {
    let text = |pointer: &str| session.raw().at(pointer).and_then(Json::text).map(|text| for_display(&text));
    let agent = text("/agent/name").or_else(|| text("/agent/id")).unwrap_or_else(|| "unknown".to_owned());
    let model = text("/agent/model").unwrap_or_else(|| "an unknown model".to_owned());
    let environment = session.environment_id.as_deref();
    let environment =
        environment.map_or_else(|| "no environment".to_owned(), |id| format!("environment {}", for_display(id)));
    format!("agent {agent} of {model}, {environment}")
}

fn last_active(session: &AgentSession) -> String {
    time_text(session.last_active_at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_type_has_a_topic_of_its_own_and_an_unknown_one_that_of_the_session() {
        assert_eq!(Topic::of("agent.session.in_progress", "failed"), Topic::Progress);
        assert_eq!(Topic::of("agent.session.action_required", "idle"), Topic::Action);
        assert_eq!(Topic::of("agent.session.idle", "in_progress"), Topic::Turn);
        assert_eq!(Topic::of("agent.session.paused", "failed"), Topic::Failure);
        assert_eq!(Topic::of("agent.session.paused", "paused"), Topic::Progress);
    }
}
