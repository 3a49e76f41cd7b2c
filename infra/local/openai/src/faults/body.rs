//! Faults of a body: it breaks off, ends early or is slow.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::header::CONTENT_LENGTH;
use axum::response::Response;
use bytes::Bytes;
use futures::{StreamExt, stream};
use tokio::sync::mpsc::{Sender, channel};
use tokio::time::sleep;

use super::Fault;

/// How long the bytes sent so far may take to leave before the connection is cut.
const FLUSH: Duration = Duration::from_millis(20);

/// How often per second a slow body sends its share.
const SLOW_STEPS_PER_SECOND: u64 = 20;

/// The client has closed the connection.
struct Closed;

struct BodySender(Sender<Result<Bytes, axum::Error>>);

impl BodySender {
    async fn send(&self, bytes: Bytes) -> Result<(), Closed> {
        if bytes.is_empty() { Ok(()) } else { self.0.send(Ok(bytes)).await.map_err(|_| Closed) }
    }

    /// Sends an error, on which the server closes the connection.
    async fn cut(&self) -> Result<(), Closed> {
        sleep(FLUSH).await;
        self.0.send(Err(axum::Error::new("cut on command"))).await.map_err(|_| Closed)
    }
}

/// The response with the fault in its body. Other faults leave the body as it is.
pub(super) fn play(fault: Fault, response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    if matches!(fault, Fault::Truncate { .. }) {
        // With the length announced, an early end would be a cut.
        parts.headers.remove(CONTENT_LENGTH);
    }
    let (sender, receiver) = channel(1);
    tokio::spawn(async move {
        // Nothing is left to do once the client has closed the connection.
        let _ = copy(fault, body.into_data_stream(), BodySender(sender)).await;
    });
    let chunks = stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) });
    Response::from_parts(parts, Body::from_stream(chunks))
}

async fn copy(fault: Fault, source: BodyDataStream, sender: BodySender) -> Result<(), Closed> {
    match fault {
        Fault::Cut { after_bytes } => match copy_bytes(source, after_bytes, &sender).await? {
            Some(_rest) => sender.cut().await,
            None => Ok(()),
        },
        Fault::Truncate { after_bytes } => copy_bytes(source, after_bytes, &sender).await.map(|_rest| ()),
        Fault::Slow { bytes_per_second } => copy_slowly(source, bytes_per_second, &sender).await,
        Fault::Pause { after_bytes, milliseconds } => {
            let Some((read, source)) = copy_bytes(source, after_bytes, &sender).await? else { return Ok(()) };
            sleep(Duration::from_millis(milliseconds)).await;
            sender.send(read).await?;
            copy_bytes(source, u64::MAX, &sender).await.map(|_rest| ())
        }
        _ => copy_bytes(source, u64::MAX, &sender).await.map(|_rest| ()),
    }
}

/// Copies the first `limit` bytes. Returns what was read beyond them and the unread rest, or `None` for a shorter body.
async fn copy_bytes(
    mut source: BodyDataStream,
    limit: u64,
    sender: &BodySender,
) -> Result<Option<(Bytes, BodyDataStream)>, Closed> {
    let mut left = limit;
    let mut read = Bytes::new();
    while left > 0 {
        let Some(Ok(chunk)) = source.next().await else { return Ok(None) };
        read = chunk;
        let share = usize::try_from(left).map_or(read.len(), |left| left.min(read.len()));
        sender.send(read.split_to(share)).await?;
        left -= share as u64;
    }
    Ok(Some((read, source)))
}

async fn copy_slowly(mut source: BodyDataStream, bytes_per_second: u64, sender: &BodySender) -> Result<(), Closed> {
    // Below one byte a step, the steps are longer.
    let steps = SLOW_STEPS_PER_SECOND.min(bytes_per_second);
    let share = usize::try_from(bytes_per_second / steps).unwrap_or(usize::MAX);
    let pause = Duration::from_secs(1) / u32::try_from(steps).unwrap_or(1);
    while let Some(Ok(mut chunk)) = source.next().await {
        while !chunk.is_empty() {
            sender.send(chunk.split_to(share.min(chunk.len()))).await?;
            sleep(pause).await;
        }
    }
    Ok(())
}
