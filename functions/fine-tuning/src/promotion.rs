//! The promotion of a model: its name becomes the value of a parameter that other programs read.
//!
//! Systems Manager has no conditional writes. So the description of each value names its job and the time at which the
//! job finished, and the parameter's history decides: a job is promoted once, whatever was set later, and never after a
//! job that finished later. Two jobs of one alias that are promoted within the same fraction of a second can still
//! overwrite each other.

use hooks_consumer::parameters::{Parameter, ParameterError, Parameters};
use hooks_consumer::text;
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
    pub(crate) model: String,
    /// The day on which OpenAI ends the model.
    pub(crate) shutdown_date: Option<String>,
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
        origin: Origin<'_>,
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
            self.set(&parameter, &origin, model).await?
        };
        Ok(Promotion { parameter, model: model.to_owned(), shutdown_date: origin.shutdown_date, result })
    }

    async fn set(
        &self,
        parameter: &str,
        origin: &Origin<'_>,
        model: &str,
    ) -> Result<Result<Promoted, String>, ParameterError> {
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

fn decide(history: &[Parameter], origin: &Origin<'_>, model: &str) -> Decision {
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
#[derive(Clone, Debug)]
pub(crate) struct Origin<'a> {
    pub(crate) job: &'a str,
    /// Unix seconds.
    pub(crate) finished_at: i64,
    /// The day on which OpenAI ends the model, such as `2027-01-14`.
    pub(crate) shutdown_date: Option<String>,
}

impl<'a> Origin<'a> {
    fn description(&self) -> String {
        let Self { job, finished_at, shutdown_date } = self;
        let end = shutdown_date.as_ref().map(|date| format!(" shutdown_date={date}")).unwrap_or_default();
        format!("Fine-tuned model, promoted by openai-webhooks: job={job} finished_at={finished_at}{end}")
    }

    fn read(description: &'a str) -> Option<Self> {
        let field = |name| description.split(' ').find_map(|word| word.strip_prefix(name));
        Some(Self {
            job: field("job=")?,
            finished_at: field("finished_at=")?.parse().ok()?,
            shutdown_date: field("shutdown_date=").map(str::to_owned),
        })
    }
}

impl Promotion {
    pub(crate) fn summary(&self) -> Value {
        let Self { parameter, model, shutdown_date, result } = self;
        let mut summary = json!({"parameter": parameter, "model": model, "shutdown_date": shutdown_date});
        summary["promoted"] = result.is_ok().into();
        match result {
            Ok(Promoted { version, previous }) => {
                summary["version"] = (*version).into();
                summary["previous"] = previous.as_deref().into();
            }
            Err(reason) => summary["reason"] = reason.as_str().into(),
        }
        summary
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
            description: Origin { job, finished_at: *finished_at, shutdown_date: None }.description(),
        };
        (1..).zip(jobs).map(value).collect()
    }

    fn decided(history: &[Parameter], job: &str, finished_at: i64) -> Decision {
        decide(history, &Origin { job, finished_at, shutdown_date: None }, &format!("ft:{job}"))
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
    fn a_description_has_the_end_of_the_model_if_it_is_known() {
        let mut origin = Origin { job: "a", finished_at: 1, shutdown_date: None };
        assert_eq!(Origin::read(&origin.description()).unwrap().shutdown_date, None);
        origin.shutdown_date = Some("2027-01-14".to_owned());
        assert!(origin.description().ends_with("job=a finished_at=1 shutdown_date=2027-01-14"));
        assert_eq!(Origin::read(&origin.description()).unwrap().shutdown_date, origin.shutdown_date);
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
