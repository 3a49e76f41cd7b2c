//! From a batch of records to which of them must come again.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use futures::{FutureExt, StreamExt, stream};
use hooks_aws::artifacts::Artifacts;
use hooks_aws::ledger::{
    Claim, ClaimResult, Completion, Delivery, Expected, Job, KeyClaim, Ledger, Reclaim, RecordResult,
};
use hooks_aws::outcomes::{Announcement, Notice, Outcomes};
use hooks_aws::queue::{ConsumerQueue, Rejection, Source};
use hooks_webhook::Category;
use tokio::time::{Instant, timeout, timeout_at};

use crate::backoff::{backoff, until};
use crate::bounds::bounded;
use crate::deadline::Deadline;
use crate::record::{Delivered, decode, receives, sent_at};
use crate::report::{Report, Verdict};
use crate::when::{moment, now};
use crate::{Alert, Context, Handler, HandlerError, OpenAi, Outcome, Severity};

/// How many records of one batch are worked on at a time. Their work is waiting for others, so one thread serves them
/// all; the bound keeps a full batch from opening a connection per record to everything at once.
const CONCURRENT_RECORDS: usize = 5;

/// How long a handler may prepare. Lambda gives a function ten seconds to start.
const WARM_UP: Duration = Duration::from_secs(5);

/// What somebody may expect the end of, as docs/expectations.md says: what a program asks OpenAI for and then waits
/// for. All else comes from OpenAI unasked, and is spared the write.
const EXPECTED: [Category; 3] = [Category::Response, Category::Batch, Category::FineTuning];

/// The message cannot be read.
const UNDECODABLE_MESSAGE: &str = "undecodable_message";

/// The message failed as often as it may be received.
const RETRIES_EXHAUSTED: &str = "retries_exhausted";

/// What the harness works with.
pub(crate) struct Services {
    pub(crate) ledger: Ledger,
    pub(crate) queue: ConsumerQueue,
    pub(crate) outcomes: Outcomes,
    pub(crate) artifacts: Artifacts,
    pub(crate) openai: Option<OpenAi>,
}

/// Everything around a handler: takes batches of SQS records and sees each one to its end.
pub struct Harness<H> {
    category: Category,
    handler: H,
    services: Services,
    max_receives: u32,
}

/// How the work on a record ended, before that is acted upon.
enum End {
    /// The event is marked as done.
    Done,
    /// There was nothing to do.
    Duplicate,
    /// Somebody else is on it, until then (milliseconds since the Unix epoch).
    Busy { until: i64 },
    /// Somebody else has it by now.
    Superseded,
    /// It did not work.
    Failed(HandlerError),
}

/// What is held of the ledger while a record is worked on, and given back when it fails.
#[derive(Default)]
struct Claims {
    event: Option<Claim>,
    effect: Option<String>,
}

impl<H: Handler> Harness<H> {
    pub(crate) fn with(category: Category, handler: H, services: Services, max_receives: u32) -> Self {
        Self { category, handler, services, max_receives }
    }

    /// Lets the handler prepare, for [`WARM_UP`] at most.
    pub(crate) async fn warm_up(&self) {
        if timeout(WARM_UP, self.handler.warm_up()).await.is_err() {
            tracing::warn!("not all could be fetched ahead; the first event waits for it");
        }
    }

    /// Works on the records of one invocation, which ends at `deadline` (milliseconds since the Unix epoch). The
    /// answer names the records that must come again; the queue forgets the others.
    pub async fn handle(&self, batch: SqsEvent, deadline: u64) -> SqsBatchResponse {
        let deadline = Deadline::new(deadline);
        let verdicts = stream::iter(batch.records)
            .map(async |record| {
                let verdict = self.guarded(&record, deadline).await;
                (record.message_id.unwrap_or_default(), verdict)
            })
            .buffer_unordered(CONCURRENT_RECORDS);
        let mut response = SqsBatchResponse::default();
        let mut verdicts = std::pin::pin!(verdicts);
        while let Some((message_id, verdict)) = verdicts.next().await {
            if verdict.is_returned() {
                response.add_failure(message_id);
            }
        }
        response
    }

