//! The item of a live session: who supervises it, until when, and what is known of it.
//!
//! One supervisor holds a session at a time. It has a generation, which only grows, and a random token. Whoever takes the
//! session over comes with a higher generation; from then on every write of the earlier holder is refused, however late it
//! comes (fencing). A planned hand-over takes the session while the lease still runs; the watchdog waits until it is over.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::{Map, Value};

use super::change::{Change, Item, WriteResult};
use super::value::{number, object, plain_object, read_map, read_number, read_text, text};
use super::{Ledger, bounded, now, random_token};
use crate::AwsError;

pub(super) const SK: &str = "session";

/// Key of the sessions that have not ended in the index `by-due`.
pub(super) const WAITING: &str = "session";

/// State of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionState {
    /// It is accepted, or about to be; nobody is attached.
    Ringing,
    /// A supervisor was attached.
    Active,
    /// It has ended, and its records are being written.
    Ending,
    /// It has ended, and everything is written.
    Ended,
}

impl SessionState {
    /// The state as text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ringing => "ringing",
            Self::Active => "active",
            Self::Ending => "ending",
            Self::Ended => "ended",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Ringing, Self::Active, Self::Ending, Self::Ended].into_iter().find(|state| state.as_str() == text)
    }
}

/// A session that shall be supervised.
#[derive(Clone, Copy, Debug)]
pub struct NewSession<'a> {
    /// API of the session: `realtime` or `live`.
    pub api: &'a str,
    /// Id of the call or session at that API.
    pub id: &'a str,
    /// Settings of its supervision, as JSON.
    pub settings: &'a str,
    /// Event that announced it: endpoint and webhook id, joined by `#`.
    pub event: &'a str,
    /// Facts for people, such as the masked numbers.
    pub facts: &'a Map<String, Value>,
    /// Caller's number, where a tool looks it up.
    pub caller: Option<&'a str>,
}

/// Record of a session.
#[derive(Clone, PartialEq)]
pub struct SessionRecord {
    /// API of the session.
    pub api: String,
    /// Id of the call or session.
    pub id: String,
    /// State.
    pub state: SessionState,
    /// Generation of the latest holder; 0 when nobody has held it.
    pub generation: u32,
    /// End of the lease in milliseconds since the Unix epoch.
    pub lease_until: i64,
    /// Settings of its supervision, as JSON.
    pub settings: String,
    /// Event that announced it.
    pub event: String,
    /// Facts for people.
    pub facts: Map<String, Value>,
    /// Caller's number, where a tool looks it up.
    pub caller: Option<String>,
    /// Time at which the record was made, in milliseconds since the Unix epoch.
    pub opened_at: i64,
    /// Time of the first attachment.
    pub active_at: Option<i64>,
    /// Time of the end.
    pub ended_at: Option<i64>,
    /// Why it ended: a short code.
    pub reason: Option<String>,
    /// Usage so far: seconds, tokens, cost.
    pub usage: Map<String, Value>,
    /// What a successor has to know besides: times of limits, the state of a transfer.
    pub progress: Map<String, Value>,
    token: String,
}

/// The hold of a session. Every later write names its token, and has a number: one that takes effect late is refused when a
/// later one of the same holder has.
#[derive(Clone, Debug)]
pub struct SessionHold {
    pk: String,
    token: String,
    writes: Arc<AtomicI64>,
    /// Generation of the holder.
    pub generation: u32,
}

/// Result of taking a session.
#[derive(Debug)]
pub enum TakeResult {
    /// It is ours.
    Taken(SessionHold, Box<SessionRecord>),
    /// A supervisor of this generation or of a later one has it.
    Superseded,
    /// It has ended.
    Ended,
    /// There is no record of it.
    Absent,
}

/// Result of a holder's write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum HoldResult {
    /// It is written.
    Held,
    /// A later generation holds the session.
    Superseded,
}

