//! The handler of `agent.*` events.

use bytes::Bytes;
use hooks_consumer::artifacts::{JSON, Key};
use hooks_consumer::object::not_ended;
use hooks_consumer::{Context, Event, Handler, HandlerError, OpenAi, Outcome, Setup, clock, found, object_id};

use crate::environment;
use crate::session::{self, Topic};

/// Retrieves and stores sessions and environments.
pub struct AgentHandler {
    openai: OpenAi,
}

impl AgentHandler {
    /// From the function's environment.
    pub fn from_setup(setup: &mut Setup<'_>) -> Option<Self> {
        Some(Self { openai: setup.openai()? })
    }
}

impl Handler for AgentHandler {
    async fn handle(&self, event: &Event, context: &Context) -> Result<Outcome, HandlerError> {
        match Subject::of(event) {
            Some(Subject::Session) => self.session(event, context).await,
            Some(Subject::Environment) => self.environment(event, context).await,
            None => Ok(unknown(event)),
        }
    }
}

impl AgentHandler {
    async fn session(&self, event: &Event, context: &Context) -> Result<Outcome, HandlerError> {
        let id = object_id(event, "session")?;
        let openai = self.openai.client().await?;
        let as_of = clock::now_ms();
        let key = key("session", id, as_of)?;
        // Also for an announced action: somebody may have taken it since the event.
        let Some(session) = found(openai.agent_session(id, context.deadline).await)? else {
            return Ok(Outcome::not_found(id, as_of));
        };
        if event.event_type == "agent.session.failed" {
            must_have_ended(event, "session", &session.status, &["idle", "in_progress", "requires_action"])?;
        }
        let topic = Topic::of(&event.event_type, &session.status);
        let last_turn = match topic {
            // If the session was deleted meanwhile, it has no turn either.
            Topic::Turn => found(openai.last_agent_turn(id, context.deadline).await)?.flatten(),
            _ => None,
        };
        let place = store(&key, session.json.clone(), context).await?;
        let outcome = session::seen(&session, topic, last_turn.as_ref(), event, &place, as_of);
        Ok(stored(outcome, &key, session.json.len()))
    }

    async fn environment(&self, event: &Event, context: &Context) -> Result<Outcome, HandlerError> {
        let id = object_id(event, "environment")?;
        let openai = self.openai.client().await?;
        let as_of = clock::now_ms();
        let key = key("environment", id, as_of)?;
        let Some(environment) = found(openai.agent_environment(id, context.deadline).await)? else {
            return Ok(Outcome::not_found(id, as_of));
        };
        if matches!(event.event_type.as_str(), "agent.environment.failed" | "agent.environment.expired") {
            let under_way = ["pending", "ready", "connected", "disconnected", "suspended"];
            must_have_ended(event, "environment", &environment.status, &under_way)?;
        }
        let place = store(&key, environment.json.clone(), context).await?;
        Ok(stored(environment::seen(&environment, event, &place, as_of), &key, environment.json.len()))
    }
}

/// The kind of object that an event is about.
#[derive(Debug, PartialEq, Eq)]
enum Subject {
    Session,
    Environment,
}

impl Subject {
    /// By the event type, and for unknown types by the object's id.
    fn of(event: &Event) -> Option<Self> {
        match (event.event_type.as_str(), event.object_id().unwrap_or_default()) {
            (kind, _) if kind.starts_with("agent.session.") => Some(Self::Session),
            (kind, _) if kind.starts_with("agent.environment.") => Some(Self::Environment),
            (_, id) if id.starts_with("sess_") => Some(Self::Session),
            (_, id) if id.starts_with("env_") => Some(Self::Environment),
            _ => None,
        }
    }
}

/// The outcome for an event about something else.
fn unknown(event: &Event) -> Outcome {
    let note = "this event type is unknown, so the event was recorded and nothing was retrieved";
    Outcome {
        object_id: event.object_id().map(str::to_owned),
        note: Some(note.to_owned()),
        ..Outcome::new("recorded", clock::now_ms())
    }
}

fn must_have_ended(event: &Event, kind: &str, status: &str, under_way: &[&str]) -> Result<(), HandlerError> {
    if under_way.contains(&status) { Err(not_ended(event, kind, status)) } else { Ok(()) }
}

/// The artifact of one look at the object. Each look has its own: events come out of order, and a late one must not
/// replace what a newer job and its outcome point to.
fn key(kind: &str, id: &str, as_of: i64) -> Result<Key, HandlerError> {
    Ok(Key::new(&["agent", kind, id, &format!("{as_of}.json")])?)
}

/// Stores what was seen. Returns its location.
async fn store(key: &Key, json: Bytes, context: &Context) -> Result<String, HandlerError> {
    context.artifacts.put(key, JSON, json).await?;
    Ok(format!("s3://{}/{key}", context.artifacts.bucket()))
}

fn stored(outcome: Outcome, key: &Key, bytes: usize) -> Outcome {
    Outcome { artifacts: vec![key.to_string()], artifact_bytes: bytes as u64, ..outcome }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hooks_testing::{Reply, S3, Server};
    use serde_json::{Value, json};
    use tokio::time::{Instant, sleep};

    use super::*;

    /// An event of the session `sess_1`, or of the environment `env_1`.
    fn event(kind: &str, id: &str) -> Event {
        let event = json!({"id": "evt_1", "type": kind, "created_at": 7, "data": {"id": id}});
        Event::parse(&event.to_string()).unwrap()
    }

    #[tokio::test]
    async fn a_late_look_leaves_the_artifact_of_a_newer_one_as_it_is() {
        for (kind, id, path) in [
            ("agent.session.in_progress", "sess_1", "/v1/agents/sessions/sess_1"),
            ("agent.environment.ready", "env_1", "/v1/agents/environments/env_1"),
        ] {
            let (server, (s3, artifacts)) = (Server::empty().await, S3::start().await);
            let handler = AgentHandler { openai: OpenAi::fixed(server.openai()) };
            let context = Context::new(Instant::now() + Duration::from_mins(1), 1, 0, artifacts);
            let mut seen = Vec::new();
            for status in ["first", "second"] {
                server.reply_at(path, Reply::json(&json!({"id": id, "status": status})));
                let outcome = handler.handle(&event(kind, id), &context).await.unwrap();
                seen.push((status, outcome));
                sleep(Duration::from_millis(2)).await;
            }
            for (status, outcome) in seen {
                let [key] = &outcome.artifacts[..] else { panic!("{outcome:?}") };
                assert!(key.ends_with(&format!("/{id}/{}.json", outcome.as_of)), "{key}");
                let stored: Value = serde_json::from_slice(&s3.object(key).unwrap().bytes).unwrap();
                assert_eq!((&stored["status"], &*outcome.status), (&json!(status), status));
            }
        }
    }

    fn subject(kind: &str, id: &str) -> Option<Subject> {
        let event = format!(r#"{{"id": "evt_1", "type": "{kind}", "data": {{"id": "{id}"}}}}"#);
        Subject::of(&Event::parse(&event).unwrap())
    }

    #[test]
    fn the_type_decides_the_subject_and_then_the_id() {
        assert_eq!(subject("agent.session.idle", "env_1"), Some(Subject::Session));
        assert_eq!(subject("agent.environment.melted", "x"), Some(Subject::Environment));
        assert_eq!(subject("agent.turn.completed", "sess_1"), Some(Subject::Session));
        assert_eq!(subject("agent.files.synced", "env_1"), Some(Subject::Environment));
        assert_eq!(subject("agent.created", "agent_1"), None);
    }
}
