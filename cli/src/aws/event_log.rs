//! The ledger as a log: which events came when, and what became of each.

use std::collections::{HashMap, VecDeque};
use std::fmt;

use aws_sdk_dynamodb::types::AttributeValue;
use hooks_aws::ledger::value::{number, plain, plain_object, read_number, read_text, text};
use hooks_aws::ledger::{IdempotencyRecord, Item, Ledger, LedgerError, SHARDS, day_of};
use serde_json::{Map, Value, json};
use tokio::task::JoinSet;

use super::failed;
use crate::failure::{Failure, LEDGER_PERMISSIONS};
use crate::when::Moment;

/// The index over the events' `day` and `received_at`. A day is spread over several keys.
const BY_DAY: &str = "by-day";

/// How many events are read at a time of each key, at most: `DynamoDB` ends a page at 1 MB anyway.
const PAGE: i32 = 200;

const DAY_MILLIS: i64 = 86_400_000;

/// How far back events are looked for. Each is kept for 35 days after it was handled last, and a redrive or a replay may
/// come as late.
const OLDEST_MILLIS: i64 = 2 * 35 * DAY_MILLIS;

/// What the index has of an event.
const ATTRIBUTES: [&str; 16] = [
    "pk",
    "received_at",
    "source",
    "webhook_timestamp",
    "event_id",
    "event_type",
    "category",
    "object_id",
    "state",
    "claims",
    "handled_at",
    "result",
    "reason",
    "duplicate_of",
    "body_omitted",
    "expires_at",
];

/// An event as the ledger has it.
#[derive(Clone, PartialEq)]
pub(crate) struct Entry {
    /// Which of our endpoints received it.
    pub(crate) endpoint: String,
    /// The `webhook-id` header.
    pub(crate) webhook_id: String,
    /// The `webhook-timestamp` header.
    pub(crate) webhook_timestamp: String,
    /// The body's `id`.
    pub(crate) event_id: String,
    /// The body's `type`.
    pub(crate) event_type: String,
    /// Which function handles it.
    pub(crate) category: String,
    /// What it is about.
    pub(crate) object_id: Option<String>,
    /// How it came first: `openai`, `reconcile` or `replay`.
    pub(crate) source: String,
    /// When we received it, in milliseconds since the Unix epoch.
    pub(crate) received_at: i64,
    /// `in_progress`, `completed`, `failed` or `not_found`.
    pub(crate) state: String,
    /// How many times its idempotency key was claimed.
    pub(crate) claims: i64,
    /// When it ended, in milliseconds since the Unix epoch.
    pub(crate) handled_at: Option<i64>,
    /// How it ended well: `status` and, if the whole item was read, `artifacts`, `summary` and `note`.
    pub(crate) outcome: Option<Value>,
    /// Its attempts, if the whole item was read. The oldest comes first.
    pub(crate) history: Vec<Value>,
    /// What went wrong last.
    pub(crate) error: Option<EntryError>,
    /// The event that acted for it, as endpoint and webhook id.
    pub(crate) duplicate_of: Option<(String, String)>,
    /// The body, if the whole item was read and it is kept.
    pub(crate) body: Option<String>,
    /// How many bytes the body had that was too large to keep.
    pub(crate) body_omitted: Option<i64>,
    /// When the ledger forgets it, in Unix seconds.
    pub(crate) expires_at: i64,
}

/// What went wrong with an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EntryError {
    /// A short code, as on the dead letter; `retry` while it is tried again.
    pub(crate) reason: String,
    /// The reason in words, if the whole item was read.
    pub(crate) message: Option<String>,
}

/// Which events are wanted. What is `None` is not asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    /// Received at this time or later, in milliseconds since the Unix epoch.
    pub(crate) since: i64,
    /// Received at this time at the latest.
    pub(crate) until: i64,
    /// Of this category.
    pub(crate) category: Option<String>,
    /// Of this type; with `*` at its end, of all that begin so.
    pub(crate) event_type: Option<String>,
    /// `in_progress`, `completed`, `failed` or `not_found`.
    pub(crate) state: Option<String>,
    /// About this object.
    pub(crate) object_id: Option<String>,
    /// With this id in its body.
    pub(crate) event_id: Option<String>,
}

/// The ledger, read as a log. Cheap to clone.
#[derive(Clone)]
pub(crate) struct EventLog(Ledger);

/// Events, the newest first. They are read as they are asked for.
pub(crate) struct Entries {
    ledger: Ledger,
    wanted: Wanted,
    /// A moment of the day that is being read.
    moment: i64,
    /// What was read of each of the day's keys. `None` when the day is not begun.
    shards: Option<Vec<Shard>>,
}

