//! The idempotency record, the job and the leases: who may work, and whose writes count.

use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;
use hooks_aws::ledger::{AttemptEnd, Claim, ClaimResult, IdempotencyRecord, Ledger, RecordResult};
use hooks_aws::outcomes::Outcome;
use hooks_protocol::{Decision, Kind, Status, decide};
use serde_json::json;
use tokio::task::JoinSet;

use crate::stack::{EARLIER, KEY, LATER, Table, claim, config, now};

/// A claim of the event `wh_{number}`.
async fn claims(ledger: &Ledger, number: u32, kind: &Kind<String>, lease_until: i64) -> ClaimResult {
    ledger.claim(claim(&format!("wh_{number}")), kind, lease_until).await.unwrap()
}

async fn complete(table: &Table, claim: &Claim) -> RecordResult {
    let completed = Outcome::new("completed", 1);
    table.ledger.end(claim, &AttemptEnd::Found(Status::Completed, &completed)).await.unwrap()
}

/// A replay of what was completed.
async fn replay(table: &Table) -> Claim {
    let seen = Some(table.record().await.token);
    match claims(&table.ledger, 1, &Kind::Replay { seen }, LATER).await {
        ClaimResult::Granted(claim) => claim,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn every_record_and_every_kind_of_message_is_decided_as_the_rules_say() {
    const STATUSES: [Status; 5] =
        [Status::InProgress, Status::Replaying, Status::Completed, Status::Failed, Status::NotFound];
    let table = Table::new().await;
    let mut combinations = 0;
    let mut records = vec![None];
    for status in STATUSES {
        for event in ["project#wh_1", "project#wh_2"] {
            for lease_until in [0, EARLIER, LATER] {
                records.push(Some((status, event, lease_until)));
            }
        }
    }
    for record in records {
        for kind in [
            Kind::Delivery,
            Kind::Reconciliation,
            Kind::Redriven,
            Kind::Replay { seen: None },
            Kind::Replay { seen: Some("other".to_owned()) },
            Kind::Replay { seen: Some("token".to_owned()) },
        ] {
            let key = format!("combination/{combinations}");
            combinations += 1;
            if let Some((status, event, lease_until)) = record {
                let text = |text: &str| AttributeValue::S(text.to_owned());
                let item = [
                    ("pk", text(&format!("idempotency#{key}"))),
                    ("sk", text("record")),
                    ("status", text(status.as_str())),
                    ("token", text("token")),
                    ("event", text(event)),
                    ("lease_until", AttributeValue::N(lease_until.to_string())),
                    ("acting", AttributeValue::N("1".to_owned())),
                ];
                table.put(&item).await;
            }
            let before = table.ledger.idempotency_record(&key).await.unwrap();
            let lock = before.as_ref().map(|record| record.lock(now()));
            let decision = decide(lock.as_ref(), &"project#wh_1".to_owned(), &kind);
            let asked = Claim::new(&key, "project", "wh_1");
            let result = table.ledger.claim(asked, &kind, LATER).await.unwrap();
            let after = table.ledger.idempotency_record(&key).await.unwrap();
            let what = format!("{record:?} {kind:?}: {decision:?}, {result:?}");
            match (decision, result) {
                (Decision::Take(status), ClaimResult::Granted(claim)) => {
                    let after = after.unwrap();
                    assert_eq!((after.status, after.lease_until), (status, LATER), "{what}");
                    assert_ne!(after.token, "token", "{what}");
                    assert_eq!(claim.replaying, status == Status::Replaying, "{what}");
                    let again = before.as_ref().filter(|before| before.status != Status::Completed);
                    assert_eq!((claim.acted, after.acting), (again.is_some(), again.is_some()), "{what}");
                    assert_eq!(claim.before, before, "{what}");
                }
                (Decision::Busy, ClaimResult::Busy { until: LATER }) => assert_eq!(after, before, "{what}"),
                (Decision::Acknowledge, ClaimResult::Ended(found)) => {
                    assert_eq!((Some(found), after), (before.clone(), before), "{what}");
                }
                _ => panic!("{what}"),
            }
        }
    }
    assert_eq!(combinations, 31 * 6);
}

#[tokio::test]
async fn of_twenty_who_claim_a_key_at_once_one_gets_it() {
    for lease_until in [None, Some(EARLIER)] {
        let table = Arc::new(Table::new().await);
        if let Some(lease_until) = lease_until {
            table.claimed("wh_0", lease_until).await;
        }
        let mut asked = JoinSet::new();
        for number in 0..20 {
            let table = Arc::clone(&table);
            asked.spawn(async move { claims(&table.ledger, number, &Kind::Delivery, LATER).await });
        }
        let results = asked.join_all().await;
        let granted = results.iter().filter(|result| matches!(result, ClaimResult::Granted(_))).count();
        let busy = results.iter().filter(|result| matches!(result, ClaimResult::Busy { until: LATER })).count();
        assert_eq!((granted, busy), (1, 19), "{lease_until:?}");
    }
}

#[tokio::test]
async fn a_holder_whose_lease_is_over_changes_nothing_any_more() {
    let table = Table::new().await;
    let first = table.claimed("wh_1", EARLIER).await;
    let second = table.claimed("wh_2", LATER).await;
    assert_eq!(second.claims, 2);
    let ledger = &table.ledger;
    assert_eq!(ledger.acting(&first, true).await.unwrap(), RecordResult::Superseded);
    assert_eq!(ledger.end(&first, &AttemptEnd::Later("late")).await.unwrap(), RecordResult::Superseded);
    assert_eq!(ledger.end(&first, &AttemptEnd::Kept("late", "late")).await.unwrap(), RecordResult::Superseded);
    assert_eq!(ledger.end(&first, &AttemptEnd::Failed("late", "late")).await.unwrap(), RecordResult::Superseded);
    assert_eq!(complete(&table, &first).await, RecordResult::Superseded);
    let record = table.record().await;
    assert_eq!((record.status, record.lease_until, record.acting), (Status::InProgress, LATER, false));
    assert_eq!(complete(&table, &second).await, RecordResult::Written);
    assert_eq!(complete(&table, &second).await, RecordResult::Written, "said twice, as after a lost answer");
    assert_eq!(
        ledger.end(&second, &AttemptEnd::Failed("late", "late")).await.unwrap(),
        RecordResult::Superseded,
        "it has ended"
    );
}

#[tokio::test]
async fn a_released_key_may_be_claimed_at_once_and_remembers_what_may_have_been_sent() {
    let table = Table::new().await;
    let first = table.claimed("wh_1", LATER).await;
    assert!(!first.acted);
    assert_eq!(table.ledger.acting(&first, true).await.unwrap(), RecordResult::Written);
    assert_eq!(table.ledger.end(&first, &AttemptEnd::Later("late")).await.unwrap(), RecordResult::Written);
    let second = table.claimed("wh_1", LATER).await;
    assert_eq!((second.claims, second.acted), (2, true));
    let failed = AttemptEnd::Failed("quota_exhausted", "No credit.");
    assert_eq!(table.ledger.end(&second, &failed).await.unwrap(), RecordResult::Written);
    assert_eq!(table.record().await.error, Some(("quota_exhausted".to_owned(), "No credit.".to_owned())));
    let ClaimResult::Granted(third) = claims(&table.ledger, 1, &Kind::Redriven, LATER).await else { panic!() };
    assert!(third.acted);
    assert_eq!(table.record().await.error, None);
}

#[tokio::test]
async fn a_replay_that_is_restored_leaves_what_was_completed_as_it_was() {
    let table = Table::new().await;
    let first = table.claimed("wh_1", LATER).await;
    let completed = Outcome { artifacts: vec!["response/resp_1.json".to_owned()], ..Outcome::new("completed", 1) };
    let end = AttemptEnd::Found(Status::Completed, &completed);
    assert_eq!(table.ledger.end(&first, &end).await.unwrap(), RecordResult::Written);
    let before = table.record().await;
    let again = replay(&table).await;
    assert!(again.replaying && !again.acted);
    assert_eq!(again.before.as_ref().unwrap().outcome, before.outcome);
    assert_eq!(
        table.ledger.end(&again, &AttemptEnd::Kept("unauthorized", "No.")).await.unwrap(),
        RecordResult::Written
    );
    let after = table.record().await;
    let unlike = |record: &IdempotencyRecord| (record.token.clone(), record.claimed_at, record.claims);
    assert_ne!(unlike(&after), unlike(&before));
    let claimed = |record: &IdempotencyRecord| IdempotencyRecord {
        token: String::new(),
        claimed_at: 0,
        claims: 0,
        ..record.clone()
    };
    assert_eq!(claimed(&after), claimed(&before));
}

#[tokio::test]
async fn whatever_order_looks_at_a_job_are_recorded_in_the_latest_final_one_stays() {
    let table = Arc::new(Table::new().await);
    let mut looks: Vec<i64> = (0..40).collect();
    fastrand::shuffle(&mut looks);
    let mut writes = JoinSet::new();
    for as_of in looks {
        let table = Arc::clone(&table);
        writes.spawn(async move {
            // The odd ones are final; the latest of all is not.
            let job = Outcome {
                status: if as_of == 37 { "completed" } else { "other" }.to_owned(),
                terminal: as_of % 2 == 1 && as_of <= 37,
                as_of,
                counts: json!({"lines": as_of}).as_object().unwrap().clone(),
                ..job()
            };
            table.ledger.record_job("batch", &job, &claim("wh_1")).await.unwrap();
        });
    }
    writes.join_all().await;
    let item = table.item("job#batch#batch_1", "job").await;
    assert_eq!((item["status"].as_s().unwrap().as_str(), item["as_of"].as_n().unwrap().as_str()), ("completed", "37"));
    assert_eq!(item["counts"].as_m().unwrap()["lines"].as_n().unwrap(), "37");
}

/// A finished batch.
pub(crate) fn job() -> Outcome {
    Outcome { object_id: Some("batch_1".to_owned()), terminal: true, ..Outcome::new("completed", 7) }
}

#[tokio::test]
async fn an_error_of_a_job_is_gone_once_it_went_well() {
    let table = Table::new().await;
    for (as_of, error) in [(1, Some("3 lines are not JSON")), (2, None)] {
        let job = Outcome { as_of, error: error.map(str::to_owned), ..job() };
        assert!(table.ledger.record_job("batch", &job, &claim("wh_1")).await.unwrap().written);
        let item = table.item("job#batch#batch_1", "job").await;
        assert_eq!(item.get("error").map(|error| error.as_s().unwrap().as_str()), error);
    }
}

#[tokio::test]
async fn a_job_is_known_from_its_record_and_not_by_being_expected() {
    let table = Table::new().await;
    let expectation =
        hooks_aws::ledger::Expectation { category: "batch", object_id: "batch_1", due_at: 7, context: None };
    table.ledger.expect(&expectation).await.unwrap();
    assert_eq!(table.ledger.job("batch", "batch_1").await.unwrap(), None);
    assert!(table.ledger.record_job("batch", &job(), &claim("wh_1")).await.unwrap().written);
    let job = table.ledger.job("batch", "batch_1").await.unwrap().unwrap();
    assert_eq!((job.status.as_str(), job.terminal, job.as_of), ("completed", true, 7));
}

#[tokio::test]
async fn a_table_that_is_not_there_is_an_error_that_says_so() {
    let ledger = Ledger::new(&config(), "no-such-table");
    let error = ledger.claim(claim("wh_1"), &Kind::Delivery, LATER).await.unwrap_err().to_string();
    assert!(error.starts_with("could not claim the idempotency record: ResourceNotFoundException"), "{error}");
    let error = ledger.idempotency_record(KEY).await.unwrap_err().to_string();
    assert!(error.starts_with("could not read the idempotency record: "), "{error}");
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
