//! Live sessions of calls: list and find them, read what was said, ask something of them.
//!
//! A session is asked by an item of the ledger, which its supervisor reads each second and answers. What no supervisor is
//! needed for, hanging up and transferring, is a call to OpenAI.

use std::collections::HashSet;
use std::time::Duration;

use hooks_aws::ledger::{Ledger, SessionRecord, SessionState, TranscriptLine};
use hooks_webhook::CallApi;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout_at};

use crate::Result;
use crate::beginning::only;
use crate::event_log::{EventFilter, EventLog, Field};
use crate::timestamp::Timestamp;

/// How long an answer is waited for. The supervisor looks each second.
pub const ANSWER_TIME: Duration = Duration::from_secs(3);

/// Pause between two looks for the answer.
const LOOK_EVERY: Duration = Duration::from_millis(150);

/// Pause within which the fragments of one side belong together, in milliseconds.
const PAUSE_MILLIS: i64 = 3_000;

/// What became of something that was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// OpenAI has confirmed it.
    Confirmed,
    /// It was not done, for this reason.
    Refused(String),
    /// No answer came in time. It may still be done.
    Unanswered,
}

/// What was said, without a break, by one side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Utterance {
    /// When it began.
    pub at: Timestamp,
    /// Who: `caller`, `assistant`, `tool`, `person`, `supervisor`.
    pub role: String,
    /// The words.
    pub text: String,
}

/// The sessions of calls that were announced since a time, newest first; without those that have ended if `only_open`.
///
/// Needs `dynamodb:Query` on the index `by-day` and `dynamodb:GetItem`. Calls that no supervisor was asked for are left out.
pub async fn list(log: &EventLog, since: Timestamp, only_open: bool, limit: usize) -> Result<Vec<SessionRecord>> {
    let include = vec![(Field::Category, "realtime".to_owned())];
    // Events of the present second are included.
    let until = Timestamp::now().0 + 999;
    let mut entries = log.entries(EventFilter { since: since.0, until, include, ..EventFilter::default() });
    let (mut known, mut found) = (HashSet::new(), Vec::new());
    while found.len() < limit
        && let Some(entry) = entries.next().await?
    {
        let api = if entry.event_type.starts_with("live.") { CallApi::Live } else { CallApi::Realtime };
        let Some(id) = entry.object_id.filter(|id| known.insert((api, id.clone()))) else { continue };
        let record = log.ledger().session(api.as_str(), &id).await?;
        found.extend(record.filter(|record| !only_open || is_open(record)));
    }
    Ok(found)
}

/// The call that was announced with an id that begins so and no other does; `None` if there is none. Needs
/// `dynamodb:Query` on the index `by-day`.
///
/// # Errors
///
/// Several ids begin so.
pub async fn whole_id(log: &EventLog, beginning: &str) -> Result<Option<String>> {
    let include = vec![(Field::Category, "realtime".to_owned())];
    let mut entries = log.entries(EventFilter { until: i64::MAX, include, ..EventFilter::default() });
    let mut ids = Vec::new();
    while let Some(entry) = entries.next().await? {
        ids.extend(entry.object_id.filter(|id| id.starts_with(beginning)));
    }
    only(beginning, ids)
}

/// The session with this id, whichever API it is of. Needs `dynamodb:GetItem`.
pub async fn find(ledger: &Ledger, id: &str) -> Result<Option<SessionRecord>> {
    for api in [api_of(id), other(api_of(id))] {
        if let Some(record) = ledger.session(api.as_str(), id).await? {
            return Ok(Some(record));
        }
    }
    Ok(None)
}

/// The API of an id: Realtime's begin with `rtc_`.
#[must_use]
pub fn api_of(id: &str) -> CallApi {
    if id.starts_with("rtc_") { CallApi::Realtime } else { CallApi::Live }
}

const fn other(api: CallApi) -> CallApi {
    match api {
        CallApi::Realtime => CallApi::Live,
        CallApi::Live => CallApi::Realtime,
    }
}

/// Whether a session goes on, as far as is known.
#[must_use]
pub fn is_open(record: &SessionRecord) -> bool {
    matches!(record.state, SessionState::Ringing | SessionState::Active)
}

