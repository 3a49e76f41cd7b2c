//! Storing and reading artifacts, against as much of S3 as that needs.

#![expect(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "a test fails by panicking")]

use std::time::Duration;

use hooks_aws::artifacts::{GetResult, JSON, JSON_LINES, Key, Upload};
use hooks_testing::S3;

const PART: usize = 8 * 1024 * 1024;

fn key() -> Key {
    Key::new(&["batch", "batch_1", "output.jsonl"]).unwrap()
}

/// Bytes of which no two parts are alike.
fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 + at / 251 + at / PART) as u8).collect()
}

async fn write_in_pieces(upload: &mut Upload, bytes: &[u8], piece: usize) {
    for piece in bytes.chunks(piece) {
        upload.write(piece).await.unwrap();
    }
}

#[tokio::test]
async fn an_object_at_hand_is_put_with_its_content_type() {
    let (s3, artifacts) = S3::start().await;
    let key = Key::new(&["batch", "batch_1", "summary.json"]).unwrap();
    artifacts.put(&key, JSON, "{}").await.unwrap();
    let object = s3.object("batch/batch_1/summary.json").unwrap();
    assert_eq!((object.content_type.as_str(), &object.bytes[..]), (JSON, &b"{}"[..]));
}

#[tokio::test]
async fn a_short_object_is_stored_in_one_request() {
    for length in [0, 1, PART] {
        let (s3, artifacts) = S3::start().await;
        let mut upload = artifacts.upload(key(), JSON_LINES);
        write_in_pieces(&mut upload, &bytes(length), 100_003).await;
        assert_eq!(upload.finish().await.unwrap(), length as u64);
        assert_eq!(s3.requests(), ["put"], "{length}");
        let object = s3.object("batch/batch_1/output.jsonl").unwrap();
        assert_eq!((object.content_type.as_str(), object.bytes.len()), (JSON_LINES, length));
        assert_eq!(object.bytes, bytes(length));
    }
}

#[tokio::test]
async fn a_long_object_is_stored_in_parts_of_which_two_are_on_their_way() {
    for (length, parts) in [(PART + 1, 2), (2 * PART, 2), (5 * PART + 12_345, 6)] {
        let (s3, artifacts) = S3::start().await;
        let bytes = bytes(length);
        let mut upload = artifacts.upload(key(), JSON_LINES);
        write_in_pieces(&mut upload, &bytes, 100_003).await;
        assert_eq!(upload.finish().await.unwrap(), length as u64);
        assert_eq!(s3.requests().iter().filter(|request| *request == "part").count(), parts);
        assert_eq!(s3.most_parts_under_way(), 2);
        let object = s3.object("batch/batch_1/output.jsonl").unwrap();
        assert_eq!(object.content_type, JSON_LINES);
        assert!(object.bytes == bytes, "{length}");
    }
}

#[tokio::test]
async fn one_write_may_be_longer_than_a_part() {
    let (s3, artifacts) = S3::start().await;
    let bytes = bytes(3 * PART - 1);
    let mut upload = artifacts.upload(key(), JSON_LINES);
    upload.write(&bytes).await.unwrap();
    upload.finish().await.unwrap();
    assert!(s3.object("batch/batch_1/output.jsonl").unwrap().bytes == bytes);
}

#[tokio::test]
async fn nothing_is_to_be_seen_before_the_end() {
    let (s3, artifacts) = S3::start().await;
    artifacts.put(&key(), JSON_LINES, "before").await.unwrap();
    let mut upload = artifacts.upload(key(), JSON_LINES);
    write_in_pieces(&mut upload, &bytes(3 * PART), PART / 2).await;
    assert_eq!(s3.object("batch/batch_1/output.jsonl").unwrap().bytes, "before");
    upload.finish().await.unwrap();
    assert_eq!(s3.object("batch/batch_1/output.jsonl").unwrap().bytes.len(), 3 * PART);
}

#[tokio::test]
async fn an_aborted_upload_leaves_nothing() {
    let (s3, artifacts) = S3::start().await;
    let mut upload = artifacts.upload(key(), JSON_LINES);
    write_in_pieces(&mut upload, &bytes(3 * PART), PART / 2).await;
    assert_eq!(s3.open_uploads(), 1);
    upload.abort().await;
    assert_eq!((s3.open_uploads(), s3.keys()), (0, vec![]));
}

