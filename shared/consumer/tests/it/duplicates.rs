//! One event acts once, however often and under how many names it arrives.

use std::sync::Arc;
use std::time::Duration;

use hooks_consumer::Outcome;
use hooks_function::Deadline;
use serde_json::json;
use tokio::sync::Notify;

use crate::handlers::{Does, object, outcome};
use crate::world::{World, aged, completed, eventually, in_seconds, millis};

#[tokio::test]
async fn ten_copies_of_a_delivery_in_one_batch_act_once() {
    let world = World::new().await;
    let handler = Does::well();
    let harness = world.harness(handler.clone());
    for _ in 0..10 {
        world.send(&completed("wh_1", "batch_1")).await;
    }
    let batch = world.receive().await;
    assert_eq!(batch.records.len(), 10);
    let response = harness.handle(batch.clone(), in_seconds(60)).await;
    world.settle(&batch, &response).await;
    assert_eq!(handler.calls(), 1);

    // Those that found it busy come back when the lease is over, and find it done.
    world.messages_come_back(&batch).await;
    if !world.queued().await.is_empty() {
        assert_eq!(world.invoke(&harness).await, 0);
    }
    assert_eq!(handler.calls(), 1);
    assert!(world.queued().await.is_empty());
    assert_eq!(world.idempotency("batch_1").await["claims"], 1);
}

#[tokio::test]
async fn a_copy_that_comes_later_is_acknowledged_without_a_call() {
    let world = World::new().await;
    let handler = Does::well();
    let harness = world.harness(handler.clone());
    for _ in 0..3 {
        world.send(&completed("wh_1", "batch_1")).await;
        assert_eq!(world.invoke(&harness).await, 0);
    }
    assert_eq!(handler.calls(), 1);
    assert_eq!(world.outcomes().await.len(), 1);
}

#[tokio::test]
async fn a_copy_that_comes_while_the_event_is_worked_on_is_hidden_until_the_lease_ends() {
    let world = World::new().await;
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let gates = (Arc::clone(&begun), Arc::clone(&go_on));
    let handler = Does::what(move |event, _| {
        let (begun, go_on) = gates.clone();
        async move {
            begun.notify_one();
            go_on.notified().await;
            Ok(Outcome { object_id: object(&event), ..outcome("completed") })
        }
    });
    let harness = world.harness(handler.clone());
    world.send(&completed("wh_1", "batch_1")).await;
    let first = world.receive().await;
    world.send(&completed("wh_1", "batch_1")).await;
    let second = world.receive().await;
    let deadline = millis() + 100_000;

    let (first_response, second_response) =
        tokio::join!(harness.handle(first.clone(), Deadline::at(deadline)), async {
            begun.notified().await;
            let response = harness.handle(second.clone(), in_seconds(30)).await;
            go_on.notify_one();
            response
        });

    assert!(first_response.batch_item_failures.is_empty());
    assert_eq!(second_response.batch_item_failures.len(), 1);
    assert_eq!(handler.calls(), 1);
    let copy = second.records[0].message_id.as_deref().unwrap();
    let queued = world.queued().await;
    let hidden = queued.iter().find(|message| message["MessageId"] == copy).unwrap();
    let visible_at = hidden["VisibleAt"].as_u64().unwrap() * 1000;
    assert!((deadline..deadline + 10_000).contains(&visible_at), "{visible_at} after {deadline}");
}

#[tokio::test]
async fn a_lease_that_is_over_lets_the_next_delivery_take_the_event_up() {
    let world = World::new().await;
    let hanging = world.harness(Does::what(|_, _| std::future::pending()));
    world.send(&completed("wh_1", "batch_1")).await;
    let batch = world.receive().await;
    // The process dies in the handler.
    assert!(tokio::time::timeout(Duration::from_secs(2), hanging.handle(batch.clone(), in_seconds(60))).await.is_err());

    let handler = Does::well();
    let harness = world.harness(handler.clone());
    world.messages_come_back(&batch).await;
    assert_eq!(world.invoke(&harness).await, 1, "the dead process's lease still holds");
    world.leases_end().await;
    world.messages_come_back(&batch).await;
    // The receipt handle is another one by now.
    world.send(&completed("wh_1", "batch_1")).await;
    assert_eq!(world.invoke(&harness).await, 0);
    assert_eq!(handler.calls(), 1);
    assert_eq!(world.event("wh_1").await["state"], "completed");
    assert_eq!(world.attempts("wh_1").await, ["interrupted", "completed"]);
}

