//! Creating a session.

use axum::Json;
use axum::http::StatusCode;
use hooks_aws::queue::QueueSender;
use hooks_operate::calls::{self, Created, NewCall, Supervisors};
use hooks_webhook::CallApi;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::types::CallProblem;
use crate::api::body::{Body, read};
use crate::console::Console;
use crate::http::problem::Problem;
use crate::once;
use crate::pages::Seen;

/// Longest key of a request.
const MAX_KEY: usize = 128;

/// A session to create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateRequest {
    /// `live` or `realtime`.
    api: String,
    /// Its configuration; `model` is needed.
    #[schema(value_type = Object)]
    session: Map<String, Value>,
    /// Live: `{"type": "webrtc", "sdp": ...}`, or `{"type": "sip", "destination": ..., "trunk": ...}` for a call that
    /// OpenAI makes. Realtime: none.
    #[schema(value_type = Option<Object>)]
    transport: Option<Map<String, Value>>,
    /// How a call that OpenAI makes is supervised, as in the policy.
    #[schema(value_type = Option<Object>)]
    supervise: Option<Map<String, Value>>,
    /// A key of yours. A second request with it is refused: nobody is called twice.
    #[schema(max_length = 128)]
    key: Option<String>,
}

/// What was created.
#[derive(Serialize, ToSchema)]
pub(crate) struct CreatedCall {
    /// `live` or `realtime`.
    api: String,
    /// The session; a Realtime session has its id once the browser has begun it.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// OpenAI's answer about the transport: the SDP answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    transport: Option<Value>,
    /// Realtime: the secret with which a browser begins the session.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<String>,
    /// When that expires, in Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<i64>,
}

/// Create a session: a call that OpenAI makes, or one of a browser
#[utoipa::path(post, path = "/api/calls", request_body = CreateRequest, responses(
    (status = 201, description = "The session", body = CreatedCall),
    CallProblem,
))]
pub(in crate::api) async fn create(
    seen: Seen,
    body: Body<CreateRequest>,
) -> Result<(StatusCode, Json<CreatedCall>), CallProblem> {
    let CreateRequest { api, session, transport, supervise, key } = read(body)?;
    let api = match api.as_str() {
        "live" => CallApi::Live,
        "realtime" => CallApi::Realtime,
        _ => return Err(Problem::bad_request("unusable_api", "api is live or realtime.").into()),
    };
    let console = &seen.app.console;
    let openai = console.openai().await?;
    let new =
        NewCall { api, session, transport: transport.map(Value::Object), supervise: supervise.map(Value::Object) };
    calls::check(&new)?;
    if let Some(key) = key {
        if key.is_empty() || key.len() > MAX_KEY {
            return Err(Problem::bad_request("unusable_key", format!("key has 1 to {MAX_KEY} bytes.")).into());
        }
        if !once::first(&console.ledger, &format!("call/{key}")).await? {
            let detail = "A session was asked for with this key before.";
            return Err(Problem::new(StatusCode::CONFLICT, "asked_before", detail)
                .next("GET /api/calls has it.")
                .into());
        }
    }
    let supervisors =
        Supervisors { queue: QueueSender::new(&console.aws), url: console.stack.output("SupervisorQueueUrl")? };
    let by = (new, seen.caller.name.as_str());
    let created = calls::create(&console.ledger, &supervisors, &openai, by, Console::deadline()).await?;
    let api = api.as_str().to_owned();
    let made = match created {
        Created::Session { id, transport } => {
            CreatedCall { api, id: Some(id), transport: Some(transport), client_secret: None, expires_at: None }
        }
        Created::Secret(secret) => CreatedCall {
            api,
            id: None,
            transport: None,
            client_secret: Some(secret.value),
            expires_at: secret.expires_at,
        },
    };
    Ok((StatusCode::CREATED, Json(made)))
}
