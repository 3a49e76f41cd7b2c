//! The memory of the largest response, in a process of its own.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::fs;
use std::time::Duration;

use hooks_testing::openai_client;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::Instant;

/// Length of the response, a little below the limit.
const LENGTH: usize = 48 * 1024 * 1024 - 1024;

/// Memory that reading it may take besides its own length.
const OVERHEAD: usize = 16 * 1024 * 1024;

const HEAD: &str = r#"{"id": "resp_1", "status": "completed", "output": [{"type": "message", "content": [
    {"type": "output_text", "text": "Hello.", "logprobs": ["#;
const LOGPROB: &str =
    r#"{"token": "a", "logprob": -0.0123, "bytes": [97], "top_logprobs": [{"token": "b", "logprob": -1.5}]},"#;
const TAIL: &str = r#"{}]}]}], "usage": {"total_tokens": 7}}"#;

/// The most memory that the process has had, in bytes.
fn peak() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

/// Answers one request by the response, which is never in memory as a whole.
async fn serve(listener: TcpListener) {
    let (mut connection, _) = listener.accept().await.unwrap();
    let _ = connection.read(&mut [0; 4096]).await.unwrap();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {LENGTH}\r\n\r\n{HEAD}");
    connection.write_all(head.as_bytes()).await.unwrap();
    let (block, mut left) = (LOGPROB.repeat(500), LENGTH - HEAD.len() - TAIL.len());
    while left >= block.len() {
        connection.write_all(block.as_bytes()).await.unwrap();
        left -= block.len();
    }
    connection.write_all(format!("{}{TAIL}", " ".repeat(left)).as_bytes()).await.unwrap();
}

#[tokio::test]
async fn the_largest_response_takes_the_memory_of_its_bytes() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = openai_client(&format!("http://{}", listener.local_addr().unwrap()));
    let before = peak();
    tokio::spawn(serve(listener));
    let response = client.response("resp_1", Instant::now() + Duration::from_mins(1)).await.unwrap();
    assert_eq!((response.json.len(), response.output_text().as_str()), (LENGTH, "Hello."));
    assert_eq!(response.raw().at("/usage/total_tokens").unwrap().count(), Some(7));
    let used = peak() - before;
    println!("{LENGTH} bytes took {used}");
    assert!(used < LENGTH + OVERHEAD, "{used}");
}
