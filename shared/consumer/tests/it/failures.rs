//! What fails, and what becomes of it.

use std::time::{Duration, Instant};

use futures::future::{Either, select};
use hooks_consumer::{HandlerError, Outcome};
use hooks_function::Deadline;
use serde_json::{Value, json};

use crate::handlers::{Does, object, outcome};
use crate::proxy::{Fault, Proxy};
use crate::world::{World, aged, attribute, completed, eventually, in_seconds, millis};

/// In how many seconds a hidden message comes back.
fn comes_back_in(message: &Value) -> i64 {
    message["VisibleAt"].as_i64().unwrap() - (millis() / 1000).cast_signed()
}

#[tokio::test]
async fn what_fails_for_now_comes_back_later_and_may_be_taken_up_at_once() {
    let world = World::new().await;
    world.send(&completed("wh_1", "batch_1")).await;
    let batch = world.receive().await;
    let response = world.harness(Does::not_now()).handle(batch.clone(), in_seconds(60)).await;
    assert_eq!(response.batch_item_failures.len(), 1);

    assert!((6..=15).contains(&comes_back_in(&world.queued().await[0])), "{:?}", world.queued().await);
    let event = world.event("wh_1").await;
    assert_eq!(
        (&event["state"], &world.idempotency("batch_1").await["lease_until"]),
        (&json!("in_progress"), &json!(0))
    );
    assert_eq!((&event["reason"], &event["message"]), (&json!("retry"), &json!("OpenAI is busy")));
    assert!(world.dead_letters().await.is_empty() && world.alerts().await.is_empty());

    world.messages_come_back(&batch).await;
    assert_eq!(world.invoke(&world.harness(Does::well())).await, 0);
    let event = world.event("wh_1").await;
    assert_eq!((&event["state"], &event["reason"]), (&json!("completed"), &Value::Null));
    assert_eq!(world.attempts("wh_1").await, ["retry", "completed"]);
}

#[tokio::test]
async fn the_wait_grows_with_every_receive() {
    let world = World::new().await;
    let harness = world.harness(Does::not_now());
    world.send(&completed("wh_1", "batch_1")).await;
    for longest in [15, 30, 60, 120] {
        let batch = world.receive().await;
        harness.handle(batch.clone(), in_seconds(60)).await;
        let wait = comes_back_in(&world.queued().await[0]);
        assert!((longest / 2 - 1..=longest).contains(&wait), "{wait} of {longest}");
        world.messages_come_back(&batch).await;
    }
}

#[tokio::test]
async fn who_asks_for_time_gets_it() {
    let world = World::new().await;
    let after = Some(Duration::from_mins(30));
    let busy = Does::always(&Err(HandlerError::Retry { after, message: "slow down".to_owned() }));
    world.send(&completed("wh_1", "batch_1")).await;
    assert_eq!(world.invoke(&world.harness(busy)).await, 1);
    let wait = comes_back_in(&world.queued().await[0]);
    assert!((1798..=1980).contains(&wait), "{wait}");
}

#[tokio::test]
async fn what_can_never_work_is_a_dead_letter_at_once_and_people_are_told() {
    let world = World::new().await;
    let handler = Does::never();
    let harness = world.harness(handler.clone());
    let sent = completed("wh_1", "batch_1");
    world.send(&sent).await;
    assert_eq!(world.invoke(&harness).await, 0);

    assert!(world.queued().await.is_empty());
    let letters = world.dead_letters().await;
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0]["Body"], sent.body);
    for (name, value) in &sent.attributes {
        assert_eq!(attribute(&letters[0], name), Some(value.as_str()), "{name}");
    }
    assert_eq!(attribute(&letters[0], "failure-reason"), Some("quota_exhausted"));
    assert_eq!(attribute(&letters[0], "failure-message"), Some("the account has no credit left"));

    let event = world.event("wh_1").await;
    assert_eq!((&event["state"], &event["reason"]), (&json!("failed"), &json!("quota_exhausted")));
    assert_eq!(event["message"], "the account has no credit left");
    assert_eq!(world.idempotency("batch_1").await["status"], "failed");
    eventually(async || world.alerts().await.len() == 1).await;
    let alert = &world.alerts().await[0];
    assert_eq!(alert["Subject"], "batch.completed could not be handled: quota_exhausted");
    assert_eq!(alert["MessageAttributes"]["severity"]["Value"], "critical");
    let message = alert["Message"].as_str().unwrap();
    for words in
        ["about batch_1, event evt_wh_1", "Why    quota_exhausted: the account has no credit left\n", "redrive"]
    {
        assert!(message.contains(words), "{words} is not in {message}");
    }
    assert!(world.outcomes().await.is_empty());

    // Another copy of it is dropped: the letter is written.
    world.send(&sent).await;
    assert_eq!(world.invoke(&harness).await, 0);
    assert_eq!((handler.calls(), world.dead_letters().await.len()), (1, 1));
}

