//! Live sessions of calls: list and find them, read what was said, ask something of them.
//!
//! A session is asked by an item of the ledger, which its supervisor reads each second and answers. What no supervisor is
//! needed for, hanging up and transferring, is a call to OpenAI.

mod ask;
mod create;
mod end;

use std::cmp::Reverse;
use std::collections::HashSet;

use hooks_aws::ledger::{Control, Ledger, SessionRecord, SessionState, ToolCall, TranscriptLine};
use hooks_webhook::CallApi;
use serde_json::{Value, json};

use crate::Result;
use crate::beginning::only;
use crate::event_log::{EventFilter, EventLog, Field};
use crate::parallel::each;
use crate::timestamp::Timestamp;

pub use ask::{ANSWER_TIME, Asked, ask, broadcast};
pub use create::{Created, NewCall, Supervisors, check, create};
pub use end::{EndAction, check_target, end};

/// Number of sessions that are read or asked at a time.
const PARALLEL: usize = 64;

/// Longest id of a call. It is a part of keys and of paths.
const MAX_ID: usize = 128;

/// Pause within which the fragments of one side belong together, in milliseconds.
const PAUSE_MILLIS: i64 = 3_000;

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

/// Some calls, newest first.
#[derive(Debug, Default)]
pub struct CallPage {
    /// Their sessions.
    pub calls: Vec<SessionRecord>,
    /// `before` of the next page; `None` after the last one.
    pub next: Option<i64>,
}

/// The sessions of calls that came since a time, newest first, up to `before` (milliseconds since the Unix epoch) if it is
/// given. The first page begins with all that have not ended.
///
/// Needs `dynamodb:Query` on the indexes `by-day` and `by-due`, and `dynamodb:GetItem`. Calls that no supervisor was asked
/// for are left out; of those that have ended, those that no event announced.
pub async fn list(log: &EventLog, since: Timestamp, before: Option<i64>, limit: usize) -> Result<CallPage> {
    let mut calls = if before.is_none() { open(log.ledger()).await? } else { Vec::new() };
    let mut known: HashSet<_> = calls.iter().map(|call| (call.api.clone(), call.id.clone())).collect();
    let include = vec![(Field::Category, "realtime".to_owned())];
    // Events of the present second are included.
    let until = before.unwrap_or_else(|| Timestamp::now().0 + 999);
    let mut entries = log.entries(EventFilter { since: since.0, until, include, ..EventFilter::default() });
    let (mut found, mut next) = (Vec::new(), None);
    let mut last = None;
    while let Some(entry) = entries.next().await? {
        if found.len() >= limit && last != Some(entry.received_at) {
            next = last.map(|last: Timestamp| last.0 - 1);
            break;
        }
        last = Some(entry.received_at);
        let api = if entry.event_type.starts_with("live.") { CallApi::Live } else { CallApi::Realtime };
        let Some(id) = entry.object_id else { continue };
        if known.insert((api.as_str().to_owned(), id.clone())) {
            found.extend(log.ledger().session(api.as_str(), &id).await?);
        }
    }
    calls.extend(found);
    calls.sort_by_key(|call| Reverse(call.opened_at));
    Ok(CallPage { calls, next })
}

/// The sessions that have not ended, newest first. Needs `dynamodb:Query` on the index `by-due` and `dynamodb:GetItem`.
pub async fn open(ledger: &Ledger) -> Result<Vec<SessionRecord>> {
    let mut found = Vec::new();
    let keys = open_keys(ledger).await?;
    let read = keys.into_iter().map(|(api, id)| async move { ledger.session(&api, &id).await });
    each(read, PARALLEL, |record| found.extend(record.filter(is_open))).await?;
    found.sort_by_key(|call| Reverse(call.opened_at));
    Ok(found)
}

async fn open_keys(ledger: &Ledger) -> Result<Vec<(String, String)>> {
    let (mut keys, mut start) = (Vec::new(), None);
    loop {
        let page = ledger.open_sessions(start).await?;
        keys.extend(page.keys);
        start = page.next;
        if start.is_none() {
            return Ok(keys);
        }
    }
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

/// Whether a text can be the id of a call.
#[must_use]
pub fn is_id(text: &str) -> bool {
    let is_of_id = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    !text.is_empty() && text.len() <= MAX_ID && text.bytes().all(is_of_id)
}

/// Whether a session goes on, as far as is known.
#[must_use]
pub fn is_open(record: &SessionRecord) -> bool {
    matches!(record.state, SessionState::Ringing | SessionState::Active)
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
    // For a successor.
    usage.remove("counted");
    usage.remove("token_cost");
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

/// What was said, as JSON.
#[must_use]
pub fn utterance_document(said: &Utterance) -> Value {
    json!({"at": said.at, "role": said.role, "text": said.text})
}

/// A call of a tool as JSON: neither its arguments nor its result.
#[must_use]
pub fn tool_document(call: &ToolCall) -> Value {
    let success = call.result.as_ref().map(|result| result.is_success);
    json!({"call_id": call.call_id, "name": call.name, "at": Timestamp(call.claimed_at), "success": success, "given": call.given})
}

/// Something that was asked, as JSON: not its argument.
#[must_use]
pub fn asked_document(asked: &Control) -> Value {
    let answer = asked.answer.as_ref();
    json!({
        "kind": asked.kind,
        "asked_by": asked.asked_by,
        "at": Timestamp(asked.asked_at),
        "confirmed": answer.map(|answer| answer.confirmed),
        "reason": answer.and_then(|answer| answer.reason.as_deref()),
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
