//! What a person is told about a job that went wrong, or a model that does not answer.

use hooks_consumer::artifacts::Key;
use hooks_consumer::{Alert, Severity, when};
use hooks_openai::FineTuningJob;

use crate::outcome::what_went_wrong;

/// Where people see their jobs.
const DASHBOARD: &str = "https://platform.openai.com/finetune";

/// An alert for a job that failed.
pub(crate) fn failed(job: &FineTuningJob, bucket: &str, key: &Key) -> Alert {
    let (id, model) = (&job.id, name(job.model.as_deref()));
    let why = what_went_wrong(job).unwrap_or_else(|| "OpenAI does not say".to_owned());
    let message = format!(
        "Fine-tuning job {id} failed.\n\n\
         What   the training of a model based on {model}\n\
         When   {}\n\
         Why    {why}\n\
         To do  Correct the training file or the parameters if the reason lies there, and create the job again.\n\
         Where  s3://{bucket}/{key}\n       {DASHBOARD}/{id}\n",
        lifetime(job)
    );
    Alert { severity: Severity::Warning, subject: format!("Fine-tuning job {id} failed"), message }
}

/// An alert for a model that failed its smoke test, and therefore is not promoted.
pub(crate) fn not_promoted(job: &FineTuningJob, why: &str, parameter: Option<&str>, bucket: &str, key: &Key) -> Alert {
    let (id, model) = (&job.id, name(job.fine_tuned_model.as_deref()));
    let stays = parameter.map_or_else(String::new, |parameter| {
        format!(
            " Until then the parameter {parameter} stays as it is; set it by hand if the model is good all the same."
        )
    });
    let message = format!(
        "The new model of fine-tuning job {id} failed its smoke test and was not promoted.\n\n\
         What   {model}\n\
         When   {}\n\
         Why    {why}\n\
         To do  Ask the model something yourself. If it is broken, train it again.{stays}\n\
         Where  s3://{bucket}/{key}\n       {DASHBOARD}/{id}\n",
        lifetime(job)
    );
    Alert { severity: Severity::Warning, subject: format!("The model of {id} failed its smoke test"), message }
}

fn name(model: Option<&str>) -> String {
    hooks_openai::for_display(model.unwrap_or("an unknown model"))
}

fn lifetime(job: &FineTuningJob) -> String {
    let moment = |at: Option<i64>| at.map_or_else(|| "unknown".to_owned(), when::moment);
    format!("created {}, ended {}", moment(job.created_at), moment(job.finished_at))
}
