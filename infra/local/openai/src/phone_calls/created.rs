//! Sessions that the client creates: `POST /v1/live/sessions`, `POST /v1/realtime/client_secrets`; and recordings.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::session::Api;
use super::{Call, PhoneCalls};
use crate::errors::ApiError;
use crate::ids::{hex_id, now};
use crate::request::RequestBody;
use crate::store::lock;
use crate::webhooks::Event;

/// Bytes of a second of the recording: PCM16 at 24 kHz.
const BYTES_PER_SECOND: u64 = 48_000;

/// Longest recording, in seconds; the rest of a long call is left out.
const MAX_SECONDS: u64 = 60;

/// A Live session over WebRTC, or a phone call that OpenAI makes.
pub(super) async fn live_session(
    State(phone): State<PhoneCalls>,
    request: RequestBody,
) -> Result<Json<Value>, ApiError> {
    let session = request.required("session")?.clone();
    if !session["model"].is_string() {
        return Err(ApiError::missing_parameter("session.model"));
    }
    let transport = request.required("transport")?;
    let plan = lock(&phone.next).take().unwrap_or_default();
    let answer = match transport["type"].as_str() {
        Some("webrtc") if transport["sdp"].as_str().is_none_or(str::is_empty) => {
            return Err(ApiError::invalid_value("transport.sdp", "An SDP offer is required."));
        }
        Some("webrtc") => json!({"type": "webrtc", "sdp": "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"}),
        Some("sip") if !plan.outbound_sip => {
            let message = "Outbound SIP is not enabled for this organization.";
            return Err(ApiError::invalid(message).code("outbound_sip_not_enabled").status(StatusCode::FORBIDDEN));
        }
        Some("sip") => {
            for (at, name) in [
                ("/destination", "transport.destination"),
                ("/trunk/provider_url", "transport.trunk.provider_url"),
                ("/trunk/auth/username", "transport.trunk.auth.username"),
                ("/trunk/auth/password", "transport.trunk.auth.password"),
                ("/trunk/caller_number", "transport.trunk.caller_number"),
            ] {
                if transport.pointer(at).and_then(Value::as_str).is_none_or(str::is_empty) {
                    return Err(ApiError::missing_parameter(name));
                }
            }
            json!({"type": "sip"})
        }
        _ => {
            return Err(ApiError::invalid_value("transport.type", "Only the webrtc and sip transports are supported."));
        }
    };
    let mut call = Call::ringing(plan);
    (call.state, call.by, call.config) = ("accepted", Some("live"), Some(session.clone()));
    call.begin(Api::Live, session);
    let id = call.live_id.clone();
    lock(&phone.calls).push(call);
    if answer["type"] == "webrtc" {
        let data = json!({"type": "webrtc", "session_id": id});
        phone.webhooks.send(Event::at("live.transport.connected".to_owned(), now(), &data));
    }
    Ok(Json(json!({"session": {"id": id}, "transport": answer})))
}

/// A secret with which a browser may start a Realtime session.
pub(super) async fn client_secret(request: RequestBody) -> Result<Json<Value>, ApiError> {
    let mut session = request.get("session").cloned().unwrap_or_else(|| json!({"type": "realtime"}));
    if session["type"] != "realtime" && session["type"] != "transcription" {
        return Err(ApiError::missing_parameter("session.type"));
    }
    let seconds = request.get("expires_after").and_then(|after| after["seconds"].as_i64()).unwrap_or(600);
    if !(10..=7_200).contains(&seconds) {
        return Err(ApiError::invalid_value("expires_after.seconds", "Expected 10 to 7200 seconds."));
    }
    session["id"] = hex_id("sess_").into();
    session["object"] = "realtime.session".into();
    session["expires_at"] = 0.into();
    Ok(Json(json!({"value": hex_id("ek_"), "expires_at": now() + seconds, "session": session})))
}

/// The recording of a session that was stored: silence of its length.
pub(super) async fn recording(State(phone): State<PhoneCalls>, Path(id): Path<String>) -> Result<Response, ApiError> {
    let missing = || ApiError::not_found("No stored session was found with this id.").code("session_id_not_found");
    let (stored, record) = {
        let calls = lock(&phone.calls);
        let call = calls.iter().find(|call| call.live_id == id).ok_or_else(missing)?;
        (call.config.as_ref().is_some_and(|session| session["store"] == true), call.record.clone())
    };
    let record = lock(&record).clone();
    if !stored || record.ended.is_none() {
        return Err(missing());
    }
    Ok(([(CONTENT_TYPE, "audio/wav")], wav(record.seconds.min(MAX_SECONDS))).into_response())
}

fn wav(seconds: u64) -> Vec<u8> {
    let length = u32::try_from(seconds * BYTES_PER_SECOND).unwrap_or_default();
    let mut file = b"RIFF".to_vec();
    file.extend((36 + length).to_le_bytes());
    file.extend(b"WAVEfmt ");
    file.extend(16_u32.to_le_bytes());
    // PCM, one channel.
    file.extend([1, 0, 1, 0]);
    file.extend(24_000_u32.to_le_bytes());
    file.extend(48_000_u32.to_le_bytes());
    // Bytes and bits of a sample.
    file.extend([2, 0, 16, 0]);
    file.extend(b"data");
    file.extend(length.to_le_bytes());
    file.resize(44 + length as usize, 0);
    file
}
