//! Expectations: written, met, overdue, kept.

use aws_sdk_dynamodb::types::AttributeValue;
use hooks_aws::ledger::{Bookmark, ExpectError, Expectation, MAX_CONTEXT};
use hooks_aws::outcomes::Outcome;
use serde_json::{Map, Value, json};

use crate::ledger::job;
use crate::stack::{Table, claim};

const FAR: i64 = 4_000_000_000;

fn expectation(object_id: &str, due_at: i64) -> Expectation<'_> {
    Expectation { category: "batch", object_id, due_at, context: Some(r#"{"order": 7}"#) }
}

fn order() -> Map<String, Value> {
    json!({"order": 7}).as_object().unwrap().clone()
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

/// The context that comes back when the batch is recorded; `last` says that it has ended.
async fn meet(table: &Table, object_id: &str, last: bool) -> Option<Result<Map<String, Value>, &'static str>> {
    let job = Outcome { object_id: Some(object_id.to_owned()), terminal: last, ..job() };
    table.ledger.record_job("batch", &job, &claim("wh_1")).await.unwrap().context
}

/// The ids of what waits, of all pages of `limit`.
async fn waiting(table: &Table, due_before: i64, limit: u16) -> Vec<String> {
    let (mut ids, mut after) = (Vec::new(), None);
    loop {
        let page = table.ledger.waiting("batch", due_before, after.as_ref(), limit).await.unwrap();
        ids.extend(page.items.into_iter().map(|waiting| waiting.object_id));
        after = page.next;
        if after.is_none() {
            return ids;
        }
    }
}

#[tokio::test]
async fn what_is_met_carries_its_context_and_waits_no_more() {
    let table = Table::new().await;
    table.ledger.expect(&expectation("batch_1", FAR)).await.unwrap();
    assert_eq!(waiting(&table, FAR + 1, 10).await, ["batch_1"]);
    for last in [false, true, true] {
        assert_eq!(meet(&table, "batch_1", last).await, Some(Ok(order())), "also when it was met before");
        assert_eq!(waiting(&table, FAR + 1, 10).await.is_empty(), last);
    }
    // An older state is not recorded any more, but its outcome carries the context, too.
    assert_eq!(meet(&table, "batch_1", false).await, Some(Ok(order())));
}

#[tokio::test]
async fn what_nobody_expects_carries_nothing() {
    let table = Table::new().await;
    assert_eq!(meet(&table, "batch_1", true).await, None);
    table.ledger.expect(&expectation("batch_2", FAR)).await.unwrap();
    assert_eq!(meet(&table, "batch_3", true).await, None);
}

#[tokio::test]
async fn what_has_ended_is_expected_no_more_and_carries_its_context_when_it_comes_again() {
    let table = Table::new().await;
    assert_eq!(meet(&table, "batch_1", true).await, None);
    table.ledger.expect(&expectation("batch_1", FAR)).await.unwrap();
    assert!(waiting(&table, FAR + 1, 10).await.is_empty());
    assert_eq!(meet(&table, "batch_1", true).await, Some(Ok(order())));
    assert_eq!(table.ledger.job("batch", "batch_1").await.unwrap().unwrap().status, "completed");
}

#[tokio::test]
async fn a_context_that_cannot_be_carried_is_refused() {
    let table = Table::new().await;
    let long = format!(r#"{{"a": "{}"}}"#, "x".repeat(MAX_CONTEXT));
    for (context, why) in
        [("[]", "the context is not a JSON object"), (&*long, "the context is larger than 4096 bytes")]
    {
        let expectation = Expectation { context: Some(context), ..expectation("batch_1", FAR) };
        let refused = table.ledger.expect(&expectation).await.unwrap_err();
        assert!(matches!(refused, ExpectError::Context(_)));
        assert_eq!(refused.to_string(), why);
    }
    assert_eq!(meet(&table, "batch_1", true).await, None);
}

#[tokio::test]
async fn what_another_program_wrote_badly_carries_nothing_and_says_why() {
    let table = Table::new().await;
    let keys = [("pk", text("job#batch#batch_1")), ("sk", text("job"))];
    for (context, why) in [
        (text("soon"), "is not a JSON object"),
        (AttributeValue::M([].into()), "is not a text with JSON in it"),
        (text(&"x".repeat(100_000)), "is larger than 4096 bytes"),
    ] {
        table.put(&[&keys[..], &[("context", context)]].concat()).await;
        assert_eq!(meet(&table, "batch_1", true).await, Some(Err(why)));
    }
    table.put(&keys).await;
    assert_eq!(meet(&table, "batch_1", true).await, None);
}

#[tokio::test]
async fn what_is_due_is_listed_in_order_and_page_by_page() {
    let table = Table::new().await;
    for due_at in [5, 3, 1, 4, 2] {
        table.ledger.expect(&expectation(&format!("batch_{due_at}"), due_at)).await.unwrap();
    }
    for limit in [1, 2, 100] {
        assert_eq!(waiting(&table, 5, limit).await, ["batch_1", "batch_2", "batch_3", "batch_4"]);
    }
}

#[tokio::test]
async fn what_is_overdue_is_marked_once_and_still_met_later() {
    let table = Table::new().await;
    table.ledger.expect(&expectation("batch_1", 1)).await.unwrap();
    let first = table.ledger.waiting("batch", 2, None, 10).await.unwrap().items.remove(0);
    assert!(table.ledger.overdue(&first).await.unwrap());
    assert!(!table.ledger.overdue(&first).await.unwrap(), "marked already");
    assert!(waiting(&table, FAR, 10).await.is_empty());
    assert_eq!(meet(&table, "batch_1", true).await, Some(Ok(order())));
}

#[tokio::test]
async fn one_copy_is_queued_at_a_time() {
    let table = Table::new().await;
    table.ledger.expect(&expectation("batch_1", 1)).await.unwrap();
    let first = table.ledger.waiting("batch", 2, None, 10).await.unwrap().items.remove(0);
    let queueing = async |now, again_at| table.ledger.queueing(&first, now, again_at).await.unwrap();
    assert!(queueing(100, 200).await);
    assert!(!queueing(199, 300).await, "one is under way");
    assert!(queueing(200, 400).await);
    table.ledger.expect(&expectation("batch_1", 5)).await.unwrap();
    assert!(!queueing(1000, 2000).await, "written anew");
    let anew = table.ledger.waiting("batch", 6, None, 10).await.unwrap().items.remove(0);
    assert!(table.ledger.queueing(&anew, 201, 400).await.unwrap());
    meet(&table, "batch_1", true).await;
    assert!(!table.ledger.queueing(&anew, 1000, 2000).await.unwrap(), "met");
}

#[tokio::test]
async fn people_are_told_once() {
    let table = Table::new().await;
    assert!(!table.ledger.was_told("the news").await.unwrap());
    for _ in 0..2 {
        table.ledger.told("the news").await.unwrap();
        assert!(table.ledger.was_told("the news").await.unwrap());
    }
    assert!(!table.ledger.was_told("other news").await.unwrap());
}

#[tokio::test]
async fn what_was_met_or_got_more_time_meanwhile_is_not_overdue() {
    let table = Table::new().await;
    table.ledger.expect(&expectation("batch_1", 1)).await.unwrap();
    table.ledger.expect(&expectation("batch_2", 2)).await.unwrap();
    let found = table.ledger.waiting("batch", 3, None, 10).await.unwrap().items;
    meet(&table, "batch_1", true).await;
    table.ledger.expect(&expectation("batch_2", FAR)).await.unwrap();
    for waiting in found {
        assert!(!table.ledger.overdue(&waiting).await.unwrap(), "{waiting:?}");
    }
    assert_eq!(waiting(&table, FAR + 1, 10).await, ["batch_2"]);
}

#[tokio::test]
async fn an_expectation_with_an_odd_time_is_listed_and_can_be_marked_and_items_of_others_are_left_alone() {
    let table = Table::new().await;
    let due_at = ("due_at", AttributeValue::N("1.75".to_owned()));
    for pk in ["mine", "job#batch#mine"] {
        table.put(&[("pk", text(pk)), ("sk", text("x")), ("waiting", text("batch")), due_at.clone()]).await;
    }
    let mut found = table.ledger.waiting("batch", 3, None, 10).await.unwrap().items;
    let odd = found.remove(0);
    assert!(found.is_empty(), "{found:?}");
    assert_eq!((odd.object_id.as_str(), odd.due_at, odd.created_at), ("mine", 1, None));
    assert!(table.ledger.overdue(&odd).await.unwrap());
    assert!(waiting(&table, 3, 10).await.is_empty());
}

#[tokio::test]
async fn a_bookmark_moves_and_keeps_when_it_began() {
    let table = Table::new().await;
    assert_eq!(table.ledger.bookmark("batches").await.unwrap(), None);
    for after in [Some("batch_7".to_owned()), None] {
        let bookmark = Bookmark { since: 1000, after, failures: 2 };
        table.ledger.set_bookmark("batches", &bookmark).await.unwrap();
        assert_eq!(table.ledger.bookmark("batches").await.unwrap(), Some(bookmark));
    }
    let late = Bookmark { since: 2000, after: None, failures: 0 };
    table.ledger.set_bookmark("batches", &late).await.unwrap();
    assert_eq!(table.ledger.bookmark("batches").await.unwrap().unwrap().since, 1000, "two first runs at once");
}