    /// Keeps a record's faults to itself: one that panics or that runs out of time is returned, and its neighbours
    /// never hear of it.
    async fn guarded(&self, record: &SqsMessage, deadline: Deadline) -> Verdict {
        let mut report = Report::new(self.category, receives(record));
        let work = timeout_at(deadline.answer, self.record(record, deadline, &mut report));
        let verdict = match AssertUnwindSafe(work).catch_unwind().await {
            Ok(Ok(verdict)) => verdict,
            Ok(Err(_)) => {
                report.because("out_of_time", "the invocation ended before the record was dealt with");
                Verdict::Retry
            }
            Err(_) => {
                report.because("panic", "the harness panicked");
                Verdict::Retry
            }
        };
        report.emit(verdict);
        verdict
    }

    async fn record(&self, record: &SqsMessage, deadline: Deadline, report: &mut Report) -> Verdict {
        let mut claims = Claims::default();
        let (delivered, end) = match decode(record) {
            Ok(delivered) => {
                report.identify(&delivered);
                let end = self.event(record, &delivered, deadline, &mut claims, report).await;
                (Some(delivered), end)
            }
            Err(problem) => (None, End::Failed(HandlerError::permanent(UNDECODABLE_MESSAGE, problem.to_string()))),
        };
        let failure = match end {
            End::Done => return Verdict::Done,
            End::Duplicate => return Verdict::Duplicate,
            End::Superseded => return Verdict::Superseded,
            End::Busy { until: lease_until } => {
                self.change_visibility(record, until(lease_until - now(), &mut fastrand::Rng::new())).await;
                return Verdict::Busy;
            }
            End::Failed(failure) => failure,
        };
        match failure {
            HandlerError::Retry { after, message } if receives(record) < self.max_receives => {
                report.because("retry", &message);
                self.give_back(&claims, "retry", &message).await;
                self.change_visibility(record, backoff(receives(record), after, &mut fastrand::Rng::new())).await;
                Verdict::Retry
            }
            HandlerError::Retry { message, .. } => {
                let message = format!("received {} times; at last: {message}", receives(record));
                self.give_up(record, delivered.as_ref(), &claims, RETRIES_EXHAUSTED, &message, report).await
            }
            HandlerError::Permanent { reason, message } => {
                self.give_up(record, delivered.as_ref(), &claims, reason, &message, report).await
            }
        }
    }

    /// Claims the event and the effect, lets the handler work, and records what came of it.
    async fn event(
        &self,
        record: &SqsMessage,
        delivered: &Delivered,
        deadline: Deadline,
        claims: &mut Claims,
        report: &mut Report,
    ) -> End {
        let Delivered { message, event } = delivered;
        if Instant::now() >= deadline.handler {
            return End::Failed(HandlerError::retry("the invocation had no time left to begin with it"));
        }
        let ledger = &self.services.ledger;
        let delivery = Delivery {
            endpoint: &message.endpoint,
            webhook_id: &message.webhook_id,
            webhook_timestamp: &message.webhook_timestamp,
            event_id: &event.id,
            event_type: &event.event_type,
            category: self.category.as_str(),
            object_id: event.object_id(),
            source: message.source.as_str(),
            body: &message.body,
            received_at: message.received_at.cast_signed(),
        };
        let again = again(record, delivered);
        let claim = match ledger.claim(&delivery, again, deadline.lease_until).await {
            Ok(ClaimResult::Granted(claim)) => claim,
            Ok(ClaimResult::Busy { until }) => return End::Busy { until },
            Ok(ClaimResult::Done | ClaimResult::Failed) => return End::Duplicate,
            Err(error) => return End::Failed(HandlerError::retry(error.to_string())),
        };
        report.attempt = Some(claim.attempt());
        claims.event = Some(claim.clone());

        let effect = event.idempotency_key().to_string();
        match ledger.claim_key(&effect, &claim, again, deadline.lease_until).await {
            Ok(KeyClaim::Granted) => claims.effect = Some(effect.clone()),
            Ok(KeyClaim::Busy { until }) => {
                self.give_back(claims, "busy", "another event that means the same is being handled").await;
                return End::Busy { until };
            }
            Ok(KeyClaim::Done { by }) => return ended(ledger.duplicate(&claim, &by).await, End::Duplicate),
            Err(error) => return End::Failed(HandlerError::retry(error.to_string())),
        }

        match self.call(delivered, &claim, deadline).await {
            Ok(outcome) => {
                let outcome = bounded(outcome);
                report.status = Some(outcome.status.clone());
                report.artifact_bytes = outcome.artifact_bytes;
                self.conclude(delivered, &claim, &effect, &outcome).await.unwrap_or_else(End::Failed)
            }
            Err(failure) => End::Failed(failure),
        }
    }

