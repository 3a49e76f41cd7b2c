//! How much of an outcome is recorded.

use serde_json::{Map, Value};

use crate::Outcome;

/// Maximum size of counts, times, summary and artifacts together, as JSON. An event's item in the ledger holds them beside
/// a body of 300 KiB and must stay below 400 KB in a measure that can be half as much again as JSON's.
const MAX_JSON: usize = 32 * 1024;

/// Maximum number of artifacts. Handlers store a handful.
const MAX_ARTIFACTS: usize = 64;

/// Maximum length of a text in bytes: a status, a note, an error.
const MAX_TEXT: usize = 1024;

/// The entry of a summary that says how many others were left out.
const LEFT_OUT: &str = "entries_left_out";

/// The outcome, cut to what the ledger and the bus take. The summary says how many entries it lacks.
pub(crate) fn bounded(mut outcome: Outcome) -> Outcome {
    shorten(&mut outcome.status);
    outcome.note.as_mut().map(shorten);
    outcome.error.as_mut().map(shorten);
    outcome.artifacts.truncate(MAX_ARTIFACTS);
    let artifacts: usize = outcome.artifacts.iter().map(|key| key.len() + 3).sum();
    let mut room = MAX_JSON.saturating_sub(artifacts);
    // What a program would look for first gets its room first.
    let mut left_out = 0;
    for map in [&mut outcome.counts, &mut outcome.times, &mut outcome.summary] {
        left_out += fit(map, &mut room);
    }
    let Outcome { summary, exact, .. } = &mut outcome;
    exact.retain(|name, _| summary.contains_key(*name));
    if left_out > 0 {
        outcome.summary.insert(LEFT_OUT.to_owned(), left_out.into());
    }
    outcome
}

/// Takes the largest entries out of a map until it fits into the room, and takes its share of the room. Says how many
/// were taken out.
fn fit(map: &mut Map<String, Value>, room: &mut usize) -> usize {
    let mut sizes: Vec<_> = map.iter().map(|(name, value)| (size(name, value), name.clone())).collect();
    let mut whole: usize = sizes.iter().map(|(size, _)| size).sum();
    sizes.sort_unstable();
    let mut left_out = 0;
    while whole > *room
        && let Some((size, name)) = sizes.pop()
    {
        map.remove(&name);
        whole -= size;
        left_out += 1;
    }
    *room -= whole;
    left_out
}

/// The length of an entry as JSON, with the colon and the comma.
fn size(name: &str, value: &Value) -> usize {
    Value::from(name).to_string().len() + value.to_string().len() + 2
}

fn shorten(text: &mut String) {
    text.truncate(text.floor_char_boundary(MAX_TEXT));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn object(value: &Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn an_outcome_of_ordinary_size_is_not_touched() {
        let outcome = Outcome {
            counts: object(&json!({"lines": 50_000})),
            summary: object(&json!({"tokens": {"gpt-6-luna": {"input": 1}}})),
            artifacts: vec!["batch/batch_1/output.jsonl".to_owned()],
            note: Some("fine".to_owned()),
            ..Outcome::new("completed", 1)
        };
        assert_eq!(bounded(outcome.clone()), outcome);
    }

    #[test]
    fn the_largest_entries_of_a_summary_give_way_and_are_counted() {
        let summary = json!({"small": 1, "huge": "x".repeat(MAX_JSON), "large": "x".repeat(MAX_JSON - 100)});
        let exact = ["small", "huge"].map(|name| (name, "1".to_owned())).into_iter().collect();
        let bounded = bounded(Outcome { summary: object(&summary), exact, ..Outcome::new("completed", 1) });
        assert_eq!(bounded.exact.keys().collect::<Vec<_>>(), [&"small"]);
        assert_eq!(bounded.summary["small"], 1);
        assert_eq!(bounded.summary[LEFT_OUT], 1);
        assert!(bounded.summary.contains_key("large"));
    }

    #[test]
    fn texts_are_cut_between_characters() {
        let text = "\u{20ac}".repeat(MAX_TEXT);
        let outcome = Outcome { note: Some(text.clone()), error: Some(text.clone()), ..Outcome::new(text, 1) };
        let bounded = bounded(outcome);
        for text in [bounded.status, bounded.note.unwrap(), bounded.error.unwrap()] {
            assert_eq!(text.len(), MAX_TEXT - 1);
        }
    }

    proptest! {
        #[test]
        fn no_outcome_is_larger_than_its_bound(
            counts in 0..3000,
            texts in prop::collection::vec(0..4000_usize, 0..60),
            artifacts in prop::collection::vec(0..1024_usize, 0..100),
        ) {
            let outcome = bounded(Outcome {
                counts: (0..counts).map(|n| (format!("model {n}"), n.into())).collect(),
                summary: texts.iter().enumerate().map(|(n, &long)| (n.to_string(), "\"".repeat(long).into())).collect(),
                artifacts: artifacts.iter().map(|&long| "x".repeat(long)).collect(),
                ..Outcome::new("completed", 1)
            });
            let json = json!([outcome.counts, outcome.times, outcome.summary]).to_string().len();
            let artifacts = json!(outcome.artifacts).to_string().len();
            prop_assert!(json + artifacts <= MAX_JSON + MAX_ARTIFACTS * 1024, "{json} + {artifacts}");
            prop_assert!(json <= MAX_JSON + 100, "{json}");
        }
    }
}