#[tokio::test]
async fn a_redriven_dead_letter_is_taken_up_again_until_it_is_completed() {
    let world = World::new().await;
    world.send(&completed("wh_1", "batch_1")).await;
    world.invoke(&world.harness(Does::never())).await;

    let failing_again = Does::never();
    let redriven = completed("wh_1", "batch_1").with("failure-reason", "quota_exhausted");
    world.send(&redriven).await;
    assert_eq!(world.invoke(&world.harness(failing_again.clone())).await, 0);
    assert_eq!((failing_again.calls(), world.dead_letters().await.len()), (1, 2));

    // Also a letter that is put back at the very moment at which it was sent.
    let handler = Does::well();
    let harness = world.harness(handler.clone());
    for calls in [1, 1] {
        world.send(&redriven).await;
        assert_eq!(world.invoke(&harness).await, 0);
        assert_eq!((handler.calls(), &world.event("wh_1").await["state"]), (calls, &json!("completed")));
    }
}

#[tokio::test]
async fn a_dead_letter_that_is_redriven_before_its_event_is_marked_as_failed_is_not_lost() {
    let world = World::new().await;
    let proxy = Proxy::start(&world.endpoint_url).await;
    let failing = world.harness_at(&proxy.url, "12", |_| Some(Does::never()));
    let sent = completed("wh_1", "batch_1");
    world.send(&sent).await;
    let batch = world.receive().await;
    // The letter is out, and the process dies before it marks the record.
    proxy.fault(3, Fault::DieBefore);
    let work = Box::pin(failing.handle(batch.clone(), in_seconds(60)));
    let Either::Right(((), work)) = select(work, Box::pin(proxy.died())).await else { panic!() };
    assert_eq!(world.dead_letters().await.len(), 1);

    // Somebody redrives it while the first one still holds the record.
    world.send(&sent.clone().with("failure-reason", "quota_exhausted")).await;
    let redriven = world.receive().await;
    let handler = Does::well();
    let harness = world.harness(handler.clone());
    assert_eq!(harness.handle(redriven.clone(), in_seconds(60)).await.batch_item_failures.len(), 1, "busy");
    // The first one writes `failed` after that, as it did when it was slow.
    drop(work);
    let request = world.dynamodb.update_item().table_name(&world.name);
    let key = |text: &str| aws_sdk_dynamodb::types::AttributeValue::S(text.to_owned());
    let request = request.key("pk", key("idempotency#batch.completed/batch_1")).key("sk", key("record"));
    let request = request.update_expression("SET #s = :failed, lease_until = :zero");
    let request =
        request.expression_attribute_names("#s", "status").expression_attribute_values(":failed", key("failed"));
    let zero = aws_sdk_dynamodb::types::AttributeValue::N("0".to_owned());
    request.expression_attribute_values(":zero", zero).send().await.unwrap();

    world.messages_come_back(&redriven).await;
    assert!(world.invoke(&harness).await <= 1);
    assert_eq!((handler.calls(), &world.event("wh_1").await["state"]), (1, &json!("completed")));
}

#[tokio::test]
async fn what_was_received_too_often_is_given_up() {
    let world = World::new().await;
    let handler = Does::not_now();
    let harness = world.harness_at(&world.endpoint_url, "2", |_| Some(handler.clone()));
    world.send(&completed("wh_1", "batch_1")).await;
    let batch = world.receive().await;
    assert_eq!(harness.handle(batch.clone(), in_seconds(60)).await.batch_item_failures.len(), 1);
    world.messages_come_back(&batch).await;
    assert_eq!(world.invoke(&harness).await, 0);

    assert_eq!(handler.calls(), 2);
    let letter = &world.dead_letters().await[0];
    assert_eq!(attribute(letter, "failure-reason"), Some("retries_exhausted"));
    assert_eq!(attribute(letter, "failure-message"), Some("received 2 times; at last: OpenAI is busy"));
    assert_eq!(world.event("wh_1").await["state"], "failed");
    eventually(async || world.alerts().await.len() == 1).await;
}

