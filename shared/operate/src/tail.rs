//! Events as they come: the ledger's index, asked again and again.
//!
//! An event is in the ledger when its first attempt has ended, usually some tenths of a second after its delivery, and stays
//! at the time of its receipt. So the last minute is asked for each time, and the last half hour now and then: that finds what
//! took long, such as a batch with large results.
//!
//! # Cost
//!
//! A poll is a query of each of the index's sixteen keys, half a read unit each: at four polls a second some 32 read units a
//! second for every listener. Needs `dynamodb:Query` on the index `by-day`.

use std::collections::HashMap;

use hooks_aws::clock::now_ms;

use crate::error::Result;
use crate::event_log::{Entry, EventFilter, EventLog};

/// Time of receipt that each poll looks back, in milliseconds.
const RECENT: i64 = 60_000;

/// Time of receipt that a poll looks back now and then. No attempt takes longer than 15 minutes.
const LATE: i64 = 30 * 60_000;

/// Time between two polls that look back far.
const LATE_EVERY: i64 = 10_000;

/// How much the verifier's clock may be ahead.
const AHEAD: i64 = 60_000;

/// What a tail tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TailOf {
    /// Each event once.
    Events,
    /// Each end of an event: completed, failed or not found, a replay's again.
    Outcomes,
}

/// Events or outcomes since a moment, each told once.
pub struct Tail {
    log: EventLog,
    filter: EventFilter,
    of: TailOf,
    since: i64,
    /// What was told: the time of receipt and of the end, by the event's key.
    told: HashMap<String, (i64, Option<i64>)>,
    looked_back_at: i64,
    is_first: bool,
}

impl Tail {
    /// A tail of what is received (or ends) from `since` on, in milliseconds since the Unix epoch, and fits the filter, whose
    /// times do not matter.
    #[must_use]
    pub fn new(log: EventLog, filter: EventFilter, of: TailOf, since: i64) -> Self {
        Self { log, filter, of, since, told: HashMap::new(), looked_back_at: 0, is_first: true }
    }

    /// What is new, oldest first.
    pub async fn poll(&mut self) -> Result<Vec<Entry>> {
        let now = now_ms();
        let looks_back = now - self.looked_back_at >= LATE_EVERY;
        let since = match (self.is_first, looks_back, self.of) {
            (true, _, TailOf::Events) => self.since,
            (true, _, TailOf::Outcomes) => self.since.min(now - LATE),
            (false, true, _) => now - LATE,
            (false, false, _) => now - RECENT,
        };
        let since = if self.of == TailOf::Events { since.max(self.since) } else { since };
        let filter = EventFilter { since, until: now + AHEAD, ..self.filter.clone() };
        let mut entries = self.log.entries(filter);
        let mut new = Vec::new();
        while let Some(entry) = entries.next().await? {
            if self.is_new(&entry) {
                new.push(entry);
            }
        }
        // Only once all of it is read: what failed half-way is told by the next poll.
        for entry in &new {
            self.told.insert(entry.key(), (entry.received_at.0, entry.handled_at.map(|at| at.0)));
        }
        self.is_first = false;
        if looks_back {
            self.looked_back_at = now;
            let oldest = (now - 2 * LATE).min(since);
            self.told.retain(|_, (received_at, _)| *received_at >= oldest);
        }
        new.reverse();
        Ok(new)
    }

    fn is_new(&self, entry: &Entry) -> bool {
        let told = self.told.get(&entry.key());
        match self.of {
            TailOf::Events => told.is_none(),
            TailOf::Outcomes => entry
                .handled_at
                .is_some_and(|at| at.0 >= self.since && told.is_none_or(|(_, handled_at)| *handled_at != Some(at.0))),
        }
    }
}
