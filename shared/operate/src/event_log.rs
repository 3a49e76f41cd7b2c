//! The ledger as a log of events: when each was received, and how it ended.

mod filter;
mod find;
mod metadata;

use std::collections::VecDeque;
use std::fmt;

use futures::FutureExt as _;
use hooks_aws::ledger::value::{plain, plain_object, read_number, read_text, text};
use hooks_aws::ledger::{IdempotencyRecord, Item, Ledger, SHARDS, day_of};
use hooks_webhook::Event;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::error::{LEDGER_PERMISSIONS, OperateError, Result, failed};
use crate::parallel::each;
use crate::timestamp::{DAY_MILLIS, Timestamp};

use filter::Query;
pub use filter::{EventFilter, Field};

/// The index over the events' `day` and `received_at`. A day is spread over [`SHARDS`] keys.
const BY_DAY: &str = "by-day";

/// Maximum number of events in a page of a shard. `DynamoDB` also ends a page at 1 MB.
const PAGE: i32 = 200;

/// Maximum number of events in any page of a shard.
const MAX_PAGE: i32 = 1000;

/// Days that events are kept after they were last handled, unless the stack says otherwise.
const DEFAULT_KEPT_DAYS: i64 = 35;

/// An event in the ledger. What the index does not have is there if the whole item was read.
#[derive(Clone, PartialEq, Serialize)]
pub struct Entry {
    /// Endpoint that took the delivery.
    pub endpoint: String,
    /// Id of the delivery.
    pub webhook_id: String,
    /// Time of the delivery as it was signed.
    #[serde(skip)]
    pub webhook_timestamp: String,
    /// Id of the event.
    pub event_id: String,
    /// Type of the event.
    #[serde(rename = "type")]
    pub event_type: String,
    /// Category.
    pub category: String,
    /// Id of the object.
    pub object_id: Option<String>,
    /// How it first came: `openai`, `reconcile` or `replay`.
    pub source: String,
    /// Time of receipt.
    pub received_at: Timestamp,
    /// `in_progress`, `completed`, `failed` or `not_found`.
    pub state: String,
    /// Number of attempts.
    pub attempts: i64,
    /// When handling ended.
    pub handled_at: Option<Timestamp>,
    /// `status`; of the whole item also `artifacts`, `summary` and `note`.
    pub outcome: Option<Value>,
    /// Attempts of the whole item, oldest first.
    #[serde(skip)]
    pub history: Vec<Value>,
    /// The last error.
    pub error: Option<EntryError>,
    /// The event that was handled in its place.
    pub duplicate_of: Option<EventKey>,
    /// Body of the whole item, if it is stored.
    #[serde(skip)]
    pub body: Option<String>,
    /// Size in bytes of a body that was too large to store.
    pub body_omitted: Option<i64>,
    /// When the ledger forgets it.
    #[serde(skip)]
    pub expires_at: Timestamp,
}

/// An item that an audit looks at.
pub enum LedgerItem {
    /// Event.
    Event(Box<Entry>),
    /// Idempotency key and record.
    Record(String, Box<IdempotencyRecord>),
}

/// Key of an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EventKey {
    /// Endpoint that took the delivery.
    pub endpoint: String,
    /// Id of the delivery.
    pub webhook_id: String,
}

/// Why an event failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EntryError {
    /// Short code, as on the dead letter; `retry` while it is tried again.
    pub reason: String,
    /// The reason in words, of the whole item.
    pub message: Option<String>,
}

/// Some of the events that a filter selects, newest first.
#[derive(Clone, Debug, Default)]
pub struct EventPage {
    /// The events. A page never ends between events of the same millisecond.
    pub entries: Vec<Entry>,
    /// Where the next page begins: its `until`. `None` after the last event.
    pub next: Option<i64>,
    /// Number of pages of the index that were read.
    pub reads: usize,
}

/// The ledger as a log of events. Cheap to clone.
#[derive(Clone)]
pub struct EventLog {
    ledger: Ledger,
    /// How long events are kept after they were last handled, in milliseconds.
    kept_for: i64,
}

/// Events, newest first, read page by page.
pub struct Entries {
    ledger: Ledger,
    filter: EventFilter,
    /// A time within the day that is being read, in milliseconds since the Unix epoch.
    day_at: i64,
    /// The day's shards. `None` before its first page.
    shards: Option<Vec<Shard>>,
    /// Number of pages of the index that may still be read; `None` for any number.
    reads_left: Option<usize>,
    /// Number of pages of the index that were read.
    reads: usize,
    /// Size of a shard's first page. The next ones are larger.
    first_page: i32,
}

