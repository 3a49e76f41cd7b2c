//! Acting. Each act takes `dry_run`, and says what it would do.

use std::collections::HashSet;

use axum::Json;
use axum::extract::Path;
use hooks_operate::event_log::Entry;
use hooks_operate::job::{JobKind, new_name};
use hooks_webhook::Category;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::Failure;
use crate::actions;
use crate::api::body::{Body, read};
use crate::data::{letters, setup};
use crate::http::problem::Problem;
use crate::pages::Seen;
use hooks_operate::dead_letters::DlqAction;

/// Most events of one replay.
const MAX_EVENTS: usize = 100;

/// Events to handle again.
#[derive(Deserialize, ToSchema)]
pub(crate) struct ReplayRequest {
    /// Events, each as `ENDPOINT/WEBHOOK_ID`.
    #[schema(min_items = 1, max_items = 100)]
    events: Vec<String>,
    /// Whether only to say what would be done.
    #[serde(default)]
    dry_run: bool,
}

/// Dead letters to act on.
#[derive(Deserialize, ToSchema)]
pub(crate) struct LettersRequest {
    /// Category.
    category: String,
    /// Failure reason; all without it.
    reason: Option<String>,
    /// Whether only to say what would be done.
    #[serde(default)]
    dry_run: bool,
}

/// Result of an act.
#[derive(Serialize, ToSchema)]
pub(crate) struct Acted {
    /// Whether nothing was done.
    dry_run: bool,
    /// The job, which is resumed if some are open: `openai-webhooks jobs resume JOB`.
    job: Option<String>,
    /// Number of events or dead letters that it was done to, or would be.
    done: u64,
    /// Number of those that are left.
    open: u64,
    /// Why others were left out.
    left_out: Vec<String>,
}

/// Whether a consumer runs.
#[derive(Serialize, Deserialize, ToSchema)]
pub(crate) struct Running {
    /// Whether it runs, or is paused.
    running: bool,
}

/// Handle events again
#[utoipa::path(post, path = "/api/replays", request_body = ReplayRequest, responses(
    (status = 200, description = "What was done", body = Acted),
    Problem,
))]
pub(crate) async fn replay(seen: Seen, body: Body<ReplayRequest>) -> Result<Json<Acted>, Problem> {
    let ReplayRequest { events, dry_run } = read(body)?;
    if events.is_empty() || events.len() > MAX_EVENTS {
        return Err(Problem::bad_request("too_many", format!("A replay has 1 to {MAX_EVENTS} events.")));
    }
    let keys: Vec<_> = events.iter().map(|event| event.replacen('/', "#", 1)).collect();
    let keys: Vec<_> = keys.iter().map(String::as_str).collect();
    let (good, bad) = actions::plans(&seen.app.console.log, &keys).await;
    let left_out: Vec<_> = bad.into_iter().map(|failure| failure.message).collect();
    if dry_run || good.is_empty() {
        return Ok(Json(Acted { dry_run, job: None, done: good.len() as u64, open: 0, left_out }));
    }
    let steps = good.iter().map(Entry::key).collect();
    begin(&seen, JobKind::Replay, json!({ "events": events }), steps, left_out).await
}

/// Begins a job, and says how far it is.
async fn begin(
    seen: &Seen,
    kind: JobKind,
    filter: Value,
    steps: Vec<String>,
    mut left_out: Vec<String>,
) -> Result<Json<Acted>, Problem> {
    let name = new_name(kind);
    let report = actions::begin(&seen.app.console, (kind, &name), filter, steps, &seen.caller.name).await?;
    left_out.extend(report.left_out.into_iter().map(|(key, why)| format!("{key}: {why}")));
    let (done, open) = (report.job.sent, report.job.open());
    Ok(Json(Acted { dry_run: false, job: Some(name), done, open, left_out }))
}

/// Put dead letters back into their queue
#[utoipa::path(post, path = "/api/dead-letters/redrive", request_body = LettersRequest, responses(
    (status = 200, description = "What was done", body = Acted),
    Problem,
))]
pub(crate) async fn redrive(seen: Seen, body: Body<LettersRequest>) -> Result<Json<Acted>, Problem> {
    act(&seen, DlqAction::Redrive, read(body)?).await
}

/// Delete dead letters
#[utoipa::path(post, path = "/api/dead-letters/purge", request_body = LettersRequest, responses(
    (status = 200, description = "What was done", body = Acted),
    Problem,
))]
pub(crate) async fn purge(seen: Seen, body: Body<LettersRequest>) -> Result<Json<Acted>, Problem> {
    act(&seen, DlqAction::Purge, read(body)?).await
}

async fn act(seen: &Seen, action: DlqAction, request: LettersRequest) -> Result<Json<Acted>, Problem> {
    let LettersRequest { category, reason, dry_run } = request;
    let category: Category = category.parse().map_err(|_| Failure::usage("there is no such category"))?;
    let found = letters::list(&seen.app.console, Some(category), reason.as_deref()).await?;
    if dry_run || found.is_empty() {
        let done = found.len() as u64;
        return Ok(Json(Acted { dry_run, job: None, done, open: 0, left_out: Vec::new() }));
    }
    match action {
        DlqAction::Redrive => {
            let steps = found.iter().map(|letter| format!("{category}/{}", letter.id)).collect();
            let filter = json!({ "category": category.as_str(), "reason": reason });
            begin(seen, JobKind::Redrive, filter, steps, Vec::new()).await
        }
        DlqAction::Purge => {
            let ids: HashSet<_> = found.into_iter().map(|letter| letter.id).collect();
            let result = actions::purge(&seen.app.console, category, &ids).await?;
            let left_out = result.cause.into_iter().collect();
            Ok(Json(Acted { dry_run, job: None, done: result.letters as u64, open: 0, left_out }))
        }
    }
}

/// Pause or resume the consumer of a category
#[utoipa::path(post, path = "/api/consumers/{category}", params(("category" = String, Path, description = "Category")),
    request_body = Running, responses(
    (status = 200, description = "What was asked for", body = Running),
    Problem,
))]
pub(crate) async fn consumer(
    seen: Seen,
    Path(name): Path<String>,
    body: Body<Running>,
) -> Result<Json<Running>, Problem> {
    let Running { running } = read(body)?;
    let category: Category = name.parse().map_err(|_| Problem::not_found("such category"))?;
    setup::set_running(&seen.app.console, category, running).await?;
    Ok(Json(Running { running }))
}
