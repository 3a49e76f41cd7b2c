//! What is recorded and published of an eval run.

use hooks_consumer::Outcome;
use hooks_openai::EvalRun;
use serde_json::{Map, Value};

use crate::search::Missing;

/// What a retrieved run is now.
pub(crate) fn of(run: &EvalRun, as_of: i64) -> Outcome {
    Outcome {
        object_id: Some(run.id.clone()),
        terminal: run.is_terminal(),
        counts: counts(&run.raw),
        times: run.created_at.map(|at| ("created_at".to_owned(), at.into())).into_iter().collect(),
        summary: summary(&run.raw),
        error: what_went_wrong(run),
        ..Outcome::new(&run.status, as_of)
    }
}

/// The end of an event whose run cannot be found.
pub(crate) fn missing(id: &str, missing: &Missing, as_of: i64) -> Outcome {
    Outcome { note: Some(missing.note(id)), ..Outcome::not_found(id, as_of) }
}

/// How many items there are and how they did, by OpenAI's names.
fn counts(run: &Value) -> Map<String, Value> {
    let count = |name: &str| run.get("result_counts")?.get(name).filter(|count| count.is_u64()).cloned();
    let names = ["total", "passed", "failed", "errored"];
    names.into_iter().filter_map(|name| Some((name.to_owned(), count(name)?))).collect()
}

/// What a program wants to know without opening the artifact: OpenAI's own fields, where they are what they should be
/// and there is something in them.
fn summary(run: &Value) -> Map<String, Value> {
    let fields = [
        "eval_id",
        "name",
        "model",
        "metadata",
        "result_counts",
        "per_testing_criteria_results",
        "report_url",
        "error",
    ];
    let field = |name| {
        let value = run.get(name)?;
        let is_something = match name {
            "per_testing_criteria_results" => value.as_array().is_some_and(|results| !results.is_empty()),
            "metadata" | "result_counts" | "error" => value.as_object().is_some_and(|fields| !fields.is_empty()),
            _ => value.as_str().is_some_and(|text| !text.is_empty()),
        };
        is_something.then(|| value.clone())
    };
    fields.into_iter().filter_map(|name| Some((name.to_owned(), field(name)?))).collect()
}

/// Why it failed, in a sentence.
pub(crate) fn what_went_wrong(run: &EvalRun) -> Option<String> {
    let said = |text: &Option<String>| text.as_deref().map(hooks_openai::for_display);
    let (code, message) = run.error.as_ref()?;
    match (said(code), said(message)) {
        (Some(code), Some(message)) => Some(format!("{code}: {message}")),
        (code, message) => code.or(message),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_summary_has_what_is_there_and_nothing_else() {
        let run = json!({
            "id": "evalrun_1", "eval_id": "eval_1", "model": "", "metadata": {}, "name": 7, "error": "none", "data_source": {"a": 1},
            "per_testing_criteria_results": [{"testing_criteria": "exact", "passed": 2, "failed": 1}],
            "result_counts": {"total": 3, "passed": 2, "failed": 1, "errored": "none", "skipped": 4},
        });
        assert_eq!(
            Value::Object(summary(&run)),
            json!({"eval_id": "eval_1", "result_counts": run["result_counts"],
                "per_testing_criteria_results": run["per_testing_criteria_results"]})
        );
        assert_eq!(Value::Object(counts(&run)), json!({"total": 3, "passed": 2, "failed": 1}));
        assert_eq!(counts(&json!({"result_counts": 7})), Map::new());
    }
}
