//! Phone calls: `/v1/realtime/calls/{id}/...` and `/v1/live/sessions/{id}/...`; and the commands that start one and show
//! its state.

use std::sync::{Arc, Mutex};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::errors::{ApiError, ControlError};
use crate::ids::{hex_id, now};
use crate::request::RequestBody;
use crate::store::lock;
use crate::webhooks::{Event, Webhooks};

#[derive(Clone)]
pub(crate) struct PhoneCalls {
    calls: Arc<Mutex<Vec<Call>>>,
    webhooks: Arc<Webhooks>,
}

/// A call. It may ring at both APIs at once; the first action at either takes it.
#[derive(Debug, Clone, Serialize)]
struct Call {
    /// At the Realtime API.
    #[serde(rename = "call_id")]
    realtime_id: String,
    /// At the Live API.
    #[serde(rename = "session_id")]
    live_id: String,
    state: &'static str,
    /// The API that acted last.
    by: Option<&'static str>,
    /// The request of that action.
    request: Option<Value>,
}

impl PhoneCalls {
    pub(crate) fn new(webhooks: &Arc<Webhooks>) -> Self {
        Self { calls: Arc::default(), webhooks: Arc::clone(webhooks) }
    }

    pub(crate) fn api(&self) -> Router {
        Router::new()
            .route("/v1/realtime/calls/{id}/{action}", post(realtime_action))
            .route("/v1/live/sessions/{id}/{action}", post(live_action))
            .with_state(self.clone())
    }

    pub(crate) fn control(&self) -> Router {
        Router::new().route("/calls", post(start)).route("/calls/{id}", get(show)).with_state(self.clone())
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StartCall {
    events: Option<Vec<String>>,
    from: Option<String>,
    to: Option<String>,
    /// The SIP `Call-ID`.
    sip_call_id: Option<String>,
    /// Further SIP headers.
    #[serde(default)]
    headers: Vec<Value>,
    /// How long ago its events were created.
    #[serde(default)]
    age_seconds: i64,
}

async fn start(State(phone): State<PhoneCalls>, Json(command): Json<StartCall>) -> Result<Json<Value>, ControlError> {
    let call =
        Call { realtime_id: hex_id("rtc_"), live_id: hex_id("live_"), state: "ringing", by: None, request: None };
    let header = |name: &str, value: Option<String>, usual: &str| json!({ "name": name, "value": value.unwrap_or_else(|| usual.to_owned()) });
    let mut headers = vec![
        header("From", command.from, "<sip:+14255550123@sip.example.com>;tag=1"),
        header("To", command.to, "<sip:+18005550199@sip.example.com>"),
        header("Call-ID", command.sip_call_id, &hex_id("")),
    ];
    headers.extend(command.headers);
    let data = |kind: &str| match kind {
        "realtime.call.incoming" => Ok(json!({ "call_id": call.realtime_id, "sip_headers": headers })),
        "live.transport.incoming" => Ok(json!({ "type": "sip", "session_id": call.live_id, "sip_headers": headers })),
        "live.call.incoming" => Ok(json!({ "session_id": call.live_id, "sip_headers": headers })),
        _ => Err(ControlError::invalid(format!("{kind} is not an event of an incoming call"))),
    };
    let events = command.events.unwrap_or_else(|| vec!["realtime.call.incoming".to_owned()]);
    let events = events.into_iter().map(|kind| Ok((data(&kind)?, kind)));
    let events = events.collect::<Result<Vec<_>, ControlError>>()?;
    lock(&phone.calls).push(call.clone());
    let created_at = now() - command.age_seconds;
    let send = |(data, kind)| phone.webhooks.send(Event::at(kind, created_at, &data));
    let deliveries: Vec<_> = events.into_iter().flat_map(send).collect();
    Ok(Json(json!({ "call": call, "deliveries": deliveries })))
}

async fn show(State(phone): State<PhoneCalls>, Path(id): Path<String>) -> Result<Json<Call>, ControlError> {
    let calls = lock(&phone.calls);
    let call = calls.iter().find(|call| call.realtime_id == id || call.live_id == id);
    call.cloned().map(Json).ok_or_else(|| ControlError::not_found(format!("no call {id}")))
}

async fn realtime_action(
    State(phone): State<PhoneCalls>,
    Path((id, action)): Path<(String, String)>,
    request: RequestBody,
) -> Result<StatusCode, ApiError> {
    let request = match action.as_str() {
        "accept" => session(request, "realtime", "")?,
        "reject" => status_code(request, false)?,
        _ => other_action(&action, request)?,
    };
    act(&phone, "realtime", &action, request, |call| call.realtime_id == id)
}

async fn live_action(
    State(phone): State<PhoneCalls>,
    Path((id, action)): Path<(String, String)>,
    RequestBody(mut request): RequestBody,
) -> Result<StatusCode, ApiError> {
    let request = match action.as_str() {
        "accept" => match request.remove("session") {
            Some(Value::Object(nested)) => session(RequestBody(nested), "live", "session.")?,
            _ => return Err(ApiError::missing_parameter("session")),
        },
        "reject" => status_code(RequestBody(request), true)?,
        _ => other_action(&action, RequestBody(request))?,
    };
    act(&phone, "live", &action, request, |call| call.live_id == id)
}

/// The request of an action that is the same at both APIs.
fn other_action(action: &str, request: RequestBody) -> Result<Value, ApiError> {
    match action {
        "refer" => target_uri(request),
        "hangup" => Ok(Value::Null),
        _ => Err(ApiError::not_found("Invalid URL")),
    }
}

fn act(
    phone: &PhoneCalls,
    api: &'static str,
    action: &str,
    request: Value,
    is_called: impl Fn(&Call) -> bool,
) -> Result<StatusCode, ApiError> {
    let mut calls = lock(&phone.calls);
    let missing = || ApiError::not_found("No call was found with this id.").code("call_id_not_found");
    let call = calls.iter_mut().find(|call| is_called(call)).ok_or_else(missing)?;
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

/// A session's configuration: flat at the Realtime API, nested at the Live API.
fn session(session: RequestBody, kind: &'static str, within: &str) -> Result<Value, ApiError> {
    if session.0.contains_key("session") {
        return Err(ApiError::invalid("Unknown parameter: 'session'.").param("session").code("unknown_parameter"));
    }
    match session.required_text("type")? {
        given if given == kind => {}
        given => return Err(ApiError::invalid_value("type", format!("Invalid value for '{within}type': '{given}'."))),
    }
    match session.required_text("model")? {
        "" => Err(ApiError::missing_parameter("model")),
        _ => Ok(Value::Object(session.0)),
    }
}

fn status_code(request: RequestBody, required: bool) -> Result<Value, ApiError> {
    match request.get("status_code") {
        None if required => Err(ApiError::missing_parameter("status_code")),
        Some(code) if !code.as_u64().is_some_and(|code| (300..=699).contains(&code)) => {
            Err(ApiError::invalid_value("status_code", "Invalid 'status_code': expected 300 to 699."))
        }
        _ => Ok(Value::Object(request.0)),
    }
}

fn target_uri(request: RequestBody) -> Result<Value, ApiError> {
    let uri = request.required_text("target_uri")?;
    if uri.starts_with("tel:") || uri.starts_with("sip:") {
        return Ok(Value::Object(request.0));
    }
    Err(ApiError::invalid_value("target_uri", "Invalid 'target_uri': expected a tel: or sip: URI."))
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