/// What was read of one of a day's keys, the newest first.
#[derive(Clone, Default)]
struct Shard {
    read: VecDeque<Entry>,
    /// Where the next page begins.
    from: Option<Item>,
    is_over: bool,
}

impl EventLog {
    pub(crate) fn new(ledger: Ledger) -> Self {
        Self(ledger)
    }

    /// The events that are wanted, the newest first. Needs `dynamodb:Query` on the index `by-day`.
    ///
    /// The index follows the table within a second or so. Events of more than 70 days ago are not asked for.
    pub(crate) fn entries(&self, mut wanted: Wanted) -> Entries {
        let now = Moment::now().0;
        wanted.since = wanted.since.max(now.saturating_sub(OLDEST_MILLIS));
        // The clock that received an event may be ahead of ours.
        wanted.until = wanted.until.min(now.saturating_add(DAY_MILLIS));
        let moment = wanted.until;
        Entries { ledger: self.0.clone(), wanted, moment, shards: None }
    }

    /// One event with its body. Needs `dynamodb:GetItem` on the table.
    pub(crate) async fn entry(&self, endpoint: &str, webhook_id: &str) -> Result<Option<Entry>, Failure> {
        let item = self.0.item("read the event", &format!("event#{endpoint}#{webhook_id}"), "event").await?;
        item.map(|item| Entry::read(&item)).transpose()
    }

    /// Everything that is recorded of an object, by the names of [`Job`](hooks_aws::ledger::Job).
    pub(crate) async fn job_details(
        &self,
        category: &str,
        object_id: &str,
    ) -> Result<Option<Map<String, Value>>, LedgerError> {
        let item = self.0.item("read the job", &format!("job#{category}#{object_id}"), "job").await?;
        Ok(item.as_ref().map(without_keys))
    }

    /// The idempotency record of a key.
    pub(crate) async fn record(&self, key: &str) -> Result<Option<IdempotencyRecord>, LedgerError> {
        self.0.idempotency_record(key).await
    }
}

impl Entries {
    /// The next event; `None` when there are no more.
    pub(crate) async fn next(&mut self) -> Result<Option<Entry>, Failure> {
        let first_day = self.wanted.since.div_euclid(DAY_MILLIS);
        while self.wanted.until >= self.wanted.since && self.moment.div_euclid(DAY_MILLIS) >= first_day {
            self.fill().await?;
            let shards = self.shards.as_mut().into_iter().flatten();
            let newest = shards.filter(|shard| !shard.read.is_empty()).max_by_key(|shard| shard.read[0].received_at);
            if let Some(shard) = newest {
                return Ok(shard.read.pop_front());
            }
            self.shards = None;
            self.moment -= DAY_MILLIS;
        }
        Ok(None)
    }

    /// Reads on where nothing is left of a key's last page, all keys at a time.
    async fn fill(&mut self) -> Result<(), Failure> {
        let shards = self.shards.get_or_insert_with(|| vec![Shard::default(); SHARDS.try_into().unwrap_or(1)]);
        let mut pages = JoinSet::new();
        for (number, shard) in shards.iter().enumerate().filter(|(_, shard)| shard.read.is_empty() && !shard.is_over) {
            let (ledger, wanted) = (self.ledger.clone(), self.wanted.clone());
            let (moment, mut shard) = (self.moment, shard.clone());
            pages.spawn(async move {
                // A page may have nothing that is wanted.
                while shard.read.is_empty() && !shard.is_over {
                    shard.page(&ledger, &wanted, &day_of(moment, number as u64)).await?;
                }
                Ok::<_, Failure>((number, shard))
            });
        }
        while let Some(page) = pages.join_next().await {
            let (number, shard) = page.map_err(|error| Failure::no(error.to_string()))??;
            shards[number] = shard;
        }
        Ok(())
    }
}

impl Shard {
    async fn page(&mut self, ledger: &Ledger, wanted: &Wanted, day: &str) -> Result<(), Failure> {
        let query = Query::new(wanted, day);
        let request = ledger.client().query().table_name(ledger.table()).index_name(BY_DAY);
        let request = request
            .key_condition_expression("#day = :day AND #received_at BETWEEN :since AND :until")
            .set_filter_expression(query.filter())
            .projection_expression(query.projection)
            .set_expression_attribute_names(Some(query.names))
            .set_expression_attribute_values(Some(query.values))
            .scan_index_forward(false)
            .limit(PAGE)
            .set_exclusive_start_key(self.from.take());
        let page = request.send().await.map_err(|error| failed("list the events", &error).hint(LEDGER_PERMISSIONS))?;
        for item in page.items.unwrap_or_default() {
            self.read.push_back(Entry::read(&item)?);
        }
        self.from = page.last_evaluated_key;
        self.is_over = self.from.is_none();
        Ok(())
    }
}

