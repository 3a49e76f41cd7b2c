//! Batches, files and responses; and rules of all calls, tested with one of them.

use std::time::Duration;

use hooks_openai::{BatchStatus, ErrorClass, OpenAiError, ResponseStatus};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::server::{Headers, answer, client_at, client_of, client_of_bytes, error, soon};

async fn refusal(status: u16, headers: Headers, body: String) -> OpenAiError {
    let client = client_of(move |_| answer(status, headers, body.clone())).await;
    client.batch("batch_1", soon()).await.unwrap_err()
}

#[tokio::test]
async fn a_refusal_has_openai_s_message() {
    let headers = &[("x-request-id", "req_7"), ("retry-after", "20")];
    let error = refusal(429, headers, error("requests", &json!("rate_limit_exceeded"))).await;
    assert_eq!(error.code(), Some("rate_limit_exceeded"));
    assert_eq!(error.request_id(), Some("req_7"));
    assert_eq!(error.retry_after(), Some(Duration::from_secs(20)));
    assert_eq!(error.to_string(), "retrieve batch: OpenAI answered 429 rate_limit_exceeded: No. (request req_7)");

    let bare = refusal(429, &[], String::new()).await;
    assert_eq!((bare.code(), bare.request_id(), bare.retry_after()), (None, None, None));
    assert_eq!(bare.to_string(), "retrieve batch: OpenAI answered 429");
}

#[tokio::test]
async fn a_refused_key_is_not_repeated() {
    let body = json!({"error": {"message": "Incorrect API key provided: sk-local.", "code": "invalid_api_key"}});
    let error = refusal(401, &[], body.to_string()).await;
    assert!(!format!("{error} {error:?}").contains("sk-local"), "{error:?}");
}

#[tokio::test]
async fn the_key_goes_into_the_header_and_the_id_into_the_path() {
    let client = client_of(|request| {
        let body = json!({
            "id": request.path,
            "status": request.header("authorization").unwrap(),
        });
        answer(200, &[], body.to_string())
    })
    .await;
    let batch = client.batch("batch_1", soon()).await.unwrap();
    assert_eq!((batch.id.as_str(), batch.status.as_str()), ("/v1/batches/batch_1", "Bearer sk-local"));

    let rekeyed = client.with_api_key("sk-other".parse().unwrap());
    assert_eq!(rekeyed.batch("batch_1", soon()).await.unwrap().status.as_str(), "Bearer sk-other");
}