/// Asks something of a session, and waits for the answer. `kind` and `argument` are those of
/// [`Control`](hooks_aws::ledger::Control). Needs `dynamodb:UpdateItem` and `dynamodb:GetItem`.
pub async fn ask(
    ledger: &Ledger,
    session: &SessionRecord,
    kind: &str,
    argument: &Value,
    asked_by: &str,
) -> Result<Asked> {
    let key = (session.api.as_str(), session.id.as_str());
    let until = Instant::now() + ANSWER_TIME;
    let asked = ledger.ask_session(key, kind, argument, asked_by).await?;
    loop {
        sleep(LOOK_EVERY).await;
        let Ok(control) = timeout_at(until, ledger.control(key, &asked)).await else { return Ok(Asked::Unanswered) };
        if let Some(answer) = control?.and_then(|control| control.answer) {
            if answer.confirmed {
                return Ok(Asked::Confirmed);
            }
            return Ok(Asked::Refused(answer.reason.unwrap_or_else(|| "no reason was given".to_owned())));
        }
        if Instant::now() >= until {
            return Ok(Asked::Unanswered);
        }
    }
}

/// The words of transcript lines. A Live session tells them in fragments, which are joined until a pause or the other side.
#[must_use]
pub fn utterances(lines: &[TranscriptLine]) -> Vec<Utterance> {
    let mut said: Vec<(i64, Utterance)> = Vec::new();
    for line in lines {
        let is_fragment = line.key.starts_with("fragment/");
        match said.last_mut() {
            Some((last, before)) if is_fragment && before.role == line.role && line.at - *last < PAUSE_MILLIS => {
                before.text.push_str(&line.text);
                *last = line.at;
            }
            _ => {
                let (role, text) = (line.role.clone(), line.text.clone());
                said.push((line.at, Utterance { at: Timestamp(line.at), role, text }));
            }
        }
    }
    said.into_iter().map(|(_, said)| Utterance { text: said.text.trim().to_owned(), ..said }).collect()
}

/// A session as JSON: without its settings, which have instructions and addresses in them, and without the caller's number,
/// which the facts have masked.
#[must_use]
pub fn document(session: &SessionRecord) -> Value {
    let time = |millis: Option<i64>| millis.map(|millis| json!(Timestamp(millis))).unwrap_or_default();
    let mut usage = session.usage.clone();
    // Ids for a successor.
    usage.remove("counted");
    json!({
        "id": session.id,
        "api": session.api,
        "state": session.state.as_str(),
        "facts": session.facts,
        "opened_at": time(Some(session.opened_at)),
        "active_at": time(session.active_at),
        "ended_at": time(session.ended_at),
        "reason": session.reason,
        "usage": usage,
        "generation": session.generation,
        "supervised_until": time(Some(session.lease_until).filter(|until| *until > 0 && is_open(session))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(at: i64, role: &str, text: &str, key: &str) -> TranscriptLine {
        TranscriptLine { at, role: role.to_owned(), text: text.to_owned(), key: key.to_owned() }
    }

    #[test]
    fn fragments_are_joined_until_a_pause_or_the_other_side() {
        let said = utterances(&[
            line(1000, "assistant", "Good", "fragment/1"),
            line(1200, "assistant", " morning.", "fragment/2"),
            line(1300, "caller", " Hello?", "fragment/3"),
            line(4300, "caller", " Anybody?", "fragment/4"),
            line(4400, "tool", "orders: done", "tool/1"),
            line(4500, "caller", "One.", "item_1"),
            line(4600, "caller", "Two.", "item_2"),
        ]);
        let texts: Vec<_> = said.iter().map(|said| said.text.as_str()).collect();
        assert_eq!(texts, ["Good morning.", "Hello?", "Anybody?", "orders: done", "One.", "Two."]);
        assert_eq!((said[0].at, said[0].role.as_str()), (Timestamp(1000), "assistant"));
    }

    #[test]
    fn an_id_tells_its_api() {
        assert_eq!(api_of("rtc_u1_9c65"), CallApi::Realtime);
        assert_eq!(api_of("live_123"), CallApi::Live);
        assert_eq!(other(api_of("sess_1")), CallApi::Realtime);
    }
}