    /// Lets the handler work, until its deadline.
    async fn call(&self, delivered: &Delivered, claim: &Claim, deadline: Deadline) -> Result<Outcome, HandlerError> {
        let received_at = delivered.message.received_at.cast_signed();
        let context = Context::new(deadline.handler, claim.attempt(), received_at, self.services.artifacts.clone());
        let key = match &self.services.openai {
            Some(openai) => Some((openai, openai.generation().await)),
            None => None,
        };
        let work = async { self.handler.handle(&delivered.event, &context).await };
        let result = match timeout_at(deadline.handler, AssertUnwindSafe(work).catch_unwind()).await {
            Ok(Ok(result)) => result,
            // The panic hook has logged where; what the panic said may be about the event's content.
            Ok(Err(_)) => Err(HandlerError::retry("the handler panicked")),
            Err(_) => Err(HandlerError::retry("the handler was stopped: the invocation's time was over")),
        };
        match (result, key) {
            (
                Err(HandlerError::Permanent { reason: HandlerError::UNAUTHORIZED, message }),
                Some((openai, generation)),
            ) => {
                if openai.replaced(generation).await {
                    return Err(HandlerError::retry(format!("the API key has been replaced meanwhile; {message}")));
                }
                Err(HandlerError::permanent(HandlerError::UNAUTHORIZED, message))
            }
            (result, _) => result,
        }
    }

    /// Records and announces an outcome. The order is what makes it safe to die in between: whatever comes first is
    /// done again, and the event is marked as done when nothing is left to do.
    async fn conclude(
        &self,
        delivered: &Delivered,
        claim: &Claim,
        effect: &str,
        outcome: &Outcome,
    ) -> Result<End, HandlerError> {
        let Services { ledger, outcomes, artifacts, .. } = &self.services;
        let Delivered { message, event } = delivered;
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
            ledger.record_job(&job, claim).await.map_err(retry)?;
        }
        let expected = self.meet(outcome).await?;
        let announcement = Announcement {
            event_type: &event.event_type,
            id: &event.id,
            object_id: outcome.object_id.as_deref(),
            endpoint: &message.endpoint,
            source: message.source.as_str(),
            status: &outcome.status,
            artifacts: &outcome.artifacts,
            bucket: artifacts.bucket(),
            summary: &outcome.summary,
            note: outcome.note.as_deref(),
            context: expected.as_ref().and_then(|expected| expected.context.as_ref()),
        };
        outcomes.announce(&announcement).await.map_err(retry)?;
        if let Some(alert) = &outcome.alert {
            self.alert(&event.event_type, alert).await.map_err(retry)?;
        }
        ledger.complete_key(effect, claim).await.map_err(retry)?;
        let ending = Completion {
            status: &outcome.status,
            artifacts: &outcome.artifacts,
            summary: &outcome.summary,
            note: outcome.note.as_deref(),
        };
        Ok(ended(ledger.done(claim, &ending).await, End::Done))
    }

    /// What somebody expects of the outcome's object. A final state meets that.
    async fn meet(&self, outcome: &Outcome) -> Result<Option<Expected>, HandlerError> {
        match &outcome.object_id {
            Some(id) if EXPECTED.contains(&self.category) && outcome.status != Outcome::NOT_FOUND => {
                self.services.ledger.meet(self.category.as_str(), id, outcome.terminal).await.map_err(retry)
            }
            _ => Ok(None),
        }
    }

    /// Sends a message that can never be handled to the dead-letter queue, tells people, and marks its event as
    /// failed, in this order: whoever finds an event failed may rely on its dead letter.
    async fn give_up(
        &self,
        record: &SqsMessage,
        delivered: Option<&Delivered>,
        claims: &Claims,
        reason: &'static str,
        message: &str,
        report: &mut Report,
    ) -> Verdict {
        report.because(reason, message);
        let letter = Rejection { body: record.body.as_deref().unwrap_or_default(), reason, message };
        let attribute = |name: &'static str| record.message_attributes.get(name)?.string_value.as_deref();
        if let Err(error) = self.services.queue.reject(letter, attribute).await {
            tracing::error!("{error}; the message stays in its queue");
            self.give_back(claims, reason, message).await;
            self.change_visibility(record, backoff(receives(record), None, &mut fastrand::Rng::new())).await;
            return Verdict::Retry;
        }
        let event_type = delivered.map_or("", |delivered| delivered.event.event_type.as_str());
        let alert = give_up_alert(self.category, record, delivered, reason, message);
        if let Err(error) = self.alert(event_type, &alert).await {
            // The dead letter is what counts, and its queue has an alarm of its own.
            tracing::error!("{error}");
        }
        let Some(claim) = &claims.event else { return Verdict::Failed };
        self.give_back_effect(claims).await;
        match self.services.ledger.failed(claim, reason, message).await {
            Ok(RecordResult::Yes) => Verdict::Failed,
            Ok(RecordResult::Superseded) => Verdict::Superseded,
            Err(error) => {
                tracing::warn!("{error}; the message is handled once more");
                self.change_visibility(record, backoff(receives(record), None, &mut fastrand::Rng::new())).await;
                Verdict::Retry
            }
        }
    }

    async fn alert(&self, event_type: &str, alert: &Alert) -> Result<(), hooks_aws::outcomes::OutcomesError> {
        let notice = Notice {
            category: self.category.as_str(),
            event_type,
            severity: alert.severity.as_str(),
            subject: &alert.subject,
            message: &alert.message,
        };
        self.services.outcomes.alert(&notice).await
    }

    /// Gives event and effect back, so that the next try need not wait for the lease to end. If that fails, it waits.
    async fn give_back(&self, claims: &Claims, reason: &str, message: &str) {
        self.give_back_effect(claims).await;
        if let Some(claim) = &claims.event
            && let Err(error) = self.services.ledger.release(claim, reason, message).await
        {
            tracing::warn!("{error}; it is free again when its lease ends");
        }
    }

    async fn give_back_effect(&self, claims: &Claims) {
        if let (Some(claim), Some(effect)) = (&claims.event, &claims.effect)
            && let Err(error) = self.services.ledger.release_key(effect, claim).await
        {
            tracing::warn!("{error}; it is free again when its lease ends");
        }
    }

    /// Hides a record's message for this long. If that fails, the queue's own time applies.
    async fn change_visibility(&self, record: &SqsMessage, time: Duration) {
        let Some(receipt_handle) = record.receipt_handle.as_deref() else { return };
        if let Err(error) = self.services.queue.change_visibility(receipt_handle, time).await {
            tracing::warn!("{error}; it comes back after the queue's visibility timeout");
        }
    }
}

