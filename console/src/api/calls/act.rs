//! What is asked of one call, or of all. Each is confirmed or refused within three seconds, and recorded with who asked.

use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use hooks_operate::calls::{self, ANSWER_TIME, Asked, EndAction, check_target};
use hooks_webhook::CallApi;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::types::CallProblem;
use super::{not_supervised, open};
use crate::api::body::{Body, MaybeBody, Word, optional, read};
use crate::console::Console;
use crate::data::calls::{self as data, Found};
use crate::http::problem::Problem;
use crate::pages::Seen;

/// Longest text that is said or added, in bytes: about the 500 tokens that OpenAI takes.
pub(crate) const MAX_TEXT: usize = 2_000;

/// Longest change of a session, in bytes of JSON.
const MAX_CHANGE: usize = 128 * 1024;

/// Longest result of a tool, in bytes.
const MAX_OUTPUT: usize = 32 * 1024;

/// Longest id of a call of a tool.
const MAX_CALL_ID: usize = 256;

/// A text for a call.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MessageRequest {
    /// The text, up to 2,000 bytes.
    #[schema(min_length = 1, max_length = 2000)]
    text: String,
    /// `message` (usual): as if the caller had said it. `say`: the model says it. `instruction`: for the model alone.
    #[serde(default, rename = "as")]
    #[schema(value_type = MessageKind)]
    kind: Word<MessageKind>,
    /// Whether the model answers a message.
    #[serde(default = "yes")]
    respond: bool,
}

/// How a text is meant.
#[derive(Deserialize, ToSchema, Clone, Copy, Default)]
#[serde(rename_all = "snake_case")]
enum MessageKind {
    #[default]
    Message,
    Say,
    Instruction,
}

const fn yes() -> bool {
    true
}

/// A change of a call's configuration.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateRequest {
    /// Instructions for the model. A Live session adds them to those that it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    instructions: Option<String>,
    /// Voice. Realtime only, before its first word.
    #[serde(skip_serializing_if = "Option::is_none")]
    voice: Option<String>,
    /// The tools that the model may call, in place of those that it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    tools: Option<Vec<Map<String, Value>>>,
    /// Other changes, in the form of the session's API.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    session: Option<Map<String, Value>>,
}

/// A change of all calls.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BroadcastRequest {
    /// Instructions for the model. A Live session adds them to those that it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    instructions: Option<String>,
    /// Voice. Realtime only, before its first word.
    #[serde(skip_serializing_if = "Option::is_none")]
    voice: Option<String>,
    /// The tools that the model may call, in place of those that it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    tools: Option<Vec<Map<String, Value>>>,
}

/// A response that is to be cancelled.
#[derive(Deserialize, ToSchema, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct CancelRequest {
    /// `resp_...`; the running one without it.
    #[schema(max_length = 256)]
    response_id: Option<String>,
}

/// The result of a tool that the policy does not have.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FunctionResultRequest {
    /// Id of the call of the tool.
    #[schema(min_length = 1, max_length = 256)]
    call_id: String,
    /// The result, text or JSON, up to 32 KiB.
    #[schema(max_length = 32768)]
    output: String,
}

/// Whether the model hears the caller.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MuteRequest {
    /// Whether it does not.
    #[serde(default = "yes")]
    muted: bool,
}

impl Default for MuteRequest {
    fn default() -> Self {
        Self { muted: true }
    }
}

/// Where a caller is transferred to.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReferRequest {
    /// `tel:` or `sip:` URI.
    #[schema(max_length = 512)]
    target_uri: String,
}

/// Something that was asked of a call and is confirmed.
#[derive(Serialize, ToSchema)]
pub(crate) struct Done {
    /// The call.
    id: String,
    /// What was asked.
    asked: String,
    /// Always true: a refusal is a problem.
    confirmed: bool,
}

/// What became of a change of all calls.
#[derive(Serialize, ToSchema)]
pub(crate) struct Broadcast {
    /// Number of calls that confirmed it.
    confirmed: usize,
    /// Number of calls that refused it.
    refused: usize,
    /// Number of calls that did not answer. It may still be done.
    unanswered: usize,
    /// Each call.
    calls: Vec<BroadcastAnswer>,
}

