//! A value that is read from elsewhere and kept.

use std::fmt::{self, Debug};
use std::ops::Add;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A value that is read from elsewhere, kept for a while, and read again.
///
/// - **One read at a time.** While it goes on, others use the last value; without one they wait for the read.
/// - **Last good value.** A read that fails leaves the value in use, and is repeated after a pause.
/// - **Cooldown.** [`replace`](Self::replace) reads early, because the value turned out to be of no use; at most once per
///   cooldown, so that a flood of bad requests does not become a flood of reads.
///
/// There is no background task, since Lambda freezes the process after each answer: whoever calls reads. Times are the
/// caller's, and of any type that a [`Duration`] can be added to.
pub struct Cached<T, E, I = Instant> {
    rules: Rules,
    state: Mutex<State<T, E, I>>,
    reading: tokio::sync::Mutex<()>,
}

/// Pauses of a [`Cached`] value.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Pause after a failed read while there is a value.
    pub retry: Duration,
    /// Pause after a failed read while there is no value.
    pub retry_without_value: Duration,
    /// Least time between two reads of [`Cached::replace`].
    pub cooldown: Duration,
    /// Whether any read starts the cooldown, rather than those of [`Cached::replace`] alone.
    pub cooldown_after_any_read: bool,
}

/// Result of a read that worked.
pub enum Refresh<T> {
    /// Another value, and how long to keep it.
    New(T, Duration),
    /// The value is the same as before; how long to keep it.
    Same(Duration),
}

/// Current value or error.
#[derive(Debug)]
pub struct Last<T, E> {
    /// The last good value.
    pub value: Option<Arc<T>>,
    /// Why the last read failed, if it did.
    pub error: Option<E>,
}

impl<T, E: Clone> Clone for Last<T, E> {
    fn clone(&self) -> Self {
        Self { value: self.value.clone(), error: self.error.clone() }
    }
}

struct State<T, E, I> {
    last: Last<T, E>,
    /// When to read again; at once before the first read.
    due: Option<I>,
    cooldown_until: Option<I>,
}

impl<T, E: Clone, I: Copy + Ord + Add<Duration, Output = I>> Cached<T, E, I> {
    /// Nothing is read yet.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        let state = State { last: Last { value: None, error: None }, due: None, cooldown_until: None };
        Self { rules, state: Mutex::new(state), reading: tokio::sync::Mutex::default() }
    }

    /// Current value or error, without a read.
    pub fn last(&self) -> Last<T, E> {
        self.state().last.clone()
    }

    /// Whether [`get`](Self::get) would read.
    pub fn is_due(&self, now: I) -> bool {
        self.state().due.is_none_or(|due| due <= now)
    }

    /// Current value or error, after a read if one is due. `read` gets the previous value.
    pub async fn get<F>(&self, now: I, read: impl FnOnce(Last<T, E>) -> F) -> Last<T, E>
    where
        F: Future<Output = Result<Refresh<T>, E>>,
    {
        let has_value = self.state().last.value.is_some();
        let reading = if has_value { self.reading.try_lock().ok() } else { Some(self.reading.lock().await) };
        if reading.is_some() && self.is_due(now) {
            self.read(now, self.rules.cooldown_after_any_read, read).await;
        }
        self.last()
    }

    /// Current value after `seen` turned out to be useless: somebody else's read since then, or a read of its own,
    /// unless the cooldown of the last one is not over.
    pub async fn replace<F>(&self, seen: &Arc<T>, now: I, read: impl FnOnce(Last<T, E>) -> F) -> Last<T, E>
    where
        F: Future<Output = Result<Refresh<T>, E>>,
    {
        // Whoever holds the lock may be reading just what is wanted here.
        let _reading = self.reading.lock().await;
        let may_read = {
            let state = self.state();
            state.last.value.as_ref().is_none_or(|value| Arc::ptr_eq(value, seen))
                && state.cooldown_until.is_none_or(|until| until <= now)
        };
        if may_read {
            self.read(now, true, read).await;
        }
        self.last()
    }

    async fn read<F>(&self, now: I, starts_cooldown: bool, read: impl FnOnce(Last<T, E>) -> F)
    where
        F: Future<Output = Result<Refresh<T>, E>>,
    {
        let Rules { retry, retry_without_value, cooldown, .. } = self.rules;
        let last = {
            let mut state = self.state();
            // Before anything is awaited: a read whose caller is dropped half way counts as failed.
            state.due = Some(now + if state.last.value.is_some() { retry } else { retry_without_value });
            if starts_cooldown {
                state.cooldown_until = Some(now + cooldown);
            }
            state.last.clone()
        };
        let result = read(last).await;
        let mut state = self.state();
        match result {
            Ok(Refresh::New(value, keep)) => {
                state.last = Last { value: Some(Arc::new(value)), error: None };
                state.due = Some(now + keep);
            }
            Ok(Refresh::Same(keep)) => {
                state.last.error = None;
                state.due = Some(now + keep);
            }
            Err(error) => state.last.error = Some(error),
        }
    }

    fn state(&self) -> MutexGuard<'_, State<T, E, I>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T, E, I> Debug for Cached<T, E, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cached").field("rules", &self.rules).finish_non_exhaustive()
    }
}
