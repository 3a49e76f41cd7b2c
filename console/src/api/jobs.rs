//! Jobs: replays and redrives by name.

use axum::Json;
use axum::extract::Path;
use hooks_operate::job::{Job, Jobs, check_name};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::ListPage;
use crate::actions;
use crate::http::problem::Problem;
use crate::pages::Seen;

/// Jobs that are listed.
const SHOWN: usize = 100;

/// A job.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct JobView {
    /// Name.
    name: String,
    /// `replay` or `redrive`.
    kind: String,
    /// Filter as it was when the job began.
    filter: Value,
    /// Who asked for it.
    asked_by: Option<String>,
    /// When it began.
    created_at: String,
    /// When it was last worked on.
    updated_at: String,
    /// Whether nothing is left to do.
    done: bool,
    /// Number of events or dead letters.
    total: u64,
    /// Number of those that were sent.
    sent: u64,
    /// Number of those that were left out.
    left_out: u64,
    /// Number of those that are left.
    open: u64,
}

impl From<&Job> for JobView {
    fn from(job: &Job) -> Self {
        Self {
            name: job.name.clone(),
            kind: job.kind.as_str().to_owned(),
            filter: job.filter.clone(),
            asked_by: job.asked_by.clone(),
            created_at: job.created_at.json(),
            updated_at: job.updated_at.json(),
            done: job.is_done,
            total: job.total,
            sent: job.sent,
            left_out: job.left_out,
            open: job.open(),
        }
    }
}

async fn find(seen: &Seen, name: &str) -> Result<Job, Problem> {
    check_name(name)?;
    let found = Jobs::new(seen.app.console.ledger.clone()).get(name).await?;
    found.ok_or_else(|| Problem::not_found("such job"))
}

/// List the jobs, newest first
#[utoipa::path(get, path = "/api/jobs", responses(
    (status = 200, description = "The newest jobs, at most 100", body = ListPage<JobView>),
    Problem,
))]
pub(crate) async fn list(seen: Seen) -> Result<Json<ListPage<JobView>>, Problem> {
    let jobs = Jobs::new(seen.app.console.ledger.clone()).list(SHOWN).await?;
    Ok(Json(ListPage { items: jobs.iter().map(JobView::from).collect(), next: None }))
}

/// Show one job
#[utoipa::path(get, path = "/api/jobs/{name}", params(("name" = String, Path, description = "Name")), responses(
    (status = 200, description = "The job", body = JobView),
    Problem,
))]
pub(crate) async fn one(seen: Seen, Path(name): Path<String>) -> Result<Json<JobView>, Problem> {
    Ok(Json(JobView::from(&find(&seen, &name).await?)))
}

/// Go on with a job for two seconds
#[utoipa::path(post, path = "/api/jobs/{name}/resume", params(("name" = String, Path, description = "Name")), responses(
    (status = 200, description = "The job; some may be open", body = JobView),
    Problem,
))]
pub(crate) async fn resume(seen: Seen, Path(name): Path<String>) -> Result<Json<JobView>, Problem> {
    let job = find(&seen, &name).await?;
    Ok(Json(JobView::from(&actions::work(&seen.app.console, &job).await?.job)))
}