/// The answer of one call.
#[derive(Serialize, ToSchema)]
pub(crate) struct BroadcastAnswer {
    /// The call.
    id: String,
    /// `confirmed`, `refused` or `unanswered`.
    answer: String,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

type Answer = Result<Json<Done>, CallProblem>;

/// Asks a call and waits for the answer.
async fn ask(seen: &Seen, id: &str, kind: &str, argument: &Value) -> Answer {
    let record = open(seen, id).await?;
    let asked = calls::ask(&seen.app.console.ledger, &record, kind, argument, &seen.caller.name).await?;
    match asked {
        Asked::Confirmed => Ok(Json(Done { id: id.to_owned(), asked: kind.to_owned(), confirmed: true })),
        Asked::Refused(reason) => Err(Problem::new(StatusCode::CONFLICT, "refused", reason).into()),
        Asked::Unanswered => {
            let detail = format!("Nobody answered within {} s. It may still be done.", ANSWER_TIME.as_secs());
            let next = format!("`asked` of /api/calls/{id} tells whether it was.");
            Err(Problem::new(StatusCode::GATEWAY_TIMEOUT, "unanswered", detail).next(next).into())
        }
    }
}

/// Ends a call by a request to OpenAI. It may be one that nobody supervises.
async fn end(seen: &Seen, id: &str, asked: &str, action: EndAction<'_>) -> Answer {
    let console = &seen.app.console;
    let api = match data::find(console, id).await? {
        Found::Session(_) => match open(seen, id).await?.api.as_str() {
            "realtime" => CallApi::Realtime,
            _ => CallApi::Live,
        },
        Found::Job(_) => calls::api_of(id),
        Found::Nothing => return Err(not_supervised(id, None)),
    };
    let openai = console.openai().await?;
    let by = (Some(&console.ledger), seen.caller.name.as_str());
    calls::end(by, &openai, (api, id), action, Console::deadline()).await?;
    Ok(Json(Done { id: id.to_owned(), asked: asked.to_owned(), confirmed: true }))
}

fn bounded(name: &str, text: &str, limit: usize) -> Result<(), Problem> {
    if text.trim().is_empty() || text.len() > limit {
        return Err(Problem::bad_request("unusable_text", format!("{name} has 1 to {limit} bytes.")));
    }
    Ok(())
}

fn change(request: &impl Serialize) -> Result<Value, Problem> {
    let change = json!(request);
    if change.as_object().is_none_or(Map::is_empty) {
        let detail = "Nothing is to be changed: name instructions, voice or tools.";
        return Err(Problem::bad_request("nothing_to_change", detail));
    }
    if change.to_string().len() > MAX_CHANGE {
        return Err(Problem::bad_request("too_large", format!("A change has at most {MAX_CHANGE} bytes.")));
    }
    Ok(change)
}

/// Send a text to a call: as a message that is answered, to be said, or as an instruction
#[utoipa::path(post, path = "/api/calls/{id}/message", params(("id" = String, Path, description = "Id of the call")),
    request_body = MessageRequest, responses(
    (status = 200, description = "It is done", body = Done),
    CallProblem,
))]
pub(super) async fn message(seen: Seen, Path(id): Path<String>, body: Body<MessageRequest>) -> Answer {
    let MessageRequest { text, kind: Word(kind), respond } = read(body)?;
    bounded("text", &text, MAX_TEXT)?;
    let kind = match kind {
        MessageKind::Message => "message",
        MessageKind::Say => "say",
        MessageKind::Instruction => "instruct",
    };
    ask(&seen, &id, kind, &json!({"text": text, "respond": respond})).await
}

/// Change instructions, voice or tools of a call
#[utoipa::path(post, path = "/api/calls/{id}/update", params(("id" = String, Path, description = "Id of the call")),
    request_body = UpdateRequest, responses(
    (status = 200, description = "It is done", body = Done),
    CallProblem,
))]
pub(super) async fn update(seen: Seen, Path(id): Path<String>, body: Body<UpdateRequest>) -> Answer {
    let request = read(body)?;
    ask(&seen, &id, "update", &change(&request)?).await
}

/// Cancel what the model is saying. Realtime only
#[utoipa::path(post, path = "/api/calls/{id}/cancel", params(("id" = String, Path, description = "Id of the call")),
    request_body = CancelRequest, responses(
    (status = 200, description = "It is done", body = Done),
    CallProblem,
))]
pub(super) async fn cancel(seen: Seen, Path(id): Path<String>, body: MaybeBody<CancelRequest>) -> Answer {
    let CancelRequest { response_id } = optional(body)?;
    if let Some(response_id) = &response_id {
        bounded("response_id", response_id, MAX_CALL_ID)?;
    }
    ask(&seen, &id, "cancel", &json!({"response_id": response_id})).await
}

