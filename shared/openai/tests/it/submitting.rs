//! Submission of batches.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use hooks_openai::{Client, ErrorClass, NewBatch, Upload};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::time::Instant;

use crate::server::{answer, client_and_asked, client_of, client_of_bytes, error, soon};

/// A server that takes uploads and records their announced length, content type and body.
async fn client_and_uploads() -> (Client, Arc<Mutex<Vec<(usize, String, Vec<u8>)>>>) {
    let uploads = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&uploads);
    let client = client_of(move |request| {
        let header = |name| request.header(name).unwrap().to_owned();
        let (length, kind) = (header("content-length").parse().unwrap(), header("content-type"));
        assert_eq!(request.name(), "POST /v1/files");
        log.lock().unwrap().push((length, kind, request.body.to_vec()));
        answer(200, &[], r#"{"id": "file-1", "bytes": 7}"#)
    });
    (client.await, uploads)
}

#[tokio::test]
async fn a_file_is_sent_unchanged_with_its_length_and_purpose() {
    let (client, uploads) = client_and_uploads().await;
    let content = &b"{\"a\":1}and what was written since"[..];
    let upload = Upload { name: "in\r\n\"1\".jsonl".to_owned(), content, length: 7 };
    let file = client.upload_batch_file(upload, |_| {}, soon()).await.unwrap();
    assert_eq!((file.id.as_str(), file.bytes), ("file-1", Some(7)));

    let (length, kind, body) = uploads.lock().unwrap().remove(0);
    assert_eq!(length, body.len());
    let boundary = kind.strip_prefix("multipart/form-data; boundary=").unwrap();
    let expected = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n\
         --{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"in__\\\"1\\\".jsonl\"\r\n\
         content-type: application/jsonl\r\n\r\n{{\"a\":1}}\r\n--{boundary}--\r\n"
    );
    assert_eq!(String::from_utf8(body).unwrap(), expected);
}

#[tokio::test]
async fn a_large_file_is_sent_in_pieces_and_reports_progress() {
    const LENGTH: u64 = 5_000_000;
    let (client, uploads) = client_and_uploads().await;
    let upload =
        Upload { name: "large.jsonl".to_owned(), content: tokio::io::repeat(b'x').take(LENGTH), length: LENGTH };
    let steps = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&steps);
    client.upload_batch_file(upload, move |so_far| log.lock().unwrap().push(so_far), soon()).await.unwrap();
    assert!(uploads.lock().unwrap()[0].0 as u64 > LENGTH);
    let steps = steps.lock().unwrap();
    assert!(steps.len() > 10 && steps.is_sorted(), "{steps:?}");
    assert_eq!(steps.last(), Some(&LENGTH));
}

#[tokio::test]
async fn a_file_that_became_shorter_is_not_uploaded() {
    let (client, uploads) = client_and_uploads().await;
    let upload = Upload { name: "short.jsonl".to_owned(), content: &b"{}\n"[..], length: 9 };
    let error = client.upload_batch_file(upload, |_| {}, soon()).await.unwrap_err();
    assert!(error.to_string().contains("shorter"), "{error}");
    assert!(uploads.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_upload_may_take_long_and_is_given_up_without_progress() {
    let client = client_of_bytes("", false).await;
    let started = Instant::now();
    let upload = Upload { name: "in.jsonl".to_owned(), content: tokio::io::repeat(b'x'), length: 1 << 30 };
    tokio::time::pause();
    let error = client.upload_batch_file(upload, |_| {}, started + Duration::from_hours(1)).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Retry);
    assert!(error.to_string().contains("timed out"), "{error}");
    assert!(started.elapsed() < Duration::from_mins(5), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_batch_is_created_with_what_it_is_given() {
    let (client, asked) = client_and_asked(r#"{"id": "batch_1", "status": "validating"}"#).await;
    let plain = NewBatch {
        input_file_id: "file-1",
        endpoint: "/v1/responses",
        metadata: &[("team".to_owned(), "a".to_owned())],
        output_expires_after: None,
    };
    assert_eq!(client.create_batch(plain, soon()).await.unwrap().id, "batch_1");
    let kept = NewBatch { output_expires_after: Some(Duration::from_hours(1)), metadata: &[], ..plain };
    client.create_batch(kept, soon()).await.unwrap();

    let mut body = json!({ "input_file_id": "file-1", "endpoint": "/v1/responses", "completion_window": "24h",
        "metadata": { "team": "a" } });
    let asked = asked.lock().unwrap().clone();
    assert_eq!(asked[0], ("POST".to_owned(), "/v1/batches".to_owned(), body.clone()));
    body["metadata"] = json!({});
    body["output_expires_after"] = json!({ "anchor": "created_at", "seconds": 3600 });
    assert_eq!(asked[1], ("POST".to_owned(), "/v1/batches".to_owned(), body));
}

#[tokio::test]
async fn a_batch_is_cancelled_by_its_id() {
    let (client, asked) = client_and_asked(r#"{"id": "batch_1", "status": "cancelling"}"#).await;
    assert_eq!(client.cancel_batch("batch_1", soon()).await.unwrap().status.as_str(), "cancelling");
    assert_eq!(*asked.lock().unwrap(), [("POST".to_owned(), "/v1/batches/batch_1/cancel".to_owned(), Value::Null)]);
}

#[tokio::test]
async fn a_refusal_in_the_middle_of_an_upload_is_read() {
    let body = error("invalid_request_error", &json!("file_too_large"));
    let client = client_of(move |_| answer(413, &[], body.clone())).await;
    let upload = Upload { name: "in.jsonl".to_owned(), content: tokio::io::repeat(b'x'), length: 1 << 20 };
    let error = client.upload_batch_file(upload, |_| {}, soon()).await.unwrap_err();
    assert_eq!((error.class(), error.status()), (ErrorClass::Permanent, Some(413)));
}
