//! The promotion of a model: its name becomes the value of a parameter that other programs read.
//!
//! Systems Manager has no conditional writes. So the description of each value names its job and the time at which the
//! job finished, and the parameter's history decides: a job is promoted once, whatever was set later, and never after a
//! job that finished later. Two jobs of one alias that are promoted within the same fraction of a second can still
//! overwrite each other.

use hooks_consumer::parameters::{Parameter, ParameterError, Parameters};
use hooks_consumer::text;
use hooks_openai::FineTuningJob;
use serde_json::{Value, json};

/// Promotes models to parameters.
pub(crate) struct Promoter {
    parameters: Parameters,
    /// The path of the parameters, such as `/my-stack/models`.
    path: String,
    /// Whether models are promoted at all.
    enabled: bool,
}

/// The result of a promotion.
#[derive(Debug)]
pub(crate) struct Promotion {
    pub(crate) parameter: String,
    model: String,
    /// The parameter's version with the model, or why the model was not promoted.
    pub(crate) result: Result<Promoted, String>,
}

/// A promoted model among the parameter's values.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Promoted {
    version: i64,
    previous: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
enum Decision {
    Promote { previous: Option<String> },
    Promoted(Promoted),
    Superseded(String),
}

impl Promoter {
    pub(crate) fn new(parameters: Parameters, path: String, enabled: bool) -> Self {
        Self { parameters, path, enabled }
    }

    /// Promotes the job's model under this alias, if it passed its smoke test.
    pub(crate) async fn promote(
        &self,
        job: &FineTuningJob,
        model: &str,
        alias: &str,
        passed: bool,
    ) -> Result<Promotion, ParameterError> {
        let parameter = format!("{}/{alias}", self.path);
        let result = if !passed {
            Err("it failed its smoke test".to_owned())
        } else if !self.enabled {
            Err("PROMOTE_MODELS is false".to_owned())
        } else {
            self.set(&parameter, job, model).await?
        };
        Ok(Promotion { parameter, model: model.to_owned(), result })
    }

    async fn set(
        &self,
        parameter: &str,
        job: &FineTuningJob,
        model: &str,
    ) -> Result<Result<Promoted, String>, ParameterError> {
        let origin = Origin { job: &job.id, finished_at: job.finished_at.or(job.created_at).unwrap_or_default() };
        match decide(&self.parameters.history(parameter).await?, origin, model) {
            Decision::Promoted(promoted) => Ok(Ok(promoted)),
            Decision::Superseded(reason) => Ok(Err(reason)),
            Decision::Promote { previous } => {
                let version = self.parameters.put(parameter, model, &origin.description()).await?;
                Ok(Ok(Promoted { version, previous }))
            }
        }
    }
}

fn decide(history: &[Parameter], origin: Origin<'_>, model: &str) -> Decision {
    let origins = || history.iter().filter_map(|value| Some((value, Origin::read(&value.description)?)));
    // A value that was set by hand may have kept the previous description.
    let own = origins().find(|(_, other)| other.job == origin.job).map(|(value, _)| value);
    if let Some(own) = own.or_else(|| history.last().filter(|present| present.value == model)) {
        let before = history.iter().rfind(|value| value.version < own.version);
        let previous = before.map(|value| value.value.clone());
        return Decision::Promoted(Promoted { version: own.version, previous });
    }
    match origins().map(|(_, other)| other).max_by_key(|other| other.finished_at) {
        Some(newest) if newest.finished_at > origin.finished_at => {
            let (job, at) = (newest.job, text::moment(newest.finished_at));
            Decision::Superseded(format!("the model of job {job}, which finished later, at {at}, was promoted already"))
        }
        _ => Decision::Promote { previous: history.last().map(|value| value.value.clone()) },
    }
}

/// The job that a value comes from, by its description.
#[derive(Clone, Copy, Debug)]
struct Origin<'a> {
    job: &'a str,
    /// Unix seconds.
    finished_at: i64,
}

impl<'a> Origin<'a> {
    fn description(self) -> String {
        let Self { job, finished_at } = self;
        format!("Fine-tuned model, promoted by openai-webhooks: job={job} finished_at={finished_at}")
    }

