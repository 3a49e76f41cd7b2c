//! What a handler's author sees: one trait, and the words for what became of an event.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use hooks_aws::artifacts::Artifacts;
use hooks_aws::ledger::{Claim, Ledger, RecordResult};
use hooks_webhook::Event;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tokio::time::Instant;

/// The work that an event of one category stands for.
///
/// The harness calls it with an event that is verified, decoded and claimed, so nobody else is working on the same
/// event or the same effect. What it returns decides everything that follows; a handler never acknowledges, retries
/// or records anything itself. A panic counts as [`HandlerError::Retry`].
pub trait Handler: Send + Sync + 'static {
    /// For how long after an event was created its object may not be visible yet. [`Outcome::not_found`] counts from
    /// then on; before, the event is tried again.
    const PATIENCE: Duration = Duration::from_mins(10);

    /// Does the work and says what the object is now.
    ///
    /// It may be called again for an event whose work was done, when the process died before that could be recorded
    /// (and when somebody replays the event), so whatever it writes must be safe to write twice.
    fn handle(&self, event: &Event, context: &Context) -> impl Future<Output = Result<Outcome, HandlerError>> + Send;

    /// Fetches ahead what the first event would have to wait for, while the function starts. It may take a few seconds;
    /// what could not be fetched is fetched when it is needed.
    fn warm_up(&self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

/// What a handler gets besides the event.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Context {
    /// When the handler will be stopped and its event retried. A little earlier than the invocation's own deadline.
    pub deadline: Instant,
    /// How many times the event was claimed, this time included: 1 at first. It says nothing about what was done then.
    pub attempt: u32,
    /// Whether an earlier attempt may have sent a request that cannot be taken back: it has called
    /// [`acting`](Self::acting).
    pub acted: bool,
    /// When the event came into this system, in milliseconds since the Unix epoch.
    pub received_at: i64,
    /// Where to keep what is worth keeping.
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
        match ledger.acting(claim, acting).await {
            Ok(RecordResult::Written) => Ok(()),
            Ok(RecordResult::Superseded) => Err(HandlerError::retry("another invocation works on it by now")),
            Err(error) => Err(HandlerError::retry(error.to_string())),
        }
    }
}

/// What the object that an event speaks of is now, and what was kept of it.
///
/// It becomes the job's record, the event's outcome in the ledger and the announcement on the bus.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The object's id. Without one no job is recorded, only the event.
    pub object_id: Option<String>,
    /// The object's own status, in OpenAI's words.
    pub status: String,
    /// Whether that status is final. A job that reached a final status never goes back to another one.
    pub terminal: bool,
    /// When the object was seen like this, in milliseconds since the Unix epoch: the time of retrieval. Between two
    /// equally final states the later one stays.
    pub as_of: i64,
    /// Numbers by name.
    pub counts: Map<String, Value>,
    /// Moments in the object's life by name, as OpenAI gives them (Unix seconds).
    pub times: Map<String, Value>,
    /// What else a person or a program wants to know without opening an artifact.
    pub summary: Map<String, Value>,
    /// Entries of the summary as OpenAI wrote them, for those whose numbers must keep all digits
    /// ([`Json::exact`](hooks_openai::Json::exact)). They are published in place of those in `summary`.
    pub exact: BTreeMap<&'static str, Box<RawValue>>,
    /// The keys of what was stored in the bucket.
    pub artifacts: Vec<String>,
    /// How many bytes that was, for the metric.
    pub artifact_bytes: u64,
    /// One sentence for whoever wonders why nothing was done.
    pub note: Option<String>,
    /// What went wrong with the object at OpenAI, in one sentence.
    pub error: Option<String>,
    /// What a person should be told at once.
    pub alert: Option<Alert>,
    /// Whether the event's own object is missing: the event is tried again while it is young, and then people are told.
    pub is_missing: bool,
}

impl Outcome {
    /// The status of an object whose id OpenAI does not know.
    pub const NOT_FOUND: &'static str = "not_found";

    /// An outcome with a status and nothing else; the rest is filled in with struct update syntax.
    pub fn new(status: impl Into<String>, as_of: i64) -> Self {
        Self {
            object_id: None,
            status: status.into(),
            terminal: false,
            as_of,
            counts: Map::new(),
            times: Map::new(),
            summary: Map::new(),
            exact: BTreeMap::new(),
            artifacts: Vec::new(),
            artifact_bytes: 0,
            note: None,
            error: None,
            alert: None,
            is_missing: false,
        }
    }

