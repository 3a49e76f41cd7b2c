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
//! | step | what happens | when it does not work |
//! |---|---|---|
//! | 1 decode | body and attributes become an [`Event`] | given up: `undecodable_message` |
//! | 2 claim the event | one conditional write in the ledger; it has a lease as long as the invocation | somebody has it: returned until their lease ends. It has ended: acknowledged |
//! | 3 claim the effect | the same, for everything that means the same | another event has it: returned until its lease ends. Another one has acted: marked as its duplicate, acknowledged |
//! | 4 handle | [`Handler::handle`], until a little before the invocation's deadline | by its [`HandlerError`]; a panic or the deadline is a retry |
//! | 5 job | what the object is now, never older over newer | retried |
//! | 6 expectation | met, if the state is final; only for responses, batches and fine-tuning, and not by `not_found` | retried |
//! | 7 outcome | published on the bus, with the expectation's context | retried |
//! | 8 alert | published on the topic, if the handler has one | retried |
//! | 9 effect done | | retried |
//! | 10 event done | | retried |
//! | 11 acknowledge | the record is not among the failures that Lambda is told of, so Lambda deletes the message | the message comes again and is a duplicate |
//!
//! Records of one batch are worked on together, up to five at a time, and know nothing of each other: whatever happens
//! to one, only that one is returned.
//!
//! # Failures
//!
//! **Retry.** Effect and event are given back, so that the next try may claim them at once, and the message is hidden
//! for a while: 15 seconds at first, doubled with every receive up to an hour, half of it random, and at least as long
//! as the other side asked for. The record that fails at its `MAX_RECEIVES`th receive is given up:
//! `retries_exhausted`. Whatever AWS does not do now is a retry, too.
//!
//! **Given up.** The message goes to the dead-letter queue with its reason, people are told, the effect is given back,
//! the event is marked as failed, and the message is acknowledged, in this order: who finds an event failed can rely
//! on its dead letter. Moved back into the queue (the reason goes along as an attribute), it is taken up again.
//!
//! The queue's own redrive policy is the last resort, for messages that kill the process each time. Its
//! `maxReceiveCount` must be no lower than `MAX_RECEIVES`, or messages get lost to it without a reason.
//!
//! # What if the process dies right here
//!
//! | after step | what is there | what the message's next receive does |
//! |---|---|---|
//! | 1 | nothing | everything |
//! | 2 | the event in progress | waits for the lease to end, then everything |
//! | 3 | and the effect held by it | waits for the lease to end; the effect is its own, so it acts |
//! | 4 | and what the handler wrote | calls the handler again, which writes the same again |
//! | 5 | and the job | the same; the job is written over by what was seen later |
//! | 6 | and the expectation met | the same; an expectation that was met before gives its context again |
//! | 7 | and the outcome on the bus | the same; the outcome is published twice, with the same `detail.id` |
//! | 8 | and people told | the same; people are told twice |
//! | 9 | and the effect done | the same: an effect is no obstacle for the event that holds it |
//! | 10 | everything | finds the event done, is acknowledged |
//!
//! Giving up, it is the same: before its dead letter is sent the event is simply tried again; between the letter and
//! the mark it is tried again and may get a second letter; after the mark its copies are acknowledged. Retrying, a
//! lease that was not given back ends by itself, and a message that was not hidden comes back after the queue's
//! visibility timeout. Nothing is lost at any step, and outside the crash window between 4 and 10 nothing happens twice.
//!
//! Further cases:
//!
//! - **The same event twice at the same moment**: one conditional write wins, the other record waits out the lease and
//!   then finds the event done.
//! - **The same happening as two events**, at two endpoints or of two types: both are claimed, one gets the effect.
//! - **A late answer.** Somebody whose lease is over (a frozen process, a wrong clock) and whose event another one has
//!   taken up may still publish, but can no longer mark: the ledger refuses it, and its message is returned, so that it
//!   still exists should the new holder die.
//! - **Older after newer.** A job keeps the state that was seen last, and a final one against any that is not.
//! - **An expectation of an event that is given up** after it was met: its dead letter has told people.
//! - **A write whose answer gets lost** is repeated by the SDK; the ledger recognises the second one as the first.
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
pub use hooks_function::{Environment, Error, Faults, OpenAi, clock, text};
pub use hooks_webhook::{Category, Event, EventData, SipInvite};
pub use setup::{Setup, run};
