//! The scan of one of OpenAI's lists, from the newest entry to the oldest that is relevant.

use std::ops::RangeInclusive;

use futures::{StreamExt, TryStreamExt, stream};
use hooks_aws::ledger::Bookmark;
use hooks_openai::Client;
use tokio::time::Instant;

use crate::error::ReconcileError;
use crate::list::OpenAiList;
use crate::missed_event::MissedEvent;
use crate::reconciler::ScanStore;

/// Oldest missed event, in seconds before now. OpenAI tries a webhook for three days; a week leaves time to notice that
/// nothing worked. Effects are kept for 35 days, so none of these has been forgotten.
const LOOK_BACK: i64 = 7 * 24 * 60 * 60;

/// Age limit of the very first scan: a new stack does not announce what ended long before it existed.
const FIRST_LOOK_BACK: i64 = 24 * 60 * 60;

/// Youngest missed event, in seconds before now: until then its webhook may still arrive.
pub(crate) const GRACE: i64 = 15 * 60;

/// Number of events looked up at the same time.
const CONCURRENT: usize = 8;

/// Number of scans in a row that may fail: a schedule's invocation and Lambda's two retries, twice. Then people are told,
/// and the next scan does not go on at the place that cannot be read.
const MAX_FAILURES: u32 = 6;

/// Limits of one scan. The next scan continues where this one stopped.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// Number of pages behind the first.
    pub(crate) pages: usize,
    /// Number of events after which no further page is begun.
    pub(crate) sent: usize,
    /// Entries per page.
    pub(crate) page: u8,
}

impl Limits {
    pub(crate) const DEFAULT: Self = Self { pages: 100, sent: 1000, page: 100 };
}

/// Result of a scan.
#[derive(Default)]
pub(crate) struct ScanResult {
    pub(crate) pages: usize,
    pub(crate) entries: usize,
    /// Number of events put into a queue.
    pub(crate) sent: usize,
    /// Whether it reached the end of what is relevant. If not, the next scan continues.
    pub(crate) finished: bool,
    pub(crate) error: Option<ReconcileError>,
}

/// A scan of one list.
pub(crate) struct ListScan<'a, S> {
    pub(crate) list: OpenAiList,
    pub(crate) openai: &'a Client,
    pub(crate) store: &'a S,
    pub(crate) limits: Limits,
    /// In Unix seconds.
    pub(crate) now: i64,
    /// When no further page is begun.
    pub(crate) until: Instant,
}

impl<S: ScanStore> ListScan<'_, S> {
    /// Scans the list and sends the events that were missed.
    pub(crate) async fn run(&self) -> ScanResult {
        let mut result = ScanResult::default();
        result.error = self.resume(&mut result).await.err();
        result
    }

    async fn resume(&self, result: &mut ScanResult) -> Result<(), ReconcileError> {
        let first = Bookmark { since: self.now - FIRST_LOOK_BACK, after: None, failures: 0 };
        let mut bookmark = self.store.bookmark(self.list).await?.unwrap_or(first);
        let scanned = self.scan(&mut bookmark, result).await;
        match &scanned {
            Ok(()) => bookmark.failures = 0,
            // A list that may not be read leaves no trace: the very first scan is still to come then.
            Err(error) if error.is_setup() && bookmark.after.is_none() => return scanned,
            Err(error) if error.is_setup() => {}
            Err(error) => {
                bookmark.failures += 1;
                if bookmark.failures >= MAX_FAILURES {
                    self.store.tell_unreadable(self.list, bookmark.failures, error).await?;
                    (bookmark.after, bookmark.failures) = (None, 0);
                }
            }
        }
        self.store.set_bookmark(self.list, &bookmark).await?;
        scanned
    }

    /// Reads the first page, whose entries may be new, continues from the bookmark, and moves it with each page.
    async fn scan(&self, bookmark: &mut Bookmark, result: &mut ScanResult) -> Result<(), ReconcileError> {
        if Instant::now() >= self.until {
            return Ok(());
        }
        let relevant = bookmark.since.max(self.now - LOOK_BACK)..=self.now - GRACE;
        let behind_first = self.page(None, &relevant, result).await?;
        let mut resumed = behind_first.is_some() && bookmark.after.is_some();
        if !resumed {
            bookmark.after.clone_from(&behind_first);
        }
        while let Some(after) = &bookmark.after
            && result.pages <= self.limits.pages
            && result.sent < self.limits.sent
            && Instant::now() < self.until
        {
            bookmark.after = match self.page(Some(after), &relevant, result).await {
                // The entry to continue behind does not exist any more.
                Err(ReconcileError::OpenAi(error)) if resumed && matches!(error.status(), Some(400 | 404)) => {
                    behind_first.clone()
                }
                next => next?,
            };
            resumed = false;
        }
        result.finished = bookmark.after.is_none();
        Ok(())
    }

    /// Reads the page behind `after` and sends its missed events. Returns where the next page begins, if it can have any.
    async fn page(
        &self,
        after: Option<&str>,
        relevant: &RangeInclusive<i64>,
        result: &mut ScanResult,
    ) -> Result<Option<String>, ReconcileError> {
        let page = self.list.page(self.openai, after, self.limits.page, self.until).await?;
        result.pages += 1;
        result.entries += page.entries;
        for event in missed(self.store, page.events.into_iter().filter(|event| relevant.contains(&event.at))).await? {
            self.store.send(&event).await?;
            result.sent += 1;
        }
        let none_left = page.oldest.is_some_and(|oldest| oldest < relevant.start() - self.list.longest_life());
        Ok(page.next.filter(|_| !none_left))
    }
}

/// Those events that are not known.
async fn missed(
    store: &impl ScanStore,
    events: impl Iterator<Item = MissedEvent>,
) -> Result<Vec<MissedEvent>, ReconcileError> {
    let looked_up = stream::iter(events).map(async |event| Ok((store.is_known(&event).await?, event)));
    let unknown = |(known, event): (bool, MissedEvent)| std::future::ready(Ok((!known).then_some(event)));
    looked_up.buffer_unordered(CONCURRENT).try_filter_map(unknown).try_collect().await
}

#[cfg(test)]
mod tests;