    /// The end of an event whose object does not exist: OpenAI's test deliveries name such objects, and what was deleted,
    /// has expired or is another project's looks the same. While the event is young it is tried again
    /// ([`Handler::PATIENCE`]); then people are told.
    ///
    /// It is not final, so a job that was recorded while its object still existed stays as it is.
    pub fn not_found(object_id: impl Into<String>, as_of: i64) -> Self {
        let object_id = object_id.into();
        let note = format!(
            "OpenAI has no object {object_id}: a test delivery, an object that was deleted or has expired, or one of \
             another project than the API key's"
        );
        Self { object_id: Some(object_id), note: Some(note), is_missing: true, ..Self::new(Self::NOT_FOUND, as_of) }
    }
}

/// Something a person should know, sent to the alerts topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// How bad it is; subscribers can filter by it.
    pub severity: Severity,
    /// One line, at most 100 ASCII characters: what does not fit is cut or replaced.
    pub subject: String,
    /// The whole story.
    pub message: String,
}

/// How bad an [`Alert`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Worth knowing, nothing to do.
    Info,
    /// Something is lost or incomplete.
    Warning,
    /// Somebody must act.
    Critical,
}

impl Severity {
    /// The value of the `severity` attribute of an alert.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// Why an event could not be handled, and so what happens to it next.
///
/// Messages go to logs, the ledger and the dead-letter queue: they must hold no key and no body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandlerError {
    /// It may work later: the record goes back to its queue.
    #[error("{message}")]
    Retry {
        /// The least time to wait, when the other side asked for one.
        after: Option<Duration>,
        /// What happened.
        message: String,
    },
    /// It can never work: the record goes to the dead-letter queue at once, and people are told.
    #[error("{message}")]
    Permanent {
        /// A short code, lower case with underscores: the dead letter's `failure-reason`.
        reason: &'static str,
        /// What happened.
        message: String,
    },
}

impl HandlerError {
    /// The API key was refused.
    pub const UNAUTHORIZED: &'static str = "unauthorized";
    /// The account's quota is used up.
    pub const QUOTA_EXHAUSTED: &'static str = "quota_exhausted";
    /// The object does not exist. A handler that sees this of an event's own object returns
    /// [`Outcome::not_found`] instead.
    pub const NOT_FOUND: &'static str = "not_found";
    /// OpenAI's answer is longer than any that is read here.
    pub const TOO_LARGE: &'static str = "too_large";
    /// OpenAI refused the call for another reason that no retry can change.
    pub const REFUSED: &'static str = "refused_by_openai";

    /// The reason of an event that names no object.
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
    event
        .object_id()
        .ok_or_else(|| HandlerError::permanent(HandlerError::NO_OBJECT, format!("the event names no {what}")))
}

/// What OpenAI answered, or `None` when it answered that there is no such object, which is a normal end of an event.
///
/// # Errors
///
/// What every other refusal means for a retry.
pub fn found<T>(answer: Result<T, hooks_openai::OpenAiError>) -> Result<Option<T>, HandlerError> {
    match answer {
        Ok(object) => Ok(Some(object)),
        Err(error) if error.class() == hooks_openai::ErrorClass::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

impl From<hooks_openai::OpenAiError> for HandlerError {
    /// By what the error means for a retry.
    ///
    /// Whether a 404 is a failure depends on what was asked for, so a handler looks for it first: the event's own
    /// object being unknown is [`Outcome::not_found`].
    fn from(error: hooks_openai::OpenAiError) -> Self {
        let mut message = error.to_string();
        let reason = match error.class() {
            hooks_openai::ErrorClass::Retry => return Self::Retry { after: error.retry_after(), message },
            hooks_openai::ErrorClass::NotFound => Self::NOT_FOUND,
            hooks_openai::ErrorClass::Unauthorized => {
                message.push_str(
                    ". The API key may not read this object: it is invalid, it lacks a permission, or it is another \
                     project's (an object that does not exist, as in a test delivery, is answered by 404)",
                );
                Self::UNAUTHORIZED
            }
            hooks_openai::ErrorClass::QuotaExhausted => Self::QUOTA_EXHAUSTED,
            hooks_openai::ErrorClass::TooLarge => Self::TOO_LARGE,
            hooks_openai::ErrorClass::Permanent => Self::REFUSED,
        };
        Self::Permanent { reason, message }
    }
}
