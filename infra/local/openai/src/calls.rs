//! Phone calls: `/v1/realtime/calls/{id}/...` and `/v1/live/sessions/{id}/...`, and the commands that let one come in and
//! show what became of it.

use std::sync::Mutex;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::app::{Shared, lock};
use crate::errors::{ApiError, ControlError};
use crate::ids::{hex_id, now};
use crate::webhooks::{Event, Scope};

pub(crate) type Calls = Mutex<Vec<Call>>;

/// A call. It may wait for both APIs at once, and whoever acts first has it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Call {
    /// At the Realtime API.
    #[serde(rename = "call_id")]
    realtime_id: String,
    /// At the Live API.
    #[serde(rename = "session_id")]
    live_id: String,
    state: &'static str,
    /// The API that acted.
    by: Option<&'static str>,
    /// What it was told.
    request: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Incoming {
    #[serde(default = "realtime")]
    events: Vec<String>,
    #[serde(default = "caller")]
    from: String,
    #[serde(default = "callee")]
    to: String,
    /// The SIP `Call-ID`.
    sip_call_id: Option<String>,
    /// Further headers, as they stand.
    #[serde(default)]
    headers: Vec<Value>,
    /// How long ago it came in, by its events.
    #[serde(default)]
    age_seconds: i64,
}

fn realtime() -> Vec<String> {
    vec!["realtime.call.incoming".to_owned()]
}

fn caller() -> String {
    "<sip:+14255550123@sip.example.com>;tag=1".to_owned()
}

fn callee() -> String {
    "<sip:+18005550199@sip.example.com>".to_owned()
}

pub(crate) fn api() -> Router<Shared> {
    Router::new()
        .route("/v1/realtime/calls/{id}/{action}", post(realtime_action))
        .route("/v1/live/sessions/{id}/{action}", post(live_action))
}

pub(crate) fn control() -> Router<Shared> {
    Router::new().route("/calls", post(come_in)).route("/calls/{id}", get(show))
}

async fn come_in(State(app): State<Shared>, Json(command): Json<Incoming>) -> Result<Json<Value>, ControlError> {
    let call =
        Call { realtime_id: hex_id("rtc_"), live_id: hex_id("live_"), state: "ringing", by: None, request: None };
    let sip_call_id = command.sip_call_id.unwrap_or_else(|| hex_id(""));
    let mut headers = vec![
        json!({ "name": "From", "value": command.from }),
        json!({ "name": "To", "value": command.to }),
        json!({ "name": "Call-ID", "value": sip_call_id }),
    ];
    headers.extend(command.headers);
    let data = |kind: &str| match kind {
        "realtime.call.incoming" => Ok(json!({ "call_id": call.realtime_id, "sip_headers": headers })),
        "live.transport.incoming" => Ok(json!({ "type": "sip", "session_id": call.live_id, "sip_headers": headers })),
        "live.call.incoming" => Ok(json!({ "session_id": call.live_id, "sip_headers": headers })),
        _ => Err(ControlError::invalid(format!("{kind} is no event of an incoming call"))),
    };
    let events = command.events.into_iter().map(|kind| Ok((data(&kind)?, kind)));
    let events = events.collect::<Result<Vec<_>, ControlError>>()?;
    lock(&app.calls).push(call.clone());
    let created_at = now() - command.age_seconds;
    let send = |(data, kind)| app.webhooks.send(Scope::Project, Event::at(kind, created_at, &data));
    let deliveries: Vec<_> = events.into_iter().flat_map(send).collect();
    Ok(Json(json!({ "call": call, "deliveries": deliveries })))
}

async fn show(State(app): State<Shared>, Path(id): Path<String>) -> Result<Json<Call>, ControlError> {
    let calls = lock(&app.calls);
    let call = calls.iter().find(|call| call.realtime_id == id || call.live_id == id);
    call.cloned().map(Json).ok_or_else(|| ControlError::not_found(format!("no call {id}")))
}

async fn realtime_action(
    State(app): State<Shared>,
    Path((id, action)): Path<(String, String)>,
    body: Bytes,
) -> Result<StatusCode, ApiError> {
    let request = match action.as_str() {
        "accept" => session(object(&body)?, "realtime", "")?,
        // The status is optional here.
        "reject" if body.is_empty() => json!({}),
        "reject" => status_code(object(&body)?, false)?,
        "refer" => target_uri(object(&body)?)?,
        "hangup" => Value::Null,
        _ => return Err(ApiError::not_found("Invalid URL")),
    };
    act(&app, "realtime", &action, request, |call| call.realtime_id == id)
}

async fn live_action(
    State(app): State<Shared>,
    Path((id, action)): Path<(String, String)>,
    body: Bytes,
) -> Result<StatusCode, ApiError> {
    let request = match action.as_str() {
        "accept" => {
            let mut body = object(&body)?;
            let Some(Value::Object(nested)) = body.remove("session") else {
                return Err(ApiError::missing_parameter("session"));
            };
            session(nested, "live", "session.")?
        }
        "reject" => status_code(object(&body)?, true)?,
        "refer" => target_uri(object(&body)?)?,
        "hangup" => Value::Null,
        _ => return Err(ApiError::not_found("Invalid URL")),
    };
    act(&app, "live", &action, request, |call| call.live_id == id)
}

