//! From a batch of records to which of them must come again.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use futures::{FutureExt, StreamExt, stream};
use hooks_aws::alerts::Alerts;
use hooks_aws::artifacts::Artifacts;
use hooks_aws::ledger::{Claim, ClaimResult, Ledger};
use hooks_aws::outcomes::{Outcome, Outcomes};
use hooks_aws::queue::{ConsumerQueue, Delivered};
use hooks_function::Deadline;
use hooks_function::text::moment;
use hooks_protocol::{AFTER_LOST_CLAIM, DUPLICATE, Step};
use hooks_webhook::Category;
use tokio::time::{Instant, timeout, timeout_at};

use crate::bounds::bounded;
use crate::record::decode;
use crate::report::Verdict;
use crate::walk::Walk;
use crate::{Context, Handler, HandlerError, OpenAi};

/// Number of records of one batch that are worked on at a time. Their work is waiting for others, so one thread serves
/// them all; the bound keeps a full batch from opening a connection per record to everything at once.
const CONCURRENT_RECORDS: usize = 5;

/// Time in which a handler may prepare. Lambda gives a function ten seconds to start.
const WARM_UP: Duration = Duration::from_secs(5);

/// Time left after the handler was stopped: to release the record, to hide the message and to answer. Each is one call
/// of a few milliseconds that may be tried again once.
const REPORT_MARGIN: Duration = Duration::from_secs(5);

/// Time left after the last record was given up, to hand the answer to Lambda. Later than that Lambda would kill the
/// process and return every record of the batch, the good ones included.
const ANSWER_MARGIN: Duration = Duration::from_millis(500);

pub(crate) struct Services {
    pub(crate) ledger: Ledger,
    pub(crate) queue: ConsumerQueue,
    pub(crate) outcomes: Outcomes,
    pub(crate) alerts: Alerts,
    pub(crate) artifacts: Artifacts,
    pub(crate) openai: Option<OpenAi>,
}

/// Everything around a handler: takes batches of SQS records and sees each one to its end.
pub struct Harness<H> {
    pub(crate) category: Category,
    pub(crate) handler: H,
    pub(crate) services: Services,
    pub(crate) max_receives: u32,
}

impl<H: Handler> Harness<H> {
    /// Lets the handler prepare, for [`WARM_UP`] at most.
    pub(crate) async fn warm_up(&self) {
        if timeout(WARM_UP, self.handler.warm_up()).await.is_err() {
            tracing::warn!("not all could be fetched ahead; the first event waits for it");
        }
    }

    /// Works on the records of one invocation. The answer names the records that must come again; the queue forgets the
    /// others.
    pub async fn handle(&self, batch: SqsEvent, deadline: Deadline) -> SqsBatchResponse {
        let verdicts = stream::iter(batch.records).map(async |record| {
            let verdict = self.guarded(&record, deadline).await;
            (record.message_id.unwrap_or_default(), verdict)
        });
        let mut verdicts = std::pin::pin!(verdicts.buffer_unordered(CONCURRENT_RECORDS));
        let mut response = SqsBatchResponse::default();
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
        let mut walk = Walk::new(self.category, &self.services, record, self.max_receives);
        let work = timeout_at(deadline.before(ANSWER_MARGIN), self.record(record, deadline, &mut walk));
        let result = AssertUnwindSafe(work).catch_unwind().await;
        let verdict = match result {
            Ok(Ok(verdict)) => verdict,
            Ok(Err(_)) => {
                let message = "the invocation ended before the record was dealt with";
                walk.error = Some(("out_of_time", message.to_owned()));
                Verdict::Retry
            }
            Err(_) => {
                walk.error = Some(("panic", "the harness panicked".to_owned()));
                Verdict::Retry
            }
        };
        walk.report(verdict);
        if verdict == Verdict::Completed {
            self.completed(&walk, deadline).await;
        }
        verdict
    }

    /// Tells the handler that an event is completed. A panic there is none of the event's.
    async fn completed(&self, walk: &Walk<'_>, deadline: Deadline) {
        let (Some(delivered), Some(outcome)) = (&walk.delivered, &walk.outcome) else { return };
        let until = deadline.before(ANSWER_MARGIN);
        let hears = AssertUnwindSafe(self.handler.completed(&delivered.event, outcome, until)).catch_unwind();
        if !matches!(timeout_at(until, hears).await, Ok(Ok(()))) {
            tracing::warn!("what follows the completed event {} did not end", delivered.event.id);
        }
    }

