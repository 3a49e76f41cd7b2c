//! Bodies that break off, end early or come slowly.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::header::CONTENT_LENGTH;
use axum::response::Response;
use bytes::Bytes;
use futures::{StreamExt, stream};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::sleep;

/// How long what was sent may take to leave before the connection is cut behind it.
const FLUSH: Duration = Duration::from_millis(20);

/// How often a slow body sends its share of a second.
const SLOW_STEPS_PER_SECOND: u64 = 20;

#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    Cut { after_bytes: u64 },
    Truncate { after_bytes: u64 },
    Slow { bytes_per_second: u64 },
    Pause { after_bytes: u64, milliseconds: u64 },
}

/// The client has left.
struct Gone;

struct Outlet(Sender<Result<Bytes, axum::Error>>);

impl Outlet {
    async fn send(&self, bytes: Bytes) -> Result<(), Gone> {
        if bytes.is_empty() { Ok(()) } else { self.0.send(Ok(bytes)).await.map_err(|_| Gone) }
    }

    /// An error in the body makes the server close the connection in its middle.
    async fn cut(&self) -> Result<(), Gone> {
        sleep(FLUSH).await;
        self.0.send(Err(axum::Error::new("cut on command"))).await.map_err(|_| Gone)
    }
}

impl Shape {
    pub(super) fn apply(self, response: Response) -> Response {
        let (mut parts, body) = response.into_parts();
        if matches!(self, Self::Truncate { .. }) {
            // With the true length announced, an early end would be a cut.
            parts.headers.remove(CONTENT_LENGTH);
        }
        let (sender, receiver) = channel(1);
        tokio::spawn(async move {
            // When the client has left, there is nobody to tell.
            let _ = self.play(body.into_data_stream(), Outlet(sender)).await;
        });
        Response::from_parts(parts, Body::from_stream(stream::unfold(receiver, next_item)))
    }

    async fn play(self, source: BodyDataStream, outlet: Outlet) -> Result<(), Gone> {
        match self {
            Self::Cut { after_bytes } => match pass(source, after_bytes, &outlet).await? {
                Some(_rest) => outlet.cut().await,
                None => Ok(()),
            },
            Self::Truncate { after_bytes } => pass(source, after_bytes, &outlet).await.map(|_rest| ()),
            Self::Slow { bytes_per_second } => trickle(source, bytes_per_second, &outlet).await,
            Self::Pause { after_bytes, milliseconds } => {
                let Some((read, source)) = pass(source, after_bytes, &outlet).await? else { return Ok(()) };
                sleep(Duration::from_millis(milliseconds)).await;
                outlet.send(read).await?;
                pass(source, u64::MAX, &outlet).await.map(|_rest| ())
            }
        }
    }
}

async fn next_item(
    mut receiver: Receiver<Result<Bytes, axum::Error>>,
) -> Option<(Result<Bytes, axum::Error>, Receiver<Result<Bytes, axum::Error>>)> {
    let item = receiver.recv().await?;
    Some((item, receiver))
}

/// Passes on the first `limit` bytes. What was read beyond them, and the unread rest; `None` for a shorter body.
async fn pass(
    mut source: BodyDataStream,
    limit: u64,
    outlet: &Outlet,
) -> Result<Option<(Bytes, BodyDataStream)>, Gone> {
    let mut left = limit;
    let mut read = Bytes::new();
    while left > 0 {
        let Some(Ok(chunk)) = source.next().await else { return Ok(None) };
        read = chunk;
        let share = usize::try_from(left).map_or(read.len(), |left| left.min(read.len()));
        outlet.send(read.split_to(share)).await?;
        left -= share as u64;
    }
    Ok(Some((read, source)))
}

async fn trickle(mut source: BodyDataStream, bytes_per_second: u64, outlet: &Outlet) -> Result<(), Gone> {
    // A pace below one byte a step takes longer steps instead.
    let steps = SLOW_STEPS_PER_SECOND.min(bytes_per_second);
    let share = usize::try_from(bytes_per_second / steps).unwrap_or(usize::MAX);
    let pause = Duration::from_secs(1) / u32::try_from(steps).unwrap_or(1);
    while let Some(Ok(mut chunk)) = source.next().await {
        while !chunk.is_empty() {
            outlet.send(chunk.split_to(share.min(chunk.len()))).await?;
            sleep(pause).await;
        }
    }
    Ok(())
}
