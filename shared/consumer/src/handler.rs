//! The view of a handler's author: one trait, its context, and its errors.

use std::future::Future;
use std::time::Duration;

use hooks_aws::AwsError;
use hooks_aws::artifacts::{ArtifactError, Artifacts};
use hooks_aws::ledger::{Claim, Ledger, RecordResult};
use hooks_aws::outcomes::{Alert, Outcome};
use hooks_aws::parameters::ParameterError;
use hooks_function::ApiKeySecretError;
use hooks_openai::{ErrorClass, OpenAiError};
use hooks_webhook::Event;
use tokio::time::Instant;

/// The work that an event of one category stands for.
///
/// The harness calls it with an event that is verified, decoded and claimed, so nobody else is working on the same
/// event or on another one that means the same. What it returns decides everything that follows; a handler never
/// acknowledges, retries or records anything itself. A panic counts as [`HandlerError::Retry`].
pub trait Handler: Send + Sync + 'static {
    /// Time after an event's creation during which its object may not be visible yet: the event is tried again.
    /// [`Outcome::not_found`] counts from then on.
    const PATIENCE: Duration = Duration::from_mins(10);

    /// Does the work and says what the object is now.
    ///
    /// It may be called again for an event whose work was done, when the process died before that could be recorded
    /// (and when somebody replays the event), so whatever it writes must be safe to write twice.
    fn handle(&self, event: &Event, context: &Context) -> impl Future<Output = Result<Outcome, HandlerError>> + Send;

    /// Hears that people were told of an alert in an outcome: the topic has taken it.
    fn alerted(&self, _alert: &Alert) {}

    /// Hears that an event is completed: its outcome is out, and its record says so. What fails here, or does not happen
    /// because the process dies before, changes nothing about that and is not tried again.
    fn completed(&self, _event: &Event, _outcome: &Outcome, _deadline: Instant) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// Fetches ahead what the first event would have to wait for, while the function starts. It may take a few seconds;
    /// what could not be fetched is fetched when it is needed.
    fn warm_up(&self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

/// Input of a handler besides the event.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Context {
    /// Time at which the handler will be stopped and its event retried: a little before the invocation's deadline.
    pub deadline: Instant,
    /// Number of claims of the event, this one included: 1 at first. It says nothing about what was done then.
    pub attempt: u32,
    /// Whether an earlier attempt may have sent a request that cannot be taken back: it has called
    /// [`acting`](Self::acting).
    pub acted: bool,
    /// Time at which the event came into this system, in milliseconds since the Unix epoch.
    pub received_at: i64,
    /// Store for what is worth keeping.
    pub artifacts: Artifacts,
    claim: Option<(Ledger, Claim)>,
}

impl Context {
    /// A context of its own, as a handler's tests need it.
    #[must_use]
    pub fn new(deadline: Instant, attempt: u32, received_at: i64, artifacts: Artifacts) -> Self {
        Self { deadline, attempt, acted: false, received_at, artifacts, claim: None }
    }

    pub(crate) fn of_claim(self, ledger: Ledger, claim: Claim) -> Self {
        Self { acted: claim.acted, claim: Some((ledger, claim)), ..self }
    }

    /// The event's key in the ledger: endpoint and webhook id, joined by `#`. Empty without a claim.
    #[must_use]
    pub fn event_key(&self) -> &str {
        self.claim.as_ref().map_or("", |(_, claim)| claim.event())
    }

    /// Notes that a request that cannot be taken back may be sent from now on. To be called before it is.
    ///
    /// # Errors
    ///
    /// A retry, when that cannot be noted, or when another invocation has the event by now: then it must not be sent.
    pub async fn acting(&self) -> Result<(), HandlerError> {
        if self.acted { Ok(()) } else { self.note_acting(true).await }
    }

    /// Takes [`acting`](Self::acting) back: no request that this attempt sent has got through, for certain.
    ///
    /// # Errors
    ///
    /// As of [`acting`](Self::acting).
    pub async fn not_acting(&self) -> Result<(), HandlerError> {
        self.note_acting(false).await
    }

    async fn note_acting(&self, acting: bool) -> Result<(), HandlerError> {
        let Some((ledger, claim)) = &self.claim else { return Ok(()) };
        match ledger.acting(claim, acting).await? {
            RecordResult::Written => Ok(()),
            RecordResult::Superseded => Err(HandlerError::retry("another invocation works on it by now")),
        }
    }
}

