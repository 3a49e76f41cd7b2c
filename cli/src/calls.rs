//! Calls that are made at the same time.

use tokio::task::JoinSet;

use crate::error::{CliError, Result};

/// Calls of which at most a given number run at the same time. Those that run are stopped when this is dropped.
pub(crate) struct Calls<T> {
    running: JoinSet<Result<T>>,
    limit: usize,
}

impl<T: Send + 'static> Calls<T> {
    pub(crate) fn new(limit: usize) -> Self {
        Self { running: JoinSet::new(), limit }
    }

    /// Begins a call. At the limit, first waits for another one and returns its result.
    pub(crate) async fn begin(&mut self, call: impl Future<Output = Result<T>> + Send + 'static) -> Result<Option<T>> {
        let done = if self.running.len() < self.limit { None } else { self.next().await? };
        self.running.spawn(call);
        Ok(done)
    }

    /// The result of the call that ends next; `None` when none runs.
    pub(crate) async fn next(&mut self) -> Result<Option<T>> {
        match self.running.join_next().await {
            None => Ok(None),
            Some(Ok(result)) => result.map(Some),
            Some(Err(error)) => Err(CliError::failed(error.to_string())),
        }
    }
}