#[tokio::test]
async fn a_message_that_cannot_be_read_is_a_dead_letter_and_its_neighbours_succeed() {
    let world = World::new().await;
    let handler = Does::well();
    let mut not_json = completed("wh_1", "batch_1");
    not_json.body = "{\"id\": ".to_owned();
    world.send(&not_json).await;
    world.send(&completed("wh_2", "batch_2").without("webhook-id")).await;
    world.send(&completed("wh_3", "batch_3")).await;
    assert_eq!(world.invoke(&world.harness(handler.clone())).await, 0);

    assert_eq!(handler.calls(), 1);
    assert_eq!(world.event("wh_3").await["state"], "completed");
    let letters = world.dead_letters().await;
    assert_eq!(letters.len(), 2);
    assert!(letters.iter().all(|letter| attribute(letter, "failure-reason") == Some("undecodable_message")));
    assert!(letters.iter().any(|letter| letter["Body"] == not_json.body));
    // One for the event that went well, and one for both letters: the other one is counted.
    eventually(async || world.alerts().await.len() == 2).await;
    let counted = world.item("alerts#batch#undecodable_message#critical").await.unwrap();
    assert_eq!((&counted["count"], &counted["waiting"]), (&json!(1), &json!("alerts")));
}

#[tokio::test]
async fn people_are_told_at_once_of_the_first_failure_of_a_reason_and_the_others_are_counted() {
    let world = World::new().await;
    for (handler, numbers) in [(Does::never(), 0..4), (Does::well(), 4..6)] {
        let harness = world.harness(handler);
        for n in numbers {
            world.send(&completed(&format!("wh_{n}"), &format!("batch_{n}"))).await;
            assert_eq!(world.invoke(&harness).await, 0);
        }
    }
    eventually(async || world.alerts().await.len() == 2).await;
    let failed = world.item("alerts#batch#quota_exhausted#critical").await.unwrap();
    assert_eq!((&failed["count"], &failed["ids"]), (&json!(3), &json!(["evt_wh_1", "evt_wh_2", "evt_wh_3"])));
    // What a handler wants people to know goes by the event's type.
    let wanted = world.item("alerts#batch#batch.completed#warning").await.unwrap();
    assert_eq!((&wanted["count"], &wanted["ids"]), (&json!(1), &json!(["evt_wh_5"])));
}

#[tokio::test]
async fn a_handler_that_panics_fails_its_own_record_alone() {
    let world = World::new().await;
    let handler = Does::what(|event, _| async move {
        assert_ne!(event.object_id(), Some("batch_2"), "poisoned");
        Ok(Outcome { object_id: object(&event), ..outcome("completed") })
    });
    for n in 0..5 {
        world.send(&completed(&format!("wh_{n}"), &format!("batch_{n}"))).await;
    }
    let batch = world.receive().await;
    let response = world.harness(handler).handle(batch.clone(), in_seconds(60)).await;
    let poisoned = batch.records.iter().find(|record| record.body.as_deref().unwrap().contains("batch_2")).unwrap();
    let failed: Vec<_> = response.batch_item_failures.iter().map(|failure| failure.item_identifier.as_str()).collect();
    assert_eq!(failed, [poisoned.message_id.as_deref().unwrap()]);
    for n in [0, 1, 3, 4] {
        assert_eq!(world.event(&format!("wh_{n}")).await["state"], "completed");
    }
    let event = world.event("wh_2").await;
    assert_eq!(
        (&event["state"], &world.idempotency("batch_2").await["lease_until"]),
        (&json!("in_progress"), &json!(0))
    );
    assert_eq!(event["message"], "the handler panicked");
}

#[tokio::test]
async fn a_handler_near_the_deadline_is_stopped_and_its_lease_given_back() {
    let world = World::new().await;
    let harness = world.harness(Does::what(|_, context| async move {
        assert!(context.deadline > tokio::time::Instant::now());
        std::future::pending().await
    }));
    world.send(&completed("wh_1", "batch_1")).await;
    let deadline = millis() + 6_000;
    assert_eq!(world.invoke_until(&harness, Deadline::at(deadline)).await, 1);
    assert!(millis() < deadline - 3000, "there was time left to report");
    assert_eq!(world.event("wh_1").await["state"], "in_progress");
    assert_eq!(world.idempotency("batch_1").await["lease_until"], 0);
    assert!(comes_back_in(&world.queued().await[0]) <= 15);
}