/// An event could not be handled. The kind says what happens to it next.
///
/// Messages go to logs, the ledger and the dead-letter queue: they must hold no key and no body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandlerError {
    /// It may work later: the record goes back to its queue.
    #[error("{message}")]
    Retry {
        /// Least time to wait, when the other side asked for one.
        after: Option<Duration>,
        /// Cause in words.
        message: String,
    },
    /// It can never work: the record goes to the dead-letter queue at once, and people are told.
    #[error("{message}")]
    Permanent {
        /// A short code, lower case with underscores: the dead letter's `failure-reason`.
        reason: &'static str,
        /// Cause in words.
        message: String,
    },
}

impl HandlerError {
    /// The API key was refused.
    pub const UNAUTHORIZED: &'static str = "unauthorized";
    /// The account's quota is used up.
    pub const QUOTA_EXHAUSTED: &'static str = "quota_exhausted";
    /// The object does not exist. Of an event's own object a handler returns [`Outcome::not_found`] instead.
    pub const NOT_FOUND: &'static str = "not_found";
    /// OpenAI's answer is longer than any that is read here.
    pub const TOO_LARGE: &'static str = "too_large";
    /// OpenAI refused the call for another reason that no retry can change.
    pub const REFUSED: &'static str = "refused_by_openai";
    /// The event names no object.
    pub const NO_OBJECT: &'static str = "no_object";

    /// Try again later, no earlier than the queue's own backoff says.
    pub fn retry(message: impl Into<String>) -> Self {
        Self::Retry { after: None, message: message.into() }
    }

    /// Never try again.
    pub fn permanent(reason: &'static str, message: impl Into<String>) -> Self {
        Self::Permanent { reason, message: message.into() }
    }
}

/// The id of the object that the event is about, which is `what` for people.
///
/// # Errors
///
/// [`HandlerError::Permanent`] with [`HandlerError::NO_OBJECT`] when it names none.
pub fn object_id<'a>(event: &'a Event, what: &str) -> Result<&'a str, HandlerError> {
    let none = || HandlerError::permanent(HandlerError::NO_OBJECT, format!("the event names no {what}"));
    event.object_id().ok_or_else(none)
}

/// OpenAI's answer, or `None` when it answered that there is no such object, which is a normal end of an event.
///
/// # Errors
///
/// Every other refusal, by its meaning for a retry.
pub fn found<T>(answer: Result<T, OpenAiError>) -> Result<Option<T>, HandlerError> {
    match answer {
        Ok(object) => Ok(Some(object)),
        Err(error) if error.class() == ErrorClass::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

impl From<AwsError> for HandlerError {
    fn from(error: AwsError) -> Self {
        Self::retry(error.to_string())
    }
}

impl From<ArtifactError> for HandlerError {
    fn from(error: ArtifactError) -> Self {
        Self::retry(error.to_string())
    }
}

impl From<ParameterError> for HandlerError {
    fn from(error: ParameterError) -> Self {
        Self::retry(error.to_string())
    }
}

/// A key that is missing today may be there at the next attempt.
impl From<ApiKeySecretError> for HandlerError {
    fn from(error: ApiKeySecretError) -> Self {
        Self::retry(format!("{error}; the event is tried again until then"))
    }
}

impl From<OpenAiError> for HandlerError {
    /// By what the error means for a retry. A handler looks for a 404 of the event's own object first.
    fn from(error: OpenAiError) -> Self {
        let mut message = error.to_string();
        let reason = match error.class() {
            ErrorClass::Retry => return Self::Retry { after: error.retry_after(), message },
            ErrorClass::NotFound => Self::NOT_FOUND,
            ErrorClass::Unauthorized => {
                message.push_str(
                    ". The API key may not read this object: it is invalid, it lacks a permission, or it is another \
                     project's (an object that does not exist, as in a test delivery, is answered by 404)",
                );
                Self::UNAUTHORIZED
            }
            ErrorClass::QuotaExhausted => Self::QUOTA_EXHAUSTED,
            ErrorClass::TooLarge => Self::TOO_LARGE,
            ErrorClass::Permanent => Self::REFUSED,
        };
        Self::Permanent { reason, message }
    }
}
