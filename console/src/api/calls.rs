//! Live calls: what is known of them, and what can be asked of them.

pub(super) mod act;
pub(super) mod create;
pub(super) mod types;

use std::sync::Arc;

use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use hooks_aws::ledger::SessionRecord;
use hooks_operate::calls;
use hooks_operate::timestamp::{DAY_MILLIS, Timestamp};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::console::App;
use crate::data::calls::{self as data, Found, MAX_CURSOR};
use crate::data::filter::before;
use crate::http::problem::Problem;
use crate::pages::Seen;
use types::{CallPage, CallProblem, CallView, WholeCall};

/// Calls of a page.
const PAGE: usize = 50;

/// Days in which calls are looked for.
const DAYS: i64 = 35;

/// The operations.
pub(super) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list, create::create))
        .routes(routes!(one))
        .routes(routes!(act::broadcast))
        .routes(routes!(act::message))
        .routes(routes!(act::update))
        .routes(routes!(act::cancel))
        .routes(routes!(act::function_result))
        .routes(routes!(act::commit_audio))
        .routes(routes!(act::clear_audio))
        .routes(routes!(act::mute))
        .routes(routes!(act::hangup))
        .routes(routes!(act::refer))
}

/// List supervised calls, newest first; the first page begins with those that go on
#[utoipa::path(get, path = "/api/calls", params(
    ("state" = Option<String>, Query, description = "`open`: only calls that have not ended"),
    ("before" = Option<i64>, Query, description = "`next` of the page before"),
), responses(
    (status = 200, description = "Calls", body = CallPage),
    CallProblem,
))]
pub(super) async fn list(seen: Seen) -> Result<Json<CallPage>, CallProblem> {
    let console = &seen.app.console;
    let page = match (seen.get("state"), before(&seen.parameters)?) {
        (Some("open"), _) => calls::CallPage { calls: calls::open(&console.ledger).await?, next: None },
        (None, before) => {
            let since = Timestamp(Timestamp::now().0 - DAYS * DAY_MILLIS);
            calls::list(&console.log, since, before, PAGE).await?
        }
        (Some(_), _) => return Err(Problem::bad_request("unusable_state", "state is open, or left out.").into()),
    };
    let items = page.calls.iter().map(CallView::read).collect::<Result<_, _>>()?;
    Ok(Json(CallPage { items, next: page.next }))
}

/// Show one call with its transcript so far, or with what came after a cursor
#[utoipa::path(get, path = "/api/calls/{id}", params(
    ("id" = String, Path, description = "Id of the call: `live_...` or `rtc_...`"),
    ("after" = Option<String>, Query, description = "`cursor` of an earlier answer"),
), responses(
    (status = 200, description = "The call", body = WholeCall),
    CallProblem,
))]
pub(super) async fn one(seen: Seen, Path(id): Path<String>) -> Result<Json<WholeCall>, CallProblem> {
    let record = known(&seen, &id).await?;
    let after = seen.get("after");
    let is_cursor =
        |text: &str| text.len() <= MAX_CURSOR && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'#');
    if !after.is_none_or(is_cursor) {
        return Err(Problem::bad_request("unusable_cursor", "after is the cursor of an earlier answer.").into());
    }
    let detail = data::detail(&seen.app.console, record, after).await?;
    Ok(Json(WholeCall::read(&detail)?))
}

/// The record of a call. One that is not known, or whose id cannot be one, is not found.
async fn known(seen: &Seen, id: &str) -> Result<SessionRecord, CallProblem> {
    match data::find(&seen.app.console, id).await? {
        Found::Session(record) => Ok(*record),
        Found::Job(state) => Err(not_supervised(id, Some(state))),
        Found::Nothing => Err(not_supervised(id, None)),
    }
}

/// The record of a call that goes on. Of one that has ended the refusal has what is known last.
async fn open(seen: &Seen, id: &str) -> Result<SessionRecord, CallProblem> {
    let record = known(seen, id).await?;
    if calls::is_open(&record) {
        return Ok(record);
    }
    let why = record.reason.as_deref().unwrap_or("for an unknown reason");
    let problem = Problem::new(StatusCode::NOT_FOUND, "ended", format!("The call {id} has ended: {why}."))
        .next(format!("What was said is at /api/calls/{id}."));
    Err(CallProblem {
        problem,
        last_state: Some(record.state.as_str().to_owned()),
        call: Some(CallView::read(&record)?),
    })
}

fn not_supervised(id: &str, last_state: Option<String>) -> CallProblem {
    let shown = if calls::is_id(id) { id } else { "of this id" };
    let detail = match &last_state {
        Some(state) => format!("Nobody supervises the call {shown}; the last that is known of it: {state}."),
        None => format!("There is no call {shown}."),
    };
    let problem = Problem::new(StatusCode::NOT_FOUND, "not_found", detail)
        .next("Calls are supervised if the rule of the policy that accepts them has `supervise`.");
    CallProblem { problem, last_state, call: None }
}
