//! The steps after the work, in the order that [`hooks_protocol::steps`] says.

use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::sqs::SqsMessage;
use hooks_aws::AwsError;
use hooks_aws::ledger::{AttemptEnd, Claim, IdempotencyRecord, RecordResult};
use hooks_aws::outcomes::{Alert, Announcement, Notice, Outcome, Severity};
use hooks_aws::queue::Delivered;
use hooks_function::clock::now_ms;
use hooks_function::text::moment;
use hooks_protocol::{Ending, OnError, REJECT, Status, Step, steps};
use hooks_webhook::Category;
use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::backoff::{backoff, until};
use crate::harness::Services;
use crate::record::receives;
use crate::report::Verdict;

/// One message on its way, with what is known of it. It outlives the work, so that a record whose work panics or runs
/// out of time is reported too.
pub(crate) struct Walk<'a> {
    pub(crate) category: Category,
    services: &'a Services,
    record: &'a SqsMessage,
    pub(crate) began: Instant,
    pub(crate) receives: u32,
    /// Whether a message that fails now is given up.
    pub(crate) last_receive: bool,
    pub(crate) delivered: Option<Arc<Delivered>>,
    /// The claim, once it is made (or may be).
    pub(crate) claim: Option<Claim>,
    /// Number of the attempt, once the claim is certain.
    pub(crate) attempt: Option<u32>,
    pub(crate) lease_until: i64,
    ending: Ending,
    pub(crate) outcome: Option<Outcome>,
    /// The record of a message that there is nothing to do for.
    pub(crate) ended: Option<IdempotencyRecord>,
    /// Reason of a failure: a short code, and in words.
    pub(crate) error: Option<(&'static str, String)>,
    /// Whether people were told of the outcome's alert.
    told: bool,
    /// Context that the outcome shall carry.
    context: Option<Result<Map<String, Value>, &'static str>>,
    /// Time that a returned message stays hidden; `None` for the queue's own.
    hidden_for: Option<Duration>,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(category: Category, services: &'a Services, record: &'a SqsMessage, max_receives: u32) -> Self {
        let receives = receives(record);
        Self {
            category,
            services,
            record,
            began: Instant::now(),
            receives,
            last_receive: receives >= max_receives,
            delivered: None,
            claim: None,
            attempt: None,
            lease_until: 0,
            ending: Ending::Later,
            outcome: None,
            ended: None,
            error: None,
            told: false,
            context: None,
            hidden_for: None,
        }
    }

    /// The steps of a message that failed for now: it is tried again, at the earliest `after` this time, or given up if
    /// it was received too often.
    pub(crate) fn retry(&mut self, message: String, after: Option<Duration>) -> &'static [Step] {
        if self.last_receive {
            return self.reject("retries_exhausted", format!("received {} times; at last: {message}", self.receives));
        }
        self.error = Some(("retry", message));
        self.hidden_for = Some(self.backoff(after));
        self.end(Ending::Later)
    }

    pub(crate) fn reject(&mut self, reason: &'static str, message: String) -> &'static [Step] {
        self.error = Some((reason, message));
        self.end(Ending::GivenUp)
    }

    pub(crate) fn found(&mut self, outcome: Outcome) -> &'static [Step] {
        let nothing = outcome.is_missing || self.finds_less(&outcome);
        self.outcome = Some(outcome);
        self.end(if nothing { Ending::NotFound } else { Ending::Completed })
    }

    fn end(&mut self, ending: Ending) -> &'static [Step] {
        self.ending = ending;
        match (&self.claim, ending) {
            (Some(claim), _) => steps(ending, claim.replaying),
            (None, Ending::Later) => &[Step::Return],
            (None, _) => REJECT,
        }
    }

    /// Whether a replay found less than what was found before.
    fn finds_less(&self, outcome: &Outcome) -> bool {
        let replay = self.claim.as_ref().filter(|claim| claim.replaying);
        let before = replay.and_then(|claim| claim.before.as_ref()?.outcome.as_ref());
        before.is_some_and(|(status, artifacts, note)| {
            let fewer = outcome.artifacts.len() < artifacts.len();
            // A call that was answered is gone, or too old by now.
            let other = outcome.artifacts.len() == artifacts.len() && outcome.status != *status;
            fewer || (outcome.note.is_some() && (note.is_none() || other))
        })
    }

    /// The outcome's alert, once people were told of it.
    pub(crate) fn told(&self) -> Option<&Alert> {
        self.outcome.as_ref()?.alert.as_ref().filter(|_| self.told && self.ending != Ending::GivenUp)
    }

    pub(crate) fn is_replay(&self) -> bool {
        self.claim.as_ref().is_some_and(|claim| claim.replaying)
    }

    /// Whether the event is so young that its object may not be visible yet.
    pub(crate) fn is_young(&self, patience: Duration) -> bool {
        let Some(Delivered { event, .. }) = self.delivered.as_deref() else { return false };
        let age = now_ms().saturating_sub(event.created_at.saturating_mul(1000)).max(0);
        u128::from(age.cast_unsigned()) < patience.as_millis()
    }

    fn backoff(&self, after: Option<Duration>) -> Duration {
        backoff(self.receives, after, &mut fastrand::Rng::new())
    }

    /// Returns the message, until a lease is over.
    pub(crate) async fn give_back_until(&mut self, lease_until: i64, verdict: Verdict) -> Verdict {
        self.hidden_for = Some(until(lease_until - now_ms(), &mut fastrand::Rng::new()));
        self.give_back(verdict).await
    }

    /// Returns the message, and hides it for as long as it shall wait. If that fails, the queue's own time applies.
    async fn give_back(&self, verdict: Verdict) -> Verdict {
        if let (Some(receipt_handle), Some(time)) = (self.record.receipt_handle.as_deref(), self.hidden_for)
            && let Err(error) = self.services.queue.change_visibility(receipt_handle, time).await
        {
            tracing::warn!("{error}; it comes back after the queue's visibility timeout");
        }
        verdict
    }

    pub(crate) async fn go(&mut self, mut steps: &'static [Step]) -> Verdict {
        let mut acknowledges = true;
        while let [step, rest @ ..] = steps {
            steps = rest;
            let error = match step {
                Step::Acknowledge if acknowledges => return self.verdict(),
                Step::Acknowledge => {
                    self.hidden_for = Some(self.backoff(None));
                    return self.give_back(Verdict::Retry).await;
                }
                Step::Return => return self.give_back(Verdict::Retry).await,
                _ => match self.make(*step).await {
                    // Somebody else has it by now. The message stays, in case that one dies.
                    Ok(RecordResult::Superseded) if *step != Step::Release => {
                        self.hidden_for = None;
                        return self.give_back(Verdict::Superseded).await;
                    }
                    Ok(_) => continue,
                    Err(error) => error,
                },
            };
            match step.on_error() {
                OnError::GoOn => tracing::warn!("{error}"),
                OnError::GoOnAndReturn => {
                    tracing::warn!("{error}; the next receive of the message writes it");
                    acknowledges = self.last_receive;
                }
                OnError::Return => {
                    tracing::warn!("{error}; the message comes again when its lease is over");
                    self.error = Some(("retry", error.to_string()));
                    return self.give_back_until(self.lease_until, Verdict::Retry).await;
                }
                OnError::EndLater => {
                    // Without its dead letter no message is given up.
                    self.last_receive &= *step != Step::DeadLetter;
                    steps = self.retry(error.to_string(), None);
                }
            }
        }
        Verdict::Retry
    }

    fn verdict(&self) -> Verdict {
        match self.ending {
            _ if self.ended.is_some() => Verdict::Duplicate,
            Ending::NotFound | Ending::GivenUp if self.is_replay() => Verdict::Kept,
            Ending::GivenUp => Verdict::Failed,
            Ending::NotFound => Verdict::NotFound,
            _ => Verdict::Completed,
        }
    }

    async fn make(&mut self, step: Step) -> Result<RecordResult, AwsError> {
        let Services { ledger, queue, outcomes, alerts, artifacts, .. } = self.services;
        match (step, &self.claim, &self.outcome) {
            (Step::Job, Some(claim), Some(outcome)) => {
                let job = ledger.record_job(self.category.as_str(), outcome, claim).await?;
                self.context = job.context.filter(|_| !outcome.is_missing);
            }
            (Step::Outcome, Some(claim), Some(outcome)) => {
                if let Some(delivered) = self.delivered.as_deref() {
                    let (idempotency_key, bucket) = (claim.key(), artifacts.bucket());
                    let context = self.context.as_ref();
                    let announcement = Announcement { delivered, outcome, idempotency_key, bucket, context };
                    outcomes.announce(&announcement).await?;
                }
            }
            (Step::Alert, ..) => {
                if let Some((reason, Alert { severity, subject, message })) = self.alert() {
                    let event = self.delivered.as_ref().map(|delivered| &delivered.event);
                    let notice = Notice {
                        category: self.category.as_str(),
                        event_type: event.map_or("", |event| &event.event_type),
                        reason,
                        id: event.map_or_else(|| self.message_id(), |event| &event.id),
                        severity: severity.as_str(),
                        subject: &subject,
                        message: &message,
                    };
                    alerts.tell(&notice).await?;
                    self.told = true;
                }
            }
            (Step::DeadLetter, ..) => {
                let (reason, message) = self.error();
                let attribute = |name: &'static str| self.record.message_attributes.get(name)?.string_value.as_deref();
                let body = ledger.body_of_dead_letter(self.record.body.as_deref().unwrap_or_default());
                queue.reject(&body, reason, message, attribute).await?;
            }
            (Step::End(_) | Step::Restore | Step::Release, Some(claim), _) => {
                return ledger.end(claim, &self.attempt_end()).await;
            }
            (Step::Log, ..) => match (self.delivered.as_deref(), &self.ended, &self.claim) {
                (Some(delivered), Some(ended), _) => ledger.repair_log(delivered, ended).await?,
                (Some(delivered), None, Some(claim)) => drop(ledger.log(delivered, claim, &self.attempt_end()).await?),
                _ => {}
            },
            _ => {}
        }
        Ok(RecordResult::Written)
    }

    /// The end of the attempt, for the ledger.
    fn attempt_end(&self) -> AttemptEnd<'_> {
        let (reason, message) = self.error();
        match (self.ending, &self.outcome) {
            (Ending::Later, _) => AttemptEnd::Later(message),
            (Ending::NotFound, _) if self.is_replay() => AttemptEnd::Kept("found_less", "it found less than before"),
            (Ending::Completed, Some(outcome)) => AttemptEnd::Found(Status::Completed, outcome),
            (Ending::NotFound, Some(outcome)) => AttemptEnd::Found(Status::NotFound, outcome),
            _ if self.is_replay() => AttemptEnd::Kept(reason, message),
            _ => AttemptEnd::Failed(reason, message),
        }
    }

    fn error(&self) -> (&'static str, &str) {
        self.error.as_ref().map_or(("", ""), |(reason, message)| (reason, message))
    }

    fn message_id(&self) -> &str {
        self.record.message_id.as_deref().unwrap_or("unknown")
    }

    /// The alert and its reason: the message is given up, the handler wants people to know something, or the object does
    /// not exist.
    fn alert(&self) -> Option<(&str, Alert)> {
        let (kind, what, when) = match self.delivered.as_deref() {
            Some(Delivered { message, event, .. }) => (
                event.event_type.as_str(),
                format!(
                    "{} about {}, event {}, delivered to the endpoint {} as {}",
                    event.event_type,
                    event.object_id().unwrap_or("no object"),
                    event.id,
                    message.endpoint,
                    message.webhook_id
                ),
                format!("created {}, received", moment(event.created_at)),
            ),
            None => ("a message", "a message that is not an event of ours".to_owned(), "received".to_owned()),
        };
        let story = format!("What   {what}\nWhen   {when} {} times from its queue\nWhy    ", self.receives);
        match (self.ending, &self.outcome) {
            (Ending::GivenUp, _) => {
                let (reason, why) = self.error();
                let message = format!(
                    "{kind} could not be handled, and is not tried again.\n\n{story}{reason}: {why}\n\
                     To do  Remove the cause, then redrive the dead-letter queue: the event is handled as if it had just \
                     come. docs/operations.md says for each reason what helps.\n\
                     Where  the dead-letter queue of {}, message {}\n",
                    self.category,
                    self.message_id(),
                );
                let subject = format!("{kind} could not be handled: {reason}");
                Some((reason, Alert { severity: Severity::Critical, subject, message }))
            }
            (_, Some(Outcome { alert: Some(alert), .. })) => Some((kind, alert.clone())),
            (Ending::NotFound, Some(Outcome { note, .. })) => {
                let message = format!(
                    "{kind} is about an object that OpenAI does not have.\n\n{story}{}\n\
                     To do  Nothing, if it was a test delivery or the object was deleted. If it happens to every event, \
                     the API key is of another project than the webhook endpoint. After that is corrected, replay the \
                     event: `openai-webhooks events replay`.\n",
                    note.as_deref().unwrap_or("OpenAI answered 404"),
                );
                let subject = format!("{kind}: its object was not found");
                Some((Outcome::NOT_FOUND, Alert { severity: Severity::Warning, subject, message }))
            }
            _ => None,
        }
    }
}
