//! Phone calls: `/v1/realtime/calls/{id}/...` and `/v1/live/sessions/{id}/...`; and the commands that start one and show
//! its state. A call that was accepted is a session, which plays its plan.

mod agenda;
mod conversation;
mod created;
mod live;
mod plan;
mod realtime;
mod session;
mod sideband;
mod steps;

use std::sync::{Arc, Mutex};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use plan::{Accept, Plan, Refer, Step};
use session::{Api, Message, Records, Session};

use crate::errors::{ApiError, ControlError};
use crate::ids::{hex_id, now, now_ms};
use crate::request::RequestBody;
use crate::store::lock;
use crate::webhooks::{Event, Webhooks};

#[derive(Clone)]
pub(crate) struct PhoneCalls {
    calls: Arc<Mutex<Vec<Call>>>,
    /// The plan of the next session that a client creates.
    next: Arc<Mutex<Option<Plan>>>,
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
    /// When it rang, in milliseconds since the Unix epoch.
    rang_at_ms: i64,
    /// When it was acted on last.
    acted_at_ms: Option<i64>,
    state: &'static str,
    /// The API that acted last.
    by: Option<&'static str>,
    /// The request of that action.
    request: Option<Value>,
    /// The configuration of its session.
    #[serde(skip)]
    config: Option<Value>,
    #[serde(skip)]
    plan: Plan,
    /// What became of its session, if it was accepted.
    #[serde(flatten)]
    record: Records,
    #[serde(skip)]
    session: Option<mpsc::UnboundedSender<Message>>,
}

impl Call {
    fn ringing(plan: Plan) -> Self {
        Self {
            realtime_id: hex_id("rtc_"),
            live_id: hex_id("live_"),
            rang_at_ms: now_ms(),
            acted_at_ms: None,
            state: "ringing",
            by: None,
            request: None,
            config: None,
            plan,
            record: Records::default(),
            session: None,
        }
    }

    /// Starts its session.
    fn begin(&mut self, api: Api, config: Value) {
        let (inbox, messages) = mpsc::unbounded_channel();
        let id = if api == Api::Live { &self.live_id } else { &self.realtime_id };
        let session = Session::new(api, id, config, self.plan.clone(), Arc::clone(&self.record));
        tokio::spawn(session.run(messages));
        self.session = Some(inbox);
    }

    /// As it is now: a session ends by itself too.
    fn now(&self) -> Self {
        let has_ended = self.state == "accepted" && lock(&self.record).ended.is_some();
        Self { state: if has_ended { "ended" } else { self.state }, ..self.clone() }
    }
}

impl PhoneCalls {
    pub(crate) fn new(webhooks: &Arc<Webhooks>) -> Self {
        Self { calls: Arc::default(), next: Arc::default(), webhooks: Arc::clone(webhooks) }
    }

    /// The session that a connection may be made to. Counts a refusal that is planned.
    fn session_to_attach(&self, id: &str, api: Api) -> Option<mpsc::UnboundedSender<Message>> {
        let mut calls = lock(&self.calls);
        let call =
            calls.iter_mut().find(|call| *(if api == Api::Live { &call.live_id } else { &call.realtime_id }) == id)?;
        let session = call.session.clone().filter(|session| !session.is_closed())?;
        if call.plan.not_found > 0 {
            call.plan.not_found -= 1;
            return None;
        }
        Some(session)
    }

    pub(crate) fn api(&self) -> Router {
        Router::new()
            .route("/v1/realtime", get(sideband::realtime))
            .route("/v1/realtime/calls/{id}/{action}", post(realtime_action))
            .route("/v1/realtime/client_secrets", post(created::client_secret))
            .route("/v1/live/sessions", post(created::live_session))
            .route("/v1/live/sessions/{id}/attach", get(sideband::live))
            .route("/v1/live/sessions/{id}/content", get(created::recording))
            .route("/v1/live/sessions/{id}/{action}", post(live_action))
            .with_state(self.clone())
    }

