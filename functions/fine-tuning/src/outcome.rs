//! What is recorded and published of a job.

use hooks_consumer::Outcome;
use hooks_openai::FineTuningJob;
use serde_json::{Map, Value, json};

/// What a retrieved job is now.
pub(crate) fn of(job: &FineTuningJob, as_of: i64) -> Outcome {
    let times = [("created_at", job.created_at), ("finished_at", job.finished_at)];
    Outcome {
        object_id: Some(job.id.clone()),
        terminal: job.is_terminal(),
        counts: job.trained_tokens.map(|count| ("trained_tokens".to_owned(), count.into())).into_iter().collect(),
        times: times.into_iter().filter_map(|(name, at)| Some((name.to_owned(), at?.into()))).collect(),
        summary: summary(&job.raw),
        error: what_went_wrong(job),
        ..Outcome::new(&job.status, as_of)
    }
}

/// OpenAI's own fields, where there is something in them. Of the method, which holds graders and the like, its name.
fn summary(job: &Value) -> Map<String, Value> {
    let fields = [
        ("model", "/model"),
        ("fine_tuned_model", "/fine_tuned_model"),
        ("method", "/method/type"),
        ("metadata", "/metadata"),
    ];
    let is_something = |value: &&Value| !value.is_null() && **value != json!({});
    let field = |path| job.pointer(path).filter(is_something).cloned();
    let mut summary: Map<String, Value> =
        fields.into_iter().filter_map(|(name, path)| Some((name.to_owned(), field(path)?))).collect();
    // A job without an error may have one whose fields are null.
    if let Some(error) = field("/error").filter(|error| !error["code"].is_null() || !error["message"].is_null()) {
        summary.insert("error".to_owned(), error);
    }
    summary
}

/// Why it failed, in a sentence.
pub(crate) fn what_went_wrong(job: &FineTuningJob) -> Option<String> {
    let (code, message) = job.error.as_ref()?;
    let code = code.as_deref().unwrap_or("unknown");
    let message = message.as_deref().unwrap_or("OpenAI does not say more");
    Some(format!("{}: {}", hooks_openai::for_display(code), hooks_openai::for_display(message)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_has_what_is_there_and_nothing_else() {
        let job = json!({
            "id": "ftjob-1", "model": "gpt-4.1-mini", "fine_tuned_model": null, "metadata": {}, "seed": 7,
            "method": {"type": "dpo", "dpo": {"hyperparameters": {}}}, "error": {"code": null, "message": null},
        });
        assert_eq!(Value::Object(summary(&job)), json!({"model": "gpt-4.1-mini", "method": "dpo"}));
        let failed = json!({"error": {"code": "c", "message": "m", "param": null}, "metadata": {"team": "a"}});
        assert_eq!(Value::Object(summary(&failed)), failed);
    }
}
