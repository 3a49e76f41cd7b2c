//! The store of the policy, and the cached policy in use.

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

/// Time until a policy is read again.
const TTL: Duration = Duration::from_secs(30);

/// Time until the store is read again after an error, which somebody may be fixing.
const ERROR_TTL: Duration = Duration::from_secs(5);

/// Maximum time for a read when a policy is in use already.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Maximum time for a read when no policy is in use, so that the call has to wait for it.
const TIMEOUT_WITHOUT_POLICY: Duration = Duration::from_secs(4);

/// Maximum size of a policy, in bytes.
const MAX_BYTES: usize = 256 * 1024;

/// The parameter's value until a policy is stored.
const UNSET: &str = "unset";

/// The location of the policy: `ssm:/NAME` or `s3://BUCKET/KEY`.
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

/// The store of the policy.
pub(crate) enum PolicySource {
    Parameter { parameters: Parameters, name: String },
    Object { bucket: Artifacts, key: String },
}

/// The result of a read.
enum ReadResult {
    /// The policy has the version that was read last.
    Unchanged,
    /// There is no policy, for this reason.
    Missing(String),
    Policy {
        json: Vec<u8>,
        version: Option<String>,
    },
}

impl PolicySource {
    async fn read(&self, known_version: Option<&str>) -> Result<ReadResult, String> {
        match self {
            Self::Parameter { parameters, name } => {
                let parameter = parameters.get(name).await.map_err(|error| error.to_string())?;
                let Some(parameter) = parameter else {
                    return Ok(ReadResult::Missing("there is no such parameter".to_owned()));
                };
                let version = parameter.version.to_string();
                Ok(if parameter.value.trim() == UNSET {
                    ReadResult::Missing("no policy is stored yet".to_owned())
                } else if Some(version.as_str()) == known_version {
                    ReadResult::Unchanged
                } else {
                    ReadResult::Policy { json: parameter.value.into_bytes(), version: Some(version) }
                })
            }
            Self::Object { bucket, key } => {
                let read = bucket.get(key, known_version, MAX_BYTES).await.map_err(|error| error.to_string())?;
                Ok(match read {
                    Read::Absent => ReadResult::Missing("there is no such object".to_owned()),
                    Read::TooLarge => ReadResult::Missing(format!("the object has more than {MAX_BYTES} bytes")),
                    Read::Unchanged => ReadResult::Unchanged,
                    Read::Object { bytes, etag } => ReadResult::Policy { json: bytes.to_vec(), version: etag },
                })
            }
        }
    }
}

/// The cached policy.
pub(crate) struct PolicyCache {
    source: PolicySource,
    /// Locked during a read, so that concurrent calls share one.
    state: Mutex<State>,
}

/// The policy in use.
#[derive(Clone, Default)]
pub(crate) struct CurrentPolicy {
    /// The last valid policy.
    pub(crate) policy: Option<Arc<Policy>>,
    /// Why the stored policy is not in use.
    pub(crate) error: Option<PolicyError>,
}

/// Why the stored policy cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PolicyError {
    pub(crate) message: String,
    /// Whether somebody has to fix it. Then people are alerted even if an earlier policy is in use.
    pub(crate) lasting: bool,
}

#[derive(Default)]
struct State {
    current: CurrentPolicy,
    /// The version or `ETag` of the policy that was read last, valid or not.
    version: Option<String>,
    fresh_until: Option<Instant>,
    /// The error that people were alerted to.
    alerted: Option<PolicyError>,
}

impl PolicyCache {
    pub(crate) fn new(source: PolicySource) -> Self {
        Self { source, state: Mutex::default() }
    }

    /// The store of the policy, for people.
    pub(crate) fn location(&self) -> String {
        match &self.source {
            PolicySource::Parameter { name, .. } => format!("the parameter {name} of Systems Manager"),
            PolicySource::Object { bucket, key } => format!("s3://{}/{key}", bucket.bucket()),
        }
    }

    /// The policy in use, read again if it is not fresh.
    pub(crate) async fn current(&self) -> CurrentPolicy {
        let mut state = self.state.lock().await;
        if state.fresh_until.is_none_or(|until| until <= Instant::now()) {
            self.refresh(&mut state).await;
        }
        state.current.clone()
    }

    /// Whether people have to be alerted to this error. True only once for each error.
    pub(crate) async fn is_new(&self, error: &PolicyError) -> bool {
        let mut state = self.state.lock().await;
        let is_new = error.lasting && state.alerted.as_ref() != Some(error);
        if is_new {
            state.alerted = Some(error.clone());
        }
        is_new
    }

    async fn refresh(&self, state: &mut State) {
        let time = if state.current.policy.is_some() { TIMEOUT } else { TIMEOUT_WITHOUT_POLICY };
        let read = timeout(time, self.source.read(state.version.as_deref())).await;
        let error = match read.unwrap_or_else(|_| Err("there was no answer in time".to_owned())) {
            // An invalid policy is still invalid.
            Ok(ReadResult::Unchanged) => state.current.error.clone().filter(|error| error.lasting),
            Ok(ReadResult::Missing(message)) => {
                state.version = None;
                Some(PolicyError { message, lasting: true })
            }
            Ok(ReadResult::Policy { json, version }) => {
                state.version = version;
                match Policy::parse(&json) {
                    Ok(policy) => {
                        state.current.policy = Some(Arc::new(policy));
                        // The same error is new again if it is made again.
                        state.alerted = None;
                        None
                    }
                    Err(errors) => Some(PolicyError { message: errors.join("\n"), lasting: true }),
                }
            }
            Err(error) => {
                // The next read has to return the whole policy.
                state.version = None;
                Some(PolicyError { message: format!("the policy could not be read: {error}"), lasting: false })
            }
        };
        if let Some(error) = &error {
            let in_use = if state.current.policy.is_some() { "the last valid one" } else { "none" };
            tracing::error!("the policy for calls cannot be used (in use: {in_use}): {}", error.message);
        }
        let ttl = if error.is_some() { ERROR_TTL } else { TTL };
        state.current.error = error;
        state.fresh_until = Some(Instant::now() + ttl);
    }
}