/// Whether the record may bring back an event that has ended.
fn again(record: &SqsMessage, delivered: &Delivered) -> Reclaim {
    let sent_at = sent_at(record).unwrap_or_else(now);
    match (&delivered.message.source, &delivered.message.failure) {
        (Source::Replay, _) => Reclaim::Replayed { sent_at },
        (_, Some(_)) => Reclaim::Redriven { sent_at },
        (_, None) => Reclaim::No,
    }
}

/// What the last write about an event makes of its end.
fn ended(recorded: Result<RecordResult, hooks_aws::ledger::LedgerError>, end: End) -> End {
    match recorded {
        Ok(RecordResult::Yes) => end,
        Ok(RecordResult::Superseded) => End::Superseded,
        Err(error) => End::Failed(retry(error)),
    }
}

/// Whatever AWS did not do now, it may do later.
#[expect(clippy::needless_pass_by_value, reason = "it stands in `map_err`")]
fn retry(error: impl ToString) -> HandlerError {
    HandlerError::retry(error.to_string())
}

/// What people are told of a message that was given up.
fn give_up_alert(
    category: Category,
    record: &SqsMessage,
    delivered: Option<&Delivered>,
    reason: &str,
    why: &str,
) -> Alert {
    let (kind, what, when) = match delivered {
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
        None => ("a message", "a message that is no event of ours".to_owned(), "received".to_owned()),
    };
    let message = format!(
        "{kind} could not be handled, and is not tried again.\n\n\
         What   {what}\n\
         When   {when} {} times from its queue\n\
         Why    {reason}: {why}\n\
         To do  Remove the cause, then redrive the dead-letter queue: the event is handled as if it had just come. \
         docs/operations.md says for each reason what helps.\n\
         Where  the dead-letter queue of {category}, message {}\n",
        receives(record),
        record.message_id.as_deref().unwrap_or("unknown"),
    );
    let subject = format!("{kind} could not be handled: {reason}");
    Alert { severity: Severity::Critical, subject, message }
}
