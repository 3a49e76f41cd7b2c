//! The event of an object that reached a state which OpenAI announces by webhook.

use hooks_aws::ledger::JobRecord;
use hooks_aws::queue::{Message, Source};
use hooks_openai::{AgentSession, Batch, FineTuningJob, Response};
use hooks_webhook::{Category, Event};
use serde_json::{Value, json};

/// Longest id of an object: longer than any that OpenAI gives out. It becomes part of the event's id, which is bounded.
const MAX_ID: usize = 128;

/// The endpoint that these events count as delivered to.
const ENDPOINT: &str = "project";

/// The event that OpenAI sends when an object reaches a state, made from the object itself.
#[derive(Debug)]
pub(crate) struct MissedEvent {
    /// The object's id.
    pub(crate) object_id: String,
    /// When it reached that state, in Unix seconds.
    pub(crate) at: i64,
    status: String,
    body: String,
    event: Event,
}

impl MissedEvent {
    /// `None` while the batch is in progress.
    pub(crate) fn of_batch(batch: &Batch) -> Option<Self> {
        let status = batch.status.as_str();
        let at = batch.status.is_terminal().then(|| batch.time(&format!("{status}_at")))?;
        Self::new(
            &format!("batch.{status}"),
            &batch.id,
            status,
            at.or(batch.time("created_at"))?,
            &json!({"id": batch.id}),
        )
    }

    /// `None` while the job is in progress.
    pub(crate) fn of_job(job: &FineTuningJob) -> Option<Self> {
        let status = job.status.as_str();
        if ![FineTuningJob::SUCCEEDED, FineTuningJob::FAILED, FineTuningJob::CANCELLED].contains(&status) {
            return None;
        }
        let at = job.finished_at.or(job.created_at)?;
        Self::new(&format!("fine_tuning.job.{status}"), &job.id, status, at, &json!({"id": job.id}))
    }

    /// `None` while the session is active. An idle or waiting session may become active and rest again, so its event's id
    /// contains the time.
    pub(crate) fn of_session(session: &AgentSession) -> Option<Self> {
        let kind = match session.status.as_str() {
            "idle" => "agent.session.idle",
            "failed" => "agent.session.failed",
            "requires_action" => "agent.session.action_required",
            _ => return None,
        };
        let at = session.last_active_at.or(session.created_at)?;
        let mut data = json!({"id": session.id});
        let environment =
            [("environment_type", &session.environment_type), ("environment_id", &session.environment_id)];
        for (name, value) in environment.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))) {
            data[name] = value.into();
        }
        Self::new(kind, &session.id, &session.status, at, &data)
    }

    /// `None` while the response is in progress.
    pub(crate) fn of_response(response: &Response) -> Option<Self> {
        let status = response.status.as_str();
        let at = response.status.is_terminal().then_some(response.completed_at.or(response.created_at))??;
        Self::new(&format!("response.{status}"), &response.id, status, at, &json!({"id": response.id}))
    }

    /// `None` if the id cannot be one. The event's id is the same whenever the same state is found.
    fn new(kind: &str, object_id: &str, status: &str, at: i64, data: &Value) -> Option<Self> {
        let name = kind.replace('.', "_");
        let id = match Category::of(kind) {
            Category::Agent => format!("evt_reconcile_{name}_{object_id}_{at}"),
            _ => format!("evt_reconcile_{name}_{object_id}"),
        };
        let body = json!({"id": id, "object": "event", "created_at": at, "type": kind, "data": data}).to_string();
        let event = Event::parse(&body).ok().filter(|_| object_id.len() <= MAX_ID)?;
        Some(Self { object_id: object_id.to_owned(), at, status: status.to_owned(), body, event })
    }

    /// The type of the event.
    pub(crate) fn event_type(&self) -> &str {
        &self.event.event_type
    }

    pub(crate) fn category(&self) -> Category {
        self.event.category()
    }

    pub(crate) fn idempotency_key(&self) -> String {
        self.event.idempotency_key().to_string()
    }

    /// Whether the job's record already has this state.
    pub(crate) fn is_seen(&self, job: &JobRecord) -> bool {
        job.status == self.status && job.as_of >= self.at.saturating_mul(1000)
    }

    /// The event as a queue message, sent at `now` (milliseconds since the Unix epoch).
    pub(crate) fn message(&self, now: i64) -> Message {
        Message {
            body: self.body.clone(),
            webhook_id: self.event.id.clone(),
            webhook_timestamp: (now / 1000).to_string(),
            endpoint: ENDPOINT.to_owned(),
            event_type: self.event.event_type.clone(),
            received_at: now.cast_unsigned(),
            source: Source::Reconcile,
            failure: None,
            seen_token: None,
            asked_by: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missed(kind: &str, object_id: &str, at: i64) -> Option<MissedEvent> {
        MissedEvent::new(kind, object_id, "idle", at, &json!({"id": object_id}))
    }

    fn id(kind: &str, object_id: &str, at: i64) -> String {
        missed(kind, object_id, at).unwrap().event.id
    }

    #[test]
    fn a_missed_event_is_the_one_that_openai_sends() {
        let event = missed("batch.completed", "batch_1", 1_795_300_000).unwrap();
        let message = event.message(1_795_400_000_123);
        let body: Value = serde_json::from_str(&message.body).unwrap();
        let expected = json!({
            "id": "evt_reconcile_batch_completed_batch_1", "object": "event", "created_at": 1_795_300_000,
            "type": "batch.completed", "data": {"id": "batch_1"},
        });
        assert_eq!(body, expected);
        assert_eq!((message.webhook_id.as_str(), message.endpoint.as_str()), (event.event.id.as_str(), "project"));
        assert_eq!((message.source, message.received_at), (Source::Reconcile, 1_795_400_000_123));
        assert_eq!(event.idempotency_key(), "batch.completed/batch_1");
    }

    #[test]
    fn an_event_is_the_same_whenever_it_is_found_and_another_one_for_another_state() {
        assert_eq!(id("batch.completed", "batch_1", 1), id("batch.completed", "batch_1", 2));
        assert_ne!(id("batch.completed", "batch_1", 1), id("batch.failed", "batch_1", 1));
        assert_eq!(id("agent.session.idle", "sess_1", 1), id("agent.session.idle", "sess_1", 1));
        assert_ne!(id("agent.session.idle", "sess_1", 1), id("agent.session.idle", "sess_1", 2));
    }

    #[test]
    fn an_id_that_none_can_be_makes_no_event() {
        assert!(missed("batch.completed", "", 1).is_none_or(|missed| missed.event.object_id().is_none()));
        assert!(missed("batch.completed", &"x".repeat(MAX_ID), 1).is_some());
        assert!(missed("batch.completed", &"x".repeat(MAX_ID + 1), 1).is_none());
    }

    #[test]
    fn a_session_was_seen_by_a_later_look_at_the_same_state() {
        let event = missed("agent.session.idle", "sess_1", 1_000).unwrap();
        let seen =
            |status: &str, as_of| event.is_seen(&JobRecord { status: status.to_owned(), terminal: false, as_of });
        assert!(seen("idle", 1_000_000) && seen("idle", 2_000_000));
        assert!(!seen("idle", 999_999), "seen idle before it went on and came to rest again");
        assert!(!seen("in_progress", 1_000_500), "seen just before it came to rest");
    }
}
