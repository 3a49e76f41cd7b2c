//! Fine-tuned models in production, by alias: what was promoted, and the way back.

use futures::FutureExt as _;
use hooks_aws::Config;
use hooks_aws::parameters::{Parameter, Parameters};
use hooks_openai::{Client, ErrorClass};
use tokio::time::Instant;

use crate::error::{OperateError, Result};
use crate::parallel::all;

/// An alias: what was promoted, the latest last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    /// Last part of the parameter's name.
    pub name: String,
    /// Name of the parameter.
    pub parameter: String,
    /// The models, the one in production last.
    pub history: Vec<Parameter>,
}

/// The models of a stack in Parameter Store. Cheap to clone.
#[derive(Clone)]
pub struct Models {
    parameters: Parameters,
    path: String,
}

impl Alias {
    /// The model in production.
    #[must_use]
    pub fn present(&self) -> Option<&Parameter> {
        self.history.last()
    }

    /// The model to go back to: that of a version, or else the last other one.
    pub fn earlier(&self, version: Option<i64>) -> Result<&Parameter> {
        let present = self.present().ok_or_else(|| missing(&self.name))?;
        let found = match version {
            Some(version) => self.history.iter().find(|one| one.version == version),
            None => self.history.iter().rev().find(|one| one.value != present.value),
        };
        found.ok_or_else(|| {
            OperateError::failed(format!("{} has no earlier model to go back to", self.name))
                .hint("See `openai-webhooks models list --history`.")
        })
    }
}

impl Models {
    /// The models of the stack of this name.
    #[must_use]
    pub fn new(aws: &Config, stack: &str) -> Self {
        Self { parameters: Parameters::new(aws), path: format!("/{stack}/models") }
    }

    /// The path in Parameter Store.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// All aliases. Needs `ssm:GetParametersByPath` and `ssm:GetParameterHistory`.
    pub async fn list(&self) -> Result<Vec<Alias>> {
        let found = self.parameters.below(&self.path).await?;
        let calls = found.into_iter().map(|(parameter, _)| {
            let read = async move {
                let history = self.parameters.history(&parameter).await?;
                let name = parameter.rsplit('/').next().unwrap_or_default().to_owned();
                Ok::<_, OperateError>(Alias { name, parameter, history })
            };
            read.boxed()
        });
        let calls: Vec<_> = calls.collect();
        let mut models = all(calls).await?;
        models.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(models)
    }

    /// One alias. Needs `ssm:GetParameterHistory`.
    ///
    /// # Errors
    ///
    /// There is none of this name.
    pub async fn alias(&self, name: &str) -> Result<Alias> {
        let parameter = format!("{}/{name}", self.path);
        let history = self.parameters.history(&parameter).await?;
        if history.is_empty() {
            return Err(missing(name));
        }
        Ok(Alias { name: name.to_owned(), parameter, history })
    }

    /// The model of an alias, if there is one. Needs `ssm:GetParameter`.
    pub async fn model(&self, alias: &str) -> Result<Option<String>> {
        Ok(self.parameters.get(&format!("{}/{alias}", self.path)).await?.map(|present| present.value))
    }

    /// Makes a model the one of an alias, and returns the version. Needs `ssm:PutParameter`.
    ///
    /// `end` is when OpenAI ends it, by [`end_of`].
    pub async fn set(&self, alias: &str, model: &str, end: Option<&str>, who: Option<&str>) -> Result<i64> {
        let end = end.map(|date| format!(" shutdown_date={date}")).unwrap_or_default();
        let who = who.map(|who| format!(" by {who}")).unwrap_or_default();
        // The names are those that a job's promotion has, but no job: a job that finishes later replaces it.
        let description = format!("Model set{who} with openai-webhooks{end}");
        Ok(self.parameters.put(&format!("{}/{alias}", self.path), model, &description).await?)
    }
}

/// The day on which OpenAI ends a model, if it says so.
///
/// # Errors
///
/// OpenAI has no such model.
pub async fn end_of(openai: &Client, model: &str, deadline: Instant) -> Result<Option<String>> {
    match openai.model(model, deadline).await {
        Ok(found) => Ok(found.shutdown_date),
        Err(error) if error.class() == ErrorClass::NotFound => {
            Err(OperateError::failed(format!("OpenAI has no model {model} for this API key"))
                .hint("It was deleted or has ended, or it is another project's."))
        }
        Err(error) => Err(error.into()),
    }
}

/// The day on which OpenAI ends a model, from the description that its promotion left.
#[must_use]
pub fn shutdown_date(description: &str) -> Option<&str> {
    description.split(' ').find_map(|word| word.strip_prefix("shutdown_date="))
}

fn missing(alias: &str) -> OperateError {
    OperateError::failed(format!("there is no model with the alias {alias}")).hint("See `openai-webhooks models list`.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alias(models: &[&str]) -> Alias {
        let history = models.iter().zip(1..).map(|(model, version)| Parameter {
            value: (*model).to_owned(),
            version,
            description: String::new(),
        });
        Alias { name: "support".to_owned(), parameter: "/s/models/support".to_owned(), history: history.collect() }
    }

    #[test]
    fn the_way_back_leads_to_the_last_other_model_or_to_a_version() {
        let models = alias(&["a", "b", "c", "c"]);
        assert_eq!(models.earlier(None).unwrap().value, "b");
        assert_eq!(models.earlier(Some(1)).unwrap().value, "a");
        assert!(models.earlier(Some(9)).is_err());
        assert!(alias(&["a", "a"]).earlier(None).is_err());
        assert!(alias(&[]).earlier(None).is_err());
    }
}
