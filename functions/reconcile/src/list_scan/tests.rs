//! Scans of a list of batches at an OpenAI that answers as a test says.

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
    /// The failures that people were told of.
    told: Mutex<Vec<(u32, String)>>,
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

    async fn tell_unreadable(
        &self,
        _: OpenAiList,
        failures: u32,
        error: &ReconcileError,
    ) -> Result<(), ReconcileError> {
        self.told.lock().unwrap().push((failures, error.to_string()));
        Ok(())
    }
}

impl Memory {
    /// One whose first scan looked back to this time.
    fn since(since: i64) -> Self {
        Self::at(since, None)
    }

    /// One whose last scan stopped behind this entry.
    fn at(since: i64, after: Option<&str>) -> Self {
        let bookmark = Bookmark { since, after: after.map(str::to_owned), failures: 0 };
        Self { bookmark: Mutex::new(Some(bookmark)), ..Self::default() }
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
    assert_eq!(
        store.bookmark.lock().unwrap().clone(),
        Some(Bookmark { since: NOW - 24 * HOUR, after: None, failures: 0 })
    );
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
async fn a_scan_that_is_cut_continues_behind_its_last_entry_and_looks_at_the_top_each_time() {
    let openai = openai(completed(7)).await;
    let store = Memory::since(0);
    for (sent, after) in [(4, Some("batch_3")), (6, Some("batch_5")), (7, None), (7, Some("batch_3"))] {
        let result = scan(&openai, &store, limits(1, 2)).await;
        assert_eq!((store.sent().len(), store.after().as_deref()), (sent, after));
        assert_eq!(result.finished, after.is_none());
    }
    let expected = [None, Some("batch_1"), None, Some("batch_3"), None, Some("batch_5"), None, Some("batch_1")];
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
    let store = Memory::at(0, Some("batch_3"));
    let result = scan_until(&openai, &store, Limits::DEFAULT, Instant::now()).await;
    assert!(result.error.is_none() && !result.finished);
    assert_eq!((openai.requests().len(), store.after().as_deref()), (0, Some("batch_3")));
}

#[tokio::test]
async fn a_place_that_is_gone_is_a_reason_to_continue_behind_the_top() {
    let openai = openai(completed(3)).await;
    let store = Memory::at(0, Some("batch_gone"));
    let result = scan(&openai, &store, limits(9, 2)).await;
    assert_eq!((store.sent().len(), result.finished, store.after()), (3, true, None));
    assert_eq!(cursors(&openai), [None, Some("batch_gone".to_owned()), Some("batch_1".to_owned())]);
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
async fn a_page_that_keeps_failing_is_told_and_left_and_never_hides_what_is_new() {
    let broken = "batch_1";
    let listed = std::sync::Arc::new(Mutex::new(completed(7)));
    let serving = std::sync::Arc::clone(&listed);
    let openai = Server::start(move |request| match request.parameter("after") {
        Some(after) if after == broken => Reply::new(500, "{}"),
        _ => {
            let page: Vec<_> = serving.lock().unwrap().iter().take(2).cloned().collect();
            Reply::json(&json!({"object": "list", "data": page, "has_more": true}))
        }
    })
    .await;
    let store = Memory::since(0);
    for run in 1..=2 * MAX_FAILURES {
        if run == 3 {
            listed.lock().unwrap().insert(0, batch("batch_new", "completed", NOW - HOUR));
            listed.lock().unwrap().remove(1);
        }
        let result = scan(&openai, &store, limits(9, 2)).await;
        assert!(result.error.is_some());
        let given_up = run % MAX_FAILURES == 0;
        assert_eq!(store.after().as_deref(), (!given_up).then_some(broken), "{run}");
        assert_eq!(store.told.lock().unwrap().len(), usize::try_from(run / MAX_FAILURES).unwrap());
    }
    assert_eq!(store.sent(), ["batch_0", "batch_1", "batch_new"]);
    let (failures, why) = store.told.lock().unwrap()[0].clone();
    assert!(failures == MAX_FAILURES && why.contains("OpenAI answered 500"), "{why}");
}

#[tokio::test]
async fn a_scan_that_works_again_counts_from_the_beginning() {
    let openai = openai(completed(7)).await;
    let store = Memory::since(0);
    for _ in 0..2 {
        for _ in 1..MAX_FAILURES {
            fail(&openai, 0, 500);
            scan(&openai, &store, limits(9, 2)).await;
        }
        assert!(scan(&openai, &store, limits(9, 2)).await.finished);
    }
    assert_eq!(store.told.lock().unwrap().len(), 0);
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
    assert_eq!(scan(&openai, &store, Limits::DEFAULT).await.error.unwrap().to_string(), "the queue is out of reach");
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
