//! Batches.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use hooks_openai::Batch;
use hooks_webhook::Category;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::ListPage;
use super::body::{Body, read};
use crate::Failure;
use crate::console::Console;
use crate::data::batches::{self, BatchView};
use crate::data::filter::before;
use crate::data::{objects, retry as retries, submit as submission};
use crate::http::problem::Problem;
use crate::pages::Seen;

/// A batch to submit.
#[derive(Deserialize, ToSchema)]
pub(crate) struct NewBatch {
    /// Requests, each with `custom_id`, `method`, `url` and `body`.
    #[schema(min_items = 1, max_items = 50_000)]
    requests: Vec<Map<String, Value>>,
    /// Metadata of the batch.
    #[serde(default)]
    metadata: BTreeMap<String, String>,
}

/// List batches: those under way at OpenAI, then those that events told of, newest first
#[utoipa::path(get, path = "/api/batches", params(
    ("before" = Option<i64>, Query, description = "`next` of the page before"),
), responses(
    (status = 200, description = "A page of batches", body = ListPage<BatchView>),
    Problem,
))]
pub(crate) async fn list(seen: Seen) -> Result<Json<ListPage<BatchView>>, Problem> {
    let (console, before) = (&seen.app.console, before(&seen.parameters)?);
    let found = objects::list(console, Category::Batch, before).await?;
    let mut items = if before.is_none() { batches::under_way(console).await? } else { Vec::new() };
    let known: Vec<_> = found.objects.iter().map(BatchView::of_object).collect();
    items.retain(|batch| !known.iter().any(|other| other.id == batch.id && other.ended));
    let more: Vec<_> = known.into_iter().filter(|batch| !items.iter().any(|other| other.id == batch.id)).collect();
    items.extend(more);
    Ok(Json(ListPage { items, next: found.next }))
}

/// Show one batch with its progress
#[utoipa::path(get, path = "/api/batches/{id}", params(("id" = String, Path, description = "Batch id")), responses(
    (status = 200, description = "The batch", body = BatchView),
    Problem,
))]
pub(crate) async fn one(seen: Seen, Path(id): Path<String>) -> Result<Json<BatchView>, Problem> {
    Ok(Json(batches::one(&seen.app.console, &id).await?.0))
}

/// Check every request, then submit them as a batch and expect its end
#[utoipa::path(post, path = "/api/batches", request_body = NewBatch, responses(
    (status = 201, description = "The batch", body = BatchView),
    Problem,
))]
pub(crate) async fn submit(seen: Seen, body: Body<NewBatch>) -> Result<(StatusCode, Json<BatchView>), Problem> {
    let NewBatch { requests, metadata } = read(body)?;
    let content = requests.into_iter().map(|request| Value::Object(request).to_string() + "\n").collect::<String>();
    let lines = metadata.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("\n");
    let metadata = submission::metadata(&lines)?;
    let input = submission::checked(&content).map_err(|errors| {
        Problem::bad_request("faulty_lines", format!("{} faults; nothing was sent.\n{errors}", errors.count))
    })?;
    let console = &seen.app.console;
    let (batch, failure) = submission::submit(console, content, &input, &metadata).await?;
    console.forget(&batch.id).await;
    match failure {
        None => Ok((StatusCode::CREATED, Json(BatchView::of_openai(&batch)))),
        Some(failure) => Err(not_expected(&batch, &failure)),
    }
}

/// Cancel a batch
#[utoipa::path(post, path = "/api/batches/{id}/cancel", params(("id" = String, Path, description = "Batch id")), responses(
    (status = 200, description = "The batch", body = BatchView),
    Problem,
))]
pub(crate) async fn cancel(seen: Seen, Path(id): Path<String>) -> Result<Json<BatchView>, Problem> {
    let console = &seen.app.console;
    let openai = console.openai().await?;
    let batch = openai.cancel_batch(&id, Console::deadline()).await.map_err(Failure::from)?;
    console.forget(&id).await;
    Ok(Json(BatchView::of_openai(&batch)))
}

/// Which requests to submit again.
#[derive(Deserialize, ToSchema)]
pub(crate) struct RetryRequest {
    /// Error codes; every request without an answer if there is none.
    #[serde(default)]
    #[schema(max_items = 100)]
    only: Vec<String>,
    /// Whether only to say what would be submitted.
    #[serde(default)]
    dry_run: bool,
}

/// Result of a retry.
#[derive(Serialize, ToSchema)]
pub(crate) struct Retried {
    /// Number of requests of the batch.
    total: u64,
    /// Number of those that are submitted again, or would be.
    submitted: u64,
    /// Requests without an answer, by error code.
    codes: BTreeMap<String, u64>,
    /// The new batch; absent in a dry run.
    batch: Option<BatchView>,
}

/// Submit the requests of a batch that have no answer again, as a new batch
#[utoipa::path(post, path = "/api/batches/{id}/retry", params(("id" = String, Path, description = "Batch id")),
    request_body = RetryRequest, responses(
    (status = 200, description = "What was submitted, or would be", body = Retried),
    Problem,
))]
pub(crate) async fn retry(
    seen: Seen,
    Path(id): Path<String>,
    body: Body<RetryRequest>,
) -> Result<Json<Retried>, Problem> {
    let RetryRequest { only, dry_run } = read(body)?;
    let console = &seen.app.console;
    let plan = retries::plan(console, &id, only.clone()).await?.plan;
    let batch = if dry_run || plan.retried == 0 { None } else { Some(retries::submit(console, &id, only).await?) };
    match batch {
        Some((batch, Some(failure))) => Err(not_expected(&batch, &failure)),
        batch => Ok(Json(Retried {
            total: plan.total,
            submitted: plan.retried,
            codes: plan.codes,
            batch: batch.map(|(batch, _)| BatchView::of_openai(&batch)),
        })),
    }
}

/// The problem of a batch that was created, but whose end is not expected.
fn not_expected(batch: &Batch, failure: &Failure) -> Problem {
    let detail = format!("The batch {} is created, but its end is not expected: {}", batch.id, failure.message);
    Problem::new(StatusCode::FAILED_DEPENDENCY, "not_expected", detail)
        .next(format!("Do not submit it again: openai-webhooks expect batch {} --by 26h", batch.id))
}
