//! What an agent event means.

use hooks_consumer::artifacts::{JSON, Key};
use hooks_consumer::{Context, Event, Handler, HandlerError, OpenAi, Outcome, Setup, found, object_id, when};

use crate::outcome;

/// Handles agent events.
pub(crate) struct Agents {
    openai: OpenAi,
}

impl Agents {
    pub(crate) fn from_setup(setup: &mut Setup<'_>) -> Option<Self> {
        Some(Self { openai: setup.openai()? })
    }

    async fn session(&self, event: &Event, context: &Context) -> Result<Outcome, HandlerError> {
        let id = object_id(event, "session")?;
        let key = key("session", id)?;
        let openai = self.openai.client().await?;
        let as_of = when::now();
        // Also for an action: it may have been dealt with between its event and now.
        let Some(session) = found(openai.agent_session(id, context.deadline).await)? else {
            return Ok(Outcome::not_found(id, as_of));
        };
        if event.event_type == "agent.session.failed" {
            must_have_ended(event, &session.status, &["idle", "in_progress", "requires_action"])?;
        }
        let matter = Matter::of(&event.event_type, &session.status);
        let last_turn = match matter {
            // The turn of a session that is deleted meanwhile is as good as none.
            Matter::Turn => found(openai.last_agent_turn(id, context.deadline).await)?.flatten(),
            _ => None,
        };
        keep(&key, session.json.clone(), context).await?;
        let place = format!("s3://{}/{key}", context.artifacts.bucket());
        let outcome = outcome::of_session(&session, matter, last_turn.as_ref(), event, &place, as_of);
        Ok(kept(outcome, &key, session.json.len()))
    }

    async fn environment(&self, event: &Event, context: &Context) -> Result<Outcome, HandlerError> {
        let id = object_id(event, "environment")?;
        let key = key("environment", id)?;
        let openai = self.openai.client().await?;
        let as_of = when::now();
        let Some(environment) = found(openai.agent_environment(id, context.deadline).await)? else {
            return Ok(Outcome::not_found(id, as_of));
        };
        if matches!(event.event_type.as_str(), "agent.environment.failed" | "agent.environment.expired") {
            let under_way = ["pending", "ready", "connected", "disconnected", "suspended"];
            must_have_ended(event, &environment.status, &under_way)?;
        }
        keep(&key, environment.json.clone(), context).await?;
        let place = format!("s3://{}/{key}", context.artifacts.bucket());
        let outcome = outcome::of_environment(&environment, event, &place, as_of);
        Ok(kept(outcome, &key, environment.json.len()))
    }
}

impl Handler for Agents {
    async fn handle(&self, event: &Event, context: &Context) -> Result<Outcome, HandlerError> {
        match Subject::of(event) {
            Some(Subject::Session) => self.session(event, context).await,
            Some(Subject::Environment) => self.environment(event, context).await,
            None => Ok(outcome::of_unknown(event)),
        }
    }
}

/// What an event is about.
#[derive(Debug, PartialEq, Eq)]
enum Subject {
    Session,
    Environment,
}

impl Subject {
    /// By the type, or for types that nobody has seen yet by the id.
    fn of(event: &Event) -> Option<Self> {
        let (kind, id) = (event.event_type.as_str(), event.object_id().unwrap_or_default());
        if kind.starts_with("agent.session.") {
            Some(Self::Session)
        } else if kind.starts_with("agent.environment.") {
            Some(Self::Environment)
        } else if id.starts_with("sess_") {
            Some(Self::Session)
        } else if id.starts_with("env_") {
            Some(Self::Environment)
        } else {
            None
        }
    }
}

/// What an event of a session is about. Each matter has its own event, so that what one of them tells people no other
/// one tells them again, however late it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Matter {
    /// It was created, or goes on.
    Progress,
    /// It waits for something.
    Action,
    /// A turn has ended, well or not.
    Turn,
    /// It has failed.
    HandlerError,
}

impl Matter {
    fn of(event_type: &str, status: &str) -> Self {
        let about = match event_type {
            "agent.session.created" | "agent.session.in_progress" => "in_progress",
            "agent.session.action_required" => "requires_action",
            "agent.session.idle" => "idle",
            "agent.session.failed" => "failed",
            // A type that nobody has seen yet goes by how the session stands.
            _ => status,
        };
        match about {
            "requires_action" => Self::Action,
            "idle" => Self::Turn,
            "failed" => Self::HandlerError,
            _ => Self::Progress,
        }
    }
}

fn must_have_ended(event: &Event, status: &str, under_way: &[&str]) -> Result<(), HandlerError> {
    if under_way.contains(&status) {
        let kind = &event.event_type;
        return Err(HandlerError::retry(format!("{kind} was announced, but OpenAI still says {status}")));
    }
    Ok(())
}

fn key(kind: &str, id: &str) -> Result<Key, HandlerError> {
    Key::new(&["agent", kind, &format!("{id}.json")])
        .map_err(|error| HandlerError::permanent("unusable_id", format!("the event names {error}")))
}

/// Keeps the newest state: what is there was retrieved earlier.
async fn keep(key: &Key, json: bytes::Bytes, context: &Context) -> Result<(), HandlerError> {
    context.artifacts.put(key, JSON, json).await.map_err(|error| HandlerError::retry(error.to_string()))
}

fn kept(outcome: Outcome, key: &Key, bytes: usize) -> Outcome {
    Outcome { artifacts: vec![key.to_string()], artifact_bytes: bytes as u64, ..outcome }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(kind: &str, id: &str) -> Option<Subject> {
        let event = format!(r#"{{"id": "evt_1", "type": "{kind}", "data": {{"id": "{id}"}}}}"#);
        Subject::of(&Event::parse(&event).unwrap())
    }

    #[test]
    fn the_type_says_what_an_event_is_about_and_then_the_id() {
        assert_eq!(subject("agent.session.idle", "env_1"), Some(Subject::Session));
        assert_eq!(subject("agent.environment.melted", "x"), Some(Subject::Environment));
        assert_eq!(subject("agent.turn.completed", "sess_1"), Some(Subject::Session));
        assert_eq!(subject("agent.files.synced", "env_1"), Some(Subject::Environment));
        assert_eq!(subject("agent.created", "agent_1"), None);
    }

    #[test]
    fn a_known_event_has_its_own_matter_and_a_new_one_that_of_the_session() {
        assert_eq!(Matter::of("agent.session.in_progress", "failed"), Matter::Progress);
        assert_eq!(Matter::of("agent.session.action_required", "idle"), Matter::Action);
        assert_eq!(Matter::of("agent.session.idle", "in_progress"), Matter::Turn);
        assert_eq!(Matter::of("agent.session.paused", "failed"), Matter::HandlerError);
        assert_eq!(Matter::of("agent.session.paused", "paused"), Matter::Progress);
    }
}
