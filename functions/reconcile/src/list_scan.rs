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

/// Age limit of the very first scan: a new stack does not announce what ended long before it existed.
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
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::sync::Mutex;
    use std::time::Duration;

    use hooks_testing::{Reply, Request, Server};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    /// When all of this happens, in Unix seconds.
    const NOW: i64 = 1_795_300_000;

    const HOUR: i64 = 3_600;

    fn batch(id: &str, status: &str, ended: i64) -> Value {
        json!({"id": id, "object": "batch", "status": status, "created_at": ended - HOUR, format!("{status}_at"): ended})
    }

    /// Batches that completed one after the other, the newest two hours ago.
    fn completed(count: usize) -> Vec<Value> {
        (NOW - 2 * HOUR - 100..NOW - 2 * HOUR)
            .rev()
            .take(count)
            .enumerate()
            .map(|(n, ended)| batch(&format!("batch_{n}"), "completed", ended))
            .collect()
    }

    /// A server that lists these batches, the newest first.
    async fn openai(list: Vec<Value>) -> Server {
        Server::start(move |request| {
            let limit = request.parameter("limit").unwrap().parse().unwrap();
            let begin = match request.parameter("after") {
                None => 0,
                Some(after) => match list.iter().position(|batch| batch["id"] == after) {
                    Some(position) => position + 1,
                    None => return Reply::new(404, "{}"),
                },
            };
            let page: Vec<_> = list[begin..].iter().take(limit).collect();
            Reply::json(&json!({"object": "list", "data": page, "has_more": begin + page.len() < list.len()}))
        })
        .await
    }

    /// The cursors that were asked for.
    fn cursors(openai: &Server) -> Vec<Option<String>> {
        openai.requests().iter().map(|request| request.parameter("after").map(str::to_owned)).collect()
    }

    /// Answers the request with this number, counted from 0, with this status.
    fn fail(openai: &Server, number: usize, status: u16) {
        let seen = Mutex::new(0);
        let matches = move |_: &Request| {
            let mut seen = seen.lock().unwrap();
            *seen += 1;
            *seen == number + 1
        };
        openai.reply_once(matches, Reply::new(status, "{}"));
    }

    /// A ledger and queues in memory.
    #[derive(Default)]
    struct Memory {
        known: BTreeSet<String>,
        sent: Mutex<BTreeMap<String, usize>>,
        bookmark: Mutex<Option<Bookmark>>,
        /// This one cannot be sent.
        refused: Option<&'static str>,
    }

    impl ScanStore for Memory {
        async fn is_known(&self, event: &MissedEvent) -> Result<bool, ReconcileError> {
            Ok(self.known.contains(&event.object_id) || self.sent.lock().unwrap().contains_key(&event.object_id))
        }

        async fn send(&self, event: &MissedEvent) -> Result<(), ReconcileError> {
            if self.refused == Some(&event.object_id) {
                return Err(ReconcileError::Test("the queue is out of reach"));
            }
            *self.sent.lock().unwrap().entry(event.object_id.clone()).or_default() += 1;
            Ok(())
        }

        async fn bookmark(&self, _: OpenAiList) -> Result<Option<Bookmark>, ReconcileError> {
            Ok(self.bookmark.lock().unwrap().clone())
        }

        async fn set_bookmark(&self, _: OpenAiList, bookmark: &Bookmark) -> Result<(), ReconcileError> {
            *self.bookmark.lock().unwrap() = Some(bookmark.clone());
            Ok(())
        }
    }

    impl Memory {
        /// One whose first scan looked back to this time.
        fn since(since: i64) -> Self {
            Self { bookmark: Mutex::new(Some(Bookmark { since, after: None })), ..Self::default() }
        }

        fn sent(&self) -> Vec<String> {
            self.sent.lock().unwrap().keys().cloned().collect()
        }

        fn after(&self) -> Option<String> {
            self.bookmark.lock().unwrap().clone().unwrap().after
        }
    }

    fn limits(pages: usize, page: u8) -> Limits {
        Limits { pages, page, ..Limits::DEFAULT }
    }

    async fn scan_until(openai: &Server, store: &Memory, limits: Limits, until: Instant) -> ScanResult {
        ListScan { list: OpenAiList::Batches, openai: &openai.openai(), store, limits, now: NOW, until }.run().await
    }

    async fn scan(openai: &Server, store: &Memory, limits: Limits) -> ScanResult {
        scan_until(openai, store, limits, Instant::now() + Duration::from_secs(20)).await
    }

    #[tokio::test]
    async fn what_nobody_knows_is_sent_and_nothing_else() {
        let list = vec![
            batch("batch_young", "completed", NOW - 14 * 60),
            batch("batch_old", "completed", NOW - 16 * 60),
            batch("batch_known", "completed", NOW - HOUR),
            batch("batch_failed", "failed", NOW - HOUR),
            json!({"id": "batch_under_way", "status": "in_progress", "created_at": NOW - HOUR}),
            json!({"id": "batch_unknown", "status": "paused", "created_at": NOW - HOUR}),
            batch("batch_long_ago", "completed", NOW - 25 * HOUR),
        ];
        let openai = openai(list).await;
        let store = Memory { known: BTreeSet::from(["batch_known".to_owned()]), ..Memory::default() };
        let result = scan(&openai, &store, Limits::DEFAULT).await;
        assert_eq!(store.sent(), ["batch_failed", "batch_old"]);
        assert_eq!((result.entries, result.sent, result.finished, result.pages), (7, 2, true, 1));
        assert_eq!(store.bookmark.lock().unwrap().clone(), Some(Bookmark { since: NOW - 24 * HOUR, after: None }));
    }

    #[tokio::test]
    async fn later_scans_look_back_a_week_but_never_before_the_beginning() {
        let days = [1, 3, 6, 8];
        let list: Vec<_> =
            days.iter().map(|day| batch(&format!("batch_{day}"), "completed", NOW - day * 24 * HOUR)).collect();
        for (since, expected) in [(30, &["batch_1", "batch_3", "batch_6"][..]), (4, &["batch_1", "batch_3"])] {
            let openai = openai(list.clone()).await;
            let store = Memory::since(NOW - since * 24 * HOUR);
            scan(&openai, &store, Limits::DEFAULT).await;
            assert_eq!(store.sent(), expected);
        }
    }

    #[tokio::test]
    async fn a_scan_that_is_cut_continues_behind_its_last_entry_and_then_begins_at_the_top() {
        let openai = openai(completed(7)).await;
        let store = Memory::since(0);
        for (sent, after) in [(4, Some("batch_3")), (7, None), (7, Some("batch_3"))] {
            let result = scan(&openai, &store, limits(2, 2)).await;
            assert_eq!((store.sent().len(), store.after().as_deref()), (sent, after));
            assert_eq!(result.finished, after.is_none());
        }
        let expected = [None, Some("batch_1"), Some("batch_3"), Some("batch_5"), None, Some("batch_1")];
        assert_eq!(cursors(&openai).iter().map(Option::as_deref).collect::<Vec<_>>(), expected);
        assert!(store.sent.lock().unwrap().values().all(|times| *times == 1));
    }

    #[tokio::test]
    async fn a_scan_that_has_sent_enough_stops() {
        let openai = openai(completed(7)).await;
        let store = Memory::since(0);
        scan(&openai, &store, Limits { sent: 3, page: 2, ..Limits::DEFAULT }).await;
        assert_eq!((store.sent().len(), store.after().as_deref()), (4, Some("batch_3")));
    }

    #[tokio::test]
    async fn a_scan_without_time_keeps_its_place() {
        let openai = openai(completed(7)).await;
        let place = Bookmark { since: 0, after: Some("batch_3".to_owned()) };
        let store = Memory { bookmark: Mutex::new(Some(place.clone())), ..Memory::default() };
        let result = scan_until(&openai, &store, Limits::DEFAULT, Instant::now()).await;
        assert!(result.error.is_none() && !result.finished);
        assert_eq!((openai.requests().len(), store.bookmark.lock().unwrap().clone()), (0, Some(place)));
    }

    #[tokio::test]
    async fn a_place_that_is_gone_is_a_reason_to_begin_at_the_top() {
        let openai = openai(completed(3)).await;
        let place = Bookmark { since: 0, after: Some("batch_gone".to_owned()) };
        let store = Memory { bookmark: Mutex::new(Some(place)), ..Memory::default() };
        let result = scan(&openai, &store, Limits::DEFAULT).await;
        assert_eq!((store.sent().len(), result.finished, store.after()), (3, true, None));
        assert_eq!(cursors(&openai), [Some("batch_gone".to_owned()), None]);
    }

    #[tokio::test]
    async fn an_error_keeps_the_place_and_says_whether_a_retry_can_help() {
        for (status, of_setup) in [(500, false), (429, false), (401, false), (403, true)] {
            let openai = openai(completed(7)).await;
            fail(&openai, 1, status);
            let store = Memory::since(0);
            let cut = scan(&openai, &store, limits(9, 2)).await;
            assert_eq!(cut.error.unwrap().is_setup(), of_setup, "{status}");
            assert_eq!((store.sent().len(), store.after().as_deref()), (2, Some("batch_1")));
            assert!(scan(&openai, &store, limits(9, 2)).await.finished);
            assert_eq!(store.sent().len(), 7);
        }
    }

    #[tokio::test]
    async fn a_list_that_cannot_be_read_at_all_leaves_no_trace() {
        for status in [403, 404] {
            let openai = openai(completed(7)).await;
            fail(&openai, 0, status);
            let store = Memory::default();
            assert!(scan(&openai, &store, Limits::DEFAULT).await.error.unwrap().is_setup(), "{status}");
            assert_eq!(store.bookmark.lock().unwrap().clone(), None, "the first look is still to come");
        }
    }

    #[tokio::test]
    async fn a_queue_out_of_reach_ends_the_scan_and_the_next_one_sends_what_is_left() {
        let openai = openai(completed(3)).await;
        let mut store = Memory { refused: Some("batch_1"), ..Memory::since(0) };
        assert_eq!(
            scan(&openai, &store, Limits::DEFAULT).await.error.unwrap().to_string(),
            "the queue is out of reach"
        );
        store.refused = None;
        scan(&openai, &store, Limits::DEFAULT).await;
        assert_eq!(store.sent(), ["batch_0", "batch_1", "batch_2"]);
        assert!(store.sent.lock().unwrap().values().all(|times| *times == 1));
    }

    #[tokio::test]
    async fn a_scan_ends_where_nothing_can_matter_any_more() {
        let mut list = completed(2);
        list.extend((0..5).map(|n| batch(&format!("batch_of_old_{n}"), "completed", NOW - (20 + n) * 24 * HOUR)));
        let openai = openai(list).await;
        let result = scan(&openai, &Memory::since(0), limits(9, 2)).await;
        assert_eq!((result.finished, openai.requests().len()), (true, 2));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn whatever_the_pages_and_cuts_each_lost_one_is_sent_once(count in 0..60_usize, page in 1..9_u8, pages in 1..5_usize) {
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
                let openai = openai(completed(count)).await;
                let store = Memory::since(0);
                let mut scans = 0;
                while !scan(&openai, &store, limits(pages, page)).await.finished {
                    scans += 1;
                    prop_assert!(scans <= count, "it ends");
                }
                prop_assert_eq!(store.sent().len(), count);
                prop_assert!(store.sent.lock().unwrap().values().all(|times| *times == 1));
                Ok(())
            })?;
        }
    }
}