/// Events of a day under one key of the index, newest first.
#[derive(Clone)]
struct Shard {
    buffer: VecDeque<Entry>,
    /// Start of the next page.
    next_page: Option<Item>,
    is_over: bool,
    /// Everything after this time was read.
    read_to: i64,
    page_size: i32,
}

impl EventLog {
    /// The events of this ledger.
    #[must_use]
    pub fn new(ledger: Ledger) -> Self {
        Self { ledger, kept_for: DEFAULT_KEPT_DAYS * DAY_MILLIS }
    }

    /// The same events, of a stack that keeps them for this number of days.
    #[must_use]
    pub fn keeping(self, days: i64) -> Self {
        Self { kept_for: days.saturating_mul(DAY_MILLIS), ..self }
    }

    /// The ledger.
    #[must_use]
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The events that the filter selects, newest first. Needs `dynamodb:Query` on the index `by-day`.
    ///
    /// The index lags behind the table by about a second. Events received longer ago than twice the time that they are kept
    /// for are not read: each is kept from when it was last handled, and may be replayed until then.
    #[must_use]
    pub fn entries(&self, mut filter: EventFilter) -> Entries {
        let now = Timestamp::now().0;
        filter.since = filter.since.max(now.saturating_sub(2 * self.kept_for));
        // The verifier's clock may be ahead of this one.
        filter.until = filter.until.min(now.saturating_add(DAY_MILLIS));
        let day_at = filter.until;
        let ledger = self.ledger.clone();
        Entries { ledger, filter, day_at, shards: None, reads_left: None, reads: 0, first_page: PAGE }
    }

    /// The newest `limit` events that the filter selects, and those of the same millisecond, for `reads` pages of the index
    /// at most: a filter that selects few of many events may find none before it must be asked again.
    pub async fn list(&self, filter: EventFilter, limit: usize, reads: usize) -> Result<EventPage> {
        let mut entries = self.entries(filter);
        entries.reads_left = Some(reads);
        entries.first_page = i32::try_from(limit.div_ceil(SHARDS) * 2).unwrap_or(PAGE).clamp(10, MAX_PAGE);
        let mut page = EventPage::default();
        loop {
            let Some(entry) = entries.next().await? else {
                page.next = entries.stopped_at();
                break;
            };
            let last = page.entries.last().map(|last: &Entry| last.received_at);
            if page.entries.len() >= limit && last != Some(entry.received_at) {
                page.next = last.map(|last| last.0 - 1);
                break;
            }
            page.entries.push(entry);
        }
        page.reads = entries.reads;
        Ok(page)
    }

    /// An event with its body, by [`Entry::key`]. Needs `dynamodb:GetItem` on the table.
    pub async fn entry(&self, key: &str) -> Result<Option<Entry>> {
        let item = self.ledger.item("read the event", &format!("event#{key}"), "event").await?;
        let Some(item) = item else { return Ok(None) };
        let mut entry = Entry::read(&item)?;
        if item.get("masked").is_some_and(|masked| masked.as_bool() == Ok(&true)) {
            // Within a day the event can be replayed as it came.
            entry.body = self.ledger.whole_body(key).await?.or(entry.body);
        }
        Ok(Some(entry))
    }

    /// A page of all events and idempotency records, and where the next one begins. Needs `dynamodb:Scan` on the table.
    pub async fn page(&self, start: Option<Item>) -> Result<(Vec<LedgerItem>, Option<Item>)> {
        let request = self.ledger.client().scan().table_name(self.ledger.table()).set_exclusive_start_key(start);
        let request = request.filter_expression("sk IN (:event, :record)");
        let request = request.expression_attribute_values(":event", text("event"));
        let request = request.expression_attribute_values(":record", text("record"));
        let page = request.send().await.map_err(|error| failed("read the ledger", &error, LEDGER_PERMISSIONS))?;
        let items = page.items.unwrap_or_default().into_iter().map(|item| LedgerItem::read(&item));
        Ok((items.collect::<Result<_>>()?, page.last_evaluated_key))
    }

