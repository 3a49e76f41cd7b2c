//! What is wrong with an event, if something is: a table of situations, without I/O.

use hooks_aws::ledger::IdempotencyRecord;
use hooks_protocol::Status;
use serde::Serialize;
use serde_json::json;

use crate::aws::Entry;
use crate::output::shell_word;

/// Time for which the ledger keeps an item after its last write, less a margin: the writes of one attempt are minutes
/// apart.
const KEPT_MILLIS: i64 = (35 * 24 - 1) * 3_600_000;

/// Time after which SQS's approximate numbers count a message.
const LAG_MILLIS: i64 = 60_000;

/// Where an event stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    Completed,
    NotFound,
    /// Failed, with its dead letter.
    Failed,
    /// A lease runs.
    InProgress,
    /// Its message is in its queue.
    Queued,
    /// Another event with the same idempotency key decides.
    Duplicate,
    /// Its body is too large for the ledger, so its idempotency key is not known.
    Unchecked,
}

impl State {
    /// All states with their names.
    pub(super) const ALL: [(Self, &'static str); 7] = [
        (Self::Completed, "completed"),
        (Self::NotFound, "not_found"),
        (Self::Failed, "failed"),
        (Self::InProgress, "in_progress"),
        (Self::Queued, "queued"),
        (Self::Duplicate, "duplicate"),
        (Self::Unchecked, "unchecked"),
    ];
}

/// What the ledger, the dead-letter queues and the bucket say of an event.
#[derive(Clone, Copy, Default)]
pub(super) struct Case<'a> {
    /// Idempotency key; empty if the event's body is not stored.
    pub(super) key: &'a str,
    pub(super) record: Option<&'a IdempotencyRecord>,
    pub(super) event: Option<&'a Entry>,
    pub(super) has_letter: bool,
    /// Artifacts that the record names and the bucket lacks.
    pub(super) missing: &'a [String],
    /// In milliseconds since the Unix epoch.
    pub(super) now: i64,
}

/// What does not fit together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Fault {
    NoRecord,
    NoHistory,
    /// In progress without a lease, so that a message must come again.
    NoMessage,
    NoLetter,
    NoOutcome,
    NoArtifact,
    /// The history is ahead of the record.
    WrongHistory,
    /// The history lacks the last write. A duplicate that outlives its message and dies leaves this; it is harmless.
    StaleHistory,
}

/// The queues of an event's category.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Queues {
    /// Number of messages, those in flight included.
    pub(super) messages: u64,
    /// Number of events that wait for a message.
    pub(super) waiting: u64,
    /// Number of dead letters that another reader holds.
    pub(super) held: u64,
}

/// What a fault comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Closed(State),
    Note(Fault),
    /// Not certain yet, for this reason.
    Uncertain(Fault, &'static str),
    Mismatch(Fault),
}

