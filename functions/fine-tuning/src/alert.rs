//! Alerts about jobs that failed, and about models that failed their smoke test.

use hooks_consumer::artifacts::Key;
use hooks_consumer::object::time_text;
use hooks_consumer::{Alert, Severity};
use hooks_openai::FineTuningJob;

use crate::promotion::Promotion;

/// OpenAI's page with the jobs of a project.
const DASHBOARD: &str = "https://platform.openai.com/finetune";

/// The alert for a job that failed.
pub(crate) fn failed(job: &FineTuningJob, why: Option<&str>, bucket: &str, key: &Key) -> Alert {
    let (id, model, lifetime) = (&job.id, name(job.model.as_deref()), lifetime(job));
    let why = why.unwrap_or("OpenAI gives no reason");
    let message = format!(
        "Fine-tuning job {id} failed.\n\n\
         What   the training of a model based on {model}\n\
         When   {lifetime}\n\
         Why    {why}\n\
         To do  If the reason lies in the training file or the parameters, correct them. Then create the job again.\n\
         Where  s3://{bucket}/{key}\n       {DASHBOARD}/{id}\n"
    );
    Alert { severity: Severity::Warning, subject: format!("Fine-tuning job {id} failed"), message }
}

/// The alert for a model that failed its smoke test and therefore was not promoted.
pub(crate) fn not_promoted(job: &FineTuningJob, why: &str, parameter: Option<&str>, bucket: &str, key: &Key) -> Alert {
    let (id, model, lifetime) = (&job.id, name(job.fine_tuned_model.as_deref()), lifetime(job));
    let unchanged = parameter.map_or_else(String::new, |parameter| {
        format!(" The parameter {parameter} is unchanged; set it by hand if the model is good nevertheless.")
    });
    let message = format!(
        "The new model of fine-tuning job {id} failed its smoke test and was not promoted.\n\n\
         What   {model}\n\
         When   {lifetime}\n\
         Why    {why}\n\
         To do  Ask the model a question yourself. If it is broken, train it again.{unchanged}\n\
         Where  s3://{bucket}/{key}\n       {DASHBOARD}/{id}\n"
    );
    Alert { severity: Severity::Warning, subject: format!("The model of {id} failed its smoke test"), message }
}

/// The alert for a promoted model whose end is known; `None` for any other.
pub(crate) fn ends(job: &FineTuningJob, promotion: &Promotion, bucket: &str, key: &Key) -> Option<Alert> {
    let date = promotion.shutdown_date.as_deref().filter(|_| promotion.result.is_ok())?;
    let (id, model, parameter, lifetime) = (&job.id, name(Some(&promotion.model)), &promotion.parameter, lifetime(job));
    let message = format!(
        "The new model of fine-tuning job {id} was promoted. OpenAI ends it on {date}.\n\n\
         What   {model}, the value of {parameter}\n\
         When   {lifetime}\n\
         Why    OpenAI ends a model on the day of its shutdown_date, and with a base model all that were tuned from it\n\
         To do  Train a model from a base model that stays, before {date}.\n\
         Where  s3://{bucket}/{key}\n       {DASHBOARD}/{id}\n"
    );
    Some(Alert { severity: Severity::Warning, subject: format!("The model of {id} ends on {date}"), message })
}

fn name(model: Option<&str>) -> String {
    hooks_openai::for_display(model.unwrap_or("an unknown model"))
}

fn lifetime(job: &FineTuningJob) -> String {
    format!("created {}, ended {}", time_text(job.created_at), time_text(job.finished_at))
}
