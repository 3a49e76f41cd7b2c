//! Batches: what is under way at OpenAI, what has ended, and how far each is.

use std::sync::Arc;

use hooks_openai::Batch;
use hooks_webhook::Category;
use serde::Serialize;
use utoipa::ToSchema;

use super::objects::{self, Object};
use crate::Result;
use crate::console::Console;
use hooks_operate::timestamp::Timestamp;

/// Newest batches of OpenAI's list that are looked at for those under way.
const NEWEST: u8 = 50;

/// A batch, from the ledger's record or from OpenAI.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct BatchView {
    /// `batch_...`
    pub id: String,
    /// Status, in OpenAI's words; `expected` before anything is known of it.
    pub status: String,
    /// Whether it has ended.
    pub ended: bool,
    /// Progress in words: `45/100 complete`.
    pub progress: String,
    /// Number of requests; 0 while OpenAI has not counted them.
    pub total: u64,
    /// Requests that succeeded.
    pub completed: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Path of its requests.
    pub endpoint: Option<String>,
    /// Model.
    pub model: Option<String>,
    /// All tokens, once its results are kept.
    pub tokens: Option<u64>,
    /// Why it failed as a whole.
    pub error: Option<String>,
    /// When it was created.
    #[schema(value_type = Option<String>)]
    pub created_at: Option<Timestamp>,
    /// When it ended.
    #[schema(value_type = Option<String>)]
    pub ended_at: Option<Timestamp>,
    /// When this was known.
    #[schema(value_type = Option<String>)]
    pub as_of: Option<Timestamp>,
}

impl BatchView {
    /// As the ledger has it.
    pub(crate) fn of_object(object: &Object) -> Self {
        let count = |name| object.count(name).unwrap_or(0);
        let tokens = object.summary("tokens").and_then(|tokens| tokens.as_object());
        let tokens = tokens.map(|models| models.values().filter_map(|model| model.get("total")?.as_u64()).sum());
        let ended =
            ["completed_at", "failed_at", "expired_at", "cancelled_at"].iter().find_map(|name| object.time(name));
        Self {
            id: object.id.clone(),
            status: object.status().to_owned(),
            ended: object.is_terminal(),
            total: count("total"),
            completed: count("completed"),
            failed: count("failed"),
            endpoint: object.summary_text("endpoint").map(str::to_owned),
            model: object.summary_text("model").map(str::to_owned),
            tokens,
            error: object.text("error").map(str::to_owned),
            created_at: object.time("created_at"),
            ended_at: ended,
            as_of: object.as_of(),
            progress: String::new(),
        }
        .told()
    }

    /// As OpenAI has it now.
    pub(crate) fn of_openai(batch: &Batch) -> Self {
        let counts = batch.request_counts.unwrap_or_default();
        let time = |name: &str| batch.time(name).map(Timestamp::from_seconds);
        let ended = ["completed_at", "failed_at", "expired_at", "cancelled_at"].iter().find_map(|name| time(name));
        let error = batch.errors.first().and_then(|error| error.message.clone());
        Self {
            id: batch.id.clone(),
            status: batch.status.to_string(),
            ended: batch.status.is_terminal(),
            total: counts.total,
            completed: counts.completed,
            failed: counts.failed,
            endpoint: batch.endpoint.clone(),
            model: batch.model.clone(),
            tokens: None,
            error,
            created_at: time("created_at"),
            ended_at: ended,
            as_of: Some(Timestamp::now()),
            progress: String::new(),
        }
        .told()
    }

    fn told(mut self) -> Self {
        self.progress = format!("{}/{} complete", self.completed, self.total);
        self
    }
}

/// The batches that are under way at OpenAI. They are asked for when somebody looks, at most every fifteen seconds.
pub(crate) async fn under_way(console: &Console) -> Result<Vec<BatchView>> {
    let page = console.newest_batches(NEWEST).await?;
    Ok(page.iter().filter(|batch| !batch.status.is_terminal()).map(|batch| BatchView::of_openai(batch)).collect())
}

/// A batch as it is now: the ledger's record if it has ended, else OpenAI's word. The failure says why OpenAI's is missing.
pub(crate) async fn one(console: &Console, id: &str) -> Result<(BatchView, Option<Object>, Option<Arc<Batch>>)> {
    let object = objects::one(console, Category::Batch, id).await?.map(|(object, _)| object);
    if let Some(object) = object.as_ref().filter(|object| object.is_terminal()) {
        return Ok((BatchView::of_object(object), Some(object.clone()), None));
    }
    let batch = console.batch(id).await?;
    Ok((BatchView::of_openai(&batch), object, Some(batch)))
}
