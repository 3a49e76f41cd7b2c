//! The command that brings a run to its end, and sends its webhook.

use axum::Json;
use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Run, Status};
use crate::app::Shared;
use crate::errors::{ControlError, Failure};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Finish {
    status: Status,
    #[serde(default)]
    passed: u64,
    #[serde(default)]
    failed: u64,
    #[serde(default)]
    errored: u64,
    error: Option<Failure>,
    /// Set last, as they stand.
    #[serde(default)]
    fields: Map<String, Value>,
    /// `false` plays a lost webhook.
    #[serde(default = "crate::webhooks::yes")]
    deliver: bool,
}

pub(super) async fn finish(
    State(app): State<Shared>,
    Path((eval_id, run_id)): Path<(String, String)>,
    Json(command): Json<Finish>,
) -> Result<Json<Value>, ControlError> {
    let missing = || ControlError::not_found(format!("no run {run_id} of an eval {eval_id}"));
    let eval = app.evals.known.get(&eval_id).ok_or_else(missing)?;
    let criteria: Vec<Value> = eval.testing_criteria.iter().map(|grader| grader["name"].clone()).collect();
    let deliver = command.deliver;
    let apply = |run: &mut Run| {
        if run.eval_id != eval_id {
            return Err(missing());
        }
        command.apply(run, &criteria).map(|()| run.clone())
    };
    let run = app.evals.runs.update(&run_id, apply).ok_or_else(missing)??;
    let deliveries = if deliver { run.deliver(&app.webhooks) } else { Vec::new() };
    Ok(Json(json!({ "run": run, "deliveries": deliveries })))
}

impl Finish {
    fn apply(self, run: &mut Run, criteria: &[Value]) -> Result<(), ControlError> {
        let (current, next) = (run.status.as_str(), self.status.as_str());
        if self.status.is_under_way() {
            return Err(ControlError::invalid(format!("{next} is no end; use completed, failed or canceled")));
        }
        if !run.status.is_under_way() {
            return Err(ControlError::conflict(format!("the run is {current}; it can't become {next}")));
        }
        let Self { passed, failed, errored, .. } = self;
        let total = passed + failed + errored;
        run.set("result_counts", json!({ "total": total, "passed": passed, "failed": failed, "errored": errored }));
        let result = |name: &Value| json!({ "testing_criteria": name, "passed": passed, "failed": failed });
        run.set("per_testing_criteria_results", criteria.iter().map(result).collect::<Vec<_>>());
        run.set("per_model_usage", json!([]));
        let error =
            self.error.or_else(|| (self.status == Status::Failed).then(|| Failure::of_server("The run failed.")));
        run.set("error", json!(error));
        run.reach(self.status);
        for (name, value) in self.fields {
            run.set(&name, value);
        }
        Ok(())
    }
}
