//! Sidebands: `GET /v1/live/sessions/{id}/attach` and `GET /v1/realtime?call_id={id}`.

use axum::extract::ws::{CloseFrame, Message as Frames, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio::sync::{mpsc, oneshot};

use super::PhoneCalls;
use super::session::{Frame, Message};
use crate::errors::ApiError;

#[derive(Deserialize)]
pub(super) struct LiveQuery {
    /// `True` as the official SDK writes it, or `true`.
    graceful_close: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct RealtimeQuery {
    call_id: Option<String>,
}

pub(super) async fn live(
    State(phone): State<PhoneCalls>,
    Path(id): Path<String>,
    Query(query): Query<LiveQuery>,
    upgrade: WebSocketUpgrade,
) -> Result<Response, ApiError> {
    let graceful = query.graceful_close.is_some_and(|given| given.eq_ignore_ascii_case("true"));
    let missing = ApiError::not_found("No session was found with this id.").code("session_id_not_found");
    attach(phone.session_to_attach(&id, super::session::Api::Live).ok_or(missing)?, graceful, upgrade).await
}

pub(super) async fn realtime(
    State(phone): State<PhoneCalls>,
    Query(query): Query<RealtimeQuery>,
    upgrade: WebSocketUpgrade,
) -> Result<Response, ApiError> {
    let id = query.call_id.ok_or(ApiError::missing_parameter("call_id"))?;
    let missing = ApiError::not_found("No call was found with this id.").code("call_id_not_found");
    attach(phone.session_to_attach(&id, super::session::Api::Realtime).ok_or(missing)?, true, upgrade).await
}

async fn attach(
    session: mpsc::UnboundedSender<Message>,
    graceful: bool,
    upgrade: WebSocketUpgrade,
) -> Result<Response, ApiError> {
    let (outgoing, frames) = mpsc::unbounded_channel();
    let (reply, accepted) = oneshot::channel();
    let ended = || ApiError::not_found("The session has ended.").code("session_id_not_found");
    session.send(Message::Attach { outgoing, graceful, reply }).map_err(|_| ended())?;
    let message = "The session is controlled by another connection.";
    let refused = || ApiError::invalid(message).code("session_already_attached").status(StatusCode::CONFLICT);
    let connection = accepted.await.map_err(|_| ended())?.ok_or_else(refused)?;
    Ok(upgrade.on_upgrade(move |socket| pump(socket, connection, frames, session)).into_response())
}

/// Carries frames both ways until either side ends the connection.
async fn pump(
    mut socket: WebSocket,
    connection: u32,
    mut frames: mpsc::UnboundedReceiver<Frame>,
    session: mpsc::UnboundedSender<Message>,
) {
    loop {
        let sent = tokio::select! {
            frame = frames.recv() => match frame {
                Some(Frame::Text(text)) => socket.send(Frames::text(text)).await,
                Some(Frame::Binary(bytes)) => socket.send(Frames::binary(vec![0; bytes])).await,
                Some(Frame::Close { graceful: true }) => {
                    let frame = CloseFrame { code: close_code::NORMAL, reason: "session ended".into() };
                    let _ = socket.send(Frames::Close(Some(frame))).await;
                    // The handshake is over when the client has answered.
                    while let Some(Ok(_)) = socket.recv().await {}
                    break;
                }
                Some(Frame::Close { graceful: false }) | None => break,
            },
            received = socket.recv() => match received {
                Some(Ok(Frames::Text(text))) => {
                    // The session may have ended just now.
                    let _ = session.send(Message::Client { connection, text: text.as_str().to_owned() });
                    Ok(())
                }
                Some(Ok(Frames::Close(_)) | Err(_)) | None => break,
                Some(Ok(_)) => Ok(()),
            },
        };
        if sent.is_err() {
            break;
        }
    }
    let _ = session.send(Message::Gone { connection });
}