impl Ledger {
    /// Records a session before it is accepted. `false`: it was recorded before, and stays as it is.
    pub async fn open_session(&self, new: &NewSession<'_>) -> Result<bool, AwsError> {
        let change = Change::default()
            .set("api", text(new.api))
            .set("session_id", text(new.id))
            .set("state", text(SessionState::Ringing.as_str()))
            .set("generation", number(0))
            .set("token", text(random_token()))
            .set("lease_until", number(0))
            .set("settings", text(new.settings))
            .set("event", text(new.event))
            .set("facts", object(new.facts))
            .set_or_remove("caller", new.caller.map(text))
            .set("opened_at", number(now()))
            .set("waiting", text(WAITING))
            .set("due_at", number(now() / 1000))
            .set("expires_at", number(self.expires_at()));
        let condition = "attribute_not_exists(pk)";
        let written = self.change("record the session", &pk(new.api, new.id), SK, change, condition).await?;
        Ok(matches!(written, WriteResult::Yes(_)))
    }

    /// Ends a session that nobody supervised: it was not accepted after all.
    pub async fn drop_session(&self, api: &str, id: &str, reason: &str) -> Result<(), AwsError> {
        let change = Change::default()
            .set("state", text(SessionState::Ended.as_str()))
            .set("reason", text(reason))
            .set("ended_at", number(now()))
            .remove("caller")
            .remove("waiting")
            .remove("due_at")
            .compare("generation")
            .value("nobody", number(0));
        self.change("end the session", &pk(api, id), SK, change, "#generation = :nobody").await.map(drop)
    }

    /// The record of a session. Needs `dynamodb:GetItem`.
    pub async fn session(&self, api: &str, id: &str) -> Result<Option<SessionRecord>, AwsError> {
        let item = self.item("read the session", &pk(api, id), SK).await?;
        Ok(item.as_ref().and_then(SessionRecord::read))
    }

    /// Takes a session as the supervisor of this generation, until `lease_until` (milliseconds since the Unix epoch).
    pub async fn take_session(
        &self,
        api: &str,
        id: &str,
        generation: u32,
        lease_until: i64,
    ) -> Result<TakeResult, AwsError> {
        let hold = SessionHold { pk: pk(api, id), token: random_token(), writes: Arc::default(), generation };
        let change = Change::default()
            .set("generation", number(generation.into()))
            .set("token", text(&hold.token))
            .set("write", number(0))
            .set("lease_until", number(lease_until))
            .set("expires_at", number(self.expires_at()))
            .compare("state")
            .value("ended", text(SessionState::Ended.as_str()))
            .returns_all();
        let condition = "attribute_exists(pk) AND #generation < :generation AND #state <> :ended";
        let (taken, item) = match self.change("take the session", &hold.pk, SK, change, condition).await? {
            WriteResult::Yes(item) => (true, item),
            // The SDK tried twice: the first try was made, but its answer got lost.
            WriteResult::No(item) => (read_text(&item, "token") == Some(&hold.token), item),
        };
        Ok(match SessionRecord::read(&item) {
            Some(record) if taken => TakeResult::Taken(hold, Box::new(record)),
            Some(SessionRecord { state: SessionState::Ended, .. }) => TakeResult::Ended,
            Some(_) => TakeResult::Superseded,
            None => TakeResult::Absent,
        })
    }

    /// Keeps a session until `lease_until`, and writes what is known of it now.
    pub async fn keep_session(
        &self,
        hold: &SessionHold,
        lease_until: i64,
        usage: &Map<String, Value>,
        progress: &Map<String, Value>,
    ) -> Result<HoldResult, AwsError> {
        let change = Change::default()
            .set("lease_until", number(lease_until))
            .set("usage", object(usage))
            .set("progress", object(progress));
        self.as_session_holder(hold, change, "keep the session").await
    }

    /// Notes that a supervisor is attached. The time of the first one stays.
    pub async fn session_active(&self, hold: &SessionHold) -> Result<HoldResult, AwsError> {
        let change = Change::default()
            .set("state", text(SessionState::Active.as_str()))
            .keep_or_set("active_at", number(now()))
            .set("waiting", text(WAITING))
            .keep_or_set("due_at", number(now() / 1000));
        self.as_session_holder(hold, change, "mark the session as active").await
    }

