//! The API key: missing, refused, replaced.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hooks_consumer::{Context, Event, Handler, HandlerError, Harness, OpenAi, Outcome};
use serde_json::json;

use crate::world::{World, attribute, completed, in_seconds};

/// Gets a client as every handler does, and is refused when it has one.
struct Refused {
    openai: OpenAi,
    calls: Arc<AtomicUsize>,
    /// Somebody replaces the key after the handler got its client.
    replacement: Option<Arc<World>>,
}

impl Handler for Refused {
    async fn handle(&self, _: &Event, _: &Context) -> Result<Outcome, HandlerError> {
        self.openai.client().await?;
        self.calls.fetch_add(1, Ordering::SeqCst);
        if let Some(world) = &self.replacement {
            world.api_key("sk-new").await;
            // A key that was read a moment ago is not read again.
            tokio::time::pause();
            tokio::time::advance(Duration::from_secs(30)).await;
            tokio::time::resume();
        }
        Err(HandlerError::permanent(HandlerError::UNAUTHORIZED, "retrieve batch: 401"))
    }
}

fn harness(world: &World, calls: &Arc<AtomicUsize>, replacement: Option<Arc<World>>) -> Harness<Refused> {
    world.harness_at(&world.endpoint_url, "12", |setup| {
        Some(Refused { openai: setup.openai()?, calls: Arc::clone(calls), replacement })
    })
}

#[tokio::test]
async fn a_key_that_nobody_has_set_is_a_reason_to_try_again_that_says_how_to_set_it() {
    let world = World::new().await;
    world.api_key("unset").await;
    let calls = Arc::default();
    world.send(&completed("wh_1", "batch_1")).await;
    assert_eq!(world.invoke(&harness(&world, &calls, None)).await, 1);
    assert_eq!(calls.load(Ordering::SeqCst), 0);
    let message = world.event("wh_1").await["message"].clone();
    assert!(message.as_str().unwrap().contains(&format!("put-secret-value --secret-id {}", world.name)), "{message}");
}

#[tokio::test]
async fn a_refused_key_that_is_still_the_one_in_the_secret_is_a_dead_letter() {
    let world = World::new().await;
    world.api_key("sk-wrong").await;
    let calls = Arc::default();
    world.send(&completed("wh_1", "batch_1")).await;
    assert_eq!(world.invoke(&harness(&world, &calls, None)).await, 0);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    assert_eq!(attribute(&world.dead_letters().await[0], "failure-reason"), Some("unauthorized"));
    assert_eq!(world.event("wh_1").await["state"], json!("failed"));
}

#[tokio::test]
async fn a_refused_key_that_was_replaced_meanwhile_is_a_reason_to_try_again() {
    let world = Arc::new(World::new().await);
    world.api_key("sk-old").await;
    let calls = Arc::default();
    world.send(&completed("wh_1", "batch_1")).await;
    let harness = harness(&world, &calls, Some(Arc::clone(&world)));
    assert_eq!(world.invoke_until(&harness, in_seconds(120)).await, 1);
    assert!(world.dead_letters().await.is_empty());
    let message = world.event("wh_1").await["message"].clone();
    assert_eq!(message, "the API key has been replaced meanwhile; retrieve batch: 401");
}
