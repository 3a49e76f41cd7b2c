//! Walks through the lists of a loopback server that plays OpenAI.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::*;

/// When all of this happens, in Unix seconds.
const NOW: i64 = 1_795_300_000;

const HOUR: i64 = 3_600;

/// Batches, the newest first, and what is asked for.
#[derive(Default)]
struct Batches {
    list: Vec<Value>,
    asked: Vec<Option<String>>,
    /// The request that is answered by this status, counted from 0.
    fault: Option<(usize, u16)>,
}

type Shared = Arc<Mutex<Batches>>;

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

impl Batches {
    fn answer(&mut self, request: &Request) -> (StatusCode, String) {
        let query = request.uri().query().unwrap_or_default();
        let given = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        let (after, limit) = (given("after"), given("limit").unwrap().parse::<usize>().unwrap());
        self.asked.push(after.map(str::to_owned));
        if let Some((_, status)) = self.fault.filter(|(number, _)| *number == self.asked.len() - 1) {
            return (StatusCode::from_u16(status).unwrap(), "{}".to_owned());
        }
        let begin = match after {
            None => 0,
            Some(after) => match self.list.iter().position(|batch| batch["id"] == after) {
                Some(position) => position + 1,
                None => return (StatusCode::NOT_FOUND, "{}".to_owned()),
            },
        };
        let page: Vec<_> = self.list[begin..].iter().take(limit).collect();
        let body = json!({"object": "list", "data": page, "has_more": begin + page.len() < self.list.len()});
        (StatusCode::OK, body.to_string())
    }
}

