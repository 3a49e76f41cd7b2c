//! The memory of a sideband under reflected audio, in a process of its own.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::fs;
use std::time::Duration;

use futures::SinkExt;
use hooks_openai::{CallApi, EventKind};
use hooks_testing::openai_client;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

/// Pieces of audio of an hour's call: 100 ms each, both sides.
const MESSAGES: usize = 2 * 36_000;

/// Memory that skipping them may take: buffers, not audio (460 MB).
const LIMIT: usize = 4 * 1024 * 1024;

/// The most memory that the process has had, in bytes.
fn peak() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

/// Reflects the audio, which is in memory once, and ends the session.
async fn serve(listener: TcpListener, audio: Utf8Bytes) {
    let (connection, _) = listener.accept().await.unwrap();
    let mut socket = accept_async(connection).await.unwrap();
    for _ in 0..MESSAGES {
        socket.send(Message::Text(audio.clone())).await.unwrap();
    }
    socket.send(Message::text(r#"{"type": "session.closed", "reason": "expired"}"#)).await.unwrap();
}

#[tokio::test]
async fn an_hour_of_reflected_audio_takes_the_memory_of_a_buffer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = openai_client(&format!("http://{}", listener.local_addr().unwrap()));
    let audio = format!(r#"{{"audio": "{}", "type": "session.input_audio.append"}}"#, "UklG".repeat(1600));
    tokio::spawn(serve(listener, audio.as_str().into()));
    let deadline = Instant::now() + Duration::from_mins(1);
    let mut sideband = client.attach(CallApi::Live, "live_1", deadline).await.unwrap();
    let before = peak();
    let event = sideband.next().await.unwrap().unwrap();
    assert!(matches!(event.kind, EventKind::Closed { .. }), "{event:?}");
    let skipped = sideband.skipped_audio();
    assert_eq!((skipped.messages, skipped.bytes), (MESSAGES as u64, (MESSAGES * audio.len()) as u64));
    let used = peak() - before;
    println!("{} bytes of audio took {used}", skipped.bytes);
    assert!(used < LIMIT, "{used}");
}