    pub(crate) fn control(&self) -> Router {
        Router::new()
            .route("/calls", post(start))
            .route("/calls/next", post(plan_next))
            .route("/calls/{id}", get(show))
            .route("/calls/{id}/play", post(play))
            .with_state(self.clone())
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StartCall {
    events: Option<Vec<String>>,
    /// The name of the endpoint that they are sent to, instead of the project's.
    endpoint: Option<String>,
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
    #[serde(default)]
    plan: Plan,
}

async fn start(State(phone): State<PhoneCalls>, Json(command): Json<StartCall>) -> Result<Json<Value>, ControlError> {
    command.plan.check().map_err(ControlError::invalid)?;
    let call = Call::ringing(command.plan);
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
    let send = |(data, kind)| {
        let mut event = Event::at(kind, created_at, &data);
        if let Some(endpoint) = &command.endpoint {
            event.endpoint.clone_from(endpoint);
        }
        phone.webhooks.send(event)
    };
    let deliveries: Vec<_> = events.into_iter().flat_map(send).collect();
    Ok(Json(json!({ "call": call, "deliveries": deliveries })))
}

async fn show(State(phone): State<PhoneCalls>, Path(id): Path<String>) -> Result<Json<Call>, ControlError> {
    let calls = lock(&phone.calls);
    let call = calls.iter().find(|call| call.realtime_id == id || call.live_id == id);
    call.map(|call| Json(call.now())).ok_or_else(|| ControlError::not_found(format!("no call {id}")))
}

/// Further steps for a session.
async fn play(
    State(phone): State<PhoneCalls>,
    Path(id): Path<String>,
    Json(steps): Json<Vec<Step>>,
) -> Result<Json<Value>, ControlError> {
    let calls = lock(&phone.calls);
    let call = calls.iter().find(|call| call.realtime_id == id || call.live_id == id);
    let call = call.ok_or_else(|| ControlError::not_found(format!("no call {id}")))?;
    let sent = call.session.as_ref().is_some_and(|session| session.send(Message::Play(steps)).is_ok());
    let refused = || ControlError::conflict(format!("call {id} has no session: it was not accepted, or it has ended"));
    sent.then(|| Json(json!({}))).ok_or_else(refused)
}

/// The plan of the next session that a client creates.
async fn plan_next(State(phone): State<PhoneCalls>, Json(plan): Json<Plan>) -> Result<Json<Value>, ControlError> {
    plan.check().map_err(ControlError::invalid)?;
    *lock(&phone.next) = Some(plan);
    Ok(Json(json!({})))
}

async fn realtime_action(
    State(phone): State<PhoneCalls>,
    Path((id, action)): Path<(String, String)>,
    request: RequestBody,
) -> Result<StatusCode, ApiError> {
    let request = match action.as_str() {
        "accept" => session(request, "realtime", ""),
        "reject" => status_code(request, false),
        _ => other_action(&action, request),
    };
    act(&phone, Api::Realtime, &action, request, |call| call.realtime_id == id)
}

async fn live_action(
    State(phone): State<PhoneCalls>,
    Path((id, action)): Path<(String, String)>,
    RequestBody(mut request): RequestBody,
) -> Result<StatusCode, ApiError> {
    let request = match action.as_str() {
        "accept" => match request.remove("session") {
            Some(Value::Object(nested)) => session(RequestBody(nested), "live", "session."),
            _ => Err(ApiError::missing_parameter("session")),
        },
        "reject" => status_code(RequestBody(request), true),
        _ => other_action(&action, RequestBody(request)),
    };
    act(&phone, Api::Live, &action, request, |call| call.live_id == id)
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
    api: Api,
    action: &str,
    request: Result<Value, ApiError>,
    is_called: impl Fn(&Call) -> bool,
) -> Result<StatusCode, ApiError> {
    let mut calls = lock(&phone.calls);
    let missing = || ApiError::not_found("No call was found with this id.").code("call_id_not_found");
    // A request is checked before its call is looked for.
    let Some(call) = calls.iter_mut().find(|call| is_called(call)) else {
        return Err(request.err().unwrap_or_else(missing));
    };
    let is_lenient = action == "accept" && call.plan.accept == Accept::Lenient;
    let (request, is_malformed) = match request {
        Ok(request) => (request, false),
        Err(_) if is_lenient => (Value::Null, true),
        Err(error) => return Err(error),
    };
    let next = match (action, call.now().state) {
        ("accept", "ringing") => "accepted",
        ("reject", "ringing") => "rejected",
        ("refer", "accepted") if call.plan.refer == Refer::Stays => "accepted",
        ("refer", "ringing" | "accepted") => "referred",
        ("hangup", "ringing" | "accepted") => "ended",
        (_, "accepted") => {
            let message = "The call has already been answered.";
            return Err(ApiError::invalid(message).code("decision_already_made").status(StatusCode::CONFLICT));
        }
        _ => return Err(missing()),
    };
    let end = match action {
        "accept" if !is_malformed && call.plan.accept != Accept::Dead => {
            call.begin(api, request.clone());
            None
        }
        "refer" if next == "referred" => Some("remote_hangup"),
        "hangup" => Some("close_requested"),
        _ => None,
    };
    if let Some((reason, session)) = end.zip(call.session.as_ref()) {
        // It may have ended just now.
        let _ = session.send(Message::End(reason));
    }
    // A call's session is configured by its accept alone.
    let configured =
        if action == "accept" || call.session.is_none() { Some(request.clone()) } else { call.config.take() };
    (call.state, call.by, call.request, call.config) = (next, Some(api.name()), Some(request), configured);
    call.acted_at_ms = Some(now_ms());
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
mod session_tests;
#[cfg(test)]
mod tests;
