//! Counts of the newest events: by state, reason, category and type, and by hour.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::filter::hours;
use crate::Result;
use hooks_operate::event_log::{Entry, EventFilter, EventLog};

/// Hours that are counted one by one.
pub(crate) const HOURS: i64 = 24;

/// Most events that are counted, newest first.
pub(crate) const MAX_EVENTS: usize = 10_000;

/// Most pages of the index that are read for it.
const MAX_READS: usize = 320;

/// Events that failed for the same reason.
#[derive(Clone, Debug, Default)]
pub(crate) struct Group {
    pub(crate) count: u64,
    pub(crate) since: i64,
    pub(crate) last: i64,
    pub(crate) hours: Vec<u64>,
    /// The newest one.
    pub(crate) newest: Option<String>,
}

/// Counts of events of a category.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub(crate) struct CategoryCounts {
    /// All events.
    pub events: u64,
    /// Failed for good.
    pub failed: u64,
    /// In progress, or waiting for another attempt.
    pub in_progress: u64,
    /// By hour of the last 24, oldest first.
    pub hours: Vec<u64>,
    /// Failed ones by hour.
    pub failed_hours: Vec<u64>,
}

/// Counts of the events that a filter selects.
#[derive(Clone, Debug, Default)]
pub(crate) struct Survey {
    pub(crate) events: u64,
    /// Whether there are more than were counted.
    pub(crate) more: bool,
    pub(crate) states: BTreeMap<String, u64>,
    pub(crate) reasons: BTreeMap<String, u64>,
    pub(crate) types: BTreeMap<String, u64>,
    pub(crate) sources: BTreeMap<String, u64>,
    pub(crate) categories: BTreeMap<String, CategoryCounts>,
    /// Failed events by category and reason.
    pub(crate) failures: BTreeMap<(String, String), Group>,
    /// Milliseconds from receipt to the end, of those that ended, sorted.
    pub(crate) took: Vec<i64>,
    pub(crate) newest: Option<Entry>,
    /// The hours' beginnings.
    pub(crate) hours: Vec<i64>,
    pub(crate) reads: usize,
}

impl Survey {
    /// Reads the newest events that a filter selects, at most `most`.
    pub(crate) async fn read(log: &EventLog, filter: EventFilter, most: usize) -> Result<(Self, Vec<Entry>)> {
        let page = log.list(filter, most, MAX_READS).await?;
        let mut survey = Self::of(&page.entries, hours(HOURS));
        (survey.more, survey.reads) = (page.next.is_some(), page.reads);
        Ok((survey, page.entries))
    }

    fn of(entries: &[Entry], hours: Vec<i64>) -> Self {
        let mut survey = Self { hours, newest: entries.first().cloned(), ..Self::default() };
        let slots = survey.hours.len();
        for entry in entries {
            let received = entry.received_at.0;
            let hour = survey.hours.iter().rposition(|hour| *hour <= received);
            let count = |counts: &mut BTreeMap<String, u64>, key: &str| *counts.entry(key.to_owned()).or_default() += 1;
            survey.events += 1;
            count(&mut survey.states, &entry.state);
            count(&mut survey.types, &entry.event_type);
            count(&mut survey.sources, &entry.source);
            let reason = entry.error.as_ref().map(|error| error.reason.as_str());
            if let Some(reason) = reason {
                count(&mut survey.reasons, reason);
            }
            let of_category = survey.categories.entry(entry.category.clone()).or_default();
            of_category.hours.resize(slots, 0);
            of_category.failed_hours.resize(slots, 0);
            let is_failed = entry.state == "failed";
            of_category.events += 1;
            of_category.failed += u64::from(is_failed);
            of_category.in_progress += u64::from(entry.state == "in_progress");
            if let Some(hour) = hour {
                of_category.hours[hour] += 1;
                of_category.failed_hours[hour] += u64::from(is_failed);
            }
            if is_failed {
                let key = (entry.category.clone(), reason.unwrap_or("none").to_owned());
                let group = survey.failures.entry(key).or_default();
                group.hours.resize(slots, 0);
                group.count += 1;
                group.since = received;
                if group.newest.is_none() {
                    (group.last, group.newest) = (received, Some(entry.key()));
                }
                if let Some(hour) = hour {
                    group.hours[hour] += 1;
                }
            }
            if let Some(handled) = entry.handled_at {
                survey.took.push(handled.0 - received);
            }
        }
        survey.took.sort_unstable();
        survey
    }

    /// The time that a share of the events took, in milliseconds.
    pub(crate) fn percentile(&self, percent: usize) -> Option<i64> {
        self.took.get((self.took.len() * percent / 100).min(self.took.len().checked_sub(1)?)).copied()
    }

    /// Number of events of a state.
    pub(crate) fn state(&self, state: &str) -> u64 {
        self.states.get(state).copied().unwrap_or(0)
    }

    /// Events by hour, of all categories.
    pub(crate) fn by_hour(&self, failed: bool) -> Vec<u64> {
        let mut sums = vec![0; self.hours.len()];
        for counts in self.categories.values() {
            let hours = if failed { &counts.failed_hours } else { &counts.hours };
            sums.iter_mut().zip(hours).for_each(|(sum, hour)| *sum += hour);
        }
        sums
    }

    /// The hours' names in UTC.
    pub(crate) fn labels(&self) -> Vec<String> {
        self.hours.iter().map(|hour| hooks_operate::timestamp::Timestamp(*hour).text()[11..16].to_owned()).collect()
    }
}

/// The counts, largest first.
pub(crate) fn largest(counts: &BTreeMap<String, u64>) -> Vec<(&str, u64)> {
    let mut counts: Vec<_> = counts.iter().map(|(name, count)| (name.as_str(), *count)).collect();
    counts.sort_by(|one, other| other.1.cmp(&one.1).then(one.0.cmp(other.0)));
    counts
}
