//! An event by its id, or by a beginning that no other id has.

use super::{Entry, EventFilter, EventLog, Field};
use crate::error::{OperateError, Result};

/// Shortest beginning that is searched for, in characters after `wh_` or `evt_`.
const SHORTEST: usize = 4;

/// Maximum length of an id.
const LONGEST: usize = 512;

/// Number of ids that an error names.
const NAMED: usize = 4;

impl EventLog {
    /// The event, with its body, that has this webhook id, event id, or beginning of one; `None` if there is none.
    ///
    /// A webhook id is found at once. For an event id the ledger is searched from today backwards, for a beginning the
    /// whole of it. `searching` is called before a search.
    ///
    /// # Errors
    ///
    /// Several events begin so, or the text is too short.
    pub async fn find(&self, endpoints: &[String], id: &str, searching: impl FnOnce()) -> Result<Option<Entry>> {
        if id.is_empty() || id.len() > LONGEST || !id.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(OperateError::usage("the id is not a webhook id (wh_...) or an event id (evt_...)"));
        }
        for endpoint in endpoints {
            if let Some(entry) = self.entry(&format!("{endpoint}#{id}")).await? {
                return Ok(Some(entry));
            }
        }
        searching();
        let exact =
            EventFilter { until: i64::MAX, include: vec![(Field::EventId, id.to_owned())], ..EventFilter::default() };
        if let Some(entry) = self.entries(exact).next().await? {
            return self.entry(&entry.key()).await;
        }
        let Some(rest) = id.strip_prefix("wh_").or_else(|| id.strip_prefix("evt_")) else { return Ok(None) };
        if rest.len() < SHORTEST {
            return Err(OperateError::usage(format!("{id} is too short to find an event by"))
                .hint(format!("Give at least {SHORTEST} characters after wh_ or evt_.")));
        }
        match self.beginning_with(id).await?.as_slice() {
            [] => Ok(None),
            [one] => self.entry(&one.key()).await,
            several => {
                let ids =
                    several.iter().map(|entry| if id.starts_with("wh_") { &entry.webhook_id } else { &entry.event_id });
                let ids: Vec<_> = ids.map(String::as_str).collect();
                Err(OperateError::usage(format!("{id} is the beginning of several ids: {}", ids.join(", ")))
                    .hint("Give more characters."))
            }
        }
    }

    /// The newest events whose id begins so, at most [`NAMED`].
    async fn beginning_with(&self, id: &str) -> Result<Vec<Entry>> {
        let include = if id.starts_with("evt_") { vec![(Field::EventIdPrefix, id.to_owned())] } else { Vec::new() };
        let mut entries = self.entries(EventFilter { until: i64::MAX, include, ..EventFilter::default() });
        let mut found = Vec::new();
        while found.len() < NAMED
            && let Some(entry) = entries.next().await?
        {
            if entry.webhook_id.starts_with(id) || entry.event_id.starts_with(id) {
                found.push(entry);
            }
        }
        Ok(found)
    }
}
