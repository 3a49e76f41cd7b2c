//! The store of the policy, and the cached policy in use.

#[cfg(test)]
mod tests;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hooks_consumer::artifacts::{Artifacts, GetResult};
use hooks_consumer::parameters::Parameters;
use hooks_function::{Cached, Last, Refresh, Rules};
use hooks_policy::{Location, MAX_POLICY, Policy, UNSET};
use tokio::time::{Instant, timeout};

/// Time until a policy is read again.
const TTL: Duration = Duration::from_secs(30);

/// Time until the store is read again after an error, which somebody may be fixing.
const ERROR_TTL: Duration = Duration::from_secs(5);

/// Maximum time for a read when a policy is in use already.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Maximum time for a read when no policy is in use, so that the call has to wait for it.
const TIMEOUT_WITHOUT_POLICY: Duration = Duration::from_secs(4);

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
                let read = bucket.get(key, known_version, MAX_POLICY).await.map_err(|error| error.to_string())?;
                Ok(match read {
                    GetResult::Absent => ReadResult::Missing("there is no such object".to_owned()),
                    GetResult::TooLarge => ReadResult::Missing(format!("the object has more than {MAX_POLICY} bytes")),
                    GetResult::Unchanged => ReadResult::Unchanged,
                    GetResult::Object { bytes, etag } => ReadResult::Policy { json: bytes.to_vec(), version: etag },
                })
            }
        }
    }
}

/// The cached policy. Concurrent calls share one read.
pub(crate) struct PolicyCache {
    source: PolicySource,
    policy: Cached<Policy, PolicyError>,
    memory: Mutex<Memory>,
}

/// The last valid policy, and why the stored one is not in use.
pub(crate) type CurrentPolicy = Last<Policy, PolicyError>;

/// Why the stored policy cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PolicyError {
    pub(crate) message: String,
    /// Whether somebody has to fix it. Then people are alerted even if an earlier policy is in use.
    pub(crate) lasting: bool,
}

#[derive(Default)]
struct Memory {
    /// The version or `ETag` of the policy that was read last, valid or not.
    version: Option<String>,
    /// The error that people were alerted to.
    alerted: Option<PolicyError>,
}

impl PolicyCache {
    pub(crate) fn new(source: PolicySource) -> Self {
        let rules = Rules {
            retry: ERROR_TTL,
            retry_without_value: ERROR_TTL,
            cooldown: ERROR_TTL,
            cooldown_after_any_read: false,
        };
        Self { source, policy: Cached::new(rules), memory: Mutex::default() }
    }

    /// The store of the policy, for people.
    pub(crate) fn location(&self) -> String {
        let location = match &self.source {
            PolicySource::Parameter { name, .. } => Location::Parameter(name.clone()),
            PolicySource::Object { bucket, key } => {
                Location::Object { bucket: bucket.bucket().to_owned(), key: key.clone() }
            }
        };
        location.to_string()
    }

    /// The policy in use, read again if it is not fresh.
    pub(crate) async fn current(&self) -> CurrentPolicy {
        self.policy.get(Instant::now(), |last| self.read(last)).await
    }

    /// The policy in use, without a read.
    pub(crate) fn last(&self) -> CurrentPolicy {
        self.policy.last()
    }

    /// Whether people have to be alerted to this error.
    pub(crate) fn is_new(&self, error: &PolicyError) -> bool {
        error.lasting && self.memory().alerted.as_ref() != Some(error)
    }

    /// Remembers that people were alerted to the error, which is then not new any more.
    pub(crate) fn alerted(&self, error: PolicyError) {
        self.memory().alerted = Some(error);
    }

    async fn read(&self, last: CurrentPolicy) -> Result<Refresh<Policy>, PolicyError> {
        let time = if last.value.is_some() { TIMEOUT } else { TIMEOUT_WITHOUT_POLICY };
        // Taken out: after a read that fails, the next one has to return the whole policy.
        let version = self.memory().version.take();
        let read = timeout(time, self.source.read(version.as_deref())).await;
        let in_use = if last.value.is_some() { "the last valid one" } else { "none" };
        let result = match read.unwrap_or_else(|_| Err("there was no answer in time".to_owned())) {
            Ok(ReadResult::Unchanged) => {
                self.memory().version = version;
                // An invalid policy is still invalid.
                last.error.filter(|error| error.lasting).map_or(Ok(Refresh::Same(TTL)), Err)
            }
            Ok(ReadResult::Missing(message)) => Err(PolicyError { message, lasting: true }),
            Ok(ReadResult::Policy { json, version }) => {
                self.memory().version = version;
                let policy = Policy::parse(&json);
                policy.map_err(|errors| PolicyError { message: errors.join("\n"), lasting: true }).map(|policy| {
                    for warning in &policy.warnings {
                        tracing::warn!("the policy for calls has something that is ignored: {warning}");
                    }
                    // The same error is new again if it is made again.
                    self.memory().alerted = None;
                    Refresh::New(policy, TTL)
                })
            }
            Err(error) => {
                Err(PolicyError { message: format!("the policy could not be read: {error}"), lasting: false })
            }
        };
        result.inspect_err(|PolicyError { message, .. }| {
            tracing::error!("the policy for calls cannot be used (in use: {in_use}): {message}");
        })
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
