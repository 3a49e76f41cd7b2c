//! Calls that are made in parallel.

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;

/// Makes the calls, at most `limit` at a time, and hands each result to `done`. After a failure those that run are awaited
/// and no other is begun.
pub async fn each<T, E>(
    calls: impl IntoIterator<Item = impl Future<Output = Result<T, E>>>,
    limit: usize,
    mut done: impl FnMut(T),
) -> Result<(), E> {
    let (mut calls, mut running, mut result) = (calls.into_iter().fuse(), FuturesUnordered::new(), Ok(()));
    loop {
        while running.len() < limit
            && result.is_ok()
            && let Some(call) = calls.next()
        {
            running.push(call);
        }
        match running.next().await {
            None => return result,
            Some(Ok(value)) => done(value),
            Some(Err(error)) => result = result.and(Err(error)),
        }
    }
}

/// Makes all calls at a time, and collects their results.
pub async fn all<T, E>(calls: impl IntoIterator<Item = impl Future<Output = Result<T, E>>>) -> Result<Vec<T>, E> {
    let mut values = Vec::new();
    each(calls, usize::MAX, |value| values.push(value)).await.map(|()| values)
}
