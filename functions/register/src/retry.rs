//! Calls that are repeated.

use std::future::Future;
use std::time::Duration;

use hooks_openai::{ErrorClass, OpenAiError};
use tokio::time::{Instant, sleep};

/// Pause after the first failure. It doubles with every further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// Longest pause between two attempts, unless OpenAI asks for more.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// Attempts at Secrets Manager. Its client has retried underneath.
const SECRET_ATTEMPTS: u32 = 4;

/// Repeats a call of OpenAI until its answer is final, or time runs out.
pub(crate) async fn retry<T, F>(until: Instant, call: impl Fn() -> F) -> Result<T, OpenAiError>
where
    F: Future<Output = Result<T, OpenAiError>>,
{
    let mut pauses = Pauses::until(until);
    loop {
        match call().await {
            Err(error) if pauses.wait_after(&error).await => {}
            result => return result,
        }
    }
}

/// Repeats a call of Secrets Manager a few times, as long as its error may be transient.
pub(crate) async fn retry_secret<T, E, F>(is_transient: impl Fn(&E) -> bool, call: impl Fn() -> F) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
{
    let mut pause = FIRST_PAUSE;
    for _ in 1..SECRET_ATTEMPTS {
        match call().await {
            Err(error) if is_transient(&error) => sleep(pause).await,
            result => return result,
        }
        pause *= 2;
    }
    call().await
}

/// The pauses between attempts.
pub(crate) struct Pauses {
    next: Duration,
    until: Instant,
}

impl Pauses {
    pub(crate) const fn until(until: Instant) -> Self {
        Self { next: FIRST_PAUSE, until }
    }

    /// Waits and returns true, if another attempt can help and there is time for it.
    pub(crate) async fn wait_after(&mut self, error: &OpenAiError) -> bool {
        let pause = self.next.max(error.retry_after().unwrap_or_default());
        if error.class() != ErrorClass::Retry || Instant::now() + pause >= self.until {
            return false;
        }
        sleep(pause).await;
        self.next = (self.next * 2).min(LONGEST_PAUSE);
        true
    }
}
