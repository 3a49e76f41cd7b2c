//! What is kept of an event and of its attempts.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use hooks_aws::ledger::{AttemptEnd, Claim, ClaimResult};
use hooks_aws::outcomes::Outcome;
use hooks_aws::queue::Source;
use hooks_protocol::{Kind, Status};
use serde_json::{Value, json};

use crate::stack::{EARLIER, LATER, Table, claim, delivery, now};

/// The results of an event's attempts, the oldest first.
async fn results(table: &Table) -> Vec<String> {
    let item = table.item("event#project#wh_1", "event").await;
    let attempts = item["attempts"].as_l().unwrap();
    attempts.iter().map(|attempt| attempt.as_m().unwrap()["result"].as_s().unwrap().clone()).collect()
}

async fn log(table: &Table, claim: &Claim, end: &AttemptEnd<'_>) -> bool {
    table.ledger.log(&delivery("wh_1"), claim, end).await.unwrap()
}

/// The claim that was granted as this one in turn.
fn nth(number: u32) -> Claim {
    let mut claim = claim("wh_1");
    claim.claims = number;
    claim
}

#[tokio::test]
async fn every_attempt_is_kept_once_in_order() {
    let table = Table::new().await;
    let completed = Outcome::new("completed", 1);
    let ends = [
        (AttemptEnd::Later("OpenAI is busy"), "in_progress"),
        (AttemptEnd::Failed("quota_exhausted", "No credit."), "failed"),
        (AttemptEnd::Found(Status::Completed, &completed), "completed"),
        (AttemptEnd::Kept("unauthorized", "No."), "completed"),
    ];
    for (number, (end, state)) in (1..).zip(&ends) {
        let claim = nth(number);
        assert!(log(&table, &claim, end).await);
        assert!(!log(&table, &claim, end).await, "written twice, as after a lost answer");
        assert_eq!(table.event("wh_1", "state").await.as_deref(), Some(*state));
    }
    assert_eq!(results(&table).await, ["retry", "failed", "completed", "kept"]);
    assert_eq!(table.event("wh_1", "reason").await, None);
}

#[tokio::test]
async fn what_a_late_holder_writes_covers_nothing() {
    let table = Table::new().await;
    // The second one asked first, and was granted late.
    let (mut first, mut second) = (nth(1), nth(2));
    (first.claimed_at, second.claimed_at) = (2_000, 1_000);
    assert!(log(&table, &second, &AttemptEnd::Failed("later", "later")).await);
    assert!(!log(&table, &first, &AttemptEnd::Later("earlier")).await);
    assert_eq!(table.event("wh_1", "state").await.as_deref(), Some("failed"));
    assert_eq!(results(&table).await, ["failed", "retry"]);
}

#[tokio::test]
async fn a_history_ends_with_the_last_claim_whatever_the_clocks_say() {
    let table = Table::new().await;
    let mut ahead = claim("wh_1");
    ahead.claimed_at = now() + 60_000;
    let ahead = table.ledger.claim(ahead, &Kind::Delivery, EARLIER).await.unwrap();
    let ClaimResult::Granted(ahead) = ahead else { panic!("{ahead:?}") };
    assert!(log(&table, &ahead, &AttemptEnd::Later("OpenAI is busy")).await);
    let last = table.claimed("wh_1", LATER).await;
    assert!(log(&table, &last, &AttemptEnd::Found(Status::Completed, &Outcome::new("completed", 1))).await);
    assert_eq!(table.event("wh_1", "state").await.as_deref(), Some("completed"));
}

#[tokio::test]
async fn a_replay_that_is_kept_repairs_the_history_of_what_was_completed() {
    let table = Table::new().await;
    let first = table.claimed("wh_1", EARLIER).await;
    assert!(log(&table, &first, &AttemptEnd::Later("OpenAI is busy")).await);
    let second = table.claimed("wh_1", LATER).await;
    let artifacts = vec!["batch/batch_1/output.jsonl".to_owned()];
    let expired = Outcome { artifacts, ..Outcome::new("expired", 1) };
    let _ = table.ledger.end(&second, &AttemptEnd::Found(Status::Completed, &expired)).await.unwrap();
    // The process died before it wrote the history.
    let replay = Kind::Replay { seen: Some(table.record().await.token) };
    let ClaimResult::Granted(replay) = table.ledger.claim(claim("wh_1"), &replay, LATER).await.unwrap() else {
        panic!("the replay was not granted");
    };
    assert!(log(&table, &replay, &AttemptEnd::Kept("unauthorized", "No.")).await);
    assert_eq!(table.event("wh_1", "state").await.as_deref(), Some("completed"));
    assert_eq!(table.event("wh_1", "result").await.as_deref(), Some("expired"));
    assert_eq!(table.item("event#project#wh_1", "event").await["artifacts"].as_l().unwrap().len(), 1);
}

