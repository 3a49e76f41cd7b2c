//! The steps after the work, in the order that [`hooks_protocol::steps`] says.

use std::time::Duration;

use aws_lambda_events::sqs::SqsMessage;
use hooks_aws::ledger::{AttemptEnd, Claim, Completion, Delivery, IdempotencyRecord, Job, RecordResult};
use hooks_aws::outcomes::{Announcement, Notice};
use hooks_aws::queue::Rejection;
use hooks_function::clock::now_ms;
use hooks_function::text::moment;
use hooks_protocol::{Ending, OnError, Status, Step, steps};
use hooks_webhook::Category;
use serde_json::{Map, Value};

use crate::backoff::{backoff, until};
use crate::harness::Services;
use crate::record::{Delivered, receives};
use crate::report::{Report, Verdict};
use crate::{Alert, Outcome, Severity};

/// One message on its way through the steps, with what is known of it.
pub(crate) struct Walk<'a> {
    category: Category,
    services: &'a Services,
    pub(crate) record: &'a SqsMessage,
    delivered: Option<&'a Delivered>,
    pub(crate) report: &'a mut Report,
    /// The claim, once it is made (or may be).
    pub(crate) claim: Option<Claim>,
    pub(crate) lease_until: i64,
    /// Whether a message that fails now is given up.
    pub(crate) last_receive: bool,
    pub(crate) ending: Ending,
    /// What the handler found.
    pub(crate) outcome: Option<Outcome>,
    /// The record of a message that there is nothing to do for.
    pub(crate) ended: Option<IdempotencyRecord>,
    /// Why it did not work: a short code, and the reason in words.
    error: Option<(&'static str, String)>,
    /// What the outcome shall carry.
    context: Option<Result<Map<String, Value>, &'static str>>,
    /// How long a returned message stays hidden; `None` for the queue's own time.
    hidden_for: Option<Duration>,
}

/// What became of a step.
type Made = Result<RecordResult, String>;

impl<'a> Walk<'a> {
    pub(crate) fn new(
        category: Category,
        services: &'a Services,
        record: &'a SqsMessage,
        delivered: Option<&'a Delivered>,
        report: &'a mut Report,
    ) -> Self {
        Self {
            category,
            services,
            record,
            delivered,
            report,
            claim: None,
            lease_until: 0,
            last_receive: true,
            ending: Ending::GivenUp,
            outcome: None,
            ended: None,
            error: None,
            context: None,
            hidden_for: None,
        }
    }

    /// The message is tried again, after this time.
    pub(crate) fn retry(&mut self, message: String, after: Duration) {
        self.report.because("retry", &message);
        self.error = Some(("retry", message));
        self.hidden_for = Some(after);
    }

    /// The message is given up.
    pub(crate) fn reject(&mut self, reason: &'static str, message: String) -> &mut Self {
        self.report.because(reason, &message);
        self.error = Some((reason, message));
        self
    }

    pub(crate) fn hide_for(&mut self, time: Duration) {
        self.hidden_for = Some(time);
    }

    /// Whether the event is so young that its object may not be visible yet.
    pub(crate) fn is_young(&self, patience: Duration) -> bool {
        let Some(Delivered { message, event }) = self.delivered else { return false };
        let received_at = message.received_at.cast_signed();
        let created_at = Some(event.created_at.saturating_mul(1000)).filter(|at| (1..received_at).contains(at));
        u128::from(now_ms().saturating_sub(created_at.unwrap_or(received_at)).max(0).cast_unsigned())
            < patience.as_millis()
    }

    /// Whether a replay found less than what was found before.
    pub(crate) fn finds_less(&self, outcome: &Outcome) -> bool {
        let before = self.claim.as_ref().and_then(|claim| claim.before.as_ref()?.outcome.as_ref());
        before.is_some_and(|(_, artifacts, note)| {
            outcome.artifacts.len() < artifacts.len() || (note.is_none() && outcome.note.is_some())
        })
    }

    /// Returns the message.
    pub(crate) async fn give_back(&mut self, verdict: Verdict) -> Verdict {
        self.change_visibility().await;
        verdict
    }

