//! From a batch of records to which of them must come again.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use futures::{FutureExt, StreamExt, stream};
use hooks_aws::artifacts::Artifacts;
use hooks_aws::ledger::{Claim, ClaimResult, Ledger};
use hooks_aws::outcomes::Outcomes;
use hooks_aws::queue::ConsumerQueue;
use hooks_function::clock::now_ms;
use hooks_function::text::moment;
use hooks_protocol::{AFTER_LOST_CLAIM, DUPLICATE, Ending, REJECT, steps};
use hooks_webhook::Category;
use tokio::time::{Instant, timeout, timeout_at};

use crate::backoff::{backoff, until};
use crate::bounds::bounded;
use crate::deadline::Deadline;
use crate::record::{Delivered, decode, receives};
use crate::report::{Report, Verdict};
use crate::walk::Walk;
use crate::{Context, Handler, HandlerError, OpenAi, Outcome};

/// How many records of one batch are worked on at a time. Their work is waiting for others, so one thread serves them
/// all; the bound keeps a full batch from opening a connection per record to everything at once.
const CONCURRENT_RECORDS: usize = 5;

/// How long a handler may prepare. Lambda gives a function ten seconds to start.
const WARM_UP: Duration = Duration::from_secs(5);

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

    /// Works on the records of one invocation. The answer names the records that must come again; the queue forgets the
    /// others.
    pub async fn handle(&self, batch: SqsEvent, deadline: hooks_function::Deadline) -> SqsBatchResponse {
        let deadline = Deadline::from(deadline);
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
        let delivered = match decode(record) {
            Ok(delivered) => delivered,
            Err(error) => {
                let mut walk = Walk::new(self.category, &self.services, record, None, report);
                return walk.reject(UNDECODABLE_MESSAGE, error.to_string()).go(REJECT).await;
            }
        };
        report.identify(&delivered);
        let mut walk = Walk::new(self.category, &self.services, record, Some(&delivered), report);
        walk.last_receive = receives(record) >= self.max_receives;
        if Instant::now() >= deadline.handler {
            return self.end(walk, Err(HandlerError::retry("the invocation had no time left to begin with it"))).await;
        }
        let Delivered { message, event } = &delivered;
        let claim = Claim::new(event.idempotency_key().as_str(), &message.endpoint, &message.webhook_id);
        walk.lease_until = deadline.lease_until;
        match self.services.ledger.claim(claim.clone(), &message.kind(), deadline.lease_until).await {
            Ok(ClaimResult::Granted(claim)) => {
                walk.report.attempt = Some(claim.claims);
                let result = self.call(&delivered, &claim, deadline).await;
                walk.claim = Some(claim);
                self.end(walk, result).await
            }
            Ok(ClaimResult::Busy { until: lease_until }) if walk.last_receive => {
                let message = format!(
                    "received {} times; at last: another invocation works on it until {}",
                    receives(record),
                    moment(lease_until / 1000)
                );
                walk.reject(RETRIES_EXHAUSTED, message).go(REJECT).await
            }
            Ok(ClaimResult::Busy { until: lease_until }) => {
                walk.hide_for(until(lease_until - now_ms(), &mut fastrand::Rng::new()));
                walk.give_back(Verdict::Busy).await
            }
            Ok(ClaimResult::Ended(ended)) => {
                walk.ended = Some(ended);
                walk.go(DUPLICATE).await
            }
            // It may have been made all the same, and would then keep everybody waiting until its lease ends.
            Err(error) if !walk.last_receive => {
                walk.claim = Some(claim);
                walk.retry(error.to_string(), backoff(receives(record), None, &mut fastrand::Rng::new()));
                walk.go(AFTER_LOST_CLAIM).await
            }
            Err(error) => self.end(walk, Err(HandlerError::retry(error.to_string()))).await,
        }
    }

    /// Decides how the attempt ended, and walks the steps that follow from that.
    async fn end(&self, mut walk: Walk<'_>, result: Result<Outcome, HandlerError>) -> Verdict {
        let receives = receives(walk.record);
        let replaying = walk.claim.as_ref().is_some_and(|claim| claim.replaying);
        let result = match result {
            Ok(outcome) if outcome.is_missing && !replaying && !walk.last_receive && walk.is_young(H::PATIENCE) => {
                let note = outcome.note.unwrap_or_default();
                Err(HandlerError::retry(format!("{note}; the event is young, so it is looked for again")))
            }
            result => result,
        };
        let ending = match result {
            Ok(outcome) => {
                let outcome = bounded(outcome);
                walk.report.status = Some(outcome.status.clone());
                walk.report.artifact_bytes = outcome.artifact_bytes;
                let found_less = replaying && walk.finds_less(&outcome);
                let ending = if found_less || outcome.is_missing { Ending::NotFound } else { Ending::Done };
                walk.outcome = Some(outcome);
                ending
            }
            Err(HandlerError::Retry { after, message }) if !walk.last_receive => {
                walk.retry(message, backoff(receives, after, &mut fastrand::Rng::new()));
                Ending::Later
            }
            Err(HandlerError::Retry { message, .. }) => {
                walk.reject(RETRIES_EXHAUSTED, format!("received {receives} times; at last: {message}"));
                Ending::GivenUp
            }
            Err(HandlerError::Permanent { reason, message }) => {
                walk.reject(reason, message);
                Ending::GivenUp
            }
        };
        walk.ending = ending;
        let verdict = match (&walk.claim, ending) {
            (Some(_), _) => walk.go(steps(ending, replaying)).await,
            (None, Ending::Later) => walk.give_back(Verdict::Retry).await,
            (None, _) => walk.go(REJECT).await,
        };
        if let Some(alert) = walk.told() {
            self.handler.alerted(alert);
        }
        verdict
    }

    /// Lets the handler work, until its deadline.
    async fn call(&self, delivered: &Delivered, claim: &Claim, deadline: Deadline) -> Result<Outcome, HandlerError> {
        let received_at = delivered.message.received_at.cast_signed();
        let context = Context::new(deadline.handler, claim.claims, received_at, self.services.artifacts.clone());
        let context = context.of_claim(self.services.ledger.clone(), claim.clone());
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
}
