//! Who may work on an event, and whose word counts.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::types::AttributeValue;
use hooks_aws::ledger::{Claim, ClaimResult, Completion, Job, KeyClaim, Reclaim, RecordResult};
use serde_json::{Map, Value, json};
use tokio::task::JoinSet;

use crate::stack::{EARLIER, LATER, Table, delivery};

fn now() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis().try_into().unwrap()
}

/// An hour from now: any message sent then was sent after what happens here.
fn in_an_hour() -> i64 {
    now() + 3_600_000
}

async fn done(table: &Table, claim: &Claim) -> RecordResult {
    let ending = Completion { status: "completed", artifacts: &[], summary: &Map::new(), note: None };
    table.ledger.done(claim, &ending).await.unwrap()
}

async fn claim(table: &Table, again: Reclaim) -> ClaimResult {
    table.ledger.claim(&delivery("wh_1"), again, LATER).await.unwrap()
}

#[tokio::test]
async fn of_twenty_who_want_an_event_at_once_one_gets_it() {
    let table = Arc::new(Table::new().await);
    for round in 0..5 {
        let mut claims = JoinSet::new();
        for _ in 0..20 {
            let table = Arc::clone(&table);
            claims.spawn(async move {
                table.ledger.claim(&delivery(&format!("wh_{round}")), Reclaim::No, LATER).await.unwrap()
            });
        }
        let claims = claims.join_all().await;
        let claimed =
            claims.iter().filter(|claim| matches!(claim, ClaimResult::Granted(claim) if claim.attempt() == 1)).count();
        let busy = claims.iter().filter(|claim| matches!(claim, ClaimResult::Busy { until: LATER })).count();
        assert_eq!((claimed, busy), (1, 19), "round {round}");
    }
}

#[tokio::test]
async fn of_twenty_who_find_a_lease_over_one_gets_the_event() {
    let table = Arc::new(Table::new().await);
    table.claimed("wh_1", EARLIER).await;
    let mut claims = JoinSet::new();
    for _ in 0..20 {
        let table = Arc::clone(&table);
        claims.spawn(async move { claim(&table, Reclaim::No).await });
    }
    let claims = claims.join_all().await;
    assert_eq!(
        claims.iter().filter(|claim| matches!(claim, ClaimResult::Granted(claim) if claim.attempt() == 2)).count(),
        1
    );
}

#[tokio::test]
async fn a_holder_whose_lease_is_over_changes_nothing_any_more() {
    let table = Table::new().await;
    let first = table.claimed("wh_1", EARLIER).await;
    let second = table.claimed("wh_1", LATER).await;
    assert_eq!(table.ledger.release(&first, "retry", "late").await.unwrap(), RecordResult::Superseded);
    assert_eq!(table.ledger.failed(&first, "late", "late").await.unwrap(), RecordResult::Superseded);
    assert_eq!(done(&table, &first).await, RecordResult::Superseded);
    assert!(matches!(claim(&table, Reclaim::No).await, ClaimResult::Busy { until: LATER }));
    assert_eq!(done(&table, &second).await, RecordResult::Yes);
    assert_eq!(done(&table, &second).await, RecordResult::Yes, "said twice, as after a lost answer");
}

#[tokio::test]
async fn a_released_event_may_be_taken_up_at_once() {
    let table = Table::new().await;
    let held = table.claimed("wh_1", LATER).await;
    assert_eq!(table.ledger.release(&held, "retry", "OpenAI is busy").await.unwrap(), RecordResult::Yes);
    assert!(matches!(claim(&table, Reclaim::No).await, ClaimResult::Granted(claim) if claim.attempt() == 2));
}

#[tokio::test]
async fn a_done_event_comes_back_by_a_later_replay_alone() {
    let table = Table::new().await;
    let before = now() - 1;
    assert_eq!(done(&table, &table.claimed("wh_1", LATER).await).await, RecordResult::Yes);
    for again in [Reclaim::No, Reclaim::Redriven { sent_at: in_an_hour() }, Reclaim::Replayed { sent_at: before }] {
        assert!(matches!(claim(&table, again).await, ClaimResult::Done), "{again:?}");
    }
    assert!(matches!(claim(&table, Reclaim::Replayed { sent_at: in_an_hour() }).await, ClaimResult::Granted(_)));
}