#[tokio::test]
async fn a_record_that_there_is_no_time_for_is_not_begun() {
    let world = World::new().await;
    let handler = Does::well();
    world.send(&completed("wh_1", "batch_1")).await;
    assert_eq!(world.invoke_until(&world.harness(handler.clone()), in_seconds(4)).await, 1);
    assert_eq!(handler.calls(), 0);
    assert!(world.items().await.is_empty());
}

#[tokio::test]
async fn an_invocation_answers_in_time_although_aws_does_not() {
    let world = World::new().await;
    let proxy = Proxy::start(&world.endpoint_url).await;
    let harness = world.harness_at(&proxy.url, "12", |_| Some(Does::well()));
    world.send(&completed("wh_1", "batch_1")).await;
    proxy.fault(1, Fault::Silence);
    let begun = Instant::now();
    assert_eq!(world.invoke_until(&harness, in_seconds(7)).await, 1);
    assert!(begun.elapsed() < Duration::from_secs(7), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_ledger_out_of_reach_is_a_reason_to_try_again() {
    let world = World::new().await;
    let handler = Does::well();
    // Nobody listens there.
    let harness = world.harness_at("http://127.0.0.1:1", "12", |_| Some(handler.clone()));
    world.send(&completed("wh_1", "batch_1")).await;
    assert_eq!(world.invoke(&harness).await, 1);
    assert_eq!(handler.calls(), 0);
    assert_eq!(world.queued().await.len(), 1);
}

#[tokio::test]
async fn an_outcome_that_the_bus_refuses_is_published_with_the_next_try() {
    let world = World::new().await;
    let proxy = Proxy::start(&world.endpoint_url).await;
    let handler = Does::well();
    let harness = world.harness_at(&proxy.url, "12", |_| Some(handler.clone()));
    world.send(&completed("wh_1", "batch_1")).await;
    let batch = world.receive().await;
    // Claim, job, and then the bus.
    proxy.fault(3, Fault::RefuseEntry);
    assert_eq!(harness.handle(batch.clone(), in_seconds(60)).await.batch_item_failures.len(), 1);
    assert_eq!(proxy.calls()[2], "PutEvents");
    let event = world.event("wh_1").await;
    assert_eq!(
        (&event["state"], &event["message"]),
        (&json!("in_progress"), &json!("could not publish the outcome: InternalFailure: later"))
    );

    world.messages_come_back(&batch).await;
    assert_eq!(world.invoke(&harness).await, 0);
    assert_eq!((handler.calls(), &world.event("wh_1").await["state"]), (2, &json!("completed")));
    eventually(async || world.outcomes().await.len() == 1).await;
}

#[tokio::test]
async fn an_alert_that_cannot_be_sent_fails_no_event() {
    let world = World::new().await;
    for (handler, state) in [(Does::well(), "completed"), (Does::never(), "failed")] {
        let proxy = Proxy::start(&world.endpoint_url).await;
        let harness = world.harness_at(&proxy.url, "12", |_| Some(handler.clone()));
        proxy.refuse("Publish");
        world.send(&completed(state, state)).await;
        assert_eq!(world.invoke(&harness).await, 0);
        assert_eq!((handler.calls(), &world.event(state).await["state"]), (1, &json!(state)));
        assert_eq!(handler.alerted(), 0);
    }
    assert!(world.alerts().await.is_empty());
}

#[tokio::test]
async fn a_young_event_whose_object_is_not_there_is_tried_again() {
    let world = World::new().await;
    let gone = Does::what(|event, _| async move { Ok(Outcome::not_found(object(&event).unwrap(), 100)) });
    world.send(&completed("wh_1", "batch_1")).await;
    let batch = world.receive().await;
    assert_eq!(world.harness(gone).handle(batch.clone(), in_seconds(60)).await.batch_item_failures.len(), 1);
    assert_eq!(world.event("wh_1").await["state"], "in_progress");
    assert!(world.alerts().await.is_empty() && world.outcomes().await.is_empty());
    world.messages_come_back(&batch).await;
    assert_eq!(world.invoke(&world.harness(Does::well())).await, 0);
    assert_eq!(world.event("wh_1").await["state"], "completed");
}

#[tokio::test]
async fn what_was_not_found_is_looked_for_again_by_reconciliation_and_by_other_events() {
    for (webhook_id, source, calls) in [("wh_1", "openai", 0), ("wh_1", "reconcile", 1), ("wh_2", "openai", 1)] {
        let world = World::new().await;
        let gone = Does::what(|event, _| async move { Ok(Outcome::not_found(object(&event).unwrap(), 100)) });
        world.send(&aged(&completed("wh_1", "batch_1"))).await;
        assert_eq!(world.invoke(&world.harness(gone)).await, 0);
        assert_eq!(world.idempotency("batch_1").await["status"], "not_found");
        let handler = Does::well();
        world.send(&completed(webhook_id, "batch_1").with("source", source)).await;
        assert_eq!(world.invoke(&world.harness(handler.clone())).await, 0);
        assert_eq!(handler.calls(), calls, "{webhook_id} of {source}");
    }
}

#[tokio::test]
async fn a_message_that_finds_its_record_held_too_often_is_a_dead_letter_with_a_reason() {
    let world = World::new().await;
    let hanging = world.harness(Does::what(|_, _| std::future::pending()));
    world.send(&completed("wh_1", "batch_1")).await;
    let batch = world.receive().await;
    assert!(tokio::time::timeout(Duration::from_secs(2), hanging.handle(batch, in_seconds(60))).await.is_err());

    let handler = Does::well();
    let harness = world.harness_at(&world.endpoint_url, "1", |_| Some(handler.clone()));
    world.send(&completed("wh_2", "batch_1")).await;
    assert_eq!(world.invoke(&harness).await, 0);
    assert_eq!(attribute(&world.dead_letters().await[0], "failure-reason"), Some("retries_exhausted"));
    assert_eq!(world.idempotency("batch_1").await["status"], "in_progress", "it is not ours to end");
    assert_eq!(handler.calls(), 0);
}

#[tokio::test]
async fn a_claim_whose_answers_are_lost_keeps_nobody_waiting() {
    let world = World::new().await;
    let proxy = Proxy::start(&world.endpoint_url).await;
    let handler = Does::well();
    let harness = world.harness_at(&proxy.url, "12", |_| Some(handler.clone()));
    world.send(&completed("wh_1", "batch_1")).await;
    let batch = world.receive().await;
    proxy.lose(3);
    assert_eq!(harness.handle(batch.clone(), in_seconds(60)).await.batch_item_failures.len(), 1);
    assert_eq!((handler.calls(), &world.idempotency("batch_1").await["lease_until"]), (0, &json!(0)));
    world.messages_come_back(&batch).await;
    assert_eq!(world.invoke(&harness).await, 0);
    assert_eq!(handler.calls(), 1);
}

#[tokio::test]
async fn what_is_announced_is_not_freed_when_its_end_cannot_be_written() {
    let world = World::new().await;
    let proxy = Proxy::start(&world.endpoint_url).await;
    let handler = Does::well();
    let harness = world.harness_at(&proxy.url, "12", |_| Some(handler.clone()));
    world.send(&completed("wh_1", "batch_1")).await;
    let batch = world.receive().await;
    // Claim, job, outcome, alert (counted, sent, noted), and then the end is throttled for good.
    proxy.throttle_from(7);
    assert_eq!(harness.handle(batch.clone(), in_seconds(60)).await.batch_item_failures.len(), 1);
    let outcome = async || {
        eventually(async || !world.outcomes().await.is_empty()).await;
        world.outcomes().await
    };
    assert_eq!(outcome().await.len(), 1);

    // Another event that means the same waits for the lease.
    let harness = world.harness(handler.clone());
    world.send(&completed("wh_2", "batch_1")).await;
    assert_eq!(world.invoke(&harness).await, 1);
    assert_eq!(handler.calls(), 1);
    world.leases_end().await;
    world.messages_come_back(&batch).await;
    world.invoke(&harness).await;
    eventually(async || world.outcomes().await.len() == 2).await;
    let keys = outcome().await.iter().map(|outcome| outcome["detail"]["idempotency_key"].clone()).collect::<Vec<_>>();
    assert_eq!(keys, ["batch.completed/batch_1"; 2], "receivers can tell");
}