async fn openai(list: Vec<Value>) -> (Client, Shared) {
    let shared = Shared::new(Mutex::new(Batches { list, ..Batches::default() }));
    let batches = Arc::clone(&shared);
    let app = Router::new().fallback(move |request: Request| {
        let answer = batches.lock().unwrap().answer(&request);
        async move { answer }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}/v1", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (Client::new(hooks_openai::ClientConfig { base_url, api_key: "sk-local".parse().unwrap() }).unwrap(), shared)
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

impl Books for Memory {
    async fn is_known(&self, ending: &Ending) -> Result<bool, Fault> {
        Ok(self.known.contains(&ending.object_id) || self.sent.lock().unwrap().contains_key(&ending.object_id))
    }

    async fn send(&self, ending: &Ending) -> Result<(), Fault> {
        if self.refused == Some(&ending.object_id) {
            return Err(Fault::new("the queue is out of reach".to_owned()));
        }
        *self.sent.lock().unwrap().entry(ending.object_id.clone()).or_default() += 1;
        Ok(())
    }

    async fn bookmark(&self, _: Kind) -> Result<Option<Bookmark>, Fault> {
        Ok(self.bookmark.lock().unwrap().clone())
    }

    async fn set_bookmark(&self, _: Kind, bookmark: &Bookmark) -> Result<(), Fault> {
        *self.bookmark.lock().unwrap() = Some(bookmark.clone());
        Ok(())
    }
}

impl Memory {
    /// One that has looked since this moment.
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

fn bounds(pages: usize, page: u8) -> Bounds {
    Bounds { pages, page, ..Bounds::USUAL }
}

async fn walk(openai: &Client, books: &Memory, bounds: Bounds, until: Instant) -> Walked {
    Walk { kind: Kind::Batches, openai, books, bounds, now: NOW, until }.walk().await
}

async fn walked(openai: &Client, books: &Memory, bounds: Bounds) -> Walked {
    walk(openai, books, bounds, Instant::now() + Duration::from_secs(20)).await
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
    let (openai, _) = openai(list).await;
    let books = Memory { known: BTreeSet::from(["batch_known".to_owned()]), ..Memory::default() };
    let walked = walked(&openai, &books, Bounds::USUAL).await;
    assert_eq!(books.sent(), ["batch_failed", "batch_old"]);
    assert_eq!((walked.entries, walked.sent, walked.finished, walked.pages), (7, 2, true, 1));
    assert_eq!(books.bookmark.lock().unwrap().clone(), Some(Bookmark { since: NOW - 24 * HOUR, after: None }));
}

#[tokio::test]
async fn later_walks_look_back_a_week_but_never_before_the_beginning() {
    let days = [1, 3, 6, 8];
    let list: Vec<_> =
        days.iter().map(|day| batch(&format!("batch_{day}"), "completed", NOW - day * 24 * HOUR)).collect();
    for (since, expected) in [(30, &["batch_1", "batch_3", "batch_6"][..]), (4, &["batch_1", "batch_3"])] {
        let (openai, _) = openai(list.clone()).await;
        let books = Memory::since(NOW - since * 24 * HOUR);
        walked(&openai, &books, Bounds::USUAL).await;
        assert_eq!(books.sent(), expected);
    }
}

#[tokio::test]
async fn a_walk_that_is_cut_goes_on_behind_its_last_entry_and_then_begins_at_the_top() {
    let (openai, asked) = openai(completed(7)).await;
    let books = Memory::since(0);
    for (sent, after) in [(4, Some("batch_3")), (7, None), (7, Some("batch_3"))] {
        let walked = walked(&openai, &books, bounds(2, 2)).await;
        assert_eq!((books.sent().len(), books.after().as_deref()), (sent, after));
        assert_eq!(walked.finished, after.is_none());
    }
    let cursors = [None, Some("batch_1"), Some("batch_3"), Some("batch_5"), None, Some("batch_1")];
    assert_eq!(asked.lock().unwrap().asked.iter().map(Option::as_deref).collect::<Vec<_>>(), cursors);
    assert!(books.sent.lock().unwrap().values().all(|times| *times == 1));
}

#[tokio::test]
async fn a_walk_that_has_sent_enough_stops() {
    let (openai, _) = openai(completed(7)).await;
    let books = Memory::since(0);
    walked(&openai, &books, Bounds { sent: 3, page: 2, ..Bounds::USUAL }).await;
    assert_eq!((books.sent().len(), books.after().as_deref()), (4, Some("batch_3")));
}

#[tokio::test]
async fn a_walk_without_time_keeps_its_place() {
    let (openai, asked) = openai(completed(7)).await;
    let place = Bookmark { since: 0, after: Some("batch_3".to_owned()) };
    let books = Memory { bookmark: Mutex::new(Some(place.clone())), ..Memory::default() };
    let walked = walk(&openai, &books, Bounds::USUAL, Instant::now()).await;
    assert!(walked.fault.is_none() && !walked.finished);
    assert_eq!((asked.lock().unwrap().asked.len(), books.bookmark.lock().unwrap().clone()), (0, Some(place)));
}

#[tokio::test]
async fn a_place_that_is_gone_is_a_reason_to_begin_at_the_top() {
    let (openai, asked) = openai(completed(3)).await;
    let place = Bookmark { since: 0, after: Some("batch_gone".to_owned()) };
    let books = Memory { bookmark: Mutex::new(Some(place)), ..Memory::default() };
    let walked = walked(&openai, &books, Bounds::USUAL).await;
    assert_eq!((books.sent().len(), walked.finished, books.after()), (3, true, None));
    assert_eq!(asked.lock().unwrap().asked, [Some("batch_gone".to_owned()), None]);
}

#[tokio::test]
async fn a_fault_keeps_the_place_and_says_whether_a_retry_can_help() {
    for (status, of_setup) in [(500, false), (429, false), (401, false), (403, true)] {
        let (openai, shared) = openai(completed(7)).await;
        shared.lock().unwrap().fault = Some((1, status));
        let books = Memory::since(0);
        let cut = walked(&openai, &books, bounds(9, 2)).await;
        assert_eq!(cut.fault.unwrap().is_of_setup(), of_setup, "{status}");
        assert_eq!((books.sent().len(), books.after().as_deref()), (2, Some("batch_1")));
        assert!(walked(&openai, &books, bounds(9, 2)).await.finished);
        assert_eq!(books.sent().len(), 7);
    }
}

#[tokio::test]
async fn a_list_that_cannot_be_read_at_all_leaves_no_trace() {
    for status in [403, 404] {
        let (openai, shared) = openai(completed(7)).await;
        shared.lock().unwrap().fault = Some((0, status));
        let books = Memory::default();
        assert!(walked(&openai, &books, Bounds::USUAL).await.fault.unwrap().is_of_setup(), "{status}");
        assert_eq!(books.bookmark.lock().unwrap().clone(), None, "the first look is still to come");
    }
}

#[tokio::test]
async fn a_queue_out_of_reach_ends_the_walk_and_the_next_one_sends_what_is_left() {
    let (openai, _) = openai(completed(3)).await;
    let mut books = Memory { refused: Some("batch_1"), ..Memory::since(0) };
    assert_eq!(walked(&openai, &books, Bounds::USUAL).await.fault.unwrap().to_string(), "the queue is out of reach");
    books.refused = None;
    walked(&openai, &books, Bounds::USUAL).await;
    assert_eq!(books.sent(), ["batch_0", "batch_1", "batch_2"]);
    assert!(books.sent.lock().unwrap().values().all(|times| *times == 1));
}

#[tokio::test]
async fn a_walk_ends_where_nothing_can_matter_any_more() {
    let mut list = completed(2);
    list.extend((0..5).map(|n| batch(&format!("batch_of_old_{n}"), "completed", NOW - (20 + n) * 24 * HOUR)));
    let (openai, asked) = openai(list).await;
    let walked = walked(&openai, &Memory::since(0), bounds(9, 2)).await;
    assert_eq!((walked.finished, asked.lock().unwrap().asked.len()), (true, 2));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_the_pages_and_cuts_each_lost_one_is_sent_once(count in 0..60_usize, page in 1..9_u8, pages in 1..5_usize) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let (openai, _) = openai(completed(count)).await;
            let books = Memory::since(0);
            let mut walks = 0;
            while !walked(&openai, &books, bounds(pages, page)).await.finished {
                walks += 1;
                prop_assert!(walks <= count, "it ends");
            }
            prop_assert_eq!(books.sent().len(), count);
            prop_assert!(books.sent.lock().unwrap().values().all(|times| *times == 1));
            Ok(())
        })?;
    }
}