/// A query in `DynamoDB`'s words. Every attribute goes by an alias, since many are reserved words.
struct Query {
    conditions: Vec<&'static str>,
    projection: String,
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
}

impl Query {
    fn new(wanted: &Wanted, day: &str) -> Self {
        let names: HashMap<_, _> = ATTRIBUTES.into_iter().map(|name| (format!("#{name}"), name.to_owned())).collect();
        let projection = names.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let values = [(":day", text(day)), (":since", number(wanted.since)), (":until", number(wanted.until))];
        let mut query = Self {
            conditions: Vec::new(),
            projection,
            names,
            values: values.map(|(name, value)| (name.to_owned(), value)).into(),
        };
        query.names.insert("#day".to_owned(), "day".to_owned());
        query.demand("#category = :category", ":category", wanted.category.as_deref());
        query.demand("#state = :state", ":state", wanted.state.as_deref());
        query.demand("#object_id = :object_id", ":object_id", wanted.object_id.as_deref());
        query.demand("#event_id = :event_id", ":event_id", wanted.event_id.as_deref());
        match wanted.event_type.as_deref().map(|wanted| (wanted, wanted.strip_suffix('*'))) {
            // A condition takes no empty text, and every type begins with it.
            None | Some((_, Some(""))) => {}
            Some((_, Some(prefix))) => query.demand("begins_with(#event_type, :type)", ":type", Some(prefix)),
            Some((exact, None)) => query.demand("#event_type = :type", ":type", Some(exact)),
        }
        query
    }

    fn demand(&mut self, condition: &'static str, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.conditions.push(condition);
            self.values.insert(name.to_owned(), text(value));
        }
    }

    fn filter(&self) -> Option<String> {
        (!self.conditions.is_empty()).then(|| self.conditions.join(" AND "))
    }
}

impl Entry {
    fn read(item: &Item) -> Result<Self, Failure> {
        let said = |name| read_text(item, name).map(str::to_owned);
        let (Some((endpoint, webhook_id)), Some(state)) =
            (read_text(item, "pk").and_then(|pk| split(pk.strip_prefix("event#")?)), said("state"))
        else {
            return Err(Failure::remote("could not read the event: its item has no state"));
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
            received_at: read_number(item, "received_at").unwrap_or(0),
            state,
            claims: read_number(item, "claims").unwrap_or(0),
            handled_at: read_number(item, "handled_at"),
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
                .map_or(Vec::new(), |list| list.iter().map(plain).collect()),
            error: said("reason").map(|reason| EntryError { reason, message: said("message") }),
            duplicate_of: read_text(item, "duplicate_of").and_then(|key| split(key)),
            body: said("body"),
            body_omitted: read_number(item, "body_omitted"),
            expires_at: read_number(item, "expires_at").unwrap_or(0),
        })
    }
}

impl fmt::Debug for Entry {
    /// Identifiers only: a body is nobody's business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("endpoint", &self.endpoint)
            .field("webhook_id", &self.webhook_id)
            .field("event_type", &self.event_type)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// Endpoint and webhook id of an event's key.
fn split(key: &str) -> Option<(String, String)> {
    let (endpoint, webhook_id) = key.split_once('#')?;
    Some((endpoint.to_owned(), webhook_id.to_owned()))
}

fn without_keys(item: &Item) -> Map<String, Value> {
    let mut object = plain_object(item);
    for name in ["pk", "sk", "expires_at"] {
        object.remove(name);
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(wanted: &Wanted) -> Query {
        Query::new(wanted, "2026-11-22#7")
    }

    #[test]
    fn what_is_not_asked_for_is_no_condition() {
        let query = query(&Wanted::default());
        assert_eq!(query.filter(), None);
        assert_eq!(query.values.len(), 3);
        assert_eq!(query.values[":day"], text("2026-11-22#7"));
        assert!(!query.projection.contains("#body,") && !query.projection.ends_with("#body"));
    }

    #[test]
    fn a_type_is_exact_unless_it_ends_with_a_star() {
        for (event_type, condition, value) in [
            ("batch.completed", Some("#event_type = :type"), Some("batch.completed")),
            ("batch.*", Some("begins_with(#event_type, :type)"), Some("batch.")),
            ("*", None, None),
        ] {
            let query = query(&Wanted { event_type: Some(event_type.to_owned()), ..Wanted::default() });
            assert_eq!(query.filter().as_deref(), condition);
            assert_eq!(query.values.get(":type"), value.map(text).as_ref());
        }
    }

    #[test]
    fn an_item_without_a_state_is_no_event() {
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
