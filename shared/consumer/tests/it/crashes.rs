//! The process dies, or an answer gets lost, at every step there is: what is tried again ends right.

use futures::StreamExt;
use futures::future::{Either, select};
use hooks_consumer::Outcome;
use serde_json::json;

use crate::handlers::{Does, outcome};
use crate::proxy::{Fault, Proxy};
use crate::world::{World, attribute, completed, eventually, in_seconds};

/// What is asked of AWS for an event that goes well: the claim, the job, the outcome, the alert (counted, sent, noted), the
/// end, the history.
const GOOD: [&str; 8] =
    ["UpdateItem", "UpdateItem", "PutEvents", "UpdateItem", "Publish", "UpdateItem", "UpdateItem", "UpdateItem"];

/// The same without an alert.
const QUIET: [&str; 5] = ["UpdateItem", "UpdateItem", "PutEvents", "UpdateItem", "UpdateItem"];

/// What is asked of AWS for an event that can never work: the claim, the letter, the end, the alert, the history.
const HOPELESS: [&str; 7] =
    ["UpdateItem", "SendMessage", "UpdateItem", "UpdateItem", "Publish", "UpdateItem", "UpdateItem"];

/// What is asked of AWS for an event that fails for now: the claim, the history, the release.
const POSTPONED: [&str; 4] = ["UpdateItem", "UpdateItem", "UpdateItem", "ChangeMessageVisibility"];

/// Every step and both sides of it.
fn deaths(steps: usize) -> impl Iterator<Item = (usize, Fault)> {
    (1..=steps).flat_map(|step| [(step, Fault::DieBefore), (step, Fault::DieAfter)])
}

/// Handles one delivery, dies at the given step, and lets the time pass until it can be taken up again.
async fn die(world: &World, handler: Does, step: usize, fault: Fault) {
    let proxy = Proxy::start(&world.endpoint_url).await;
    let harness = world.harness_at(&proxy.url, "12", |_| Some(handler));
    world.send(&completed("wh_1", "batch_1")).await;
    let batch = world.receive().await;
    proxy.fault(step, fault);
    let work = Box::pin(harness.handle(batch.clone(), in_seconds(60)));
    match select(work, Box::pin(proxy.died())).await {
        Either::Left(_) => panic!("step {step} was never made: {:?}", proxy.calls()),
        Either::Right(((), work)) => drop(work),
    }
    world.leases_end().await;
    world.messages_come_back(&batch).await;
}

#[tokio::test]
async fn the_steps_are_the_ones_that_the_following_tests_make_go_wrong() {
    let quiet = Does::always(&Ok(Outcome { alert: None, ..outcome("completed") }));
    for (handler, steps) in [
        (Does::well(), &GOOD[..]),
        (quiet, &QUIET[..]),
        (Does::never(), &HOPELESS[..]),
        (Does::not_now(), &POSTPONED[..]),
    ] {
        let world = World::new().await;
        let proxy = Proxy::start(&world.endpoint_url).await;
        world.send(&completed("wh_1", "batch_1")).await;
        world.invoke(&world.harness_at(&proxy.url, "12", |_| Some(handler))).await;
        assert_eq!(proxy.calls(), steps);
    }
}

#[tokio::test]
async fn whenever_the_process_dies_the_event_is_handled_in_the_end() {
    futures::stream::iter(deaths(GOOD.len()))
        .for_each_concurrent(4, async |(step, fault)| {
            let world = World::new().await;
            let handler = Does::well();
            world.expect("batch", "batch_1", r#"{"order": 7}"#).await;
            die(&world, handler.clone(), step, fault).await;
            assert_eq!(world.invoke(&world.harness(handler.clone())).await, 0, "{fault:?} {step}");

            let event = world.event("wh_1").await;
            assert_eq!(event["state"], "completed", "{fault:?} {step}");
            assert_eq!(world.idempotency("batch_1").await["status"], "completed");
            assert_eq!(world.item("job#batch#batch_1").await.unwrap()["status"], "completed");
            assert!(world.queued().await.is_empty() && world.dead_letters().await.is_empty());
            // Once the record is completed, nothing is done again; before that everything may be.
            let finished = step > 7 || (step, fault) == (7, Fault::DieAfter);
            let began = step > 1;
            assert_eq!(handler.calls(), if began && !finished { 2 } else { 1 }, "{fault:?} {step}");
            eventually(async || !world.outcomes().await.is_empty() && !world.alerts().await.is_empty()).await;
            assert!(world.outcomes().await.len() <= 2 && world.alerts().await.len() <= 2);
            for outcome in world.outcomes().await {
                assert_eq!(outcome["detail"]["context"], json!({"order": 7}), "{fault:?} {step}");
            }
        })
        .await;
}

#[tokio::test]
async fn whenever_the_process_dies_a_hopeless_event_has_its_dead_letter_in_the_end() {
    futures::stream::iter(deaths(HOPELESS.len()))
        .for_each_concurrent(4, async |(step, fault)| {
            let world = World::new().await;
            die(&world, Does::never(), step, fault).await;
            assert_eq!(world.invoke(&world.harness(Does::never())).await, 0, "{fault:?} {step}");
            assert_eq!(world.event("wh_1").await["state"], "failed", "{fault:?} {step}");
            let letters = world.dead_letters().await;
            assert!((1..=2).contains(&letters.len()), "{fault:?} {step}");
            assert!(letters.iter().all(|letter| attribute(letter, "failure-reason") == Some("quota_exhausted")));
            assert!(world.queued().await.is_empty());
        })
        .await;
}

#[tokio::test]
async fn whenever_the_process_dies_an_event_that_failed_for_now_is_tried_again() {
    futures::stream::iter(deaths(POSTPONED.len()))
        .for_each_concurrent(4, async |(step, fault)| {
            let world = World::new().await;
            die(&world, Does::not_now(), step, fault).await;
            assert_eq!(world.invoke(&world.harness(Does::well())).await, 0, "{fault:?} {step}");
            assert_eq!(world.event("wh_1").await["state"], "completed", "{fault:?} {step}");
        })
        .await;
}

#[tokio::test]
async fn an_answer_that_gets_lost_at_any_step_makes_no_difference() {
    futures::stream::iter(1..=GOOD.len())
        .for_each_concurrent(4, async |step| {
            let world = World::new().await;
            let proxy = Proxy::start(&world.endpoint_url).await;
            let handler = Does::well();
            let harness = world.harness_at(&proxy.url, "12", |_| Some(handler.clone()));
            world.send(&completed("wh_1", "batch_1")).await;
            proxy.fault(step, Fault::LoseAnswer);
            assert_eq!(world.invoke(&harness).await, 0, "step {step}");
            assert_eq!(proxy.calls().len(), GOOD.len() + 1, "step {step} was repeated");
            let event = world.event("wh_1").await;
            assert_eq!((&event["state"], &event["claims"]), (&json!("completed"), &json!(1)), "step {step}");
            assert_eq!(world.attempts("wh_1").await, ["completed"], "step {step}");
            assert_eq!(handler.calls(), 1);
        })
        .await;
}
