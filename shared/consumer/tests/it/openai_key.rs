//! The API key: missing, refused, replaced.

use std::sync::Arc;
use std::sync::Mutex;

use consumer::{Context, Event, Failure, Handler, OpenAi, Outcome};
use serde_json::json;

use crate::world::{World, attribute, completed, in_seconds};

/// Gets a client as every handler does, and is refused.
struct Refused {
    openai: OpenAi,
    seen: Arc<Mutex<usize>>,
}

impl Handler for Refused {
    async fn handle(&self, _: &Event, _: &Context) -> Result<Outcome, Failure> {
        self.openai.client().await?;
        *self.seen.lock().unwrap() += 1;
        Err(Failure::permanent(Failure::UNAUTHORIZED, "retrieve batch: 401"))
    }
}

#[tokio::test]
async fn a_key_that_nobody_has_set_is_a_reason_to_try_again_that_says_how_to_set_it() {
    let world = World::new().await;
    world.api_key("unset").await;
    let seen = Arc::<Mutex<usize>>::default();
    let harness = world.harness_at(&world.endpoint_url, "12", |setup| {
        Some(Refused { openai: setup.openai()?, seen: Arc::clone(&seen) })
    });
    world.send(&completed("wh_1", "batch_1")).await;
    assert_eq!(world.invoke(&harness).await, 1);
    assert_eq!(*seen.lock().unwrap(), 0);
    let message = world.event("wh_1").await["error"]["message"].clone();
    assert!(message.as_str().unwrap().contains(&format!("put-secret-value --secret-id {}", world.name)), "{message}");
}

#[tokio::test]
async fn a_refused_key_that_is_still_the_one_in_the_secret_is_a_dead_letter() {
    let world = World::new().await;
    world.api_key("sk-wrong").await;
    let seen = Arc::<Mutex<usize>>::default();
    let harness = world.harness_at(&world.endpoint_url, "12", |setup| {
        Some(Refused { openai: setup.openai()?, seen: Arc::clone(&seen) })
    });
    world.send(&completed("wh_1", "batch_1")).await;
    let batch = world.receive().await;
    assert!(harness.handle(batch, in_seconds(60)).await.batch_item_failures.is_empty());
    assert_eq!(*seen.lock().unwrap(), 1);
    assert_eq!(attribute(&world.dead_letters().await[0], "failure-reason"), Some("unauthorized"));
    assert_eq!(world.event("wh_1").await["state"], json!("failed"));
}
