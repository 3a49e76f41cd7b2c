//! The overview in figures.

use std::collections::BTreeMap;

use axum::Json;
use futures::FutureExt as _;
use hooks_webhook::Category;
use serde::Serialize;
use utoipa::ToSchema;

use crate::Result;
use crate::console::Console;
use crate::data::batches::BatchView;
use crate::data::filter::Filter;
use crate::data::letters;
use crate::data::objects;
use crate::data::survey::{CategoryCounts, MAX_EVENTS, Survey};
use crate::http::problem::Problem;
use crate::pages::Seen;
use hooks_operate::timestamp::Timestamp;

/// OpenAI's newest batches that are counted.
const NEWEST: u8 = 50;

/// Latest batches that are named.
const LATEST: usize = 10;

/// The overview in figures.
#[derive(Serialize, ToSchema)]
pub(crate) struct Dashboard {
    /// Stack.
    stack: String,
    /// When this was read.
    as_of: String,
    /// Batches, the newest ones.
    batches: BatchTotals,
    /// Events of the last 24 hours by category.
    events: BTreeMap<String, CategoryCounts>,
    /// Whether there are more events than were counted.
    more_events: bool,
    /// Dead letters by category.
    dead_letters: BTreeMap<String, u64>,
    /// Messages that wait, by category.
    waiting: BTreeMap<String, u64>,
}

/// Batches in figures.
#[derive(Serialize, ToSchema)]
pub(crate) struct BatchTotals {
    /// Number of batches.
    total: usize,
    /// Number by state.
    by_state: BTreeMap<String, u64>,
    /// All their requests.
    requests: RequestTotals,
    /// The latest ones.
    latest: Vec<BatchView>,
}

/// Requests in figures.
#[derive(Default, Serialize, ToSchema)]
pub(crate) struct RequestTotals {
    /// All requests.
    total: u64,
    /// That succeeded.
    completed: u64,
    /// That failed.
    failed: u64,
}

/// Show the overview in figures
#[utoipa::path(get, path = "/api/dashboard", responses(
    (status = 200, description = "The figures", body = Dashboard),
    Problem,
))]
pub(crate) async fn dashboard(seen: Seen) -> std::result::Result<Json<Dashboard>, Problem> {
    let console = &seen.app.console;
    let filter = Filter::read(&[])?.to_events(None)?;
    let depths = Category::ALL.map(|category| letters::depths(console, category).boxed());
    let (survey, batches, depths) = tokio::join!(
        Survey::read(&console.log, filter, MAX_EVENTS),
        batches(console),
        futures::future::join_all(depths)
    );
    let (survey, _) = survey?;
    let (mut dead_letters, mut waiting) = (BTreeMap::new(), BTreeMap::new());
    for (category, depths) in Category::ALL.into_iter().zip(depths) {
        let (queue, dead) = depths?;
        dead_letters.insert(category.to_string(), dead.total());
        waiting.insert(category.to_string(), queue.total());
    }
    Ok(Json(Dashboard {
        stack: console.stack.name.clone(),
        as_of: Timestamp::now().json(),
        batches: totals(batches?),
        events: survey.categories,
        more_events: survey.more,
        dead_letters,
        waiting,
    }))
}

/// The newest batches: OpenAI's word for those that it lists, the ledger's for others.
async fn batches(console: &Console) -> Result<Vec<BatchView>> {
    let (newest, known) = tokio::join!(console.newest_batches(NEWEST), objects::list(console, Category::Batch, None));
    let mut all: Vec<_> = newest?.iter().map(|batch| BatchView::of_openai(batch)).collect();
    for object in &known?.objects {
        if !all.iter().any(|batch| batch.id == object.id) {
            all.push(BatchView::of_object(object));
        }
    }
    all.sort_by_key(|batch| std::cmp::Reverse(batch.created_at.map(|at| at.0)));
    Ok(all)
}

fn totals(batches: Vec<BatchView>) -> BatchTotals {
    let (mut by_state, mut requests) = (BTreeMap::new(), RequestTotals::default());
    for batch in &batches {
        *by_state.entry(batch.status.clone()).or_default() += 1;
        requests.total += batch.total;
        requests.completed += batch.completed;
        requests.failed += batch.failed;
    }
    BatchTotals { total: batches.len(), by_state, requests, latest: batches.into_iter().take(LATEST).collect() }
}
