//! A batch and its retries.

use std::collections::HashSet;

use hooks_openai::{Batch, Client, ErrorClass, Json};
use std::time::Duration;
use tokio::time::Instant;

use crate::error::{OperateError, Result};

/// Entry of a batch's metadata that names the batch whose requests it repeats.
pub const RETRY_OF: &str = "openai_webhooks_retry_of";

/// Time limit of a call.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Batches of a page of OpenAI's list.
const PAGE: u8 = 100;

/// Maximum number of pages that are searched.
const MAX_PAGES: usize = 50;

/// How much OpenAI's clock may differ between two batches, in seconds.
const CLOCKS: i64 = 60;

/// Shortest beginning of a batch's id that is searched for, in characters.
const SHORTEST: usize = 10;

/// A batch with the retries that descend from it, oldest first.
#[derive(Clone, Debug)]
pub struct Family {
    /// The batch.
    pub root: Batch,
    /// Its retries, and theirs.
    pub retries: Vec<Batch>,
}

impl Family {
    /// The batch and its retries, oldest first.
    pub fn all(&self) -> impl Iterator<Item = &Batch> {
        std::iter::once(&self.root).chain(&self.retries)
    }

    /// Those that have not ended.
    pub fn under_way(&self) -> impl Iterator<Item = &Batch> {
        self.all().filter(|batch| !batch.status.is_terminal())
    }
}

/// The batch whose requests this one repeats.
#[must_use]
pub fn parent(batch: &Batch) -> Option<String> {
    let parent = batch.raw().get("metadata")?.get(RETRY_OF).and_then(Json::text)?;
    Some(parent.into_owned())
}

/// The batch with this id, or with an id that begins so and no other does.
pub async fn resolve(openai: &Client, id: &str) -> Result<Batch> {
    let missing = match openai.batch(id, Instant::now() + TIMEOUT).await {
        Ok(batch) => return Ok(batch),
        Err(error) if error.class() == ErrorClass::NotFound && id.len() >= SHORTEST => error,
        Err(error) => return Err(error.into()),
    };
    let mut found: Vec<Batch> = Vec::new();
    pages(openai, |batch| {
        if batch.id.starts_with(id) {
            found.push(batch);
        }
        found.len() < 2
    })
    .await?;
    match (found.pop(), found.pop()) {
        (Some(one), None) => Ok(one),
        (Some(one), Some(other)) => {
            Err(OperateError::usage(format!("{id} is the beginning of several ids: {}, {}", one.id, other.id))
                .hint("Give more characters."))
        }
        (None, _) => Err(missing.into()),
    }
}

/// The batch and its retries, which OpenAI lists among the batches that were created since.
pub async fn family(openai: &Client, root: Batch) -> Result<Family> {
    let since = root.time("created_at").unwrap_or_default() - CLOCKS;
    let mut candidates = Vec::new();
    pages(openai, |batch| {
        let is_newer = batch.time("created_at").is_none_or(|at| at >= since);
        if is_newer && batch.id != root.id && parent(&batch).is_some() {
            candidates.push(batch);
        }
        is_newer
    })
    .await?;
    candidates.reverse();
    let mut ids = HashSet::from([root.id.clone()]);
    let mut retries = Vec::new();
    // Batches of one second come in any order, so parents may be behind their children.
    loop {
        let (own, others): (Vec<_>, Vec<_>) =
            candidates.into_iter().partition(|batch| parent(batch).is_some_and(|parent| ids.contains(&parent)));
        if own.is_empty() {
            break;
        }
        ids.extend(own.iter().map(|batch| batch.id.clone()));
        retries.extend(own);
        candidates = others;
    }
    retries.sort_by_key(|batch| batch.time("created_at"));
    Ok(Family { root, retries })
}

/// Hands over the batches, newest first, until `more` says that it is enough.
async fn pages(openai: &Client, mut more: impl FnMut(Batch) -> bool) -> Result<()> {
    let mut after = None;
    for _ in 0..MAX_PAGES {
        let page = openai.batches(after.as_deref(), PAGE, Instant::now() + TIMEOUT).await?;
        for batch in page.items {
            if !more(batch) {
                return Ok(());
            }
        }
        after = page.next;
        if after.is_none() {
            return Ok(());
        }
    }
    Ok(())
}
