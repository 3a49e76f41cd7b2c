//! The request that answers a call, with retries while the caller waits.

use std::time::Duration;

use hooks_consumer::{Context, HandlerError};
use hooks_openai::{Client, ErrorClass, OpenAiError};
use hooks_policy::{Action, Call};
use tokio::time::{Instant, sleep};

/// The delays before the retries. The queue's own retry comes after 15 seconds, too late for a caller.
const RETRY_DELAYS: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(800)];

/// The result of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AnswerResult {
    /// OpenAI confirmed it.
    Done,
    /// OpenAI says that the call was answered before, and an earlier request of ours may have done it.
    DoneBefore,
    /// OpenAI says that the call was answered before, and it was not by us.
    DoneElsewhere,
    /// OpenAI has no such call (any more), and an earlier request of ours may have answered it.
    PerhapsDone,
    /// OpenAI has no such call: the caller hung up, or it was a test delivery.
    NotFound,
}

/// Answers a call, with up to two retries until `until`. A call that is not found may not be visible yet, so that is tried
/// again as well.
///
/// The requests are not idempotent, so the ledger notes before that one may be sent, and takes it back when none can have
/// had an effect. What OpenAI says of an answered call, or of none, means what it does only with that in mind.
pub(crate) async fn answer(
    client: &Client,
    call: &Call<'_>,
    action: &Action,
    context: &Context,
    until: Instant,
) -> Result<AnswerResult, HandlerError> {
    context.acting().await?;
    let mut may_be_done = context.acted;
    let mut delays = RETRY_DELAYS.into_iter();
    loop {
        let Err(error) = request(client, call, action, until).await else { return Ok(AnswerResult::Done) };
        if error.status() == Some(409) {
            return Ok(if may_be_done { AnswerResult::DoneBefore } else { AnswerResult::DoneElsewhere });
        }
        // A refusal comes before any effect. A lost response or a server error proves nothing.
        may_be_done |= error.status().is_none_or(|status| status == 408 || status >= 500);
        let is_missing = error.class() == ErrorClass::NotFound;
        let delay = delays.next().filter(|_| is_missing || error.class() == ErrorClass::Retry);
        match delay.map(|delay| delay.max(error.retry_after().unwrap_or_default())) {
            Some(delay) if delay < until.saturating_duration_since(Instant::now()) => sleep(delay).await,
            _ if is_missing => {
                return Ok(if may_be_done { AnswerResult::PerhapsDone } else { AnswerResult::NotFound });
            }
            _ => {
                if !may_be_done {
                    context.not_acting().await?;
                }
                return Err(error.into());
            }
        }
    }
}

async fn request(client: &Client, call: &Call<'_>, action: &Action, until: Instant) -> Result<(), OpenAiError> {
    match action {
        Action::Accept { session, .. } => client.accept_call(call.api, call.id, session.clone(), until).await,
        Action::Reject { status_code } => client.reject_call(call.api, call.id, *status_code, until).await,
        Action::Refer { target_uri } => client.refer_call(call.api, call.id, target_uri, until).await,
    }
}
