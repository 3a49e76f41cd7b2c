//! Dead letters, without their bodies.

use futures::FutureExt as _;
use hooks_aws::queue::{ENDPOINT, EVENT_TYPE, WEBHOOK_ID};
use hooks_webhook::{Category, Event};
use serde::Serialize;
use utoipa::ToSchema;

use crate::Result;
use crate::console::Console;
use hooks_operate::dead_letters::{DeadLetter, QueueDepth};
use hooks_operate::parallel::all;
use hooks_operate::timestamp::Timestamp;

/// Most dead letters of a category that are shown or acted on at a time.
pub(crate) const MAX_LETTERS: usize = 500;

/// Stands for the reason of a message that has none.
pub(crate) const NO_REASON: &str = "none";

/// A dead letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Letter {
    /// Category.
    pub category: String,
    /// SQS's message id.
    pub id: String,
    /// When it was given up.
    #[schema(value_type = String)]
    pub sent_at: Timestamp,
    /// Failure reason; `none` without one.
    pub reason: String,
    /// The reason in words.
    pub message: Option<String>,
    /// Event type.
    #[serde(rename = "type")]
    pub event_type: Option<String>,
    /// Endpoint.
    pub endpoint: Option<String>,
    /// Webhook id.
    pub webhook_id: Option<String>,
    /// Object.
    pub object_id: Option<String>,
}

impl Letter {
    /// The letter as a step of a job: its category and id.
    pub(crate) fn step(&self) -> String {
        format!("{}/{}", self.category, self.id)
    }

    fn new(category: Category, letter: &DeadLetter) -> Self {
        let attribute = |name| letter.attribute(name).map(str::to_owned);
        let event = Event::parse(&letter.body).ok();
        Self {
            category: category.to_string(),
            id: letter.id.clone(),
            sent_at: Timestamp(letter.sent_at),
            reason: letter.reason().unwrap_or(NO_REASON).to_owned(),
            message: letter.message().map(str::to_owned),
            event_type: attribute(EVENT_TYPE).or_else(|| event.as_ref().map(|event| event.event_type.clone())),
            endpoint: attribute(ENDPOINT),
            webhook_id: attribute(WEBHOOK_ID),
            object_id: event.and_then(|event| event.object_id().map(str::to_owned)),
        }
    }
}

/// Dead letters of one category or all, oldest first, for one reason or any.
pub(crate) async fn list(console: &Console, category: Option<Category>, reason: Option<&str>) -> Result<Vec<Letter>> {
    let categories = Category::ALL.into_iter().filter(|one| category.is_none_or(|only| only == *one));
    let calls: Vec<_> = categories.map(|category| of_category(console, category, reason).boxed()).collect();
    let mut found: Vec<_> = all(calls).await?.into_iter().flatten().collect();
    found.sort_by_key(|letter| letter.sent_at);
    Ok(found)
}

async fn of_category(console: &Console, category: Category, reason: Option<&str>) -> Result<Vec<Letter>> {
    let queue = console.queue(category)?;
    // Looking makes messages invisible for a moment, so queues without any are left alone.
    if queue.depth().await?.visible == 0 {
        return Ok(Vec::new());
    }
    let select = |letter: DeadLetter| {
        Some(Letter::new(category, &letter)).filter(|letter| reason.is_none_or(|reason| letter.reason == reason))
    };
    queue.peek(MAX_LETTERS, select).await
}

/// Depths of a category's queue and of its dead-letter queue.
pub(crate) async fn depths(console: &Console, category: Category) -> Result<(QueueDepth, QueueDepth)> {
    let queue = console.queue(category)?;
    tokio::try_join!(queue.queue_depth(), queue.depth())
}