#[tokio::test]
async fn two_deliveries_that_mean_the_same_act_once() {
    let world = World::new().await;
    let handler = Does::well();
    let harness = world.harness(handler.clone());
    for webhook_id in ["wh_1", "wh_2"] {
        world.send(&completed(webhook_id, "batch_1")).await;
        assert_eq!(world.invoke(&harness).await, 0);
    }
    assert_eq!(handler.calls(), 1);
    let second = world.event("wh_2").await;
    assert_eq!((&second["state"], &second["duplicate_of"]), (&json!("completed"), &json!("project#wh_1")));
}

#[tokio::test]
async fn of_two_deliveries_that_mean_the_same_and_come_together_one_waits_for_the_other() {
    let world = World::new().await;
    let handler = Does::what(|event, _| async move {
        tokio::time::sleep(Duration::from_millis(500)).await;
        Ok(Outcome { object_id: object(&event), ..outcome("completed") })
    });
    let harness = world.harness(handler.clone());
    world.send(&completed("wh_1", "batch_1")).await;
    world.send(&completed("wh_2", "batch_1")).await;
    let batch = world.receive().await;
    let response = harness.handle(batch.clone(), in_seconds(60)).await;
    world.settle(&batch, &response).await;
    assert_eq!((handler.calls(), response.batch_item_failures.len()), (1, 1));

    world.messages_come_back(&batch).await;
    assert_eq!(world.invoke(&harness).await, 0);
    assert_eq!(handler.calls(), 1);
    let states = [world.event("wh_1").await, world.event("wh_2").await];
    assert!(states.iter().all(|event| event["state"] == "completed"));
    assert_eq!(states.iter().filter(|event| event["duplicate_of"].is_string()).count(), 1);
}

#[tokio::test]
async fn a_key_whose_event_failed_for_now_is_free_for_another_that_means_the_same() {
    let world = World::new().await;
    world.send(&completed("wh_1", "batch_1")).await;
    assert_eq!(world.invoke(&world.harness(Does::not_now())).await, 1);

    let handler = Does::well();
    let harness = world.harness(handler.clone());
    world.send(&completed("wh_2", "batch_1")).await;
    assert_eq!(world.invoke(&harness).await, 0);
    assert_eq!(handler.calls(), 1);

    world.send(&completed("wh_1", "batch_1")).await;
    assert_eq!(world.invoke(&harness).await, 0);
    assert_eq!(handler.calls(), 1);
    assert_eq!(world.event("wh_1").await["duplicate_of"], "project#wh_2");
    assert_eq!(world.attempts("wh_1").await, ["retry", "duplicate"]);
}

#[tokio::test]
async fn a_replay_acts_again_and_its_copies_do_not() {
    let world = World::new().await;
    let handler = Does::well();
    let harness = world.harness(handler.clone());
    let sent = completed("wh_1", "batch_1");
    world.send(&sent).await;
    world.invoke(&harness).await;
    let received_at = world.event("wh_1").await["received_at"].clone();

    // Somebody asks twice before the first is handled.
    let replay = world.replay(&sent, "batch_1").await;
    world.send(&replay).await;
    let batch = world.receive().await;
    for _ in 0..2 {
        let response = harness.handle(batch.clone(), in_seconds(60)).await;
        assert!(response.batch_item_failures.is_empty());
    }
    world.send(&replay).await;
    assert_eq!(world.invoke(&harness).await, 0);
    assert_eq!(handler.calls(), 2);
    let event = world.event("wh_1").await;
    assert_eq!((&event["state"], &event["attempts"][1]["asked_by"]), (&json!("completed"), &json!("ada")));
    assert_eq!((&event["received_at"], &event["source"]), (&received_at, &json!("openai")), "its arrival stays");

    world.send(&world.replay(&sent, "batch_1").await).await;
    assert_eq!(world.invoke(&harness).await, 0);
    assert_eq!(handler.calls(), 3, "asked for anew");
}

#[tokio::test]
async fn a_replay_of_a_duplicate_acts_in_place_of_the_event_that_acted() {
    let world = World::new().await;
    let handler = Does::well();
    let harness = world.harness(handler.clone());
    for webhook_id in ["wh_1", "wh_2"] {
        world.send(&completed(webhook_id, "batch_1")).await;
        world.invoke(&harness).await;
    }
    world.send(&world.replay(&completed("wh_2", "batch_1"), "batch_1").await).await;
    assert_eq!(world.invoke(&harness).await, 0);
    assert_eq!(handler.calls(), 2);
    assert!(world.event("wh_2").await["duplicate_of"].is_null());
    assert_eq!(world.idempotency("batch_1").await["event"], "project#wh_2");
}