#[tokio::test]
async fn an_answer_with_unknown_fields_and_an_unknown_status_is_read() {
    let client = client_of(|_| answer(200, &[], r#"{"id":"batch_1","status":"paused","new":[{}],"errors":7}"#)).await;
    let batch = client.batch("batch_1", soon()).await.unwrap();
    assert_eq!(batch.status, BatchStatus::Other("paused".to_owned()));
    assert_eq!(batch.raw().get("new").unwrap().bytes(), b"[{}]");
}

#[tokio::test]
async fn an_object_above_the_size_limit_is_refused() {
    let client = client_of(|_| answer(200, &[], vec![b' '; 33 * 1024 * 1024])).await;
    let error = client.batch("batch_1", soon()).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::TooLarge);
    assert_eq!(error.to_string(), "retrieve batch: the answer is longer than 33554432 bytes");
}

#[tokio::test]
async fn a_response_is_read_and_kept_byte_for_byte() {
    let json = "{ \"status\":\"completed\", \"id\": \"resp_1\",\n\"output\":[], \"shiny\": 1.50 }";
    let client = client_of(move |request| match request.path.as_str() {
        "/v1/responses/resp_1" => answer(200, &[], json),
        "/v1/responses/resp_2" => answer(200, &[], "{\"id\": \"resp_2\"}"),
        _ => answer(404, &[], ""),
    })
    .await;
    let response = client.response("resp_1", soon()).await.unwrap();
    assert_eq!((response.id.as_str(), response.status), ("resp_1", ResponseStatus::Completed));
    assert_eq!(response.json, json);
    assert_eq!(client.response("resp_2", soon()).await.unwrap_err().class(), ErrorClass::Retry);
    assert_eq!(client.response("resp_3", soon()).await.unwrap_err().class(), ErrorClass::NotFound);
}

#[tokio::test]
async fn a_response_may_be_larger_than_other_objects_up_to_its_own_limit() {
    let answer_of = |mebibytes: usize| {
        let text = "x".repeat(mebibytes * 1024 * 1024);
        json!({"id": "resp_1", "status": "completed", "text": text}).to_string()
    };
    let (large, too_large) = (answer_of(20), answer_of(48));
    let client = client_of(move |_| answer(200, &[], large.clone())).await;
    assert!(client.response("resp_1", soon()).await.is_ok());
    let client = client_of(move |_| answer(200, &[], too_large.clone())).await;
    assert_eq!(client.response("resp_1", soon()).await.unwrap_err().class(), ErrorClass::TooLarge);
}

#[tokio::test]
async fn a_refused_connection_may_be_retried() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let error = client_at(port).file("file-1", soon()).await.unwrap_err();
    assert_eq!((error.class(), error.status()), (ErrorClass::Retry, None));
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn a_file_s_metadata_is_read() {
    let body = r#"{"id":"file-1","bytes":12,"created_at":1700000000,"filename":"out.jsonl"}"#;
    let client = client_of(move |_| answer(200, &[], body)).await;
    let file = client.file("file-1", soon()).await.unwrap();
    assert_eq!((file.id.as_str(), file.bytes, file.expires_at), ("file-1", Some(12), None));
    assert_eq!(file.raw().get("filename").unwrap().text().unwrap(), "out.jsonl");
}

#[tokio::test]
async fn the_content_of_a_file_comes_in_pieces() {
    let client = client_of(|request| {
        assert_eq!(request.path, "/v1/files/file-1/content");
        answer(200, &[], vec![b'x'; 3_000_000])
    })
    .await;
    let mut content = client.file_content("file-1", soon()).await.unwrap();
    let (mut pieces, mut length) = (0, 0);
    while let Some(bytes) = content.chunk().await.unwrap() {
        pieces += 1;
        length += bytes.len();
    }
    assert_eq!(length, 3_000_000);
    assert!(pieces > 1);
}

#[tokio::test]
async fn content_that_breaks_off_is_an_error_and_not_an_end() {
    let answers = [
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\nx-request-id: req_7\r\n\r\nab",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nx-request-id: req_7\r\n\r\n2\r\nab\r\n",
    ];
    for bytes in answers {
        let client = client_of_bytes(bytes, true).await;
        let mut content = client.file_content("file-1", soon()).await.unwrap();
        assert_eq!(content.chunk().await.unwrap().unwrap(), "ab");
        let error = content.chunk().await.unwrap_err();
        assert_eq!((error.class(), error.request_id()), (ErrorClass::Retry, Some("req_7")), "{bytes:?}");
    }
}

#[tokio::test]
async fn silent_content_is_an_error_long_before_the_deadline() {
    let client = client_of_bytes("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab", false).await;
    let started = Instant::now();
    let deadline = started + Duration::from_mins(15);
    let mut content = client.file_content("file-1", deadline).await.unwrap();
    assert_eq!(content.chunk().await.unwrap().unwrap(), "ab");
    tokio::time::pause();
    let error = content.chunk().await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Retry);
    assert!(started.elapsed() < Duration::from_mins(1), "{:?}", started.elapsed());
}

#[tokio::test]
async fn content_of_a_missing_file_is_a_refusal() {
    let client = client_of(|_| answer(404, &[], error("invalid_request_error", &Value::Null))).await;
    let error = client.file_content("file-1", soon()).await.unwrap_err();
    assert_eq!((error.class(), error.code()), (ErrorClass::NotFound, Some("invalid_request_error")));
}