    /// Makes the steps, one after the other.
    pub(crate) async fn go(&mut self, mut list: &'static [Step]) -> Verdict {
        let (mut position, mut acknowledges) = (0, true);
        while let Some(&step) = list.get(position) {
            position += 1;
            let error = match step {
                Step::Acknowledge if acknowledges => return self.verdict(),
                Step::Acknowledge => {
                    self.hidden_for = Some(backoff(receives(self.record), None, &mut fastrand::Rng::new()));
                    return self.give_back(Verdict::Retry).await;
                }
                Step::Return => return self.give_back(Verdict::Retry).await,
                _ => match self.make(step).await {
                    // Somebody else has it by now. The message stays, in case that one dies.
                    Ok(RecordResult::Superseded) if step != Step::Release => {
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
                    self.report.because("retry", &error);
                    self.hidden_for = Some(until(self.lease_until - now_ms(), &mut fastrand::Rng::new()));
                    return self.give_back(Verdict::Retry).await;
                }
                OnError::EndLater if self.last_receive && step != Step::DeadLetter => {
                    self.reject(
                        "retries_exhausted",
                        format!("received {} times; at last: {error}", receives(self.record)),
                    );
                    list = self.end_as(Ending::GivenUp);
                    position = 0;
                }
                OnError::EndLater => {
                    self.retry(error, backoff(receives(self.record), None, &mut fastrand::Rng::new()));
                    list = self.end_as(Ending::Later);
                    position = 0;
                }
            }
        }
        Verdict::Retry
    }

    fn end_as(&mut self, ending: Ending) -> &'static [Step] {
        self.ending = ending;
        match &self.claim {
            Some(claim) => steps(ending, claim.replaying),
            None => &[Step::Return],
        }
    }

    /// What an acknowledged message came to.
    fn verdict(&self) -> Verdict {
        let replaying = self.claim.as_ref().is_some_and(|claim| claim.replaying);
        match self.ending {
            _ if self.ended.is_some() => Verdict::Duplicate,
            Ending::NotFound | Ending::GivenUp if replaying => Verdict::Kept,
            Ending::GivenUp => Verdict::Failed,
            _ => Verdict::Done,
        }
    }

    /// Makes a step. An error says what could not be done.
    async fn make(&mut self, step: Step) -> Made {
        let ledger = &self.services.ledger;
        let written = |result: Result<RecordResult, hooks_aws::ledger::LedgerError>| result.map_err(|e| e.to_string());
        match (step, &self.claim) {
            (Step::Job, Some(_)) => self.job().await,
            (Step::Outcome, Some(claim)) => self.publish(claim).await,
            (Step::Alert, _) => self.alert().await,
            (Step::DeadLetter, _) => self.dead_letter().await,
            (Step::End(Status::Failed), Some(claim)) => {
                let (reason, message) = self.error();
                written(ledger.fail(claim, reason, message).await)
            }
            (Step::End(status), Some(claim)) => written(ledger.complete(claim, status, &self.completion()?).await),
            (Step::Restore, Some(claim)) => written(ledger.restore(claim).await),
            (Step::Release, Some(claim)) => written(ledger.release(claim).await),
            (Step::Log, _) => self.log().await,
            _ => Ok(RecordResult::Written),
        }
    }

    /// Records what the object is now. A final state meets what is expected of it.
    async fn job(&mut self) -> Made {
        let (Some(claim), Some(outcome)) = (&self.claim, &self.outcome) else { return Ok(RecordResult::Written) };
        if let Some(object_id) = &outcome.object_id {
            let job = Job {
                category: self.category.as_str(),
                object_id,
                status: &outcome.status,
                terminal: outcome.terminal,
                as_of: outcome.as_of,
                counts: &outcome.counts,
                times: &outcome.times,
                summary: &outcome.summary,
                artifacts: &outcome.artifacts,
                error: outcome.error.as_deref(),
            };
            let recorded = self.services.ledger.record_job(&job, claim).await.map_err(|error| error.to_string())?;
            self.context = recorded.context.filter(|_| !outcome.is_missing);
        }
        Ok(RecordResult::Written)
    }

    async fn publish(&self, claim: &Claim) -> Made {
        let (Some(Delivered { message, event }), Some(outcome)) = (self.delivered, &self.outcome) else {
            return Ok(RecordResult::Written);
        };
        let announcement = Announcement {
            event_type: &event.event_type,
            id: &event.id,
            idempotency_key: claim.key(),
            object_id: outcome.object_id.as_deref(),
            endpoint: &message.endpoint,
            source: message.source.as_str(),
            status: &outcome.status,
            artifacts: &outcome.artifacts,
            bucket: self.services.artifacts.bucket(),
            summary: &outcome.summary,
            exact: &outcome.exact,
            note: outcome.note.as_deref(),
            context: self.context.as_ref(),
        };
        let published = self.services.outcomes.announce(&announcement).await;
        published.map(|()| RecordResult::Written).map_err(|error| error.to_string())
    }

    /// Tells people what the handler wants them to know, that the object does not exist, or that the message is given up.
    async fn alert(&self) -> Made {
        let alert = match (self.ending, &self.outcome) {
            (Ending::GivenUp, _) => Some(self.given_up()),
            (_, Some(Outcome { alert: Some(alert), .. })) => Some(alert.clone()),
            (Ending::NotFound, Some(outcome)) => Some(self.not_found(outcome)),
            _ => None,
        };
        let Some(alert) = alert else { return Ok(RecordResult::Written) };
        let notice = Notice {
            category: self.category.as_str(),
            event_type: self.delivered.map_or("", |delivered| delivered.event.event_type.as_str()),
            severity: alert.severity.as_str(),
            subject: &alert.subject,
            message: &alert.message,
        };
        let told = self.services.outcomes.alert(&notice).await;
        told.map(|()| RecordResult::Written).map_err(|error| error.to_string())
    }