    /// The record of an object, by the field names of [`Outcome`](hooks_aws::outcomes::Outcome).
    pub async fn job_record(&self, category: &str, object_id: &str) -> Result<Option<Map<String, Value>>> {
        let item = self.ledger.item("read the job", &format!("job#{category}#{object_id}"), "job").await?;
        Ok(item.map(|item| {
            let mut job = plain_object(&item);
            job.retain(|name, _| !["pk", "sk", "expires_at"].contains(&name.as_str()));
            job
        }))
    }

    /// The record of this idempotency key.
    pub async fn idempotency_record(&self, key: &str) -> Result<Option<IdempotencyRecord>> {
        Ok(self.ledger.idempotency_record(key).await?)
    }
}

impl Entries {
    /// The next events, at most `limit`; none after the last.
    pub async fn page(&mut self, limit: usize) -> Result<Vec<LedgerItem>> {
        let mut page = Vec::new();
        while page.len() < limit
            && let Some(entry) = self.next().await?
        {
            page.push(LedgerItem::Event(Box::new(entry)));
        }
        Ok(page)
    }

    /// The next event; `None` after the last.
    pub async fn next(&mut self) -> Result<Option<Entry>> {
        let first_day = self.filter.since.div_euclid(DAY_MILLIS);
        while self.filter.until >= self.filter.since && self.day_at.div_euclid(DAY_MILLIS) >= first_day {
            self.fill().await?;
            let read_to = self.unread().unwrap_or(i64::MIN);
            let shards = self.shards.iter_mut().flatten().filter(|shard| !shard.buffer.is_empty());
            if let Some(newest) = shards.max_by_key(|shard| shard.buffer[0].received_at.0)
                && newest.buffer[0].received_at.0 > read_to
            {
                return Ok(newest.buffer.pop_front());
            }
            if read_to != i64::MIN {
                return Ok(None);
            }
            self.shards = None;
            self.day_at -= DAY_MILLIS;
        }
        Ok(None)
    }

    /// The latest time of this day that some shard was not read to, if reading was stopped.
    fn unread(&self) -> Option<i64> {
        let unread = self.shards.iter().flatten().filter(|shard| shard.buffer.is_empty() && !shard.is_over);
        unread.map(|shard| shard.read_to).max()
    }

    /// Where reading goes on, if it was stopped: the latest time that was not read.
    fn stopped_at(&self) -> Option<i64> {
        let end_of_day = self.day_at.div_euclid(DAY_MILLIS).saturating_add(1).saturating_mul(DAY_MILLIS) - 1;
        self.unread().map(|unread| unread.min(end_of_day).min(self.filter.until))
    }

    /// Reads page after page of each shard whose buffer is empty, all at a time, until each has an event or is over, or no
    /// more may be read.
    async fn fill(&mut self) -> Result<()> {
        let new = Shard {
            buffer: VecDeque::new(),
            next_page: None,
            is_over: false,
            read_to: i64::MAX,
            page_size: self.first_page,
        };
        let shards = self.shards.get_or_insert_with(|| vec![new; SHARDS]);
        loop {
            let empty: Vec<_> =
                shards.iter_mut().enumerate().filter(|(_, shard)| shard.buffer.is_empty() && !shard.is_over).collect();
            if empty.is_empty() {
                return Ok(());
            }
            if let Some(left) = &mut self.reads_left {
                if *left < empty.len() {
                    return Ok(());
                }
                *left -= empty.len();
            }
            self.reads += empty.len();
            let (ledger, filter, day_at) = (&self.ledger, &self.filter, self.day_at);
            let pages = empty.into_iter().map(|(number, shard)| {
                let day = day_of(day_at, number);
                async move { shard.page(ledger, filter, &day).await }.boxed()
            });
            let pages: Vec<_> = pages.collect();
            each(pages, usize::MAX, drop).await?;
        }
    }
}

impl Shard {
    async fn page(&mut self, ledger: &Ledger, filter: &EventFilter, day: &str) -> Result<()> {
        let query = Query::new(filter, day);
        let request = ledger.client().query().table_name(ledger.table()).index_name(BY_DAY);
        let request = request
            .key_condition_expression("#day = :day AND #received_at BETWEEN :since AND :until")
            .set_filter_expression(query.filter())
            .projection_expression(query.projection)
            .set_expression_attribute_names(Some(query.names))
            .set_expression_attribute_values(Some(query.values))
            .scan_index_forward(false)
            .limit(self.page_size)
            .set_exclusive_start_key(self.next_page.take());
        let page = request.send().await.map_err(|error| failed("list the events", &error, LEDGER_PERMISSIONS))?;
        let entries = page.items.unwrap_or_default().iter().map(Entry::read).collect::<Result<Vec<_>>>()?;
        self.buffer.extend(metadata::matching(ledger, entries, &filter.metadata).await?);
        self.next_page = page.last_evaluated_key;
        self.is_over = self.next_page.is_none();
        self.read_to = self.next_page.as_ref().and_then(|key| read_number(key, "received_at")).unwrap_or(self.read_to);
        self.page_size = self.page_size.saturating_mul(2).min(MAX_PAGE);
        Ok(())
    }
}