#[tokio::test]
async fn a_replay_that_fails_or_finds_less_changes_nothing() {
    let gone = || Does::what(|event, _| async move { Ok(Outcome::not_found(object(&event).unwrap(), 100)) });
    let nothing_done = || {
        Does::what(|event, _| async move {
            let note = Some("its caller has gone by now".to_owned());
            Ok(Outcome { object_id: object(&event), note, ..outcome("too_old") })
        })
    };
    let answered_before = || {
        Does::what(|event, _| async move {
            let note = Some("it was answered before".to_owned());
            Ok(Outcome { object_id: object(&event), note, ..outcome("accepted") })
        })
    };
    for (first, handler, reason) in [
        (Does::well(), Does::never(), "quota_exhausted"),
        (Does::well(), gone(), "found_less"),
        (Does::well(), nothing_done(), "found_less"),
        (answered_before(), nothing_done(), "found_less"),
    ] {
        let world = World::new().await;
        let sent = completed("wh_1", "batch_1");
        world.send(&sent).await;
        world.invoke(&world.harness(first)).await;
        eventually(async || world.outcomes().await.len() == 1 && world.alerts().await.len() == 1).await;
        let (job, event) = (world.item("job#batch#batch_1").await, world.event("wh_1").await);
        let outcome = world.idempotency("batch_1").await["outcome"].clone();

        world.send(&world.replay(&aged(&sent), "batch_1").await).await;
        assert_eq!(world.invoke(&world.harness(handler)).await, 0);
        assert!(world.queued().await.is_empty() && world.dead_letters().await.is_empty());
        assert_eq!(world.item("job#batch#batch_1").await, job);
        let now = world.event("wh_1").await;
        for kept in ["state", "result", "artifacts", "summary", "handled_at"] {
            assert_eq!(now[kept], event[kept], "{kept}");
        }
        assert_eq!((&now["attempts"][1]["result"], &now["attempts"][1]["reason"]), (&json!("kept"), &json!(reason)));
        let record = world.idempotency("batch_1").await;
        assert_eq!((&record["status"], &record["outcome"]), (&json!("completed"), &outcome));
        assert_eq!((world.outcomes().await.len(), world.alerts().await.len()), (1, 1), "nobody is told");
    }
}

#[tokio::test]
async fn a_dead_letter_of_what_is_completed_does_not_act_when_it_is_redriven() {
    let world = World::new().await;
    world.send(&completed("wh_1", "batch_1")).await;
    world.invoke(&world.harness(Does::never())).await;
    let handler = Does::well();
    let harness = world.harness(handler.clone());
    // It is replayed with success, and then its letter is redriven.
    world.send(&world.replay(&completed("wh_1", "batch_1"), "batch_1").await).await;
    assert_eq!(world.invoke(&harness).await, 0);
    world.send(&completed("wh_1", "batch_1").with("failure-reason", "quota_exhausted")).await;
    assert_eq!(world.invoke(&harness).await, 0);
    assert_eq!(handler.calls(), 1);
}

#[tokio::test]
async fn an_answer_that_comes_after_somebody_else_took_over_changes_nothing() {
    let world = World::new().await;
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let gates = (Arc::clone(&begun), Arc::clone(&go_on));
    let frozen = world.harness(Does::what(move |event, _| {
        let (begun, go_on) = gates.clone();
        async move {
            begun.notify_one();
            go_on.notified().await;
            let late = Outcome { object_id: object(&event), as_of: 1, alert: None, ..outcome("late") };
            Ok(late)
        }
    }));
    world.send(&completed("wh_1", "batch_1")).await;
    let batch = world.receive().await;

    let (late, ()) = tokio::join!(frozen.handle(batch, in_seconds(60)), async {
        begun.notified().await;
        world.leases_end().await;
        world.send(&completed("wh_1", "batch_1")).await;
        assert_eq!(world.invoke(&world.harness(Does::well())).await, 0);
        go_on.notify_one();
    });

    assert_eq!(late.batch_item_failures.len(), 1, "its message stays, in case the new holder dies");
    let event = world.event("wh_1").await;
    assert_eq!((&event["result"], &event["claims"]), (&json!("completed"), &json!(2)));
    assert_eq!(world.item("job#batch#batch_1").await.unwrap()["status"], "completed");
    assert!(event["handled_at"].as_u64().unwrap() <= millis());
}
