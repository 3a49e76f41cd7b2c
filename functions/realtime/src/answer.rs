//! The request that answers a call, with retries while the caller waits.

use std::time::Duration;

use hooks_consumer::{Context, HandlerError};
use hooks_openai::{Client, ErrorClass, OpenAiError};
use tokio::time::{Instant, sleep};

use crate::call::Call;
use crate::policy::Action;

/// The delays before the retries. The queue's own retry comes after 15 seconds, too late for a caller.
const RETRY_DELAYS: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(800)];

/// The result of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AnswerResult {
    /// OpenAI confirmed it.
    Done,
    /// OpenAI says that the call was answered before: by a request of ours whose response was lost, or by another
    /// program.
    DoneBefore,
    /// OpenAI has no such call (any more), and an earlier request of ours may have answered it.
    PerhapsDone,
    /// OpenAI has no such call: the caller hung up, or it was a test delivery.
    NotFound,
}

/// Answers a call, with up to two retries until `until`.
///
/// The requests are not idempotent, so the ledger notes before that one may be sent. If one may have reached OpenAI, a
/// call that is not found is [`AnswerResult::PerhapsDone`]. Otherwise it may not be visible yet, and is tried again.
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
        match (error.status(), error.class()) {
            (Some(409), _) => return Ok(AnswerResult::DoneBefore),
            (_, ErrorClass::NotFound) if may_be_done => return Ok(AnswerResult::PerhapsDone),
            (_, ErrorClass::NotFound | ErrorClass::Retry) => {}
            _ => return Err(error.into()),
        }
        // A rate limit refuses the request before it has an effect. A lost response or a server error proves nothing.
        may_be_done |= !matches!(error.status(), Some(404 | 429));
        let delay = delays.next().map(|delay| delay.max(error.retry_after().unwrap_or_default()));
        match delay {
            Some(delay) if delay < until.saturating_duration_since(Instant::now()) => sleep(delay).await,
            _ if error.class() == ErrorClass::NotFound => return Ok(AnswerResult::NotFound),
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