    async fn dead_letter(&self) -> Made {
        let (reason, message) = self.error();
        let rejection = Rejection { body: self.record.body.as_deref().unwrap_or_default(), reason, message };
        let attribute = |name: &'static str| self.record.message_attributes.get(name)?.string_value.as_deref();
        let sent = self.services.queue.reject(rejection, attribute).await;
        sent.map(|()| RecordResult::Written).map_err(|error| error.to_string())
    }

    /// Writes the attempt into the event's history, or what its record says of an attempt that is not there.
    async fn log(&self) -> Made {
        let Some(Delivered { message, event }) = self.delivered else { return Ok(RecordResult::Written) };
        let delivery = Delivery {
            endpoint: &message.endpoint,
            webhook_id: &message.webhook_id,
            webhook_timestamp: &message.webhook_timestamp,
            event_id: &event.id,
            event_type: &event.event_type,
            category: self.category.as_str(),
            object_id: event.object_id(),
            source: message.source.as_str(),
            asked_by: message.asked_by.as_deref(),
            body: &message.body,
            received_at: message.received_at.cast_signed(),
        };
        let (reason, words) = self.error();
        let ledger = &self.services.ledger;
        let logged = match (&self.claim, &self.ended) {
            (_, Some(ended)) => ledger.repair_log(&delivery, ended).await,
            (Some(claim), _) => {
                let end = match self.ending {
                    Ending::Done => AttemptEnd::Found(Status::Completed, self.completion()?),
                    Ending::NotFound if claim.replaying => AttemptEnd::Kept("found_less", "it found less than before"),
                    Ending::NotFound => AttemptEnd::Found(Status::NotFound, self.completion()?),
                    Ending::Later => AttemptEnd::Later(words),
                    Ending::GivenUp if claim.replaying => AttemptEnd::Kept(reason, words),
                    Ending::GivenUp => AttemptEnd::Failed(reason, words),
                };
                ledger.log(&delivery, claim, &end).await.map(drop)
            }
            (None, None) => Ok(()),
        };
        logged.map(|()| RecordResult::Written).map_err(|error| error.to_string())
    }

    /// What was found, for the ledger.
    fn completion(&self) -> Result<Completion<'_>, String> {
        let outcome = self.outcome.as_ref().ok_or("nothing was found")?;
        Ok(Completion {
            status: &outcome.status,
            artifacts: &outcome.artifacts,
            summary: &outcome.summary,
            note: outcome.note.as_deref(),
        })
    }

    fn error(&self) -> (&'static str, &str) {
        self.error.as_ref().map_or(("", ""), |(reason, message)| (reason, message))
    }

    /// Hides the message for as long as it shall wait. If that fails, the queue's own time applies.
    async fn change_visibility(&self) {
        let (Some(receipt_handle), Some(time)) = (self.record.receipt_handle.as_deref(), self.hidden_for) else {
            return;
        };
        if let Err(error) = self.services.queue.change_visibility(receipt_handle, time).await {
            tracing::warn!("{error}; it comes back after the queue's visibility timeout");
        }
    }

    /// What people are told of an event whose object does not exist.
    fn not_found(&self, outcome: &Outcome) -> Alert {
        let (kind, what, when) = self.described();
        let message = format!(
            "{kind} is about an object that OpenAI does not have.\n\n\
             What   {what}\n\
             When   {when} {} times from its queue\n\
             Why    {}\n\
             To do  Nothing, if it was a test delivery or the object was deleted. If it happens to every event, the API \
             key is of another project than the webhook endpoint. After that is corrected, replay the event: \
             `openai-webhooks events replay`.\n",
            receives(self.record),
            outcome.note.as_deref().unwrap_or("OpenAI answered 404"),
        );
        Alert { severity: Severity::Warning, subject: format!("{kind}: its object was not found"), message }
    }

    /// What people are told of a message that was given up.
    fn given_up(&self) -> Alert {
        let (kind, what, when) = self.described();
        let (reason, why) = self.error();
        let message = format!(
            "{kind} could not be handled, and is not tried again.\n\n\
             What   {what}\n\
             When   {when} {} times from its queue\n\
             Why    {reason}: {why}\n\
             To do  Remove the cause, then redrive the dead-letter queue: the event is handled as if it had just come. \
             docs/operations.md says for each reason what helps.\n\
             Where  the dead-letter queue of {}, message {}\n",
            receives(self.record),
            self.category,
            self.record.message_id.as_deref().unwrap_or("unknown"),
        );
        let subject = format!("{kind} could not be handled: {reason}");
        Alert { severity: Severity::Critical, subject, message }
    }

    /// The message for people: its type, what it is about, and when it came.
    fn described(&self) -> (&str, String, String) {
        match self.delivered {
            Some(Delivered { message, event }) => (
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
        }
    }
}
