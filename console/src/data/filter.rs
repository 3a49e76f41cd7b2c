//! Filters of events, as they are in the address: `since=24h&category=batch&not.type=video.*&metadata=team%3Dops`.

use hooks_webhook::Category;

use crate::{Failure, Result};
use hooks_operate::batch::metadata_entry;
use hooks_operate::event_log::{EventFilter, Field};
use hooks_operate::timestamp::{Timestamp, past};

/// Fields that can be filtered by: the name in the address, the field of the ledger.
const FIELDS: [(&str, Field); 7] = [
    ("category", Field::Category),
    ("type", Field::Type),
    ("state", Field::State),
    ("reason", Field::Reason),
    ("object", Field::Object),
    ("source", Field::Source),
    ("event", Field::EventId),
];

/// Name in the address of an entry of the object's metadata, `NAME=VALUE`. It cannot be excluded.
pub(crate) const METADATA: &str = "metadata";

/// The longest value, in bytes.
const MAX_VALUE: usize = 512;

/// Most conditions of a filter.
const MAX_TERMS: usize = 20;

/// The span that is looked at unless another is asked for.
const DEFAULT_SINCE: &str = "24h";

/// A condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Term {
    /// Name in the address.
    pub(crate) field: &'static str,
    pub(crate) value: String,
    /// Whether what matches is left out.
    pub(crate) excludes: bool,
}

/// A filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    /// Beginning, as it was written: a span, a date or a time.
    pub(crate) since: String,
    /// End, as it was written; empty for now.
    pub(crate) until: String,
    pub(crate) terms: Vec<Term>,
}

impl Filter {
    /// Reads the parameters of an address; others are left alone.
    pub(crate) fn read(parameters: &[(String, String)]) -> Result<Self> {
        let mut filter = Self { since: DEFAULT_SINCE.to_owned(), until: String::new(), terms: Vec::new() };
        for (name, value) in parameters.iter().filter(|(_, value)| !value.is_empty()) {
            let (excludes, field) = name.strip_prefix("not.").map_or((false, name.as_str()), |field| (true, field));
            match (field, excludes) {
                ("since", false) => filter.since.clone_from(value),
                ("until", false) => filter.until.clone_from(value),
                _ => filter.add(field, value, excludes)?,
            }
        }
        filter.moments()?;
        Ok(filter)
    }

    fn add(&mut self, field: &str, value: &str, excludes: bool) -> Result<()> {
        let is_metadata = field == METADATA && !excludes;
        let field = FIELDS.iter().map(|(name, _)| *name).find(|name| *name == field);
        let Some(field) = field.or(is_metadata.then_some(METADATA)) else { return Ok(()) };
        if is_metadata {
            metadata_entry(value).map_err(Failure::usage)?;
        }
        let longest = if is_metadata { 5 * MAX_VALUE } else { MAX_VALUE };
        if value.len() > longest || self.terms.len() >= MAX_TERMS {
            return Err(Failure::usage(format!(
                "a filter has at most {MAX_TERMS} conditions, of at most {MAX_VALUE} bytes each"
            )));
        }
        let category = value.parse::<Category>();
        if field == "category" && category.is_err() {
            return Err(Failure::usage("there is no such category")
                .hint("Categories are batch, response, fine-tuning, realtime, agent, safety, file and archive."));
        }
        if field == "type" && value.strip_suffix('*').unwrap_or(value).contains('*') {
            return Err(Failure::usage("the * of a type is at its end, as in batch.*"));
        }
        let term = Term { field, value: value.to_owned(), excludes };
        if !self.terms.contains(&term) {
            self.terms.push(term);
        }
        Ok(())
    }

    /// Beginning and end in milliseconds.
    pub(crate) fn moments(&self) -> Result<(i64, i64)> {
        let read = |text: &str| past(text).map_err(|why| Failure::usage(format!("the time is not readable: {why}")));
        let until = if self.until.is_empty() { i64::MAX } else { read(&self.until)?.0 };
        Ok((read(&self.since)?.0, until))
    }

    /// The filter of the ledger, from where a page begins.
    pub(crate) fn to_events(&self, before: Option<i64>) -> Result<EventFilter> {
        let (since, until) = self.moments()?;
        let terms = |excludes: bool| {
            let terms = self.terms.iter().filter(move |term| term.excludes == excludes);
            terms.filter_map(|term| {
                let (_, field) = FIELDS.iter().find(|(name, _)| *name == term.field)?;
                Some((*field, term.value.clone()))
            })
        };
        let until = before.map_or(until, |before| before.min(until));
        Ok(EventFilter {
            since,
            until,
            include: terms(false).collect(),
            exclude: terms(true).collect(),
            metadata: self.metadata().filter_map(|text| metadata_entry(text).ok()).collect(),
        })
    }

    /// Entries of metadata that are asked for. They are looked up event by event.
    pub(crate) fn metadata(&self) -> impl Iterator<Item = &str> {
        self.terms.iter().filter(|term| term.field == METADATA).map(|term| term.value.as_str())
    }

