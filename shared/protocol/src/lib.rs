//! Who may act on an event, and in which order.
//!
//! No I/O, no clock: [`decide`] and [`steps`] are pure functions. The ledger claims by the first, the harness walks the
//! second, and the model checker in `tests/model.rs` explores every interleaving of both.
//!
//! # One lock
//!
//! Events that mean the same share an idempotency key, and the key's record is the only lock. A claim gives the record
//! a new random token. Every later write of the holder names that token, and is refused once the record has another
//! one. No rule compares times. The lease alone is a time, and it only tells a dead holder from a living one.
//!
//! | record | delivery | reconciliation | redriven | replay |
//! |---|---|---|---|---|
//! | absent | take | take | take | take |
//! | `in_progress`, lease over | take | take | take | take |
//! | `in_progress`, lease running | busy | busy | busy | busy |
//! | `failed` by this event | acknowledge | acknowledge | take | take |
//! | `failed` by another event | take | take | take | take |
//! | `not_found` by this event | acknowledge | take | take | take |
//! | `not_found` by another event | take | take | take | take |
//! | `completed`, the token that the replay saw | acknowledge | acknowledge | acknowledge | take as `replaying` |
//! | `completed`, another token | acknowledge | acknowledge | acknowledge | acknowledge |
//! | `replaying`, lease running | acknowledge | acknowledge | acknowledge | busy |
//! | `replaying`, lease over | acknowledge | acknowledge | acknowledge | take as `replaying` |
//!
//! (A test checks this table against [`decide`].)

/// The state of an idempotency record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Status {
    /// Claimed; somebody works on it, or it waits for its next try.
    InProgress,
    /// Completed before, and claimed by a replay.
    Replaying,
    /// Nothing is left to do.
    Completed,
    /// Given up. A dead letter was sent before.
    Failed,
    /// The event's own object does not exist. People were told.
    NotFound,
}

impl Status {
    const ALL: [Self; 5] = [Self::InProgress, Self::Replaying, Self::Completed, Self::Failed, Self::NotFound];

    /// Its name in the ledger.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Replaying => "replaying",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::NotFound => "not_found",
        }
    }

    /// The status of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }
}

/// An idempotency record, as far as it decides. `Id` names events and tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Record<Id> {
    /// Its state.
    pub status: Status,
    /// The token of the latest claim.
    pub token: Id,
    /// The event of the latest claim.
    pub event: Id,
    /// Whether the latest claim's lease is running.
    pub leased: bool,
}

/// Origin of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind<Id> {
    /// OpenAI delivered it.
    Delivery,
    /// Reconciliation found that its delivery never came.
    Reconciliation,
    /// A dead letter was put back. A redriven replay is redriven, and no replay any more.
    Redriven,
    /// Somebody asked for it again.
    Replay {
        /// The record's token when that was asked; `None` when there was no record.
        seen: Option<Id>,
    },
}

/// Decision about a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Claims the record, which gets this status: `InProgress` or `Replaying`.
    Take(Status),
    /// Returns the message until the lease is over.
    Busy,
    /// Acknowledges the message: nothing is left to do.
    Acknowledge,
}

/// Decides what becomes of a message of `event`.
pub fn decide<Id: PartialEq>(record: Option<&Record<Id>>, event: &Id, kind: &Kind<Id>) -> Decision {
    use Kind::{Delivery, Reconciliation, Replay};
    use Status::{Completed, Failed, InProgress, NotFound, Replaying};
    let Some(record) = record else { return Decision::Take(InProgress) };
    let own = record.event == *event;
    match (record.status, kind) {
        (InProgress, _) | (Replaying, Replay { .. }) if record.leased => Decision::Busy,
        (Failed, Delivery | Reconciliation) | (NotFound, Delivery) if own => Decision::Acknowledge,
        (InProgress | Failed | NotFound, _) => Decision::Take(InProgress),
        (Completed, Replay { seen }) if seen.as_ref() == Some(&record.token) => Decision::Take(Replaying),
        (Replaying, Replay { .. }) => Decision::Take(Replaying),
        (Completed | Replaying, _) => Decision::Acknowledge,
    }
}

/// End of the work on a claimed event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Ending {
    /// It is completed.
    Completed,
    /// The event's own object does not exist. For a replay also: it found less than was found before.
    NotFound,
    /// It may work later.
    Later,
    /// It can never work, or did not work often enough.
    GivenUp,
}

/// One step after the work: a request to AWS (an alert is three), before and after which the process may die.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    /// Records what the object is now, and meets its expectation.
    Job,
    /// Publishes the outcome on the bus.
    Outcome,
    /// Tells people, if there is something to tell.
    Alert,
    /// Sends the dead letter.
    DeadLetter,
    /// Ends the record with this status, if it has still the claim's token.
    End(Status),
    /// Ends a replay's record as what it was before: `Completed`, with the earlier outcome.
    Restore,
    /// Ends the lease, so that the next try may claim the record at once.
    Release,
    /// Writes the attempt into the event's history.
    Log,
    /// Lets the queue forget the message.
    Acknowledge,
    /// Lets the message come again.
    Return,
}

/// Consequence of a step that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnError {
    /// Goes on.
    GoOn,
    /// Goes on, and returns the message in place of acknowledging it: its next receive repairs the history.
    GoOnAndReturn,
    /// Ends the attempt as [`Ending::Later`], or as [`Ending::GivenUp`] when it was received too often.
    EndLater,
    /// Returns the message and keeps the lock: the record is free when its lease is over.
    Return,
}

/// The steps that follow the work. A replay never harms: what fails or finds less leaves everything as it was.
#[must_use]
pub const fn steps(ending: Ending, replaying: bool) -> &'static [Step] {
    use Step::{Acknowledge, Alert, DeadLetter, End, Job, Log, Outcome, Release, Restore, Return};
    match (ending, replaying) {
        (Ending::Completed, _) => &[Job, Outcome, Alert, End(Status::Completed), Log, Acknowledge],
        (Ending::NotFound, false) => &[Job, Outcome, Alert, End(Status::NotFound), Log, Acknowledge],
        (Ending::GivenUp, false) => &[DeadLetter, End(Status::Failed), Alert, Log, Acknowledge],
        (Ending::NotFound | Ending::GivenUp, true) => &[Restore, Log, Acknowledge],
        (Ending::Later, _) => &[Log, Release, Return],
    }
}

/// The steps after a claim whose answer got lost for good: it may have been made.
pub const AFTER_LOST_CLAIM: &[Step] = &[Step::Release, Step::Return];

/// The steps of a message that nothing may be claimed for: it cannot be read, or was received too often while others
/// held its record.
pub const REJECT: &[Step] = &[Step::DeadLetter, Step::Alert, Step::Acknowledge];

/// The steps of a message that is acknowledged without work. The history is repaired if its last write is missing.
pub const DUPLICATE: &[Step] = &[Step::Log, Step::Acknowledge];

impl Step {
    /// Consequence when this step fails. Its write may have been made all the same.
    #[must_use]
    pub const fn on_error(self) -> OnError {
        match self {
            Self::Job | Self::Outcome | Self::DeadLetter => OnError::EndLater,
            Self::Alert | Self::Release | Self::Acknowledge | Self::Return => OnError::GoOn,
            Self::Log => OnError::GoOnAndReturn,
            // The outcome or the dead letter is out: nobody else may act before the lease is over.
            Self::End(_) | Self::Restore => OnError::Return,
        }
    }
}
