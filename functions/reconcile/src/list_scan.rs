//! The scan of one of OpenAI's lists, from the newest entry to the oldest that relevant.

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

/// The same for the very first scan: a new stack does not announce what ended long before it existed.
const FIRST_LOOK_BACK: i64 = 24 * 60 * 60;

/// Youngest missed event, in seconds before now: until then its webhook may still arrive.
pub(crate) const GRACE: i64 = 15 * 60;

/// Number of events looked up at the same time.
const CONCURRENT: usize = 8;

/// Limits of one scan. The next scan continues where this one stopped.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// Number of pages.
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
    /// Whether it reached the end of what relevant. If not, the next scan continues.
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
        let first = Bookmark { since: self.now - FIRST_LOOK_BACK, after: None };
        let mut bookmark = self.store.bookmark(self.list).await?.unwrap_or(first);
        let scanned = self.scan(&mut bookmark, result).await;
        // After an error at the top nothing is written: the very first scan is still to come then.
        if scanned.is_ok() || bookmark.after.is_some() {
            self.store.set_bookmark(self.list, &bookmark).await?;
        }
        scanned
    }

    /// Continues from a bookmark and moves it with each page.
    async fn scan(&self, bookmark: &mut Bookmark, result: &mut ScanResult) -> Result<(), ReconcileError> {
        let Self { list, openai, store, limits, now, until } = *self;
        let relevant = bookmark.since.max(now - LOOK_BACK)..=now - GRACE;
        let mut restarted = false;
        while result.pages < limits.pages && result.sent < limits.sent && Instant::now() < until {
            let page = match list.page(openai, bookmark.after.as_deref(), limits.page, until).await {
                Ok(page) => page,
                // The entry to continue behind does not exist any more.
                Err(error) if bookmark.after.is_some() && !restarted && matches!(error.status(), Some(400 | 404)) => {
                    (bookmark.after, restarted) = (None, true);
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            result.pages += 1;
            result.entries += page.entries;
            for event in missed(store, page.events.into_iter().filter(|event| relevant.contains(&event.at))).await? {
                store.send(&event).await?;
                result.sent += 1;
            }
            let none_left = page.oldest.is_some_and(|oldest| oldest < relevant.start() - list.longest_life());
            bookmark.after = page.next.filter(|_| !none_left);
            if bookmark.after.is_none() {
                result.finished = true;
                break;
            }
        }
        Ok(())
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