impl LedgerItem {
    fn read(item: &Item) -> Result<Self> {
        let pk = read_text(item, "pk").unwrap_or_default();
        let Some(key) = pk.strip_prefix("idempotency#") else { return Ok(Self::Event(Box::new(Entry::read(item)?))) };
        let record = IdempotencyRecord::read(item);
        let record =
            record.ok_or_else(|| OperateError::service(format!("could not read the record {key}: no status")))?;
        Ok(Self::Record(key.to_owned(), Box::new(record)))
    }
}

impl Entry {
    /// Endpoint and webhook id, joined by `#`.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}#{}", self.endpoint, self.webhook_id)
    }

    /// The idempotency key; `None` without a body.
    #[must_use]
    pub fn idempotency_key(&self) -> Option<String> {
        Some(Event::parse(self.body.as_deref()?).ok()?.idempotency_key().to_string())
    }

    /// Reads an event's item.
    pub fn read(item: &Item) -> Result<Self> {
        let said = |name| read_text(item, name).map(str::to_owned);
        let (Some(EventKey { endpoint, webhook_id }), Some(state)) =
            (read_text(item, "pk").and_then(|pk| key(pk.strip_prefix("event#")?)), said("state"))
        else {
            return Err(OperateError::service("could not read the event: its item has no state"));
        };
        Ok(Self {
            endpoint,
            webhook_id,
            webhook_timestamp: said("webhook_timestamp").unwrap_or_default(),
            event_id: said("event_id").unwrap_or_default(),
            event_type: said("event_type").unwrap_or_default(),
            category: said("category").unwrap_or_default(),
            object_id: said("object_id"),
            source: said("source").unwrap_or_default(),
            received_at: Timestamp(read_number(item, "received_at").unwrap_or(0)),
            state,
            attempts: read_number(item, "claims").unwrap_or(0),
            handled_at: read_number(item, "handled_at").map(Timestamp),
            outcome: said("result").map(|status| {
                let mut outcome = json!({ "status": status });
                for name in ["artifacts", "summary", "note"] {
                    if let Some(value) = item.get(name) {
                        outcome[name] = plain(value);
                    }
                }
                outcome
            }),
            history: item
                .get("attempts")
                .and_then(|list| list.as_l().ok())
                .map(|list| list.iter().map(plain).collect())
                .unwrap_or_default(),
            error: said("reason").map(|reason| EntryError { reason, message: said("message") }),
            duplicate_of: read_text(item, "duplicate_of").and_then(key),
            body: said("body"),
            body_omitted: read_number(item, "body_omitted"),
            expires_at: Timestamp::from_seconds(read_number(item, "expires_at").unwrap_or(0)),
        })
    }
}

impl fmt::Debug for Entry {
    /// Identifiers only, never a body.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("endpoint", &self.endpoint)
            .field("webhook_id", &self.webhook_id)
            .field("event_type", &self.event_type)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// Endpoint and webhook id, joined by `#`.
fn key(key: &str) -> Option<EventKey> {
    let (endpoint, webhook_id) = key.split_once('#')?;
    Some(EventKey { endpoint: endpoint.to_owned(), webhook_id: webhook_id.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_without_a_state_is_not_an_event() {
        let mut item = Item::from([("pk".to_owned(), text("event#project#wh#1"))]);
        assert!(Entry::read(&item).is_err());
        item.insert("state".to_owned(), text("completed"));
        let entry = Entry::read(&item).unwrap();
        assert_eq!((entry.endpoint.as_str(), entry.webhook_id.as_str()), ("project", "wh#1"));
    }

    #[test]
    fn debug_shows_no_body() {
        let item = [("pk", "event#project#wh_1"), ("state", "completed"), ("body", "{\"secret\":1}")];
        let item = item.map(|(name, value)| (name.to_owned(), text(value))).into();
        assert!(!format!("{:?}", Entry::read(&item).unwrap()).contains("secret"));
    }
}
