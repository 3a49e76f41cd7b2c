//! What an event leaves behind when all goes well.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hooks_consumer::{Outcome, Severity};
use serde_json::json;

use crate::handlers::{Does, object, outcome};
use crate::world::{World, aged, completed, eventually};

#[tokio::test]
async fn a_handled_event_is_recorded_announced_and_acknowledged() {
    let world = World::new().await;
    let handler = Does::well();
    let harness = world.harness(handler.clone());
    world.send(&completed("wh_1", "batch_1")).await;

    assert_eq!(world.invoke(&harness).await, 0);

    assert_eq!(handler.calls(), 1);
    assert!(world.queued().await.is_empty());
    assert!(world.dead_letters().await.is_empty());

    let event = world.event("wh_1").await;
    assert_eq!((&event["state"], &event["claims"]), (&json!("completed"), &json!(1)));
    assert_eq!((&event["event_type"], &event["event_id"]), (&json!("batch.completed"), &json!("evt_wh_1")));
    assert_eq!((&event["category"], &event["object_id"]), (&json!("batch"), &json!("batch_1")));
    assert_eq!((&event["source"], &event["result"]), (&json!("openai"), &json!("completed")));
    assert_eq!(event["artifacts"], json!(["batch/batch_1/output.jsonl"]));
    assert!(event["body"].as_str().unwrap().contains("evt_wh_1"));
    assert!(event["handled_at"].as_i64().unwrap() >= event["received_at"].as_i64().unwrap());
    let days = (event["expires_at"].as_i64().unwrap() - event["received_at"].as_i64().unwrap() / 1000) / 86_400;
    assert!((34..=35).contains(&days), "{days} days");

    let record = world.idempotency("batch_1").await;
    assert_eq!((&record["status"], &record["event"]), (&json!("completed"), &json!("project#wh_1")));

    let job = world.item("job#batch#batch_1").await.unwrap();
    assert_eq!(
        (&job["status"], &job["terminal"], &job["counts"]["lines"]),
        (&json!("completed"), &json!(1), &json!(1000))
    );
    assert_eq!(job["summary"]["tokens"]["gpt-6-luna"]["output"], 34);
    assert_eq!(job["event"], "project#wh_1");
}

#[tokio::test]
async fn an_outcome_reaches_whoever_listens_to_the_bus_and_an_alert_reaches_people() {
    let world = World::new().await;
    world.send(&completed("wh_1", "batch_1")).await;
    let handler = Does::well();
    world.invoke(&world.harness(handler.clone())).await;

    assert_eq!(handler.alerted(), 1);
    eventually(async || world.outcomes().await.len() == 1 && world.alerts().await.len() == 1).await;
    let published = &world.outcomes().await[0];
    assert_eq!(
        (&published["source"], &published["detail-type"]),
        (&json!("openai.webhooks"), &json!("batch.completed"))
    );
    let expected = json!({
        "id": "evt_wh_1", "idempotency_key": "batch.completed/batch_1", "object_id": "batch_1", "endpoint": "project", "source": "openai", "status": "completed",
        "artifacts": ["batch/batch_1/output.jsonl"], "bucket": world.name,
        "summary": {"tokens": {"gpt-6-luna": {"input": 12, "output": 34}}},
    });
    assert_eq!(published["detail"], expected);

    let alert = &world.alerts().await[0];
    assert_eq!(
        (&alert["Subject"], &alert["Message"]),
        (&json!("Batch with failed lines"), &json!("12 of 1,000 lines failed"))
    );
    let attribute = |name: &str| alert["MessageAttributes"][name]["Value"].clone();
    assert_eq!(
        [attribute("category"), attribute("event-type"), attribute("severity")],
        ["batch", "batch.completed", "warning"]
    );
}

#[tokio::test]
async fn an_older_event_never_turns_a_job_back() {
    let world = World::new().await;
    let at = |status: &'static str, terminal, as_of| {
        Does::what(move |event, _| async move {
            Ok(Outcome { object_id: object(&event), terminal, as_of, alert: None, ..outcome(status) })
        })
    };
    // In the order they arrive, with what the job says afterwards.
    for (id, handler, expected) in [
        ("1", at("in_progress", false, 20), "in_progress"),
        ("2", at("validating", false, 10), "in_progress"),
        ("3", at("completed", true, 15), "completed"),
        ("4", at("finalizing", false, 99), "completed"),
        ("5", at("expired", true, 14), "completed"),
        ("6", at("cancelled", true, 16), "cancelled"),
        ("7", Does::what(|event, _| async move { Ok(Outcome::not_found(object(&event).unwrap(), 100)) }), "cancelled"),
    ] {
        let mut sent = completed(id, "batch_1");
        // A type without a key of its own, so that every event acts.
        sent.body = sent.body.replace("batch.completed", "batch.in_progress");
        world.send(&aged(&sent)).await;
        assert_eq!(world.invoke(&world.harness(handler)).await, 0);
        assert_eq!(world.item("job#batch#batch_1").await.unwrap()["status"], expected, "after event {id}");
    }
}