#[tokio::test]
async fn a_failed_event_comes_back_by_a_later_redrive_or_replay() {
    for again in [Reclaim::Redriven { sent_at: in_an_hour() }, Reclaim::Replayed { sent_at: in_an_hour() }] {
        let table = Table::new().await;
        let before = now() - 1;
        let held = table.claimed("wh_1", LATER).await;
        assert_eq!(table.ledger.failed(&held, "not_found", "gone").await.unwrap(), RecordResult::Yes);
        for again in [Reclaim::No, Reclaim::Redriven { sent_at: before }, Reclaim::Replayed { sent_at: before }] {
            assert!(matches!(claim(&table, again).await, ClaimResult::Failed), "{again:?}");
        }
        assert!(matches!(claim(&table, again).await, ClaimResult::Granted(_)), "{again:?}");
    }
}

#[tokio::test]
async fn of_twenty_events_that_mean_the_same_one_acts() {
    let table = Arc::new(Table::new().await);
    let mut claims = JoinSet::new();
    for n in 0..20 {
        let table = Arc::clone(&table);
        claims.spawn(async move {
            let claim = table.claimed(&format!("wh_{n}"), LATER).await;
            table.ledger.claim_key("batch.completed/batch_1", &claim, Reclaim::No, LATER).await.unwrap()
        });
    }
    let claims = claims.join_all().await;
    assert_eq!(claims.iter().filter(|claim| **claim == KeyClaim::Granted).count(), 1);
    assert_eq!(claims.iter().filter(|claim| **claim == KeyClaim::Busy { until: LATER }).count(), 19);
}

#[tokio::test]
async fn an_effect_belongs_to_its_event_until_that_gives_it_back() {
    const KEY: &str = "batch.completed/batch_1";
    let table = Table::new().await;
    let (first, second) = (table.claimed("wh_1", LATER).await, table.claimed("wh_2", LATER).await);
    let wants = async |claim| table.ledger.claim_key(KEY, claim, Reclaim::No, LATER).await.unwrap();

    assert_eq!(wants(&first).await, KeyClaim::Granted);
    assert_eq!(wants(&first).await, KeyClaim::Granted, "a retry finishes what it began");
    assert_eq!(wants(&second).await, KeyClaim::Busy { until: LATER });
    table.ledger.release_key(KEY, &second).await.unwrap();
    assert_eq!(wants(&second).await, KeyClaim::Busy { until: LATER }, "only its holder gives it back");

    table.ledger.release_key(KEY, &first).await.unwrap();
    assert_eq!(wants(&second).await, KeyClaim::Granted);
    table.ledger.complete_key(KEY, &first).await.unwrap();
    assert_eq!(wants(&first).await, KeyClaim::Busy { until: LATER }, "only its holder marks it as done");

    table.ledger.complete_key(KEY, &second).await.unwrap();
    assert_eq!(wants(&first).await, KeyClaim::Done { by: "event#project#wh_2".to_owned() });
    assert_eq!(wants(&second).await, KeyClaim::Granted, "whoever acted may finish");
}

#[tokio::test]
async fn an_effect_of_a_dead_event_is_free_when_its_lease_ends() {
    let table = Table::new().await;
    let (first, second) = (table.claimed("wh_1", EARLIER).await, table.claimed("wh_2", LATER).await);
    assert_eq!(table.ledger.claim_key("key", &first, Reclaim::No, EARLIER).await.unwrap(), KeyClaim::Granted);
    assert_eq!(table.ledger.claim_key("key", &second, Reclaim::No, LATER).await.unwrap(), KeyClaim::Granted);
}

#[tokio::test]
async fn whatever_order_looks_at_a_job_are_recorded_in_the_latest_final_one_stays() {
    let table = Arc::new(Table::new().await);
    let claim = table.claimed("wh_1", LATER).await;
    let mut looks: Vec<i64> = (0..40).collect();
    fastrand::shuffle(&mut looks);
    let mut writes = JoinSet::new();
    for as_of in looks {
        let (table, claim) = (Arc::clone(&table), claim.clone());
        writes.spawn(async move {
            // The odd ones are final; the latest of all is not.
            let counts = json!({"lines": as_of}).as_object().unwrap().clone();
            let job = Job {
                category: "batch",
                object_id: "batch_1",
                status: if as_of == 37 { "completed" } else { "other" },
                terminal: as_of % 2 == 1 && as_of <= 37,
                as_of,
                counts: &counts,
                times: &Map::new(),
                summary: &Map::new(),
                artifacts: &[],
                error: None,
            };
            table.ledger.record_job(&job, &claim).await.unwrap();
        });
    }
    writes.join_all().await;
    let item = table.item("job#batch#batch_1", "job").await;
    assert_eq!((item["status"].as_s().unwrap().as_str(), item["as_of"].as_n().unwrap().as_str()), ("completed", "37"));
    assert_eq!(item["counts"].as_m().unwrap()["lines"].as_n().unwrap(), "37");
}