impl Case<'_> {
    /// Where the event stands, or what does not fit.
    pub(super) fn judge(&self) -> Result<State, Fault> {
        let is_kept = |since: i64| since + KEPT_MILLIS > self.now;
        let Some(record) = self.record else {
            return match self.event {
                Some(_) if self.key.is_empty() => Ok(State::Unchecked),
                // Its record may have expired before it.
                Some(event) if !is_kept(event.handled_at.unwrap_or(event.received_at).0) => Ok(State::Completed),
                _ => Err(Fault::NoRecord),
            };
        };
        if self.event.is_some_and(|event| event.key() != record.event) {
            return Ok(State::Duplicate);
        }
        let state = match record.status {
            Status::InProgress | Status::Replaying if record.lock(self.now).leased => return Ok(State::InProgress),
            // The function died as often as SQS allows, or before it could mark the record.
            Status::InProgress if self.has_letter => return Ok(State::Failed),
            Status::InProgress | Status::Replaying => return Err(Fault::NoMessage),
            Status::Failed => State::Failed,
            Status::Completed => State::Completed,
            Status::NotFound => State::NotFound,
        };
        match self.event {
            None if is_kept(record.ended_at.unwrap_or(record.claimed_at)) => Err(Fault::NoHistory),
            _ if state == State::Failed && !self.has_letter => Err(Fault::NoLetter),
            _ if state != State::Failed && record.outcome.is_none() => Err(Fault::NoOutcome),
            _ if !self.missing.is_empty() => Err(Fault::NoArtifact),
            Some(event) if event.state == record.status.as_str() => Ok(state),
            Some(event) if event.state == Status::Completed.as_str() => Err(Fault::WrongHistory),
            Some(_) => Err(Fault::StaleHistory),
            None => Ok(state),
        }
    }

    /// What a fault of this event comes to, with what its queues say after it was seen twice.
    pub(super) fn verdict(&self, fault: Fault, queues: Queues) -> Verdict {
        let changed_at = self.record.map_or(0, |record| {
            let ends = [Some(record.lease_until), record.ended_at].into_iter().flatten();
            ends.filter(|end| *end <= self.now).fold(record.claimed_at, i64::max)
        });
        match fault {
            Fault::StaleHistory => Verdict::Note(fault),
            Fault::NoMessage if queues.messages >= queues.waiting => Verdict::Closed(State::Queued),
            Fault::NoMessage | Fault::NoHistory if queues.messages > 0 => {
                Verdict::Uncertain(fault, "its queue has messages, and one of them may be its own")
            }
            Fault::NoMessage | Fault::NoHistory if self.now - changed_at < LAG_MILLIS => {
                Verdict::Uncertain(fault, "it changed within the last minute, and the numbers of SQS lag behind")
            }
            Fault::NoLetter if queues.held > 0 => Verdict::Uncertain(fault, "another reader holds dead letters"),
            Fault::NoLetter if queues.messages > 0 => {
                Verdict::Uncertain(fault, "its queue has messages, so it may have been redriven just now")
            }
            _ => Verdict::Mismatch(fault),
        }
    }

    /// What is wrong, in words.
    pub(super) fn detail(&self, fault: Fault) -> String {
        let status = self.record.map_or("absent", |record| record.status.as_str());
        let state = self.event.map_or("absent", |event| event.state.as_str());
        match fault {
            Fault::NoRecord => format!("{state}, but it has no idempotency record: a second delivery would act again"),
            Fault::NoHistory => format!("{status}, but its history is missing, and with it its body"),
            Fault::NoMessage => format!("{status}, but nobody works on it, and its message is gone"),
            Fault::NoLetter => {
                let reason =
                    self.record.and_then(|record| record.error.as_ref()).map_or("failed", |(reason, _)| reason);
                format!("{status} ({reason}), but its dead letter is gone: deleted, or expired after 14 days")
            }
            Fault::NoOutcome => format!("{status}, but its record has no outcome"),
            Fault::NoArtifact => format!("{status}, but the bucket lacks {}", self.missing.join(", ")),
            Fault::WrongHistory => format!("{status}, but its history says {state}"),
            Fault::StaleHistory => {
                format!("{status}, but its history still says {state}. Nothing is lost: its next receive writes it")
            }
        }
    }

    /// The command that mends it.
    pub(super) fn fix(&self) -> String {
        match (self.event, self.record) {
            (Some(event), _) => format!("openai-webhooks events replay {}", shell_word(&event.webhook_id)),
            (None, Some(record)) => redeliver(self.key, &record.event),
            (None, None) => String::new(),
        }
    }
}

