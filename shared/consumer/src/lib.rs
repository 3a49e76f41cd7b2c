//! The SQS batch harness under every consumer function.
//!
//! A consumer function takes the verified events of one category from its queue and does what they stand for. What
//! that is, a [`Handler`] says; everything around it is here. A handler's author sees one trait and no AWS:
//!
//! ```no_run
//! use hooks_consumer::{Category, Context, Event, HandlerError, Handler, Outcome};
//!
//! struct Archive;
//!
//! impl Handler for Archive {
//!     async fn handle(&self, event: &Event, _: &Context) -> Result<Outcome, HandlerError> {
//!         let object_id = event.object_id().map(str::to_owned);
//!         Ok(Outcome { object_id, terminal: true, ..Outcome::new("archived", event.created_at * 1000) })
//!     }
//! }
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<(), hooks_consumer::Error> {
//!     hooks_consumer::run(Category::Archive, |_| Some(Archive)).await
//! }
//! ```
//!
//! # The way of one record
//!
//! [`hooks_protocol`] has the rules: who may act ([`decide`](hooks_protocol::decide)) and in which order
//! ([`steps`](hooks_protocol::steps)). A model checker explores them there; here they are carried out.
//!
//! | step | what happens | when it does not work |
//! |---|---|---|
//! | 1 decode | body and attributes become an [`Event`] | given up: `undecodable_message` |
//! | 2 claim | one conditional write of the idempotency record, which all events share that mean the same; its lease is as long as the invocation | held by another: returned until their lease ends. Ended: acknowledged, and the history repaired if its last write is missing |
//! | 3 act | [`Handler::handle`], until a little before the invocation's deadline | by its [`HandlerError`]; a panic or the deadline is a retry |
//! | 4 job | what the object is now, never older over newer; a final state meets what is expected, and returns its context | retried |
//! | 5 outcome | published on the bus, with that context and the idempotency key | retried |
//! | 6 alert | published on the topic, if there is something to tell | logged: an alert fails no event |
//! | 7 complete | the record is completed, if it has still this claim's token | returned, and held until the lease ends: the outcome is out |
//! | 8 log | the attempt goes into the event's history | returned: the next receive repairs it |
//! | 9 acknowledge | the record is not among the failures that Lambda is told of, so Lambda deletes the message | the message comes again and is a duplicate |
//!
//! Records of one batch are worked on together, up to five at a time, and know nothing of each other: whatever happens
//! to one, only that one is returned.
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
//! rely on its dead letter. Moved back into the queue (the reason goes along as an attribute), it is taken up again,
//! unless it has been completed meanwhile.
//!
//! **Not found.** An event's own object that is not there is looked for again while the event is young
//! ([`Handler::PATIENCE`]). Then the record is marked so and people are told; another event, reconciliation, a redrive
//! or a replay looks once more.
//!
//! **A replay** that fails, or finds less than was found before, leaves everything as it was: outcome, artifacts and job.
//! It sends no dead letter; the event's history says what happened.
//!
//! The queue's own redrive policy is the last resort, for messages that kill the process each time. Its
//! `maxReceiveCount` must be higher than `MAX_RECEIVES`, or messages get lost to it without a reason.
//!
//! # What if the process dies right here
//!
//! | after step | what is there | what the message's next receive does |
//! |---|---|---|
//! | 1 | nothing | everything |
//! | 2 | the record in progress | waits for the lease to end, then everything |
//! | 3 | and what the handler wrote; what cannot be taken back was noted before ([`Context::acting`]) | calls the handler again, which is told of it ([`Context::acted`]) |
//! | 4 | and the job | the same; the job is written over by what was seen later |
//! | 5 | and the outcome on the bus | the same; the outcome is published twice, with the same idempotency key |
//! | 6 | and people told | the same; people are told twice |
//! | 7 | and the record completed | repairs the history, is acknowledged |
//! | 8 | everything | is acknowledged |
//!
//! Giving up, it is the same: before its dead letter is sent the event is simply tried again; between the letter and
//! the mark it is tried again and may get a second letter; after the mark its copies are acknowledged. Retrying, a
//! lease that was not ended is over by itself, and a message that was not hidden comes back after the queue's
//! visibility timeout. Nothing is lost at any step, and outside the crash window between 3 and 7 nothing happens twice.
//!
//! Further cases:
//!
//! - **Two events that mean the same**, or one twice, at the same moment: one claim is granted, the other record waits
//!   out the lease and is then a duplicate.
//! - **A late answer.** Somebody whose lease is over (a frozen process, a wrong clock) and whose record another one has
//!   claimed may still publish, but can no longer end the record: its token is refused, and its message is returned, so
//!   that it still exists should the new holder die.
//! - **A claim whose answers are all lost** may have been made. Its lease is ended, so that nobody waits for it.
//! - **Older after newer.** A job keeps the state that was seen last, and a final one against any that is not.
//! - **A write whose answer gets lost** is repeated by the SDK; the token shows that the first one was made.
//! - **A handler that never yields** cannot be stopped. Lambda ends the process at the deadline, and the table above
//!   applies to every record of the batch.
//!
//! # Settings
//!
//! From the environment; whatever is wrong with it is reported together, by name, at the start.
//!
//! | variable | what it is |
//! |---|---|
//! | `TABLE_NAME` | the ledger's table |
//! | `BUCKET_NAME` | where artifacts go |
//! | `BUS_NAME` | where outcomes are published |
//! | `ALERTS_TOPIC_ARN` | where alerts are published |
//! | `QUEUE_URL`, `DEAD_LETTER_QUEUE_URL` | where records come from, and where those go that are given up |
//! | `MAX_RECEIVES` | at which receive a failing record is given up |
//! | `OPENAI_BASE_URL`, `OPENAI_API_KEY_SECRET` | only for handlers that ask for [`Setup::openai`] |
//!
//! # Permissions
//!
//! `dynamodb:UpdateItem` on the table; `s3:PutObject` and `s3:AbortMultipartUpload` on the bucket, as far as the handler stores anything;
//! `events:PutEvents` on the bus; `sns:Publish` on the topic; `sqs:ChangeMessageVisibility` on the queue (beside what
//! Lambda itself needs to read it) and `sqs:SendMessage` on the dead-letter queue;
//! `secretsmanager:GetSecretValue` on the key's secret. The event source mapping must have
//! `ReportBatchItemFailures`.

mod backoff;
mod bounds;
mod deadline;
mod handler;
mod harness;
pub mod object;
mod record;
mod report;
mod setup;
mod walk;

pub use handler::{Alert, Context, Handler, HandlerError, Outcome, Severity, found, object_id};
pub use harness::Harness;
pub use hooks_aws::parameters;
pub use hooks_aws::{artifacts, ledger};
pub use hooks_function::{Environment, EnvironmentError, Error, OpenAi, clock, text};
pub use hooks_webhook::{Category, Event, EventData, SipInvite};
pub use setup::{Setup, run};