fn act(
    app: &Shared,
    api: &'static str,
    action: &str,
    request: Value,
    is_it: impl Fn(&Call) -> bool,
) -> Result<StatusCode, ApiError> {
    let mut calls = lock(&app.calls);
    let missing = || ApiError::not_found("No call was found with this id.").code("call_id_not_found");
    let call = calls.iter_mut().find(|call| is_it(call)).ok_or_else(missing)?;
    let next = match (action, call.state) {
        ("accept", "ringing") => "accepted",
        ("reject", "ringing") => "rejected",
        ("refer", "ringing" | "accepted") => "referred",
        ("hangup", "ringing" | "accepted") => "ended",
        (_, "accepted") => {
            return Err(ApiError::invalid("The call has already been answered.").status(StatusCode::CONFLICT));
        }
        _ => return Err(missing()),
    };
    (call.state, call.by, call.request) = (next, Some(api), Some(request));
    Ok(StatusCode::OK)
}

fn object(body: &Bytes) -> Result<Map<String, Value>, ApiError> {
    serde_json::from_slice(body).map_err(|_| ApiError::invalid("We could not parse the JSON body of your request."))
}

/// A session's configuration: flat for the Realtime API, and nested for the Live API.
fn session(session: Map<String, Value>, kind: &'static str, within: &str) -> Result<Value, ApiError> {
    if session.contains_key("session") {
        return Err(ApiError::invalid("Unknown parameter: 'session'.").param("session").code("unknown_parameter"));
    }
    match session.get("type").and_then(Value::as_str) {
        Some(given) if given == kind => {}
        Some(given) => {
            return Err(ApiError::invalid_value("type", format!("Invalid value for '{within}type': '{given}'.")));
        }
        None => return Err(ApiError::missing_parameter("type")),
    }
    match session.get("model").and_then(Value::as_str) {
        Some(model) if !model.is_empty() => Ok(Value::Object(session)),
        _ => Err(ApiError::missing_parameter("model")),
    }
}

fn status_code(body: Map<String, Value>, required: bool) -> Result<Value, ApiError> {
    match body.get("status_code") {
        None if required => Err(ApiError::missing_parameter("status_code")),
        None => Ok(Value::Object(body)),
        Some(code) if code.as_u64().is_some_and(|code| (300..=699).contains(&code)) => Ok(Value::Object(body)),
        Some(_) => Err(ApiError::invalid_value("status_code", "Invalid 'status_code': expected 300 to 699.")),
    }
}

fn target_uri(body: Map<String, Value>) -> Result<Value, ApiError> {
    match body.get("target_uri").and_then(Value::as_str) {
        None => Err(ApiError::missing_parameter("target_uri")),
        Some(uri) if uri.starts_with("tel:") || uri.starts_with("sip:") => Ok(Value::Object(body)),
        Some(_) => Err(ApiError::invalid_value("target_uri", "Invalid 'target_uri': expected a tel: or sip: URI.")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::testing::Server;

    async fn ringing(server: &Server) -> Value {
        server.post("/_control/calls", json!({})).await.json()["call"].clone()
    }

    fn path(call: &Value, api: &str, action: &str) -> String {
        match api {
            "realtime" => format!("/v1/realtime/calls/{}/{action}", call["call_id"].as_str().unwrap()),
            _ => format!("/v1/live/sessions/{}/{action}", call["session_id"].as_str().unwrap()),
        }
    }

    #[tokio::test]
    async fn the_first_api_that_accepts_has_the_call() {
        let server = Server::start().await;
        let call = ringing(&server).await;
        let session = json!({ "session": { "type": "live", "model": "gpt-live-1" } });
        let answer = server.post(&path(&call, "live", "accept"), session).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 0));
        let flat = json!({ "type": "realtime", "model": "gpt-realtime-2.1" });
        assert_eq!(server.post(&path(&call, "realtime", "accept"), flat).await.status, 409);
        let shown = server.get(&format!("/_control/calls/{}", call["call_id"].as_str().unwrap())).await.json();
        assert_eq!((&shown["state"], &shown["by"]), (&"accepted".into(), &"live".into()));
        assert_eq!(server.post(&path(&call, "live", "hangup"), json!({})).await.status, 200);
        assert_eq!(server.post(&path(&call, "live", "hangup"), json!({})).await.status, 404);
    }

    #[tokio::test]
    async fn a_body_for_the_other_api_or_with_something_missing_is_refused() {
        let server = Server::start().await;
        let call = ringing(&server).await;
        let flat = json!({ "type": "realtime", "model": "m" });
        for (api, action, body) in [
            ("realtime", "accept", json!({ "session": flat })),
            ("realtime", "accept", json!({ "model": "m" })),
            ("realtime", "accept", json!({ "type": "live", "model": "m" })),
            ("realtime", "accept", json!({ "type": "realtime" })),
            ("live", "accept", json!({ "type": "live", "model": "m" })),
            ("live", "accept", json!({ "session": { "type": "live" } })),
            ("live", "reject", json!({})),
            ("live", "reject", json!({ "status_code": 200 })),
            ("realtime", "reject", json!({ "status_code": "603" })),
            ("realtime", "refer", json!({})),
            ("live", "refer", json!({ "target_uri": "https://example.com" })),
        ] {
            let answer = server.post(&path(&call, api, action), body.clone()).await;
            assert_eq!(answer.status, 400, "{api} {action} {body}");
        }
        assert_eq!(server.post(&path(&call, "realtime", "reject"), json!({})).await.status, 200);
    }
}