    /// Notes that the session has ended, before its records are written. The first reason stays.
    pub async fn session_ending(
        &self,
        hold: &SessionHold,
        reason: &str,
        usage: &Map<String, Value>,
    ) -> Result<HoldResult, AwsError> {
        let change = Change::default()
            .set("state", text(SessionState::Ending.as_str()))
            .keep_or_set("reason", text(bounded(reason)))
            .keep_or_set("ended_at", number(now()))
            .set("usage", object(usage))
            .remove("waiting")
            .remove("due_at");
        self.as_session_holder(hold, change, "mark the session as ending").await
    }

    /// Notes that everything about the session is written. The caller's number is needed no more and goes.
    pub async fn session_ended(&self, hold: &SessionHold) -> Result<HoldResult, AwsError> {
        let change = Change::default()
            .set("state", text(SessionState::Ended.as_str()))
            .set("lease_until", number(0))
            .remove("caller");
        self.as_session_holder(hold, change, "mark the session as ended").await
    }

    /// Ends the lease, so that a successor may be started at once.
    pub async fn leave_session(&self, hold: &SessionHold) -> Result<HoldResult, AwsError> {
        let change = Change::default().set("lease_until", number(0));
        self.as_session_holder(hold, change, "leave the session").await
    }

    /// The record of a session that one holds, or has held. Needs `dynamodb:GetItem`.
    pub async fn session_of(&self, hold: &SessionHold) -> Result<Option<SessionRecord>, AwsError> {
        let item = self.item("read the session", &hold.pk, SK).await?;
        Ok(item.as_ref().and_then(SessionRecord::read))
    }

    async fn as_session_holder(
        &self,
        hold: &SessionHold,
        change: Change,
        action: &'static str,
    ) -> Result<HoldResult, AwsError> {
        let write = hold.writes.fetch_add(1, Ordering::Relaxed) + 1;
        let change = change.set("write", number(write)).compare("token").value("holder", text(&hold.token));
        Ok(match self.change(action, &hold.pk, SK, change, "#token = :holder AND #write <= :write").await? {
            WriteResult::Yes(_) => HoldResult::Held,
            WriteResult::No(_) => HoldResult::Superseded,
        })
    }
}

impl SessionRecord {
    /// Reads a session's item. `None` when it lacks what every session has.
    #[must_use]
    pub fn read(item: &Item) -> Option<Self> {
        let said = |name| read_text(item, name).map(str::to_owned);
        let map = |name| read_map(item, name).map(plain_object).unwrap_or_default();
        Some(Self {
            api: said("api")?,
            id: said("session_id")?,
            state: SessionState::parse(read_text(item, "state")?)?,
            generation: read_number(item, "generation").and_then(|number| number.try_into().ok())?,
            lease_until: read_number(item, "lease_until").unwrap_or_default(),
            settings: said("settings").unwrap_or_default(),
            event: said("event").unwrap_or_default(),
            facts: map("facts"),
            caller: said("caller"),
            opened_at: read_number(item, "opened_at").unwrap_or_default(),
            active_at: read_number(item, "active_at"),
            ended_at: read_number(item, "ended_at"),
            reason: said("reason"),
            usage: map("usage"),
            progress: map("progress"),
            token: said("token")?,
        })
    }
}

impl std::fmt::Debug for SessionRecord {
    /// Identifiers only: settings have instructions and addresses in them.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionRecord")
            .field("api", &self.api)
            .field("id", &self.id)
            .field("state", &self.state)
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

/// The partition of everything about a session.
pub(super) fn pk(api: &str, id: &str) -> String {
    format!("{PREFIX}{api}#{id}")
}

/// Beginning of the partition keys.
pub(super) const PREFIX: &str = "session#";

impl Ledger {
    /// The item with this partition key in a table of the team's, as JSON. Needs `dynamodb:GetItem` on that table.
    pub async fn look_up(&self, table: &str, key: &str, value: &str) -> Result<Option<Map<String, Value>>, AwsError> {
        let request = self.client.get_item().table_name(table).key(key, text(value));
        let found = request.send().await.map_err(AwsError::of("look up the number"))?;
        Ok(found.item.as_ref().map(plain_object))
    }
}