#[tokio::test]
async fn an_end_is_told_once_though_a_replay_that_was_kept_died() {
    let table = Table::new().await;
    let (first, expired) = (table.claimed("wh_1", LATER).await, Outcome::new("expired", 1));
    let end = AttemptEnd::Found(Status::Completed, &expired);
    let _ = table.ledger.end(&first, &end).await.unwrap();
    assert!(log(&table, &first, &end).await);
    let replay = Kind::Replay { seen: Some(table.record().await.token) };
    let ClaimResult::Granted(replay) = table.ledger.claim(claim("wh_1"), &replay, LATER).await.unwrap() else {
        panic!("the replay was not granted");
    };
    let _ = table.ledger.end(&replay, &AttemptEnd::Kept("unauthorized", "No.")).await.unwrap();
    table.ledger.repair_log(&delivery("wh_1"), &table.record().await).await.unwrap();
    assert_eq!(results(&table).await, ["expired"]);
}

#[tokio::test]
async fn an_end_that_was_repaired_after_a_kept_replay_is_not_told_again_by_its_late_log() {
    let table = Table::new().await;
    let (first, expired) = (table.claimed("wh_1", LATER).await, Outcome::new("expired", 1));
    let end = AttemptEnd::Found(Status::Completed, &expired);
    let _ = table.ledger.end(&first, &end).await.unwrap();
    let replay = Kind::Replay { seen: Some(table.record().await.token) };
    let ClaimResult::Granted(replay) = table.ledger.claim(claim("wh_1"), &replay, LATER).await.unwrap() else {
        panic!("the replay was not granted");
    };
    let _ = table.ledger.end(&replay, &AttemptEnd::Kept("unauthorized", "No.")).await.unwrap();
    table.ledger.repair_log(&delivery("wh_1"), &table.record().await).await.unwrap();
    assert!(!log(&table, &first, &end).await);
    assert_eq!(results(&table).await, ["expired"]);
    assert_eq!(table.event("wh_1", "state").await.as_deref(), Some("completed"));
}

#[tokio::test]
async fn an_attempt_whose_process_died_is_told_by_the_next_one() {
    let table = Table::new().await;
    table.claimed("wh_1", EARLIER).await;
    let second = table.claimed("wh_1", LATER).await;
    assert!(log(&table, &second, &AttemptEnd::Later("OpenAI is busy")).await);
    assert_eq!(results(&table).await, ["interrupted", "retry"]);
}

#[tokio::test]
async fn an_end_that_was_not_written_is_repaired_from_the_record() {
    let table = Table::new().await;
    let claim = table.claimed("wh_1", LATER).await;
    let (artifacts, note) = (vec!["batch/batch_1/output.jsonl".to_owned()], Some("late".to_owned()));
    let expired = Outcome { artifacts, note, ..Outcome::new("expired", 1) };
    let _ = table.ledger.end(&claim, &AttemptEnd::Found(Status::Completed, &expired)).await.unwrap();
    let record = table.record().await;
    for _ in 0..2 {
        table.ledger.repair_log(&delivery("wh_1"), &record).await.unwrap();
        let item = table.item("event#project#wh_1", "event").await;
        let text = |name: &str| item[name].as_s().unwrap().as_str();
        assert_eq!((text("state"), text("result"), text("note")), ("completed", "expired", "late"));
        assert_eq!(item["artifacts"].as_l().unwrap().len(), 1);
        assert_eq!(results(&table).await, ["expired"]);
    }
}

#[tokio::test]
async fn an_event_that_means_the_same_is_a_duplicate_unless_it_acted_itself() {
    let table = Table::new().await;
    let claim = table.claimed("wh_2", LATER).await;
    let completed = Outcome::new("completed", 1);
    let _ = table.ledger.end(&claim, &AttemptEnd::Found(Status::Completed, &completed)).await.unwrap();
    let record = table.record().await;
    for _ in 0..2 {
        table.ledger.repair_log(&delivery("wh_1"), &record).await.unwrap();
        assert_eq!(table.event("wh_1", "duplicate_of").await.as_deref(), Some("project#wh_2"));
        assert_eq!(results(&table).await, ["duplicate"]);
    }
    // It is replayed, and acts; then the other one is replayed.
    let again = nth(2);
    assert!(log(&table, &again, &AttemptEnd::Found(Status::Completed, &completed)).await);
    table.ledger.repair_log(&delivery("wh_1"), &record).await.unwrap();
    assert_eq!(table.event("wh_1", "duplicate_of").await, None);
}

#[tokio::test]
async fn at_least_the_last_twenty_attempts_are_kept() {
    let table = Table::new().await;
    for number in 0..45 {
        assert!(log(&table, &nth(number + 1), &AttemptEnd::Later(&format!("try {number}"))).await);
    }
    let item = table.item("event#project#wh_1", "event").await;
    let attempts = item["attempts"].as_l().unwrap();
    assert_eq!(attempts.len(), 25);
    assert_eq!(attempts[24].as_m().unwrap()["message"].as_s().unwrap(), "try 44");
    assert_eq!(attempts[0].as_m().unwrap()["message"].as_s().unwrap(), "try 20");
}

