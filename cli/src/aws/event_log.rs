//! The ledger as a log: which events came when, and what became of each.

use std::collections::{HashMap, VecDeque};
use std::fmt;

use aws_sdk_dynamodb::types::AttributeValue;
use hooks_aws::ledger::value::{number, plain, plain_object, read_number, read_text, text};
use hooks_aws::ledger::{Item, Ledger};
use serde_json::{Map, Value};

use super::failed;
use crate::failure::{Failure, LEDGER_PERMISSIONS};
use crate::when::Moment;

/// The index over the events' `day` and `received_at`.
const BY_DAY: &str = "by-day";

/// How many events are read at a time, at most: `DynamoDB` ends a page at 1 MB anyway.
const PAGE: i32 = 500;

const DAY_MILLIS: i64 = 86_400_000;

/// How far back events are looked for. Each is kept for 35 days after it was handled last, and a redrive or a replay may
/// come as late.
const OLDEST_MILLIS: i64 = 2 * 35 * DAY_MILLIS;

/// What is read of an event besides its body.
const ATTRIBUTES: [&str; 18] = [
    "pk",
    "received_at",
    "source",
    "endpoint",
    "webhook_timestamp",
    "event_id",
    "event_type",
    "category",
    "object_id",
    "state",
    "attempts",
    "lease_until",
    "handled_at",
    "outcome",
    "error",
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
    /// `in_progress`, `done` or `failed`.
    pub(crate) state: String,
    /// How many times it was taken up.
    pub(crate) attempts: i64,
    /// When the present holder's lease ends, in milliseconds since the Unix epoch; 0 when nobody holds it.
    pub(crate) lease_until: i64,
    /// When it ended, in milliseconds since the Unix epoch.
    pub(crate) handled_at: Option<i64>,
    /// How it ended well: `status`, `artifacts`, `summary` and, when nothing was done, `note`.
    pub(crate) outcome: Option<Value>,
    /// What went wrong last.
    pub(crate) error: Option<EntryError>,
    /// The event that acted for it, as endpoint and webhook id.
    pub(crate) duplicate_of: Option<(String, String)>,
    /// The body, if it was asked for and is kept.
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
    /// The reason in words.
    pub(crate) message: String,
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
    /// `in_progress`, `done` or `failed`.
    pub(crate) state: Option<String>,
    /// About this object.
    pub(crate) object_id: Option<String>,
    /// With this id in its body.
    pub(crate) event_id: Option<String>,
    /// Whether their bodies are read, too.
    pub(crate) bodies: bool,
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
    /// Where the next page of that day begins.
    from: Option<Item>,
    read: VecDeque<Entry>,
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
        Entries { ledger: self.0.clone(), wanted, moment, from: None, read: VecDeque::new() }
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

    /// Who acts, or has acted, for everything that has this effect key: `event`, `state`, `lease_until`, `handled_at`.
    pub(crate) async fn effect_details(&self, key: &str) -> Result<Option<Map<String, Value>>, LedgerError> {
        let item = self.0.item("read the effect", &format!("effect#{key}"), "effect").await?;
        Ok(item.as_ref().map(without_keys))
    }
}

impl Entries {
    /// The next event; `None` when there are no more.
    pub(crate) async fn next(&mut self) -> Result<Option<Entry>, Failure> {
        while self.read.is_empty() && !self.is_over() {
            self.page().await?;
        }
        Ok(self.read.pop_front())
    }

    /// Whether every day was read.
    fn is_over(&self) -> bool {
        let first_day = self.wanted.since.div_euclid(DAY_MILLIS);
        self.wanted.until < self.wanted.since || self.moment.div_euclid(DAY_MILLIS) < first_day
    }

    /// Reads on: the next page of the day, and with its last one goes on to the day before.
    async fn page(&mut self) -> Result<(), Failure> {
        let query = Query::new(&self.wanted, self.moment);
        let request = self.ledger.client().query().table_name(self.ledger.table()).index_name(BY_DAY);
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
        if self.from.is_none() {
            self.moment -= DAY_MILLIS;
        }
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
    fn new(wanted: &Wanted, moment: i64) -> Self {
        let read = ATTRIBUTES.into_iter().chain(wanted.bodies.then_some("body"));
        let names: HashMap<_, _> = read.map(|name| (format!("#{name}"), name.to_owned())).collect();
        let projection = names.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let values = [(":day", text(day(moment))), (":since", number(wanted.since)), (":until", number(wanted.until))];
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
        let (Some((endpoint, webhook_id)), Some(state)) = (read_text(item, "pk").and_then(key), said("state")) else {
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
            attempts: read_number(item, "attempts").unwrap_or(0),
            lease_until: read_number(item, "lease_until").unwrap_or(0),
            handled_at: read_number(item, "handled_at"),
            outcome: item.get("outcome").map(plain),
            error: item.get("error").and_then(|error| error.as_m().ok()).map(|error| EntryError {
                reason: read_text(error, "reason").unwrap_or_default().to_owned(),
                message: read_text(error, "message").unwrap_or_default().to_owned(),
            }),
            duplicate_of: read_text(item, "duplicate_of").and_then(key),
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

/// The day of a moment, in UTC: `2026-11-21`.
fn day(millis: i64) -> String {
    Moment(millis).json().chars().take(10).collect()
}

/// Endpoint and webhook id of an event's `pk`.
fn key(pk: &str) -> Option<(String, String)> {
    let (endpoint, webhook_id) = pk.strip_prefix("event#")?.split_once('#')?;
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
        Query::new(wanted, 1_795_305_600_000)
    }

    #[test]
    fn what_is_not_asked_for_is_no_condition() {
        let query = query(&Wanted::default());
        assert_eq!(query.filter(), None);
        assert_eq!(query.values.len(), 3);
        assert_eq!(query.values[":day"], text("2026-11-22"));
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
        item.insert("state".to_owned(), text("done"));
        let entry = Entry::read(&item).unwrap();
        assert_eq!((entry.endpoint.as_str(), entry.webhook_id.as_str()), ("project", "wh#1"));
    }

    #[test]
    fn debug_shows_no_body() {
        let item = [("pk", "event#project#wh_1"), ("state", "done"), ("body", "{\"secret\":1}")];
        let item = item.map(|(name, value)| (name.to_owned(), text(value))).into();
        assert!(!format!("{:?}", Entry::read(&item).unwrap()).contains("secret"));
    }
}
