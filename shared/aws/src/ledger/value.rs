//! Between JSON and `DynamoDB`'s attribute values.

use std::ops::RangeInclusive;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Map, Number, Value};

use super::change::Item;

/// Depth below which JSON is kept as its text. `DynamoDB` nests 32 levels deep.
const MAX_DEPTH: usize = 16;

/// Magnitudes that `DynamoDB` stores, besides zero.
const MAGNITUDES: RangeInclusive<f64> = 1e-130..=9.9e125;

/// An attribute that is a text.
#[must_use]
pub fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

/// An attribute that is a whole number.
#[must_use]
pub fn number(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// An attribute that is a map of the entries that there are.
pub(super) fn map(entries: impl IntoIterator<Item = Option<(&'static str, AttributeValue)>>) -> AttributeValue {
    AttributeValue::M(entries.into_iter().flatten().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// An attribute that is a list of texts.
pub(super) fn texts(values: &[String]) -> AttributeValue {
    AttributeValue::L(values.iter().map(text).collect())
}

/// An attribute that is a JSON object.
pub(super) fn object(map: &Map<String, Value>) -> AttributeValue {
    nested_object(map, 0)
}

fn nested_object(map: &Map<String, Value>, depth: usize) -> AttributeValue {
    AttributeValue::M(map.iter().map(|(name, value)| (name.clone(), json(value, depth + 1))).collect())
}

fn json(value: &Value, depth: usize) -> AttributeValue {
    match value {
        Value::Null => AttributeValue::Null(true),
        Value::Bool(value) => AttributeValue::Bool(*value),
        Value::Number(value) => json_number(value),
        Value::String(value) => text(value),
        Value::Array(_) | Value::Object(_) if depth >= MAX_DEPTH => text(value.to_string()),
        Value::Array(values) => AttributeValue::L(values.iter().map(|value| json(value, depth + 1)).collect()),
        Value::Object(map) => nested_object(map, depth),
    }
}

/// A number that `DynamoDB` has no room for becomes a text, because refusing it would refuse the whole item.
fn json_number(value: &Number) -> AttributeValue {
    let fits = value.as_f64().is_none_or(|float| float == 0.0 || MAGNITUDES.contains(&float.abs()));
    if fits { AttributeValue::N(value.to_string()) } else { text(value.to_string()) }
}

/// The text under `name`, if there is one.
#[must_use]
pub fn read_text<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

/// The whole number under `name`, if there is one.
#[must_use]
pub fn read_number(item: &Item, name: &str) -> Option<i64> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

/// The map under `name`, if there is one.
pub(super) fn read_map<'a>(item: &'a Item, name: &str) -> Option<&'a Item> {
    item.get(name)?.as_m().ok()
}

/// The JSON that an attribute stands for. Kinds that nothing here writes (binary data and sets) become null.
#[must_use]
pub fn plain(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::Bool(value) => (*value).into(),
        AttributeValue::N(value) => value.parse::<Number>().map_or_else(|_| value.as_str().into(), Value::Number),
        AttributeValue::S(value) => value.as_str().into(),
        AttributeValue::L(values) => values.iter().map(plain).collect(),
        AttributeValue::M(map) => Value::Object(plain_object(map)),
        _ => Value::Null,
    }
}

/// The JSON object that a map of attributes stands for.
#[must_use]
pub fn plain_object(map: &Item) -> Map<String, Value> {
    map.iter().map(|(name, value)| (name.clone(), plain(value))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn converted(value: &Value) -> AttributeValue {
        json(value, 0)
    }

    #[test]
    fn json_keeps_its_shape() {
        let value = json!({"a": [1, "two", null, true], "b": {"c": -0.5}});
        let AttributeValue::M(map) = converted(&value) else { panic!("not a map") };
        let list = map["a"].as_l().unwrap();
        assert_eq!(list[0], AttributeValue::N("1".to_owned()));
        assert_eq!(list[1], AttributeValue::S("two".to_owned()));
        assert_eq!(list[2], AttributeValue::Null(true));
        assert_eq!(list[3], AttributeValue::Bool(true));
        assert_eq!(map["b"].as_m().unwrap()["c"], AttributeValue::N("-0.5".to_owned()));
    }

    #[test]
    fn json_comes_back_as_it_went() {
        let value = json!({"a": [1, "two", null, true], "b": {"c": -0.5, "d": 12_345_678_901_234_u64}});
        assert_eq!(plain(&converted(&value)), value);
    }

    #[test]
    fn numbers_beyond_what_dynamodb_stores_become_text() {
        assert_eq!(converted(&json!(1e300)), AttributeValue::S("1e+300".to_owned()));
        assert_eq!(converted(&json!(-1e-200)), AttributeValue::S("-1e-200".to_owned()));
        assert_eq!(converted(&json!(u64::MAX)), AttributeValue::N(u64::MAX.to_string()));
        assert_eq!(converted(&json!(0.0)), AttributeValue::N("0.0".to_owned()));
    }

    #[test]
    fn what_is_nested_too_deep_becomes_its_json_text() {
        let mut value = json!("bottom");
        for _ in 0..100 {
            value = json!([value]);
        }
        let mut converted = converted(&value);
        let mut depth = 0;
        while let AttributeValue::L(mut list) = converted {
            converted = list.remove(0);
            depth += 1;
        }
        assert_eq!(depth, MAX_DEPTH);
        assert!(converted.as_s().unwrap().contains("bottom"));
    }
}
