//! What the operations on calls answer.

use std::collections::BTreeMap;

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use hooks_aws::ledger::SessionRecord;
use hooks_operate::calls::document;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::openapi::{RefOr, Response as Described};
use utoipa::{IntoResponses, ToSchema};

use crate::Failure;
use crate::data::calls::{Detail, detail_document};
use crate::http::problem::{Problem, problem_responses};

/// A call.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct CallView {
    /// `live_...` or `rtc_...`
    id: String,
    /// `live` or `realtime`.
    api: String,
    /// `ringing`, `active`, `ending` or `ended`.
    state: String,
    /// Facts for people; numbers are masked.
    #[schema(value_type = Object)]
    facts: Map<String, Value>,
    /// When it came.
    opened_at: Option<String>,
    /// When its supervisor was first attached.
    active_at: Option<String>,
    /// When it ended.
    ended_at: Option<String>,
    /// Why it ended.
    reason: Option<String>,
    /// Seconds and tokens so far.
    #[schema(value_type = Object)]
    usage: Map<String, Value>,
    /// Number of supervisors so far.
    generation: u32,
    /// End of the supervisor's lease.
    supervised_until: Option<String>,
}

impl CallView {
    pub(crate) fn read(record: &SessionRecord) -> Result<Self, Failure> {
        serde_json::from_value(document(record)).map_err(|error| unreadable(&error))
    }
}

fn unreadable(error: &serde_json::Error) -> Failure {
    Failure::service(format!("the call cannot be shown: {error}"))
}

/// A page of calls.
#[derive(Serialize, ToSchema)]
pub(crate) struct CallPage {
    /// The calls.
    pub(crate) items: Vec<CallView>,
    /// `before` of the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<i64>,
}

/// What was said by one side without a break.
#[derive(Serialize, Deserialize, ToSchema)]
pub(crate) struct UtteranceView {
    /// When it began.
    at: String,
    /// `caller`, `assistant`, `tool`, `person` or `supervisor`.
    role: String,
    /// The words.
    text: String,
}

/// A call of a tool.
#[derive(Serialize, Deserialize, ToSchema)]
pub(crate) struct ToolView {
    /// Its id.
    call_id: String,
    /// Name of the tool.
    name: String,
    /// When it was called.
    at: String,
    /// Whether it did what was asked; absent while it runs.
    success: Option<bool>,
    /// Whether the model has the result.
    given: bool,
}

/// Something that somebody asked of the call.
#[derive(Serialize, Deserialize, ToSchema)]
pub(crate) struct AskedView {
    /// What.
    kind: String,
    /// Who.
    asked_by: String,
    /// When.
    at: String,
    /// Whether it was confirmed; absent without an answer.
    confirmed: Option<bool>,
    /// Why it was refused.
    reason: Option<String>,
}

/// A call with all that is known of it.
#[derive(Serialize, Deserialize, ToSchema)]
pub(crate) struct WholeCall {
    #[serde(flatten)]
    call: CallView,
    /// What was said.
    transcript: Vec<UtteranceView>,
    /// `after` of the next request, which then has what came since.
    cursor: Option<String>,
    /// Calls of tools.
    tools: Vec<ToolView>,
    /// What was asked of it.
    asked: Vec<AskedView>,
}

impl WholeCall {
    pub(crate) fn read(detail: &Detail) -> Result<Self, Failure> {
        serde_json::from_value(detail_document(detail)).map_err(|error| unreadable(&error))
    }
}

/// Problem details (RFC 9457) of a request about a call.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CallProblem {
    #[serde(flatten)]
    pub(crate) problem: Problem,
    /// The last state that is known of the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_state: Option<String>,
    /// The call, if it was supervised and has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) call: Option<CallView>,
}

impl IntoResponses for CallProblem {
    fn responses() -> BTreeMap<String, RefOr<Described>> {
        problem_responses::<Self>()
    }
}

impl From<Problem> for CallProblem {
    fn from(problem: Problem) -> Self {
        Self { problem, last_state: None, call: None }
    }
}

impl From<Failure> for CallProblem {
    fn from(failure: Failure) -> Self {
        Problem::from(failure).into()
    }
}

impl From<hooks_aws::AwsError> for CallProblem {
    fn from(error: hooks_aws::AwsError) -> Self {
        Failure::from(error).into()
    }
}

impl IntoResponse for CallProblem {
    fn into_response(self) -> Response {
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json")),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        ];
        (self.problem.code(), headers, serde_json::to_string(&self).unwrap_or_default()).into_response()
    }
}
