//! What a person is told about agents.

use hooks_consumer::{Alert, Event, Severity, when};
use hooks_openai::{AgentEnvironment, AgentSession, AgentTurn, for_display};

/// How many things to decide one alert lists.
const MAX_LISTED: usize = 10;

/// An alert for a session that failed.
pub(crate) fn session_failed(session: &AgentSession, place: &str) -> Option<Alert> {
    if session.status != "failed" {
        return None;
    }
    let why = session.error.as_deref().map_or_else(|| "OpenAI does not say".to_owned(), for_display);
    let (id, what, active) = (for_display(&session.id), what(session), moment(session.last_active_at));
    let message = format!(
        "Agent session {id} failed.\n\n\
         What   {what}\n\
         When   last active {active}\n\
         Why    {why}\n\
         To do  A failed session does not go on. Mend the reason, and create a new session if its result is still \
         wanted.\n\
         Where  {place}\n"
    );
    Some(Alert { severity: Severity::Warning, subject: format!("Agent session {id} failed"), message })
}

/// An alert for a session whose last turn failed; it is idle and can go on.
pub(crate) fn turn_failed(session: &AgentSession, turn: &AgentTurn, place: &str) -> Option<Alert> {
    if turn.status != "failed" {
        return None;
    }
    let (code, message) =
        turn.error.as_ref().map_or((None, None), |(code, message)| (code.as_deref(), message.as_deref()));
    let (code, said) = (code.unwrap_or("unknown"), message.unwrap_or("OpenAI does not say more"));
    let (code, said) = (for_display(code), for_display(said));
    let (id, turn, what, active) =
        (for_display(&session.id), for_display(&turn.id), what(session), moment(session.last_active_at));
    let message = format!(
        "The last turn of agent session {id} failed. The session is idle and takes new input.\n\n\
         What   turn {turn}, {what}\n\
         When   last active {active}\n\
         Why    {code}: {said}\n\
         To do  Mend the reason, then send the input again as a new message to the session.\n\
         Where  {place}\n"
    );
    Some(Alert { severity: Severity::Warning, subject: format!("A turn of agent session {id} failed"), message })
}

/// An alert for a session that waits for a person; `decisions` says for what.
pub(crate) fn waiting(session: &AgentSession, decisions: &[String], place: &str) -> Option<Alert> {
    if decisions.is_empty() {
        return None;
    }
    let (id, what, active) = (for_display(&session.id), what(session), moment(session.last_active_at));
    let mut listed: Vec<String> = decisions.iter().take(MAX_LISTED).cloned().collect();
    if decisions.len() > MAX_LISTED {
        listed.push(format!("and {} more", decisions.len() - MAX_LISTED));
    }
    let why = listed.join("\n       ");
    let message = format!(
        "Agent session {id} waits for a decision, and does nothing until then.\n\n\
         What   {what}\n\
         When   last active {active}\n\
         Why    {why}\n\
         To do  Decide in the application that runs the session, which answers OpenAI with the request_id.\n\
         Where  {place} (required_actions)\n"
    );
    Some(Alert { severity: Severity::Warning, subject: format!("Agent session {id} waits for a decision"), message })
}

/// An alert for an environment that cannot be used any more.
pub(crate) fn environment_ended(environment: &AgentEnvironment, event: &Event, place: &str) -> Alert {
    let (id, status) = (for_display(&environment.id), for_display(&environment.status));
    let kind = environment.kind.as_deref().map_or_else(|| "environment".to_owned(), for_display);
    let (why, to_do) = match environment.status.as_str() {
        "expired" => (
            "It was not used for too long, and its snapshot is gone. It cannot be resumed.",
            "Create a new environment, or let a new session create one. Files that were only in it are lost.",
        ),
        _ => (
            "OpenAI does not say. It failed to be set up before a session took it.",
            "Check what it installs (packages, files, network access), then create it again.",
        ),
    };
    let created = when::moment(event.created_at);
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

/// Which agent, and where it works.
fn what(session: &AgentSession) -> String {
    let named = |name: &str| session.raw.pointer(name).and_then(serde_json::Value::as_str).map(for_display);
    let agent = named("/agent/name").or_else(|| named("/agent/id")).unwrap_or_else(|| "unknown".to_owned());
    let model = named("/agent/model").unwrap_or_else(|| "an unknown model".to_owned());
    let environment = session
        .environment_id
        .as_deref()
        .map_or_else(|| "no environment".to_owned(), |id| format!("environment {}", for_display(id)));
    format!("agent {agent} of {model}, {environment}")
}

fn moment(seconds: Option<i64>) -> String {
    seconds.map_or_else(|| "at an unknown time".to_owned(), when::moment)
}