    /// The address of a list with this filter.
    pub(crate) fn address(&self, path: &str) -> String {
        let query = self.query();
        if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
    }

    /// The parameters of the address.
    pub(crate) fn query(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        if self.since != DEFAULT_SINCE {
            query.append_pair("since", &self.since);
        }
        if !self.until.is_empty() {
            query.append_pair("until", &self.until);
        }
        for Term { field, value, excludes } in &self.terms {
            query.append_pair(&format!("{}{field}", if *excludes { "not." } else { "" }), value);
        }
        query.finish()
    }

    /// The same without a condition.
    pub(crate) fn without(&self, term: &Term) -> Self {
        let terms = self.terms.iter().filter(|one| *one != term).cloned().collect();
        Self { terms, ..self.clone() }
    }

    /// The same with a condition turned into its opposite.
    pub(crate) fn turned(&self, term: &Term) -> Self {
        let turned =
            |one: &Term| if one == term { Term { excludes: !one.excludes, ..one.clone() } } else { one.clone() };
        Self { terms: self.terms.iter().map(turned).collect(), ..self.clone() }
    }

    /// The same with another condition.
    pub(crate) fn with(&self, field: &'static str, value: &str, excludes: bool) -> Self {
        let mut filter = self.clone();
        filter.terms.retain(|one| !(one.field == field && one.value == value));
        filter.terms.push(Term { field, value: value.to_owned(), excludes });
        filter
    }

    /// The same over another span.
    pub(crate) fn over(&self, since: &str) -> Self {
        Self { since: since.to_owned(), until: String::new(), ..self.clone() }
    }

    /// The value that a field must have, if the filter says so.
    pub(crate) fn value(&self, field: &str) -> Option<&str> {
        self.terms.iter().find(|term| term.field == field && !term.excludes).map(|term| term.value.as_str())
    }
}

/// Reads the time before which a page begins.
pub(crate) fn before(parameters: &[(String, String)]) -> Result<Option<i64>> {
    let text = parameters.iter().find(|(name, _)| name == "before").map(|(_, value)| value.as_str());
    match text.filter(|text| !text.is_empty()) {
        None => Ok(None),
        Some(text) => match text.parse::<i64>() {
            Ok(before) if (0..=253_402_300_799_999).contains(&before) => Ok(Some(before)),
            _ => Err(Failure::usage("the cursor is not one of this list").hint("Open the list without `before`.")),
        },
    }
}

/// The end of a span in words: `last 24 h`, or the times.
pub(crate) fn span(filter: &Filter) -> String {
    let since = filter.since.as_str();
    let relative = since.ends_with(['s', 'm', 'h', 'd']) && since.starts_with(|first: char| first.is_ascii_digit());
    let from = if relative { format!("last {since}") } else { format!("from {since}") };
    if filter.until.is_empty() { from } else { format!("{from} until {}", filter.until) }
}

/// The whole hours of the last `count`, as beginnings in milliseconds, oldest first.
pub(crate) fn hours(count: i64) -> Vec<i64> {
    const HOUR: i64 = 3_600_000;
    let this = Timestamp::now().0.div_euclid(HOUR) * HOUR;
    (0..count).rev().map(|back| this - back * HOUR).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Filter> {
        Filter::read(&form_urlencoded::parse(query.as_bytes()).into_owned().collect::<Vec<_>>())
    }

    #[test]
    fn an_address_and_its_filter_are_the_same() {
        for query in [
            "",
            "since=7d&category=batch&not.type=video.*",
            "until=2026-11-21&object=a%26b%3D%3C",
            "metadata=team%3Dops&metadata=run%3D7",
        ] {
            assert_eq!(read(query).unwrap().query(), query);
        }
    }

    #[test]
    fn a_condition_is_added_turned_and_removed_without_the_others() {
        let filter = read("category=batch").unwrap().with("state", "failed", false);
        assert_eq!(filter.query(), "category=batch&state=failed");
        let turned = filter.turned(&filter.terms[0].clone());
        assert_eq!(turned.query(), "not.category=batch&state=failed");
        assert_eq!(turned.without(&turned.terms[0].clone()).query(), "state=failed");
        assert_eq!(filter.with("state", "failed", true).query(), "category=batch&not.state=failed");
    }

    #[test]
    fn metadata_become_pairs() {
        let filter = read("metadata=team%3Dops%3D1").unwrap().to_events(None).unwrap();
        assert_eq!(filter.metadata, [("team".to_owned(), "ops=1".to_owned())]);
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        let long = format!("object={}", "x".repeat(513));
        for query in ["category=none", "since=yesterday", "type=a*b", "metadata=team", long.as_str()] {
            assert!(read(query).is_err(), "{query}");
        }
        assert_eq!(read("other=1&since=").unwrap(), read("").unwrap());
    }
}