    fn read(description: &'a str) -> Option<Self> {
        let field = |name| description.split(' ').find_map(|word| word.strip_prefix(name));
        Some(Self { job: field("job=")?, finished_at: field("finished_at=")?.parse().ok()? })
    }
}

impl Promotion {
    pub(crate) fn summary(&self) -> Value {
        let Self { parameter, model, result } = self;
        match result {
            Ok(Promoted { version, previous }) => json!({
                "parameter": parameter, "model": model, "promoted": true, "version": version, "previous": previous,
            }),
            Err(reason) => json!({"parameter": parameter, "model": model, "promoted": false, "reason": reason}),
        }
    }

    /// Why the model was not promoted, in one sentence.
    pub(crate) fn note(&self) -> Option<String> {
        let reason = self.result.as_ref().err()?;
        Some(format!("{} was not promoted: {reason}", hooks_openai::for_display(&self.model)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A history of values: for each job its model, in this order.
    fn history(jobs: &[(&str, i64)]) -> Vec<Parameter> {
        let value = |(version, (job, finished_at)): (i64, &(&str, i64))| Parameter {
            value: format!("ft:{job}"),
            version,
            description: Origin { job, finished_at: *finished_at }.description(),
        };
        (1..).zip(jobs).map(value).collect()
    }

    fn decided(history: &[Parameter], job: &str, finished_at: i64) -> Decision {
        decide(history, Origin { job, finished_at }, &format!("ft:{job}"))
    }

    fn by_hand(version: i64, value: &str, description: &str) -> Parameter {
        Parameter { value: value.to_owned(), version, description: description.to_owned() }
    }

    #[test]
    fn the_first_model_and_every_later_one_is_promoted() {
        assert_eq!(decided(&[], "a", 1), Decision::Promote { previous: None });
        let next = Decision::Promote { previous: Some("ft:a".to_owned()) };
        assert_eq!(decided(&history(&[("a", 1)]), "b", 2), next);
        assert_eq!(decided(&history(&[("a", 1)]), "b", 1), next, "two that finished in the same second");
    }

    #[test]
    fn a_job_is_promoted_once_whatever_came_after_it() {
        let promoted = |version, previous: Option<&str>| {
            Decision::Promoted(Promoted { version, previous: previous.map(str::to_owned) })
        };
        let jobs = history(&[("a", 1), ("b", 2)]);
        assert_eq!(decided(&jobs, "b", 2), promoted(2, Some("ft:a")));
        assert_eq!(decided(&jobs, "a", 1), promoted(1, None));
        // Set back by hand, with the description that was there.
        let mut rolled_back = jobs.clone();
        rolled_back.push(by_hand(3, "ft:a", &jobs[1].description));
        assert_eq!(decided(&rolled_back, "b", 2), promoted(2, Some("ft:a")));
        assert_eq!(decided(&[by_hand(1, "ft:a", "")], "a", 1), promoted(1, None), "the value is there");
    }

    #[test]
    fn a_job_that_finished_earlier_is_superseded() {
        let mut jobs = history(&[("a", 1), ("c", 3)]);
        let reason = "the model of job c, which finished later, at 1970-01-01T00:00:03Z, was promoted already";
        assert_eq!(decided(&jobs, "b", 2), Decision::Superseded(reason.to_owned()));
        jobs.push(by_hand(3, "ft:a", "set back"));
        assert_eq!(decided(&jobs, "b", 2), Decision::Superseded(reason.to_owned()));
        assert_eq!(decided(&jobs, "d", 4), Decision::Promote { previous: Some("ft:a".to_owned()) });
    }

    #[test]
    fn a_foreign_description_names_no_job() {
        for text in ["", "job=", "job=a", "finished_at=3", "job=a finished_at=soon", "our support model"] {
            assert!(Origin::read(text).is_none(), "{text:?}");
            let jobs = [by_hand(1, "ft:z", text)];
            assert_eq!(decided(&jobs, "b", 2), Decision::Promote { previous: Some("ft:z".to_owned()) });
        }
    }
}
