//! What is recorded and published of sessions and environments.

use hooks_consumer::{Event, Outcome, when};
use hooks_openai::{AgentEnvironment, AgentSession, AgentTurn, for_display};
use hooks_webhook::EventData;
use serde_json::{Map, Value, json};

use crate::handler::Matter;
use crate::{actions, alert};

/// What one field of OpenAI's may take in a summary, as JSON. What is larger is in the artifact.
const MAX_FIELD: usize = 8 * 1024;

/// What a retrieved session is now. `place` is where it was kept.
pub(crate) fn of_session(
    session: &AgentSession,
    matter: Matter,
    last_turn: Option<&AgentTurn>,
    event: &Event,
    place: &str,
    as_of: i64,
) -> Outcome {
    let announced = announced(event);
    let mut summary = summary(session);
    let (mut note, mut alert) = (None, None);
    match matter {
        Matter::Progress => {}
        Matter::Action => {
            if !actions::is_listed(&session.required_actions, announced) {
                note = Some("the action is gone: the session does not list it any more".to_owned());
            }
            let published = actions::published(&session.required_actions);
            summary.insert("required_actions".to_owned(), published.actions.into());
            if published.left_out > 0 {
                summary.insert("required_actions_left_out".to_owned(), published.left_out.into());
            }
            alert = alert::waiting(session, &actions::for_people(&session.required_actions, announced), place);
        }
        Matter::Turn => {
            if let Some(turn) = last_turn {
                let error = turn.error.as_ref().map(|(code, message)| json!({"code": code, "message": message}));
                let turn = json!({"id": turn.id, "status": turn.status, "error": error});
                insert_small(&mut summary, "last_turn", Some(&turn));
            }
            alert = last_turn.and_then(|turn| alert::turn_failed(session, turn, place));
        }
        Matter::HandlerError => alert = alert::session_failed(session, place),
    }
    let mut counts = tokens(&session.raw);
    counts.insert("required_actions".to_owned(), session.required_actions.len().into());
    let times = [("created_at", session.created_at), ("last_active_at", session.last_active_at)];
    Outcome {
        object_id: Some(session.id.clone()),
        terminal: session.status == "failed",
        counts,
        times: times.into_iter().filter_map(|(name, at)| Some((name.to_owned(), at?.into()))).collect(),
        summary,
        note,
        error: session.error.as_deref().map(for_display),
        alert,
        ..Outcome::new(session.status.clone(), as_of)
    }
}

/// What a retrieved environment is now.
pub(crate) fn of_environment(environment: &AgentEnvironment, event: &Event, place: &str, as_of: i64) -> Outcome {
    let AgentEnvironment { id, status, kind, .. } = environment;
    let mut summary = Map::from_iter([("object".to_owned(), "agent.environment".into())]);
    insert_small(&mut summary, "environment_type", kind.as_deref().map(Value::from).as_ref());
    let ended = matches!(status.as_str(), "failed" | "expired");
    // Its end has an event of its own, which tells people.
    let alerts = !matches!(event.event_type.as_str(), "agent.environment.ready" | "agent.environment.suspended");
    Outcome {
        object_id: Some(id.clone()),
        terminal: ended,
        summary,
        alert: (ended && alerts).then(|| alert::environment_ended(environment, event, place)),
        ..Outcome::new(status.clone(), as_of)
    }
}

/// An event about neither.
pub(crate) fn of_unknown(event: &Event) -> Outcome {
    let note = "this kind of event is unknown here: it was recorded, and nothing was looked up";
    Outcome {
        object_id: event.object_id().map(str::to_owned),
        note: Some(note.to_owned()),
        ..Outcome::new("recorded", when::now())
    }
}

/// The kind of action that the event announces.
fn announced(event: &Event) -> Option<&str> {
    match &event.data {
        EventData::AgentSession { required_action, .. } => required_action.as_deref(),
        _ => None,
    }
}

/// What a program wants to know without opening the artifact. No URL to connect to is among it.
fn summary(session: &AgentSession) -> Map<String, Value> {
    let AgentSession { raw, environment_type, environment_id, .. } = session;
    let text = |text: &Option<String>| text.as_deref().map(Value::from);
    let mut summary = Map::from_iter([("object".to_owned(), "agent.session".into())]);
    insert_small(&mut summary, "environment_type", text(environment_type).as_ref());
    insert_small(&mut summary, "environment_id", text(environment_id).as_ref());
    let agent: Map<String, Value> = ["id", "name", "model"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), raw.pointer(&format!("/agent/{name}"))?.as_str()?.into())))
        .collect();
    insert_small(&mut summary, "agent", Some(&Value::Object(agent)));
    for name in ["metadata", "usage", "spend_control", "error"] {
        insert_small(&mut summary, name, raw.get(name));
    }
    summary
}

/// Adds what is there, says something and is not too large.
fn insert_small(summary: &mut Map<String, Value>, name: &str, value: Option<&Value>) {
    let is_something = |value: &&Value| !value.is_null() && **value != json!({});
    if let Some(value) = value.filter(is_something).filter(|value| value.to_string().len() <= MAX_FIELD) {
        summary.insert(name.to_owned(), value.clone());
    }
}

/// How many tokens it took so far, by OpenAI's names.
fn tokens(session: &Value) -> Map<String, Value> {
    let count = |name: &str| session.get("usage")?.get(name).filter(|count| count.is_u64()).cloned();
    let names = ["input_tokens", "output_tokens", "total_tokens"];
    names.into_iter().filter_map(|name| Some((name.to_owned(), count(name)?))).collect()
}
