//! The client against a server on loopback that answers as OpenAI does, or as a broken network does.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::Response;
use openai::{ApiKey, BatchStatus, Class, Client, ClientConfig, Error, ResponseStatus};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::Instant;

/// Starts a server that gives every request the same answer, and a client that calls it.
async fn client_of<A>(answer: A) -> Client
where
    A: Fn(&Request) -> Response<Body> + Clone + Send + Sync + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let app = Router::new().fallback(move |request: Request| {
        let response = answer(&request);
        async move { response }
    });
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    client_at(port)
}

/// Starts a server that reads a request and writes these bytes, whatever they are, and then hangs or hangs up.
async fn client_of_bytes(bytes: &'static str, then_close: bool) -> Client {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut open = Vec::new();
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let _ = connection.read(&mut request).await;
            connection.write_all(bytes.as_bytes()).await.unwrap();
            if !then_close {
                open.push(connection);
            }
        }
    });
    client_at(port)
}

fn client_at(port: u16) -> Client {
    let api_key: ApiKey = "sk-local".parse().unwrap();
    let base_url = format!("http://127.0.0.1:{port}/v1").parse().unwrap();
    Client::new(ClientConfig { base_url, api_key }).unwrap()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

fn answer(status: u16, headers: &[(&str, &str)], body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(body.into()).unwrap()
}

/// An error as OpenAI writes it.
fn error(kind: &str, code: &Value) -> String {
    json!({"error": {"message": "No.", "type": kind, "param": null, "code": code}}).to_string()
}

async fn refusal(status: u16, headers: &'static [(&'static str, &'static str)], body: String) -> Error {
    let client = client_of(move |_| answer(status, headers, body.clone())).await;
    client.batch("batch_1", soon()).await.unwrap_err()
}

#[tokio::test]
async fn every_refusal_has_its_class() {
    let plain = || error("some_error", &Value::Null);
    let cases = [
        (400, plain(), Class::Permanent),
        (401, error("invalid_request_error", &json!("invalid_api_key")), Class::Unauthorized),
        (403, plain(), Class::Unauthorized),
        (404, plain(), Class::NotFound),
        (408, plain(), Class::Retry),
        (409, plain(), Class::Retry),
        (422, plain(), Class::Permanent),
        (429, error("requests", &json!("rate_limit_exceeded")), Class::Retry),
        (429, error("insufficient_quota", &json!("insufficient_quota")), Class::QuotaExhausted),
        (429, error("insufficient_quota", &Value::Null), Class::QuotaExhausted),
        (500, plain(), Class::Retry),
        (502, "<html>Bad gateway</html>".to_owned(), Class::Retry),
        (503, String::new(), Class::Retry),
    ];
    for (status, body, class) in cases {
        let error = refusal(status, &[], body.clone()).await;
        assert_eq!((error.class(), error.status()), (class, Some(status)), "{status} {body}");
    }
}

#[tokio::test]
async fn a_refusal_says_what_openai_said() {
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
async fn the_server_may_say_whether_to_try_again() {
    let permanent = refusal(500, &[("x-should-retry", "false")], String::new()).await;
    assert_eq!(permanent.class(), Class::Permanent);
    let retry = refusal(400, &[("x-should-retry", "true")], String::new()).await;
    assert_eq!(retry.class(), Class::Retry);
}

#[tokio::test]
async fn the_key_goes_into_the_header_and_the_id_into_the_path() {
    let client = client_of(|request| {
        let body = json!({
            "id": request.uri().path(),
            "status": request.headers()["authorization"].to_str().unwrap(),
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
async fn an_id_that_would_change_the_path_is_not_sent() {
    let client = client_of(|_| answer(200, &[], r#"{"id":"x","status":"completed"}"#)).await;
    for id in ["", "..", ".", "a/b", "a?b", "a#b", "a%2fb", "a b", "\u{e4}", &"a".repeat(129)] {
        let error = client.batch(id, soon()).await.unwrap_err();
        assert_eq!((error.class(), error.status()), (Class::Permanent, None), "{id:?}");
    }
}

#[tokio::test]
async fn an_answer_with_unknown_fields_and_an_unknown_status_is_read() {
    let client = client_of(|_| answer(200, &[], r#"{"id":"batch_1","status":"paused","new":[{}],"errors":7}"#)).await;
    let batch = client.batch("batch_1", soon()).await.unwrap();
    assert_eq!(batch.status, BatchStatus::Other("paused".to_owned()));
    assert_eq!(batch.raw["new"], json!([{}]));
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_worth_another_try() {
    for body in ["", "<html>", r#"{"id":"batch_1","#, "[]", "{}"] {
        let client = client_of(move |_| answer(200, &[("x-request-id", "req_7")], body)).await;
        let error = client.batch("batch_1", soon()).await.unwrap_err();
        assert_eq!((error.class(), error.status()), (Class::Retry, None), "{body:?}");
        assert_eq!(error.request_id(), Some("req_7"));
    }
}

#[tokio::test]
async fn an_object_beyond_the_bound_is_refused() {
    let client = client_of(|_| answer(200, &[], vec![b' '; 9 * 1024 * 1024])).await;
    let error = client.batch("batch_1", soon()).await.unwrap_err();
    assert_eq!(error.class(), Class::Permanent);
    assert_eq!(error.to_string(), "retrieve batch: the answer is longer than 8388608 bytes");
}

#[tokio::test]
async fn a_response_is_read_and_kept_byte_for_byte() {
    let json = "{ \"status\":\"completed\", \"id\": \"resp_1\",\n\"output\":[], \"shiny\": 1.50 }";
    let client = client_of(move |request| match request.uri().path() {
        "/v1/responses/resp_1" => answer(200, &[], json),
        "/v1/responses/resp_2" => answer(200, &[], "{\"id\": \"resp_2\"}"),
        _ => answer(404, &[], ""),
    })
    .await;
    let response = client.response("resp_1", soon()).await.unwrap();
    assert_eq!((response.id.as_str(), response.status), ("resp_1", ResponseStatus::Completed));
    assert_eq!(response.json, json);
    assert_eq!(client.response("resp_2", soon()).await.unwrap_err().class(), Class::Retry);
    assert_eq!(client.response("resp_3", soon()).await.unwrap_err().class(), Class::NotFound);
}

#[tokio::test]
async fn a_response_may_be_larger_than_other_objects_and_has_a_bound_too() {
    let answer_of = |mebibytes: usize| {
        let text = "x".repeat(mebibytes * 1024 * 1024);
        json!({"id": "resp_1", "status": "completed", "text": text}).to_string()
    };
    let (large, too_large) = (answer_of(20), answer_of(48));
    let client = client_of(move |_| answer(200, &[], large.clone())).await;
    assert!(client.response("resp_1", soon()).await.is_ok());
    let client = client_of(move |_| answer(200, &[], too_large.clone())).await;
    assert_eq!(client.response("resp_1", soon()).await.unwrap_err().class(), Class::Permanent);
}

#[tokio::test]
async fn nobody_listening_is_worth_another_try() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let error = client_at(port).file("file-1", soon()).await.unwrap_err();
    assert_eq!((error.class(), error.status()), (Class::Retry, None));
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn a_cut_connection_is_worth_another_try() {
    for bytes in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 60\r\n\r\n{\"id\":"] {
        let client = client_of_bytes(bytes, true).await;
        let error = client.batch("batch_1", soon()).await.unwrap_err();
        assert_eq!(error.class(), Class::Retry, "{bytes:?}");
    }
}

#[tokio::test]
async fn a_server_that_falls_silent_is_left_at_the_deadline() {
    for bytes in ["", "HTTP/1.1 200 OK\r\ncontent-length: 60\r\n\r\n{\"id\":"] {
        let client = client_of_bytes(bytes, false).await;
        let error = client.batch("batch_1", Instant::now() + Duration::from_millis(100)).await.unwrap_err();
        assert_eq!(error.class(), Class::Retry, "{bytes:?}");
        assert!(error.to_string().contains("timed out"), "{error}");
    }
}

#[tokio::test]
async fn a_file_is_described() {
    let body = r#"{"id":"file-1","bytes":12,"created_at":1700000000,"filename":"out.jsonl"}"#;
    let client = client_of(move |_| answer(200, &[], body)).await;
    let file = client.file("file-1", soon()).await.unwrap();
    assert_eq!((file.id.as_str(), file.bytes, file.expires_at), ("file-1", Some(12), None));
    assert_eq!(file.raw["filename"], "out.jsonl");
}

#[tokio::test]
async fn the_content_of_a_file_comes_in_pieces() {
    let client = client_of(|request| {
        assert_eq!(request.uri().path(), "/v1/files/file-1/content");
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
        assert_eq!((error.class(), error.request_id()), (Class::Retry, Some("req_7")), "{bytes:?}");
    }
}

#[tokio::test]
async fn content_that_falls_silent_is_an_error_long_before_the_deadline() {
    let client = client_of_bytes("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab", false).await;
    let started = Instant::now();
    let deadline = started + Duration::from_mins(15);
    let mut content = client.file_content("file-1", deadline).await.unwrap();
    assert_eq!(content.chunk().await.unwrap().unwrap(), "ab");
    tokio::time::pause();
    let error = content.chunk().await.unwrap_err();
    assert_eq!(error.class(), Class::Retry);
    assert!(started.elapsed() < Duration::from_mins(1), "{:?}", started.elapsed());
}

#[tokio::test]
async fn content_of_a_missing_file_is_a_refusal() {
    let client = client_of(|_| answer(404, &[], error("invalid_request_error", &Value::Null))).await;
    let error = client.file_content("file-1", soon()).await.unwrap_err();
    assert_eq!((error.class(), error.code()), (Class::NotFound, Some("invalid_request_error")));
}
