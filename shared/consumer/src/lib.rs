//! The SQS batch harness under every consumer function.
//!
//! A consumer function takes the verified events of one category from its queue and does what they stand for. What
//! that is, a [`Handler`] says; everything around it is here. A handler's author sees one trait and no AWS:
//!
//! ```no_run
//! use hooks_consumer::{Category, Context, Event, HandlerError, Handler, OpenAi, Outcome, object_id};
//!
//! struct File {
//!     openai: OpenAi,
//! }
//!
//! impl Handler for File {
//!     async fn handle(&self, event: &Event, context: &Context) -> Result<Outcome, HandlerError> {
//!         let file = self.openai.client().await?.file(object_id(event, "file")?, context.deadline).await?;
//!         Ok(Outcome { object_id: Some(file.id), terminal: true, ..Outcome::new("processed", event.created_at * 1000) })
//!     }
//! }
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<(), hooks_consumer::Error> {
//!     hooks_consumer::run(Category::File, |setup| Some(File { openai: setup.openai()? })).await
//! }
//! ```
//!
//! # The way of one record
//!
//! [`hooks_protocol`] has the rules: who may act ([`decide`](hooks_protocol::decide)) and in which order
//! ([`steps`](hooks_protocol::steps)). A model checker explores them there; here they are carried out.
//!
//! | step | what happens | when it does not work | if the process dies after it, the next receive |
//! |---|---|---|---|
//! | 1 decode | body and attributes become an [`Event`] | given up: `undecodable_message` | does everything |
//! | 2 claim | one conditional write of the idempotency record, which all events share that mean the same; its lease is as long as the invocation | held by another: returned until their lease ends. Ended: acknowledged, and the history repaired if its last write is missing | waits for the lease to end, then does everything |
//! | 3 act | [`Handler::handle`], until a little before the invocation's deadline; what cannot be taken back is noted before ([`Context::acting`]) | by its [`HandlerError`]; a panic or the deadline is a retry | calls the handler again, which is told of it ([`Context::acted`]) |
//! | 4 job | what the object is now, never older over newer; a final state meets what is expected, and returns its context | retried | does the same; the job is written over by what was seen later |
//! | 5 outcome | published on the bus, with that context and the idempotency key | retried | does the same; the outcome is published twice, with the same idempotency key |
//! | 6 alert | published on the topic, or counted ([`alerts`](hooks_aws::alerts)), if there is something to tell | logged: an alert fails no event | does the same; people are told twice |
//! | 7 complete | the record is completed, if it has still this claim's token | returned, and held until the lease ends: the outcome is out | repairs the history, is acknowledged |
//! | 8 log | the attempt goes into the event's history | returned: the next receive repairs it | is acknowledged |
//! | 9 acknowledge | the record is not among the failures that Lambda is told of, so Lambda deletes the message | the message comes again and is a duplicate | |
//!
//! Records of one batch are worked on together, up to five at a time, and know nothing of each other: whatever happens
//! to one, only that one is returned. A handler that never yields cannot be stopped: Lambda ends the process at the
//! deadline, and the last column applies to every record of the batch.
//!
//! # Failures
//!
//! **Retry.** The attempt is logged, the lease ended, so that the next try may claim at once, and the message is hidden
//! for a while: 15 seconds at first, doubled with every receive up to an hour, half of it random, and at least as long
//! as the other side asked for. The record that fails at its `MAX_RECEIVES`th receive is given up:
//! `retries_exhausted`. Whatever AWS does not do now is a retry, too.
//!
//! **Given up.** The message goes to the dead-letter queue with its reason, the idempotency record is marked as failed,
//! people are told, the attempt is logged, and the message is acknowledged, in this order: who finds a record failed can
//! rely on its dead letter. If the process dies between the letter and the mark, the event may get a second letter. Moved
//! back into the queue (the reason goes along as an attribute), it is taken up again, unless it was completed meanwhile.
//!
//! **Not found.** An event's own object that is not there is looked for again while the event is young
//! ([`Handler::PATIENCE`]). Then the record is marked so and people are told; another event, reconciliation, a redrive
//! or a replay looks once more.
//!
//! **A replay** that fails, or finds less than was found before, leaves everything as it was: outcome, artifacts and job.
//! It sends no dead letter; the event's history says what happened.
//!
//! **A late answer.** Somebody whose lease is over (a frozen process, a wrong clock) and whose record another one has
//! claimed may still publish, but can no longer end the record: its token is refused, and its message is returned, so
//! that it still exists should the new holder die. A write or a claim whose answer got lost is known by its token.
//!
//! The queue's own redrive policy is the last resort, for messages that kill the process each time. Its
//! `maxReceiveCount` must be higher than `MAX_RECEIVES`, or messages get lost to it without a reason.
//!
//! # Settings and permissions
//!
//! [`Harness::new`] names the environment's variables. Needed are `dynamodb:UpdateItem` on the table; `s3:PutObject` and
//! `s3:AbortMultipartUpload` on the bucket, as far as the handler stores anything; `events:PutEvents` on the bus;
//! `sns:Publish` on the topic; `sqs:ChangeMessageVisibility` on the queue (beside what Lambda itself needs to read it)
//! and `sqs:SendMessage` on the dead-letter queue; `secretsmanager:GetSecretValue` on the key's secret. The event source
//! mapping must have `ReportBatchItemFailures`.

mod backoff;
mod bounds;
mod handler;
mod harness;
pub mod object;
mod record;
mod report;
mod setup;
mod walk;

pub use handler::{Context, Handler, HandlerError, found, object_id};
pub use harness::Harness;
pub use hooks_aws::outcomes::{Alert, Outcome, Severity};
pub use hooks_aws::{artifacts, ledger, parameters};
pub use hooks_function::{Environment, EnvironmentError, Error, OpenAi, clock, text};
pub use hooks_webhook::{Category, Event, EventData, SipInvite};
pub use setup::{Setup, run};