/// The command that delivers an event without a body again. What is completed is not handled again: its history is
/// written.
fn redeliver(key: &str, event: &str) -> String {
    let (endpoint, webhook_id) = event.split_once('#').unwrap_or(("project", event));
    let new_id = format!("evt_{webhook_id}");
    let (id, event_type, data) = match key.rsplit_once('/').unwrap_or(("", key)) {
        ("call/realtime", id) => (new_id.as_str(), "realtime.call.incoming", json!({"call_id": id})),
        ("call/live", id) => (new_id.as_str(), "live.transport.incoming", json!({"session_id": id})),
        ("event", id) => (id, "TYPE", json!({})),
        (event_type, id) => (new_id.as_str(), event_type, json!({"id": id})),
    };
    let body = json!({"id": id, "object": "event", "type": event_type, "data": data}).to_string();
    let body = shell_word(&body);
    let [endpoint, webhook_id] = [endpoint, webhook_id].map(shell_word);
    let command = format!("echo {body} | openai-webhooks send - --endpoint {endpoint} --id {webhook_id}");
    if event_type == "TYPE" { format!("{command}   # TYPE: see the consumers' logs for {webhook_id}") } else { command }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timestamp::Timestamp;

    const NOW: i64 = 1_795_300_000_000;
    const HOUR: i64 = 3_600_000;

    fn record(status: Status) -> IdempotencyRecord {
        let is_found = matches!(status, Status::Completed | Status::NotFound | Status::Replaying);
        IdempotencyRecord {
            status,
            token: "token".to_owned(),
            event: "project#wh_1".to_owned(),
            lease_until: 0,
            claimed_at: NOW - HOUR,
            claims: 1,
            ended_at: (status != Status::InProgress).then_some(NOW - HOUR),
            ended_by: 1,
            acting: false,
            outcome: is_found.then(|| ("completed".to_owned(), vec!["batch/batch_1/output.jsonl".to_owned()], None)),
            error: (status == Status::Failed).then(|| ("unauthorized".to_owned(), "no".to_owned())),
        }
    }

    fn event(state: &str) -> Entry {
        let text = |(name, value): (&str, &str)| (name.to_owned(), hooks_aws::ledger::value::text(value));
        let mut event = Entry::read(&[("pk", "event#project#wh_1"), ("state", state)].map(text).into()).unwrap();
        event.received_at = Timestamp(NOW - HOUR);
        event
    }

    #[test]
    fn each_situation_has_its_judgement() {
        use Status::{Completed, Failed, InProgress, NotFound, Replaying};
        let leased = |status| IdempotencyRecord { lease_until: NOW + 1, ..record(status) };
        let without_outcome = IdempotencyRecord { outcome: None, ..record(Completed) };
        let of_other = IdempotencyRecord { event: "project#wh_2".to_owned(), ..record(InProgress) };
        let old = IdempotencyRecord { ended_at: Some(NOW - 36 * 24 * HOUR), ..record(Completed) };
        let missing = ["batch/batch_1/output.jsonl".to_owned()];
        let (letter, none): (bool, &[String]) = (true, &[]);
        for (record, state, has_letter, missing, judged) in [
            (Some(record(Completed)), Some("completed"), false, none, Ok(State::Completed)),
            (Some(record(NotFound)), Some("not_found"), false, none, Ok(State::NotFound)),
            (Some(record(Failed)), Some("failed"), letter, none, Ok(State::Failed)),
            (Some(leased(InProgress)), Some("in_progress"), false, none, Ok(State::InProgress)),
            (Some(leased(InProgress)), None, false, none, Ok(State::InProgress)),
            (Some(leased(Replaying)), Some("completed"), false, none, Ok(State::InProgress)),
            (Some(record(InProgress)), Some("in_progress"), letter, none, Ok(State::Failed)),
            (Some(of_other), Some("failed"), false, none, Ok(State::Duplicate)),
            (Some(old), None, false, none, Ok(State::Completed)),
            (None, Some("completed"), false, none, Err(Fault::NoRecord)),
            (Some(record(Completed)), None, false, none, Err(Fault::NoHistory)),
            (Some(record(Failed)), None, letter, none, Err(Fault::NoHistory)),
            (Some(record(InProgress)), Some("in_progress"), false, none, Err(Fault::NoMessage)),
            (Some(record(InProgress)), None, false, none, Err(Fault::NoMessage)),
            (Some(record(Replaying)), Some("completed"), false, none, Err(Fault::NoMessage)),
            (Some(record(Failed)), Some("failed"), false, none, Err(Fault::NoLetter)),
            (Some(record(Failed)), Some("in_progress"), false, none, Err(Fault::NoLetter)),
            (Some(without_outcome), Some("completed"), false, none, Err(Fault::NoOutcome)),
            (Some(record(Completed)), Some("completed"), false, &missing, Err(Fault::NoArtifact)),
            (Some(record(Failed)), Some("completed"), letter, none, Err(Fault::WrongHistory)),
            (Some(record(Completed)), Some("in_progress"), false, none, Err(Fault::StaleHistory)),
            (Some(record(Completed)), Some("failed"), false, none, Err(Fault::StaleHistory)),
        ] {
            let event = state.map(event);
            let (record, event) = (record.as_ref(), event.as_ref());
            let case = Case { key: "batch.completed/batch_1", record, event, has_letter, missing, now: NOW };
            assert_eq!(case.judge(), judged, "{record:?} {state:?}");
        }
    }

    #[test]
    fn a_record_that_expired_before_its_event_is_not_missed() {
        let event = Entry { received_at: Timestamp(NOW - 36 * 24 * HOUR), ..event("completed") };
        assert_eq!(
            Case { key: "event/evt_1", event: Some(&event), now: NOW, ..Case::default() }.judge(),
            Ok(State::Completed)
        );
        assert_eq!(Case { event: Some(&event), now: NOW, ..Case::default() }.judge(), Ok(State::Unchecked));
    }

    #[test]
    fn what_a_message_or_another_reader_may_explain_is_not_told_as_a_mismatch() {
        let uncertain = |verdict| matches!(verdict, Verdict::Uncertain(..));
        let (settled, fresh) = (record(Status::Completed), record(Status::InProgress));
        let fresh = IdempotencyRecord { claimed_at: NOW - 1, ..fresh };
        let case = |record| Case { record: Some(record), now: NOW, ..Case::default() };
        let queues = |messages, waiting, held| Queues { messages, waiting, held };
        let old = |fault, messages, waiting, held| case(&settled).verdict(fault, queues(messages, waiting, held));
        assert_eq!(old(Fault::NoMessage, 2, 2, 0), Verdict::Closed(State::Queued));
        assert!(uncertain(old(Fault::NoMessage, 1, 2, 0)));
        assert_eq!(old(Fault::NoMessage, 0, 1, 0), Verdict::Mismatch(Fault::NoMessage));
        assert!(uncertain(case(&fresh).verdict(Fault::NoMessage, queues(0, 1, 0))));
        assert!(uncertain(old(Fault::NoHistory, 1, 0, 0)));
        assert_eq!(old(Fault::NoHistory, 0, 0, 1), Verdict::Mismatch(Fault::NoHistory));
        assert!(uncertain(old(Fault::NoLetter, 0, 0, 1)));
        assert!(uncertain(old(Fault::NoLetter, 1, 0, 0)));
        assert_eq!(old(Fault::NoLetter, 0, 0, 0), Verdict::Mismatch(Fault::NoLetter));
        assert_eq!(old(Fault::NoArtifact, 1, 1, 1), Verdict::Mismatch(Fault::NoArtifact));
        assert_eq!(old(Fault::StaleHistory, 0, 0, 0), Verdict::Note(Fault::StaleHistory));
    }

    #[test]
    fn the_fix_of_an_event_without_a_body_delivers_it_again_under_its_key() {
        let record = record(Status::Completed);
        let body = |key| {
            let fix = Case { key, record: Some(&record), ..Case::default() }.fix();
            assert!(fix.contains(" --endpoint project --id wh_1"), "{fix}");
            hooks_webhook::Event::parse(fix.split('\'').nth(1).unwrap()).unwrap()
        };
        for key in ["batch.completed/batch_1", "call/realtime/rtc_1", "call/live/live_1", "event/evt_1"] {
            assert_eq!(body(key).idempotency_key().as_str(), key);
        }
    }
}