#[tokio::test]
async fn people_are_told_of_an_object_that_openai_does_not_know() {
    let world = World::new().await;
    world.send(&aged(&completed("wh_1", "batch_of_a_test_delivery"))).await;
    let handler = Does::what(|event, _| async move { Ok(Outcome::not_found(object(&event).unwrap(), 100)) });
    assert_eq!(world.invoke(&world.harness(handler)).await, 0);
    let event = world.event("wh_1").await;
    assert_eq!((&event["state"], &event["result"]), (&json!("not_found"), &json!("not_found")));
    assert!(event["note"].as_str().unwrap().contains("batch_of_a_test_delivery"));
    eventually(async || world.alerts().await.len() == 1).await;
    assert_eq!(world.alerts().await[0]["Subject"], "batch.completed: its object was not found");
    assert!(world.dead_letters().await.is_empty());
}

#[tokio::test]
async fn an_expected_end_is_announced_with_its_context_each_time() {
    let world = World::new().await;
    world.expect("batch", "batch_1", r#"{"order": 7}"#).await;
    for (id, terminal) in [("1", false), ("2", true), ("3", true)] {
        let handler = Does::what(move |event, _| async move {
            Ok(Outcome { object_id: object(&event), terminal, alert: None, ..outcome("completed") })
        });
        let mut sent = completed(id, "batch_1");
        // A type without a key of its own, so that every event acts.
        sent.body = sent.body.replace("batch.completed", "batch.in_progress");
        world.send(&sent).await;
        assert_eq!(world.invoke(&world.harness(handler)).await, 0);
        let item = world.item("job#batch#batch_1").await.unwrap();
        assert_eq!(item.get("waiting").is_none(), terminal, "{id}");
    }
    eventually(async || world.outcomes().await.len() == 3).await;
    for outcome in world.outcomes().await {
        assert_eq!(outcome["detail"]["context"], json!({"order": 7}));
    }
}

#[tokio::test]
async fn an_object_that_openai_does_not_know_meets_nothing() {
    let world = World::new().await;
    world.expect("batch", "batch_1", "{}").await;
    world.send(&aged(&completed("wh_1", "batch_1"))).await;
    let handler = Does::what(|event, _| async move { Ok(Outcome::not_found(object(&event).unwrap(), 100)) });
    assert_eq!(world.invoke(&world.harness(handler)).await, 0);
    assert_eq!(world.item("job#batch#batch_1").await.unwrap()["waiting"], "batch");
    eventually(async || world.outcomes().await.len() == 1).await;
    assert_eq!(world.outcomes().await[0]["detail"].get("context"), None);
}

#[tokio::test]
async fn a_context_that_cannot_be_carried_is_no_obstacle() {
    let world = World::new().await;
    world.expect("batch", "batch_1", &"[".repeat(200_000)).await;
    world.send(&completed("wh_1", "batch_1")).await;
    assert_eq!(world.invoke(&world.harness(Does::well())).await, 0);
    assert_eq!(world.event("wh_1").await["state"], "completed");
    eventually(async || world.outcomes().await.len() == 1).await;
    assert_eq!(world.outcomes().await[0]["detail"]["context_omitted"], "is larger than 4096 bytes");
}

#[tokio::test]
async fn an_event_of_the_largest_size_with_the_largest_outcome_fits_into_its_item() {
    let world = World::new().await;
    let mut sent = completed("wh_1", "batch_1");
    let filler = "x".repeat(256 * 1024 - sent.body.len() - 20);
    sent.body = sent.body.replacen('{', &format!(r#"{{"filler":"{filler}","#), 1);
    world.send(&sent).await;
    let handler = Does::what(|event, _| async move {
        let mut outcome = Outcome { object_id: object(&event), alert: None, ..outcome("completed") };
        outcome.summary = (0..100_000).map(|n| (format!("model {n}"), json!({"input": n, "output": [0, 0]}))).collect();
        outcome.note = Some("\u{20ac}".repeat(100_000));
        Ok(outcome)
    });
    assert_eq!(world.invoke(&world.harness(handler)).await, 0);
    let event = world.event("wh_1").await;
    assert_eq!(event["state"], "completed");
    assert!(event["body"].as_str().unwrap().len() > 250_000);
    assert!(event["summary"]["entries_left_out"].as_u64().unwrap() > 90_000);
    eventually(async || world.outcomes().await.len() == 1).await;
}

#[tokio::test]
async fn records_are_worked_on_five_at_a_time() {
    let world = World::new().await;
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let highest = Arc::clone(&most);
    let handler = Does::what(move |event, _| {
        let (now, most) = (Arc::clone(&now), Arc::clone(&most));
        async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(300)).await;
            now.fetch_sub(1, Ordering::SeqCst);
            Ok(Outcome { object_id: object(&event), ..outcome("completed") })
        }
    });
    for n in 0..10 {
        world.send(&completed(&format!("wh_{n}"), &format!("batch_{n}"))).await;
    }
    assert_eq!(world.invoke(&world.harness(handler.clone())).await, 0);
    assert_eq!((handler.calls(), highest.load(Ordering::SeqCst)), (10, 5));
}

#[test]
fn severities_are_words_that_a_subscription_can_filter_by() {
    assert_eq!(
        [Severity::Info, Severity::Warning, Severity::Critical].map(Severity::as_str),
        ["info", "warning", "critical"]
    );
}
