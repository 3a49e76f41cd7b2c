//! Objects: what became of batches, responses, jobs, calls. The ledger has no list of them: they are found by their events,
//! newest first, and by what is expected.

use std::collections::HashSet;

use futures::FutureExt as _;
use hooks_webhook::Category;
use serde_json::{Map, Value};

use crate::console::Console;
use crate::{Failure, Result};
use hooks_operate::event_log::{Entry, EventFilter, Field};
use hooks_operate::parallel::each;
use hooks_operate::timestamp::{DAY_MILLIS, Timestamp};

/// Objects of a page.
pub(crate) const PAGE: usize = 25;

/// Days in which objects are looked for.
const DAYS: i64 = 35;

/// Most pages of the index that are read for a list.
const MAX_READS: usize = 160;

/// Longest id of an object, in bytes, as in the consumers.
pub(crate) const MAX_ID: usize = 512;

/// An object: its record, and the newest event that told of it.
#[derive(Clone)]
pub(crate) struct Object {
    pub(crate) id: String,
    /// Fields of the record, by the names of an outcome. Empty when there is none yet.
    pub(crate) job: Map<String, Value>,
    pub(crate) event: Option<Entry>,
}

/// Some objects, and where the next page begins.
pub(crate) struct ObjectPage {
    pub(crate) objects: Vec<Object>,
    pub(crate) next: Option<i64>,
}

impl Object {
    /// A text of the record.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.job.get(name)?.as_str()
    }

    /// A value of the record's summary.
    pub(crate) fn summary(&self, name: &str) -> Option<&Value> {
        self.job.get("summary")?.get(name).filter(|value| !value.is_null())
    }

    /// A text of the record's summary.
    pub(crate) fn summary_text(&self, name: &str) -> Option<&str> {
        self.summary(name)?.as_str()
    }

    /// A number of the record's counts.
    pub(crate) fn count(&self, name: &str) -> Option<u64> {
        self.job.get("counts")?.get(name)?.as_u64()
    }

    /// A time of the record's times, which are in Unix seconds.
    pub(crate) fn time(&self, name: &str) -> Option<Timestamp> {
        Some(Timestamp::from_seconds(self.job.get("times")?.get(name)?.as_i64()?))
    }

    /// Status: the record's, or what the event found.
    pub(crate) fn status(&self) -> &str {
        self.text("status").unwrap_or(if self.event.is_some() { "unknown" } else { "expected" })
    }

    pub(crate) fn is_terminal(&self) -> bool {
        self.job.get("terminal").and_then(Value::as_i64) == Some(1)
    }

    /// Keys of its artifacts.
    pub(crate) fn artifacts(&self) -> Vec<&str> {
        let all = self.job.get("artifacts").and_then(Value::as_array);
        all.into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// Time at which it was last seen.
    pub(crate) fn as_of(&self) -> Option<Timestamp> {
        self.job.get("as_of").and_then(Value::as_i64).map(Timestamp)
    }
}

/// The objects of a category that events told of, newest first.
pub(crate) async fn list(console: &Console, category: Category, before: Option<i64>) -> Result<ObjectPage> {
    let since = Timestamp::now().0 - DAYS * DAY_MILLIS;
    let until = before.unwrap_or(i64::MAX);
    let include = vec![(Field::Category, category.to_string())];
    let filter = EventFilter { since, until, include, ..EventFilter::default() };
    let page = console.log.list(filter, PAGE * 4, MAX_READS).await?;
    let (mut seen, mut found, mut next) = (HashSet::new(), Vec::new(), page.next);
    for entry in page.entries {
        let Some(id) = entry.object_id.clone() else { continue };
        if found.len() >= PAGE && !seen.contains(&id) {
            next = Some(entry.received_at.0);
            break;
        }
        if seen.insert(id.clone()) {
            found.push((id, entry));
        }
    }
    let mut objects = vec![None; found.len()];
    let calls = found.into_iter().enumerate().map(|(at, (id, event))| {
        let read = async move {
            let job = console.log.job_record(category.as_str(), &id).await?.unwrap_or_default();
            Ok::<_, Failure>((at, Object { id, job, event: Some(event) }))
        };
        read.boxed()
    });
    let calls: Vec<_> = calls.collect();
    each(calls, 16, |(at, object)| objects[at] = Some(object)).await?;
    Ok(ObjectPage { objects: objects.into_iter().flatten().collect(), next })
}

/// An object, with its events of the last 35 days, newest first.
pub(crate) async fn one(console: &Console, category: Category, id: &str) -> Result<Option<(Object, Vec<Entry>)>> {
    if id.is_empty() || id.len() > MAX_ID {
        return Err(Failure::usage("this is not the id of an object"));
    }
    let filter = EventFilter {
        since: Timestamp::now().0 - DAYS * DAY_MILLIS,
        until: i64::MAX,
        include: vec![(Field::Object, id.to_owned()), (Field::Category, category.to_string())],
        ..EventFilter::default()
    };
    let (job, events) =
        tokio::join!(console.log.job_record(category.as_str(), id), console.log.list(filter, 20, MAX_READS));
    let (job, events) = (job?, events?.entries);
    if job.is_none() && events.is_empty() {
        return Ok(None);
    }
    let object = Object { id: id.to_owned(), job: job.unwrap_or_default(), event: events.first().cloned() };
    Ok(Some((object, events)))
}

/// What is expected of a category's objects, due first: the objects, when each is due, and since when it is expected.
pub(crate) async fn expected(console: &Console, category: Category) -> Result<Vec<(Object, Timestamp)>> {
    let page = console.ledger.waiting(category.as_str(), i64::MAX, None, 100).await?;
    let mut found = vec![None; page.items.len()];
    let calls = page.items.into_iter().enumerate().map(|(at, waiting)| {
        let read = async move {
            let job = console.log.job_record(category.as_str(), &waiting.object_id).await?.unwrap_or_default();
            let object = Object { id: waiting.object_id, job, event: None };
            Ok::<_, Failure>((at, (object, Timestamp::from_seconds(waiting.due_at))))
        };
        read.boxed()
    });
    let calls: Vec<_> = calls.collect();
    each(calls, 16, |(at, object)| found[at] = Some(object)).await?;
    Ok(found.into_iter().flatten().collect())
}
