//! What a person is told about an eval run that went wrong.

use hooks_consumer::artifacts::Key;
use hooks_consumer::{Alert, Severity, when};
use hooks_openai::EvalRun;

use crate::outcome::what_went_wrong;

/// Where people see their evals, when the run does not say.
const DASHBOARD: &str = "https://platform.openai.com/evaluations";

/// An alert for a run that failed. Items that did not pass are a result, and no reason to alert.
pub(crate) fn failed(run: &EvalRun, bucket: &str, report: &Key) -> Option<Alert> {
    if run.status != "failed" {
        return None;
    }
    let shown =
        |text: &Option<String>, otherwise: &str| hooks_openai::for_display(text.as_deref().unwrap_or(otherwise));
    let (name, model) = (shown(&run.name, "without a name"), shown(&run.model, "an unknown model"));
    let why = what_went_wrong(run).unwrap_or_else(|| "OpenAI does not say".to_owned());
    let created = run.created_at.map_or_else(|| "unknown".to_owned(), when::moment);
    let (id, page) = (hooks_openai::for_display(&run.id), shown(&run.report_url, DASHBOARD));
    let message = format!(
        "Eval run {id} failed.\n\n\
         What   the eval run \"{name}\" of {model}\n\
         When   created {created}\n\
         Why    {why}\n\
         To do  Run it again if its report is still wanted; correct its data source first if the reason lies there.\n\
         Where  s3://{bucket}/{report}\n       {page}\n"
    );
    Some(Alert { severity: Severity::Warning, subject: format!("Eval run {id} failed"), message })
}