    async fn record(&self, record: &SqsMessage, deadline: Deadline, walk: &mut Walk<'_>) -> Verdict {
        let delivered = match decode(record, self.category) {
            Ok(delivered) => Arc::new(delivered),
            Err(error) => {
                let steps = walk.reject("undecodable_message", error.to_string());
                return walk.go(steps).await;
            }
        };
        walk.delivered = Some(Arc::clone(&delivered));
        let steps = if Instant::now() >= deadline.before(REPORT_MARGIN) {
            walk.retry("the invocation had no time left to begin with it".to_owned(), None)
        } else {
            let Delivered { message, event, .. } = &*delivered;
            let claim = Claim::new(event.idempotency_key().as_str(), &message.endpoint, &message.webhook_id);
            walk.lease_until = deadline.lease_until();
            match self.services.ledger.claim(claim.clone(), &message.kind(), deadline.lease_until()).await {
                Ok(ClaimResult::Granted(claim)) => {
                    walk.attempt = Some(claim.claims);
                    let result = self.call(&delivered, &claim, deadline).await;
                    walk.claim = Some(claim);
                    judge(walk, result, H::PATIENCE)
                }
                Ok(ClaimResult::Busy { until }) if walk.last_receive => {
                    walk.retry(format!("another invocation works on it until {}", moment(until / 1000)), None)
                }
                Ok(ClaimResult::Busy { until }) => return walk.give_back_until(until, Verdict::Busy).await,
                Ok(ClaimResult::Ended(ended)) => {
                    walk.ended = Some(ended);
                    DUPLICATE
                }
                Err(error) if walk.last_receive => walk.retry(error.to_string(), None),
                // It may have been made all the same, and would then keep everybody waiting until its lease ends.
                Err(error) => {
                    walk.retry(error.to_string(), None);
                    walk.claim = Some(claim);
                    AFTER_LOST_CLAIM
                }
            }
        };
        let verdict = walk.go(steps).await;
        if let Some(alert) = walk.told() {
            self.handler.alerted(alert);
        }
        verdict
    }

    /// Lets the handler work, until its deadline.
    async fn call(&self, delivered: &Delivered, claim: &Claim, deadline: Deadline) -> Result<Outcome, HandlerError> {
        let until = deadline.before(REPORT_MARGIN);
        let received_at = delivered.message.received_at.cast_signed();
        let context = Context::new(until, claim.claims, received_at, self.services.artifacts.clone());
        let context = context.of_claim(self.services.ledger.clone(), claim.clone());
        let key = match &self.services.openai {
            Some(openai) => Some((openai, openai.generation().await)),
            None => None,
        };
        let work = async { self.handler.handle(&delivered.event, &context).await };
        let result = match timeout_at(until, AssertUnwindSafe(work).catch_unwind()).await {
            Ok(Ok(result)) => result,
            // The panic hook has logged where; what the panic said may be about the event's content.
            Ok(Err(_)) => Err(HandlerError::retry("the handler panicked")),
            Err(_) => Err(HandlerError::retry("the handler was stopped: the invocation's time was over")),
        };
        if let Err(HandlerError::Permanent { reason: HandlerError::UNAUTHORIZED, message }) = &result
            && let Some((openai, generation)) = key
            && openai.replaced(generation).await
        {
            return Err(HandlerError::retry(format!("the API key has been replaced meanwhile; {message}")));
        }
        result
    }
}

/// The steps that follow from a handler's result.
fn judge(walk: &mut Walk<'_>, result: Result<Outcome, HandlerError>, patience: Duration) -> &'static [Step] {
    match result {
        Ok(outcome) if outcome.is_missing && !walk.is_replay() && !walk.last_receive && walk.is_young(patience) => {
            let note = outcome.note.unwrap_or_default();
            walk.retry(format!("{note}; the event is young, so it is looked for again"), None)
        }
        Ok(outcome) => walk.found(bounded(outcome)),
        Err(HandlerError::Retry { after, message }) => walk.retry(message, after),
        Err(HandlerError::Permanent { reason, message }) => walk.reject(reason, message),
    }
}