#[tokio::test]
async fn an_error_of_a_job_is_gone_once_it_went_well() {
    let table = Table::new().await;
    let claim = table.claimed("wh_1", LATER).await;
    for (as_of, error) in [(1, Some("3 lines are no JSON")), (2, None)] {
        let empty = Map::new();
        let job = Job {
            category: "batch",
            object_id: "batch_1",
            status: "failed",
            terminal: true,
            as_of,
            counts: &empty,
            times: &empty,
            summary: &empty,
            artifacts: &[],
            error,
        };
        assert!(table.ledger.record_job(&job, &claim).await.unwrap());
        let item = table.item("job#batch#batch_1", "job").await;
        assert_eq!(item.get("error").map(|error| error.as_s().unwrap().as_str()), error);
    }
}

#[tokio::test]
async fn a_body_that_leaves_no_room_is_left_out_with_its_size() {
    let table = Table::new().await;
    let body = "x".repeat(390 * 1024);
    let too_large = hooks_aws::ledger::Delivery { body: &body, ..delivery("wh_1") };
    assert!(matches!(table.ledger.claim(&too_large, Reclaim::No, LATER).await.unwrap(), ClaimResult::Granted(_)));
    assert_eq!(table.event("wh_1", "body").await, None);
    assert_eq!(table.event("wh_1", "body_omitted").await, Some(body.len().to_string()));
}

#[tokio::test]
async fn an_outcome_that_json_can_say_and_dynamodb_cannot_is_kept_as_text() {
    let table = Table::new().await;
    let claim = table.claimed("wh_1", LATER).await;
    let mut deep = json!("bottom");
    for _ in 0..100 {
        deep = json!([deep]);
    }
    let summary = json!({"deep": deep, "huge": 1e300, "tiny": 1e-300, "": "", "null": null});
    let Value::Object(summary) = summary else { unreachable!() };
    let ending = Completion { status: "completed", artifacts: &[], summary: &summary, note: None };
    assert_eq!(table.ledger.done(&claim, &ending).await.unwrap(), RecordResult::Yes);
}

#[tokio::test]
async fn an_event_expires_35_days_after_it_was_last_taken_up() {
    let table = Table::new().await;
    table.claimed("wh_1", LATER).await;
    let expires_at: u64 = table.event("wh_1", "expires_at").await.unwrap().parse().unwrap();
    let left = Duration::from_secs(expires_at).saturating_sub(Duration::from_millis(now().unsigned_abs()));
    assert!(left > Duration::from_hours(35 * 24 - 1) && left <= Duration::from_hours(35 * 24), "{left:?}");
    assert_eq!(table.event("wh_1", "day").await.unwrap(), "2026-11-21");
}

#[tokio::test]
async fn a_table_that_is_not_there_is_an_error_that_says_so() {
    let ledger = hooks_aws::ledger::Ledger::new(&crate::stack::config(), "no-such-table");
    let error = ledger.claim(&delivery("wh_1"), Reclaim::No, LATER).await.unwrap_err().to_string();
    assert!(error.starts_with("could not claim the event: ResourceNotFoundException"), "{error}");
}

#[tokio::test]
async fn of_twenty_who_want_a_lease_one_gets_it_until_it_ends_or_is_given_back() {
    let table = Arc::new(Table::new().await);
    let mut wishes = JoinSet::new();
    for _ in 0..20 {
        let table = Arc::clone(&table);
        wishes.spawn(async move { table.ledger.lease("work", LATER).await.unwrap() });
    }
    let mut taken: Vec<_> = wishes.join_all().await.into_iter().flatten().collect();
    assert_eq!(taken.len(), 1);
    assert!(table.ledger.lease("work", LATER).await.unwrap().is_none());
    assert!(table.ledger.lease("other work", LATER).await.unwrap().is_some());

    table.ledger.end_lease(&taken.remove(0)).await.unwrap();
    let over = table.ledger.lease("work", EARLIER).await.unwrap().unwrap();
    assert!(table.ledger.lease("work", LATER).await.unwrap().is_some());
    table.ledger.end_lease(&over).await.unwrap();
    assert!(table.ledger.lease("work", LATER).await.unwrap().is_none(), "a lease that is over gives nothing back");
}