#[tokio::test]
async fn a_body_that_leaves_no_room_is_left_out_with_its_size() {
    let table = Table::new().await;
    let body = "x".repeat(390 * 1024);
    let mut too_large = delivery("wh_1");
    too_large.message.body.clone_from(&body);
    assert!(table.ledger.log(&too_large, &claim("wh_1"), &AttemptEnd::Later("later")).await.unwrap());
    assert_eq!(table.event("wh_1", "body").await, None);
    assert_eq!(table.event("wh_1", "body_omitted").await, Some(body.len().to_string()));
}

#[tokio::test]
async fn an_outcome_that_json_can_say_and_dynamodb_cannot_is_kept_as_text() {
    let table = Table::new().await;
    let mut deep = json!("bottom");
    for _ in 0..100 {
        deep = json!([deep]);
    }
    let summary = json!({"deep": deep, "huge": 1e300, "tiny": 1e-300, "": "", "null": null});
    let Value::Object(summary) = summary else { unreachable!() };
    let completed = Outcome { summary, ..Outcome::new("completed", 1) };
    assert!(log(&table, &claim("wh_1"), &AttemptEnd::Found(Status::Completed, &completed)).await);
}

#[tokio::test]
async fn an_event_expires_35_days_after_its_last_attempt_and_is_found_by_its_day() {
    let table = Table::new().await;
    assert!(log(&table, &claim("wh_1"), &AttemptEnd::Later("later")).await);
    let expires_at: u64 = table.event("wh_1", "expires_at").await.unwrap().parse().unwrap();
    let left = Duration::from_secs(expires_at).saturating_sub(Duration::from_millis(now().unsigned_abs()));
    assert!(left > Duration::from_hours(35 * 24 - 1) && left <= Duration::from_hours(35 * 24), "{left:?}");
    assert!(table.event("wh_1", "day").await.unwrap().starts_with("2026-11-21#"));
}

#[tokio::test]
async fn who_asked_for_a_replay_is_kept() {
    let table = Table::new().await;
    let mut asked = delivery("wh_1");
    (asked.message.source, asked.message.asked_by) = (Source::Replay, Some("ada".to_owned()));
    let claim = table.claimed("wh_1", LATER).await;
    assert!(table.ledger.log(&asked, &claim, &AttemptEnd::Later("later")).await.unwrap());
    let item = table.item("event#project#wh_1", "event").await;
    let attempt = item["attempts"].as_l().unwrap()[0].as_m().unwrap();
    let text = |name: &str| attempt.get(name).map(|value| value.as_s().unwrap().as_str());
    assert_eq!((text("source"), text("asked_by")), (Some("replay"), Some("ada")));
    assert!(matches!(attempt["begun"], AttributeValue::N(_)) && matches!(attempt["ended"], AttributeValue::N(_)));
}

/// A delivery with a caller in it.
fn call() -> hooks_aws::queue::Delivered {
    let body = r#"{"id":"evt_wh_1","type":"realtime.call.incoming","data":{"call_id":"rtc_1","sip_headers":[{"name":"From","value":"+4930123"}]}}"#;
    let mut call = delivery("wh_1");
    body.clone_into(&mut call.message.body);
    call
}

#[tokio::test]
async fn a_caller_is_kept_whole_for_a_day_and_masked_after_it() {
    let table = Table::new().await;
    assert!(table.ledger.log(&call(), &claim("wh_1"), &AttemptEnd::Later("later")).await.unwrap());

    let kept = table.event("wh_1", "body").await.unwrap();
    assert_eq!(kept, call().message.body.replace("+4930123", "***"));
    assert_eq!(table.ledger.whole_body("project#wh_1").await.unwrap(), Some(call().message.body));
    let whole = table.item("event#project#wh_1", "body").await;
    let left = whole["expires_at"].as_n().unwrap().parse::<i64>().unwrap() - now() / 1000;
    assert!((86_000..=86_400).contains(&left), "{left}");

    // The day is over, and the table has not removed it yet.
    let expired = [("pk", "event#project#wh_1"), ("sk", "body"), ("body", "x")];
    let mut expired = expired.map(|(name, value)| (name, AttributeValue::S(value.to_owned()))).to_vec();
    expired.push(("expires_at", AttributeValue::N((now() / 1000 - 1).to_string())));
    table.put(&expired).await;
    assert_eq!(table.ledger.whole_body("project#wh_1").await.unwrap(), None);
}

#[tokio::test]
async fn nothing_is_masked_where_that_is_switched_off_or_where_there_is_no_caller() {
    let table = Table::new().await;
    let open = table.ledger.clone().masking(false);
    assert!(open.log(&call(), &claim("wh_1"), &AttemptEnd::Later("later")).await.unwrap());
    assert_eq!(table.event("wh_1", "body").await, Some(call().message.body.clone()));
    assert_eq!(open.body_of_dead_letter(&call().message.body), call().message.body);
    assert!(!table.ledger.body_of_dead_letter(&call().message.body).contains("+4930123"));

    assert!(table.ledger.log(&delivery("wh_2"), &claim("wh_2"), &AttemptEnd::Later("later")).await.unwrap());
    assert_eq!(table.ledger.whole_body("project#wh_2").await.unwrap(), None);
}