/// Give the result of a tool that the policy does not have
#[utoipa::path(post, path = "/api/calls/{id}/function-result", params(("id" = String, Path, description = "Id of the call")),
    request_body = FunctionResultRequest, responses(
    (status = 200, description = "It is done", body = Done),
    CallProblem,
))]
pub(super) async fn function_result(seen: Seen, Path(id): Path<String>, body: Body<FunctionResultRequest>) -> Answer {
    let FunctionResultRequest { call_id, output } = read(body)?;
    bounded("call_id", &call_id, MAX_CALL_ID)?;
    bounded("output", &output, MAX_OUTPUT)?;
    ask(&seen, &id, "function_result", &json!({"call_id": call_id, "output": output})).await
}

/// Make a message of the caller's audio so far. Realtime only
#[utoipa::path(post, path = "/api/calls/{id}/audio/commit", params(("id" = String, Path, description = "Id of the call")),
    responses(
    (status = 200, description = "It is done", body = Done),
    CallProblem,
))]
pub(super) async fn commit_audio(seen: Seen, Path(id): Path<String>) -> Answer {
    ask(&seen, &id, "commit_audio", &json!({})).await
}

/// Drop the caller's audio so far. Realtime only
#[utoipa::path(post, path = "/api/calls/{id}/audio/clear", params(("id" = String, Path, description = "Id of the call")),
    responses(
    (status = 200, description = "It is done", body = Done),
    CallProblem,
))]
pub(super) async fn clear_audio(seen: Seen, Path(id): Path<String>) -> Answer {
    ask(&seen, &id, "clear_audio", &json!({})).await
}

/// Give the model silence instead of the caller, or end that. Live only
#[utoipa::path(post, path = "/api/calls/{id}/mute", params(("id" = String, Path, description = "Id of the call")),
    request_body = MuteRequest, responses(
    (status = 200, description = "It is done", body = Done),
    CallProblem,
))]
pub(super) async fn mute(seen: Seen, Path(id): Path<String>, body: MaybeBody<MuteRequest>) -> Answer {
    let MuteRequest { muted } = optional(body)?;
    ask(&seen, &id, if muted { "mute" } else { "unmute" }, &json!({})).await
}

/// Hang up
#[utoipa::path(post, path = "/api/calls/{id}/hangup", params(("id" = String, Path, description = "Id of the call")),
    responses(
    (status = 200, description = "It is done", body = Done),
    CallProblem,
))]
pub(super) async fn hangup(seen: Seen, Path(id): Path<String>) -> Answer {
    end(&seen, &id, "hang_up", EndAction::HangUp).await
}

/// Transfer the caller. Whether the other side takes the call is not told
#[utoipa::path(post, path = "/api/calls/{id}/refer", params(("id" = String, Path, description = "Id of the call")),
    request_body = ReferRequest, responses(
    (status = 200, description = "It is done", body = Done),
    CallProblem,
))]
pub(super) async fn refer(seen: Seen, Path(id): Path<String>, body: Body<ReferRequest>) -> Answer {
    let ReferRequest { target_uri } = read(body)?;
    check_target(&target_uri).map_err(|why| Problem::bad_request("unusable_target", format!("target_uri {why}.")))?;
    end(&seen, &id, "transfer", EndAction::Transfer(&target_uri)).await
}

/// Change all calls that go on
#[utoipa::path(post, path = "/api/calls/broadcast", request_body = BroadcastRequest, responses(
    (status = 200, description = "What became of it", body = Broadcast),
    CallProblem,
))]
pub(super) async fn broadcast(seen: Seen, body: Body<BroadcastRequest>) -> Result<Json<Broadcast>, CallProblem> {
    let request = read(body)?;
    let change = change(&request)?;
    let asked = calls::broadcast(&seen.app.console.ledger, "update", &change, &seen.caller.name).await?;
    let mut result = Broadcast { confirmed: 0, refused: 0, unanswered: 0, calls: Vec::with_capacity(asked.len()) };
    for (id, asked) in asked {
        let (answer, reason, count) = match asked {
            Asked::Confirmed => ("confirmed", None, &mut result.confirmed),
            Asked::Refused(reason) => ("refused", Some(reason), &mut result.refused),
            Asked::Unanswered => ("unanswered", None, &mut result.unanswered),
        };
        *count += 1;
        result.calls.push(BroadcastAnswer { id, answer: answer.to_owned(), reason });
    }
    Ok(Json(result))
}
