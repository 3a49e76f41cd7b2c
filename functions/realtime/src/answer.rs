//! Doing with a call what the policy says, while its caller waits.

use std::time::Duration;

use hooks_consumer::{Context, HandlerError};
use hooks_openai::{Client, ErrorClass, OpenAiError};
use tokio::time::{Instant, sleep};

use crate::call::Call;
use crate::policy::Action;

/// The pauses before another try. The queue would wait for 15 seconds, and a caller would be gone.
const PAUSES: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(800)];

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answered {
    /// Done, as OpenAI says.
    Now,
    /// OpenAI says that it was done before: by a try of ours whose answer got lost, or by somebody else.
    Before,
    /// OpenAI has no such call (any more), and a try of ours may have ended that way.
    Perhaps,
    /// OpenAI has no such call: the caller hung up, or it was a test delivery.
    Gone,
}

/// Does it, with another try or two when that can help and there is time until `until`.
///
/// The calls are not idempotent, so that one may be sent is noted before. When a request of ours may have got through, a
/// call that cannot be found any more is [`Answered::Perhaps`]; otherwise it may not be visible yet, and is tried again.
pub(crate) async fn answer(
    client: &Client,
    call: &Call<'_>,
    action: &Action,
    context: &Context,
    until: Instant,
) -> Result<Answered, HandlerError> {
    context.acting().await?;
    let mut sent = context.acted;
    let mut pauses = PAUSES.into_iter();
    loop {
        let error = match act(client, call, action, until).await {
            Ok(()) => return Ok(Answered::Now),
            Err(error) => error,
        };
        match (error.status(), error.class()) {
            (Some(409), _) => return Ok(Answered::Before),
            (_, ErrorClass::NotFound) if sent => return Ok(Answered::Perhaps),
            (_, ErrorClass::NotFound | ErrorClass::Retry) => {}
            _ => return Err(error.into()),
        }
        // A rate limit stops a call before anything is done; of a lost answer or a server's error nobody knows.
        sent |= !matches!(error.status(), Some(404 | 429));
        let pause = pauses.next().map(|pause| pause.max(error.retry_after().unwrap_or_default()));
        match pause {
            Some(pause) if pause < until.saturating_duration_since(Instant::now()) => sleep(pause).await,
            _ if error.class() == ErrorClass::NotFound => return Ok(Answered::Gone),
            _ => {
                if !sent {
                    context.not_acting().await?;
                }
                return Err(error.into());
            }
        }
    }
}

async fn act(client: &Client, call: &Call<'_>, action: &Action, until: Instant) -> Result<(), OpenAiError> {
    match action {
        Action::Accept { session, .. } => client.accept_call(call.api, call.id, session.clone(), until).await,
        Action::Reject { status_code } => client.reject_call(call.api, call.id, *status_code, until).await,
        Action::Refer { target_uri } => client.refer_call(call.api, call.id, target_uri, until).await,
    }
}
