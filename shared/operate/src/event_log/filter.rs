//! Which events to list, as a value that can be kept, and as a query.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use hooks_aws::ledger::value::{number, text};
use serde::{Deserialize, Serialize};

/// Attributes of an event in the index.
const ATTRIBUTES: &str = "pk received_at source webhook_timestamp event_id event_type category object_id state claims \
                          handled_at result reason duplicate_of body_omitted expires_at";

/// Which events to list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventFilter {
    /// Earliest time of receipt, in milliseconds since the Unix epoch.
    pub since: i64,
    /// Latest time of receipt.
    pub until: i64,
    /// What events must have; of several values of a field, one.
    pub include: Vec<(Field, String)>,
    /// What events must not have; none of it.
    pub exclude: Vec<(Field, String)>,
    /// Entries of the object's metadata; all of them. They are looked up event by event, since the index has none.
    pub metadata: Vec<(String, String)>,
}

/// What a filter compares. A [`Type`](Self::Type) with `*` at its end is a prefix; all else is exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// Category, such as `batch`.
    Category,
    /// Event type.
    Type,
    /// State.
    State,
    /// Reason of the failure.
    Reason,
    /// Id of the object.
    Object,
    /// How it first came.
    Source,
    /// Id of the event.
    EventId,
    /// Beginning of the event's id.
    EventIdPrefix,
}

impl Field {
    /// Fields for people, by name.
    pub const NAMED: [(&'static str, Self); 5] = [
        ("category", Self::Category),
        ("type", Self::Type),
        ("state", Self::State),
        ("reason", Self::Reason),
        ("object", Self::Object),
    ];

    const fn attribute(self) -> &'static str {
        match self {
            Self::Category => "category",
            Self::Type => "event_type",
            Self::State => "state",
            Self::Reason => "reason",
            Self::Object => "object_id",
            Self::Source => "source",
            Self::EventId | Self::EventIdPrefix => "event_id",
        }
    }
}

/// A query as `DynamoDB` expressions. Attributes have aliases, since many are reserved words.
pub(super) struct Query {
    conditions: Vec<String>,
    pub(super) projection: String,
    pub(super) names: HashMap<String, String>,
    pub(super) values: HashMap<String, AttributeValue>,
}

impl Query {
    pub(super) fn new(filter: &EventFilter, day: &str) -> Self {
        let names = ATTRIBUTES.split(' ').map(|name| (format!("#{name}"), name.to_owned()));
        let mut names: HashMap<_, _> = names.collect();
        let projection = names.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        names.insert("#day".to_owned(), "day".to_owned());
        let values = [(":day", text(day)), (":since", number(filter.since)), (":until", number(filter.until))];
        let values = values.map(|(name, value)| (name.to_owned(), value)).into();
        let mut query = Self { conditions: Vec::new(), projection, names, values };
        for (at, (field, _)) in filter.include.iter().enumerate() {
            let mut of_field = filter.include.iter().enumerate().filter(|(_, (other, _))| other == field);
            if of_field.clone().next().is_some_and(|(first, _)| first < at) {
                continue;
            }
            // A value that every event has makes the others needless.
            let conditions: Option<Vec<_>> = of_field.try_fold(Vec::new(), |mut conditions, (_, (field, value))| {
                conditions.push(query.condition(*field, value)?);
                Some(conditions)
            });
            match conditions.as_deref() {
                None | Some([]) => {}
                Some([one]) => query.conditions.push(one.clone()),
                Some(several) => query.conditions.push(format!("({})", several.join(" OR "))),
            }
        }
        for (field, value) in &filter.exclude {
            let condition = match query.condition(*field, value) {
                Some(condition) => format!("NOT ({condition})"),
                // Every event has a type.
                None => "attribute_not_exists(#event_type)".to_owned(),
            };
            query.conditions.push(condition);
        }
        query
    }

    /// `None`: every event fits.
    fn condition(&mut self, field: Field, value: &str) -> Option<String> {
        let (name, place) = (field.attribute(), format!(":value{}", self.values.len()));
        let prefix = match field {
            Field::Type => value.strip_suffix('*'),
            Field::EventIdPrefix => Some(value),
            _ => None,
        };
        let condition = match prefix {
            // A condition cannot compare with an empty text.
            Some("") => return None,
            Some(_) => format!("begins_with(#{name}, {place})"),
            None => format!("#{name} = {place}"),
        };
        self.values.insert(place, text(prefix.unwrap_or(value)));
        Some(condition)
    }

    pub(super) fn filter(&self) -> Option<String> {
        (!self.conditions.is_empty()).then(|| self.conditions.join(" AND "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(include: &[(Field, &str)], exclude: &[(Field, &str)]) -> Query {
        let owned = |list: &[(Field, &str)]| list.iter().map(|(field, value)| (*field, (*value).to_owned())).collect();
        let filter = EventFilter { include: owned(include), exclude: owned(exclude), ..EventFilter::default() };
        Query::new(&filter, "2026-11-22#7")
    }

    #[test]
    fn a_filter_without_fields_has_no_condition() {
        let query = query(&[], &[]);
        assert_eq!(query.filter(), None);
        assert_eq!(query.values.len(), 3);
        assert_eq!(query.values[":day"], text("2026-11-22#7"));
        assert!(!query.projection.contains("#body,") && !query.projection.ends_with("#body"));
    }

    #[test]
    fn a_type_is_exact_unless_it_ends_with_a_star() {
        for (event_type, condition, value) in [
            ("batch.completed", Some("#event_type = :value3"), Some("batch.completed")),
            ("batch.*", Some("begins_with(#event_type, :value3)"), Some("batch.")),
            ("*", None, None),
        ] {
            let query = query(&[(Field::Type, event_type)], &[]);
            assert_eq!(query.filter().as_deref(), condition);
            assert_eq!(query.values.get(":value3"), value.map(text).as_ref());
        }
    }

    #[test]
    fn what_is_excluded_is_negated_and_each_value_has_its_place() {
        let query = query(
            &[(Field::State, "failed"), (Field::Reason, "unauthorized")],
            &[(Field::Type, "eval.*"), (Field::Type, "*"), (Field::Object, "batch_1")],
        );
        assert_eq!(
            query.filter().as_deref(),
            Some(
                "#state = :value3 AND #reason = :value4 AND NOT (begins_with(#event_type, :value5)) AND \
                 attribute_not_exists(#event_type) AND NOT (#object_id = :value6)"
            )
        );
        assert_eq!(query.values[":value6"], text("batch_1"));
    }

    #[test]
    fn of_several_values_of_a_field_one_must_match() {
        let several = [(Field::Category, "batch"), (Field::State, "failed"), (Field::Category, "file")];
        assert_eq!(
            query(&several, &[]).filter().as_deref(),
            Some("(#category = :value3 OR #category = :value4) AND #state = :value5")
        );
        assert_eq!(query(&[(Field::Type, "batch.*"), (Field::Type, "*")], &[]).filter(), None);
    }

    #[test]
    fn a_filter_is_kept_as_it_was() {
        let filter = EventFilter {
            since: 1,
            until: 2,
            include: vec![(Field::Type, "batch.*".to_owned())],
            exclude: vec![(Field::Reason, "a\"b".to_owned())],
            metadata: vec![("team".to_owned(), "ops".to_owned())],
        };
        let kept = serde_json::to_string(&filter).unwrap();
        assert_eq!(serde_json::from_str::<EventFilter>(&kept).unwrap(), filter);
    }
}
