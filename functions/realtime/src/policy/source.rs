//! Where the policy comes from, and which one is in use.

#[cfg(test)]
mod tests;

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use hooks_consumer::artifacts::{Artifacts, Read};
use hooks_consumer::parameters::Parameters;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::Policy;

/// How long a policy is used before it is looked up again.
const KEEP: Duration = Duration::from_secs(30);

/// How soon it is looked up again when there is none, or none that can be used: somebody may be putting it right.
const KEEP_PROBLEM: Duration = Duration::from_secs(5);

/// How long a call waits for a look-up when there is a policy to go by, and when there is none.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(4));

/// The largest policy, in bytes.
const MAX_BYTES: usize = 256 * 1024;

/// What the parameter has until somebody stores a policy.
const UNSET: &str = "unset";

/// Where the policy lies: `ssm:/NAME` or `s3://BUCKET/KEY`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Location {
    Parameter(String),
    Object { bucket: String, key: String },
}

impl FromStr for Location {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(name) = text.strip_prefix("ssm:").filter(|name| name.len() > 1 && name.starts_with('/')) {
            return Ok(Self::Parameter(name.to_owned()));
        }
        match text.strip_prefix("s3://").and_then(|rest| rest.split_once('/')) {
            Some((bucket, key)) if !bucket.is_empty() && !key.is_empty() => {
                Ok(Self::Object { bucket: bucket.to_owned(), key: key.to_owned() })
            }
            _ => Err("is neither ssm:/NAME nor s3://BUCKET/KEY".to_owned()),
        }
    }
}

/// What the policy is read from.
pub(crate) enum Source {
    Parameter { parameters: Parameters, name: String },
    Object { bucket: Artifacts, key: String },
}

/// The policy that is in use.
pub(crate) struct Policies {
    source: Source,
    /// Held during a look-up, so that calls at the same time make one.
    state: Mutex<State>,
}

/// What is known to a call.
#[derive(Clone, Default)]
pub(crate) struct Current {
    /// The last policy that could be used.
    pub(crate) policy: Option<Arc<Policy>>,
    /// Why it is not what lies there now.
    pub(crate) problem: Option<Problem>,
}

/// Why a policy cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// In words for whoever puts it right.
    pub(crate) message: String,
    /// It does not go away by itself, so people are told even when an older policy is still in use.
    pub(crate) lasting: bool,
}

#[derive(Default)]
struct State {
    current: Current,
    /// The version or `ETag` of what was read last, usable or not.
    version: Option<String>,
    fresh_until: Option<Instant>,
    /// The problem that people were told of.
    told: Option<Problem>,
}

/// What a look-up came to.
enum Found {
    Unchanged,
    Nothing(String),
    Text { json: Vec<u8>, version: Option<String> },
}

impl Policies {
    pub(crate) fn new(source: Source) -> Self {
        Self { source, state: Mutex::default() }
    }

    /// Where it is, as people write it.
    pub(crate) fn location(&self) -> String {
        match &self.source {
            Source::Parameter { name, .. } => format!("the parameter {name} of Systems Manager"),
            Source::Object { bucket, key } => format!("s3://{}/{key}", bucket.bucket()),
        }
    }

    /// The policy to answer by now, after another look if the last one is too long ago.
    pub(crate) async fn current(&self) -> Current {
        let mut state = self.state.lock().await;
        if state.fresh_until.is_none_or(|until| until <= Instant::now()) {
            self.look(&mut state).await;
        }
        state.current.clone()
    }

    /// Whether people have to be told of this problem still. Says so once.
    pub(crate) async fn is_news(&self, problem: &Problem) -> bool {
        let mut state = self.state.lock().await;
        let news = problem.lasting && state.told.as_ref() != Some(problem);
        if news {
            state.told = Some(problem.clone());
        }
        news
    }

    async fn look(&self, state: &mut State) {
        let patience = if state.current.policy.is_some() { PATIENCE.0 } else { PATIENCE.1 };
        let found = timeout(patience, self.fetch(state.version.as_deref())).await;
        let problem = match found.unwrap_or_else(|_| Err("there was no answer in time".to_owned())) {
            // What was wrong with it is wrong still.
            Ok(Found::Unchanged) => state.current.problem.clone().filter(|problem| problem.lasting),
            Ok(Found::Nothing(message)) => {
                state.version = None;
                Some(Problem { message, lasting: true })
            }
            Ok(Found::Text { json, version }) => {
                state.version = version;
                match Policy::read(&json) {
                    Ok(policy) => {
                        state.current.policy = Some(Arc::new(policy));
                        // The same mistake is news again when it is made again.
                        state.told = None;
                        None
                    }
                    Err(problems) => Some(Problem { message: problems.join("\n"), lasting: true }),
                }
            }
            Err(error) => {
                // The next look has to read it whole, to find out whether it is right.
                state.version = None;
                Some(Problem { message: format!("it could not be read: {error}"), lasting: false })
            }
        };
        if let Some(problem) = &problem {
            let in_use =
                if state.current.policy.is_some() { "the last good one stays in use" } else { "there is none" };
            tracing::error!("the policy for calls cannot be used, {in_use}: {}", problem.message);
        }
        let keep = if problem.is_some() { KEEP_PROBLEM } else { KEEP };
        state.current.problem = problem;
        state.fresh_until = Some(Instant::now() + keep);
    }

    async fn fetch(&self, known: Option<&str>) -> Result<Found, String> {
        match &self.source {
            Source::Parameter { parameters, name } => {
                let parameter = parameters.get(name).await.map_err(|error| error.to_string())?;
                Ok(match parameter {
                    None => Found::Nothing("there is no such parameter".to_owned()),
                    Some(parameter) if parameter.value.trim() == UNSET => {
                        Found::Nothing("nobody has stored a policy yet".to_owned())
                    }
                    Some(parameter) => {
                        let version = Some(parameter.version.to_string());
                        if version.as_deref() == known {
                            Found::Unchanged
                        } else {
                            Found::Text { json: parameter.value.into_bytes(), version }
                        }
                    }
                })
            }
            Source::Object { bucket, key } => {
                let read = bucket.get(key, known, MAX_BYTES).await.map_err(|error| error.to_string())?;
                Ok(match read {
                    Read::Absent => Found::Nothing("there is no such object".to_owned()),
                    Read::TooLarge => Found::Nothing(format!("it has more than {MAX_BYTES} bytes")),
                    Read::Unchanged => Found::Unchanged,
                    Read::Object { bytes, etag } => Found::Text { json: bytes.to_vec(), version: etag },
                })
            }
        }
    }
}