#[tokio::test]
async fn a_dropped_upload_leaves_nothing() {
    let (s3, artifacts) = S3::start().await;
    let mut upload = artifacts.upload(key(), JSON_LINES);
    write_in_pieces(&mut upload, &bytes(3 * PART), PART / 2).await;
    drop(upload);
    for _ in 0..100 {
        if s3.open_uploads() == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!((s3.open_uploads(), s3.keys()), (0, vec![]));
}

#[tokio::test]
async fn a_part_that_s3_refuses_for_now_is_sent_again() {
    let (s3, artifacts) = S3::start().await;
    s3.refuse("part", 503, "SlowDown");
    let bytes = bytes(2 * PART);
    let mut upload = artifacts.upload(key(), JSON_LINES);
    upload.write(&bytes).await.unwrap();
    upload.finish().await.unwrap();
    assert_eq!(s3.requests().iter().filter(|request| *request == "part").count(), 3);
    assert!(s3.object("batch/batch_1/output.jsonl").unwrap().bytes == bytes);
}

#[tokio::test]
async fn what_s3_refuses_for_good_is_an_error_that_leaves_nothing() {
    for kind in ["put", "begin", "part", "complete"] {
        let (s3, artifacts) = S3::start().await;
        s3.refuse(kind, 403, "AccessDenied");
        let mut upload = artifacts.upload(key(), JSON_LINES);
        let length = if kind == "put" { 1 } else { 2 * PART };
        let error = match upload.write(&bytes(length)).await {
            Ok(()) => upload.finish().await.unwrap_err().to_string(),
            Err(error) => {
                upload.abort().await;
                error.to_string()
            }
        };
        assert!(error.contains("batch/batch_1/output.jsonl: AccessDenied: Refused. (request REQ7)"), "{error}");
        assert_eq!((s3.open_uploads(), s3.keys()), (0, vec![]), "{kind}");
    }
}

#[tokio::test]
async fn an_object_is_read_once_and_again_when_it_is_another_one() {
    let (s3, artifacts) = S3::start().await;
    let key = Key::new(&["calls", "policy.json"]).unwrap();
    artifacts.put(&key, JSON, "first").await.unwrap();
    let GetResult::Object { bytes, etag: Some(first) } = artifacts.get("calls/policy.json", None, 5).await.unwrap()
    else {
        panic!("not read");
    };
    assert_eq!(bytes, "first");
    assert_eq!(artifacts.get("calls/policy.json", Some(&first), 5).await.unwrap(), GetResult::Unchanged);

    artifacts.put(&key, JSON, "later").await.unwrap();

    let GetResult::Object { bytes, etag } = artifacts.get("calls/policy.json", Some(&first), 5).await.unwrap() else {
        panic!("not read");
    };
    assert_eq!(bytes, "later");
    assert!(etag.is_some_and(|etag| etag != first));
    assert_eq!(s3.requests(), ["put", "get", "get", "put", "get"]);
}

#[tokio::test]
async fn more_than_the_limit_is_not_read() {
    let (_, artifacts) = S3::start().await;
    for (length, limit, too_large) in [(0, 0, false), (1, 0, true), (PART, PART, false), (PART, PART - 1, true)] {
        artifacts.put(&key(), JSON_LINES, bytes(length)).await.unwrap();
        let read = artifacts.get("batch/batch_1/output.jsonl", None, limit).await.unwrap();
        assert_eq!(read == GetResult::TooLarge, too_large, "{length} of {limit}");
    }
}

#[tokio::test]
async fn an_absent_object_is_told_from_one_that_must_not_be_read() {
    let (s3, artifacts) = S3::start().await;
    assert_eq!(artifacts.get("none", None, 5).await.unwrap(), GetResult::Absent);
    s3.refuse("get", 403, "AccessDenied");
    let error = artifacts.get("none", None, 5).await.unwrap_err().to_string();
    assert!(error.starts_with("could not read none: ") && error.contains("AccessDenied"), "{error}");
}
