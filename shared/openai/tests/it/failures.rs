//! All calls with all failures of OpenAI and of the network.

use std::time::Duration;

use hooks_openai::{CallApi, Client, EndpointChange, ErrorClass, NewBatch, NewResponse, OpenAiError, Upload};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::server::{Headers, answer, client_of, client_of_bytes, client_of_json, error, soon};

/// All calls, by their names in errors.
const CALLS: [&str; 31] = [
    "retrieve batch",
    "retrieve file",
    "download file",
    "upload file",
    "create batch",
    "cancel batch",
    "retrieve response",
    "create response",
    "retrieve model",
    "retrieve fine-tuning job",
    "list fine-tuning checkpoints",
    "list fine-tuning events",
    "accept call",
    "reject call",
    "refer call",
    "retrieve agent session",
    "list agent turns",
    "retrieve agent environment",
    "retrieve safety alert",
    "retrieve safety case",
    "list batches",
    "list fine-tuning jobs",
    "list agent sessions",
    "list webhook endpoints",
    "retrieve webhook endpoint",
    "create webhook endpoint",
    "update webhook endpoint",
    "delete webhook endpoint",
    "rotate webhook secret",
    "test webhook endpoint",
    "list webhook event types",
];

/// Calls without an id in their path.
const WITHOUT_ID: [&str; 9] = [
    "upload file",
    "create batch",
    "create response",
    "list batches",
    "list fine-tuning jobs",
    "list agent sessions",
    "list webhook endpoints",
    "create webhook endpoint",
    "list webhook event types",
];

/// Calls whose answer has no body.
const WITHOUT_ANSWER_BODY: [&str; 4] = ["accept call", "reject call", "refer call", "delete webhook endpoint"];

async fn make(call: &str, client: &Client, id: &str, deadline: Instant) -> Result<(), OpenAiError> {
    match call {
        "retrieve batch" => client.batch(id, deadline).await.map(drop),
        "retrieve file" => client.file(id, deadline).await.map(drop),
        "download file" => whole_file(client, id, deadline).await,
        "upload file" => {
            let upload = Upload { name: "input.jsonl".to_owned(), content: &b"{}\n"[..], length: 3 };
            client.upload_batch_file(upload, |_| {}, deadline).await.map(drop)
        }
        "create batch" => {
            let (input_file_id, endpoint) = ("file-1", "/v1/responses");
            let batch = NewBatch { input_file_id, endpoint, metadata: &[], output_expires_after: None };
            client.create_batch(batch, deadline).await.map(drop)
        }
        "cancel batch" => client.cancel_batch(id, deadline).await.map(drop),
        "retrieve response" => client.response(id, deadline).await.map(drop),
        "create response" => {
            let question = NewResponse { model: "ft:gpt:acme::1", input: "Say hello.", max_output_tokens: 64 };
            client.create_response(question, deadline).await.map(drop)
        }
        "retrieve model" => client.model(id, deadline).await.map(drop),
        "retrieve fine-tuning job" => client.fine_tuning_job(id, deadline).await.map(drop),
        "list fine-tuning checkpoints" => client.fine_tuning_checkpoints(id, deadline).await.map(drop),
        "list fine-tuning events" => client.fine_tuning_events(id, deadline).await.map(drop),
        "accept call" => client.accept_call(CallApi::Realtime, id, Map::new(), deadline).await,
        "reject call" => client.reject_call(CallApi::Live, id, 603, deadline).await,
        "refer call" => client.refer_call(CallApi::Realtime, id, "tel:+4930", deadline).await,
        "retrieve agent session" => client.agent_session(id, deadline).await.map(drop),
        "list agent turns" => client.last_agent_turn(id, deadline).await.map(drop),
        "retrieve agent environment" => client.agent_environment(id, deadline).await.map(drop),
        "retrieve safety alert" => client.safety_alert(id, deadline).await.map(drop),
        "retrieve safety case" => client.safety_case(id, deadline).await.map(drop),
        "list batches" => client.batches(None, 100, deadline).await.map(drop),
        "list fine-tuning jobs" => client.fine_tuning_jobs(Some("ftjob-1"), 100, deadline).await.map(drop),
        "list agent sessions" => client.agent_sessions(None, 100, deadline).await.map(drop),
        "list webhook endpoints" => client.webhook_endpoints(None, 100, deadline).await.map(drop),
        "retrieve webhook endpoint" => client.webhook_endpoint(id, deadline).await.map(drop),
        "create webhook endpoint" => {
            client.create_webhook_endpoint("name", "https://example.com", &[], deadline).await.map(drop)
        }
        "update webhook endpoint" => {
            client.update_webhook_endpoint(id, EndpointChange::default(), deadline).await.map(drop)
        }
        "delete webhook endpoint" => client.delete_webhook_endpoint(id, deadline).await,
        "rotate webhook secret" => client.rotate_webhook_secret(id, true, deadline).await.map(drop),
        "test webhook endpoint" => client.test_webhook_endpoint(id, "batch.completed", deadline).await.map(drop),
        "list webhook event types" => client.webhook_event_types(deadline).await.map(drop),
        other => panic!("{other} is not a call"),
    }
}

async fn whole_file(client: &Client, id: &str, deadline: Instant) -> Result<(), OpenAiError> {
    let mut content = client.file_content(id, deadline).await?;
    while content.chunk().await?.is_some() {}
    Ok(())
}

async fn fails(call: &str, client: &Client, deadline: Instant) -> OpenAiError {
    match make(call, client, "x_1", deadline).await {
        Ok(()) => panic!("{call} succeeded"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn every_refusal_of_every_call_has_its_class() {
    let plain = || error("some_error", &Value::Null);
    let limited = || error("requests", &json!("rate_limit_exceeded"));
    let cases: [(u16, Headers, String, ErrorClass); 17] = [
        (400, &[], plain(), ErrorClass::Permanent),
        (401, &[], error("invalid_request_error", &json!("invalid_api_key")), ErrorClass::Unauthorized),
        (403, &[], plain(), ErrorClass::Unauthorized),
        (404, &[], plain(), ErrorClass::NotFound),
        (408, &[], plain(), ErrorClass::Retry),
        (409, &[], plain(), ErrorClass::Retry),
        // Whoever asks knows whether an API has ended.
        (410, &[], plain(), ErrorClass::Permanent),
        (422, &[], plain(), ErrorClass::Permanent),
        (429, &[], limited(), ErrorClass::Retry),
        (429, &[("retry-after", "20")], limited(), ErrorClass::Retry),
        (429, &[], error("insufficient_quota", &json!("insufficient_quota")), ErrorClass::QuotaExhausted),
        (429, &[], error("insufficient_quota", &Value::Null), ErrorClass::QuotaExhausted),
        (500, &[], plain(), ErrorClass::Retry),
        (500, &[("x-should-retry", "false")], plain(), ErrorClass::Permanent),
        (400, &[("x-should-retry", "true")], plain(), ErrorClass::Retry),
        (502, &[], "<html>Bad gateway</html>".to_owned(), ErrorClass::Retry),
        (503, &[], String::new(), ErrorClass::Retry),
    ];
    for (status, headers, body, class) in cases {
        let said = body.clone();
        let client = client_of(move |_| answer(status, headers, said.clone())).await;
        for call in CALLS {
            let error = fails(call, &client, soon()).await;
            assert_eq!((error.class(), error.status()), (class, Some(status)), "{call}: {status} {body}");
            let asked_for = headers.contains(&("retry-after", "20")).then_some(Duration::from_secs(20));
            assert_eq!(error.retry_after(), asked_for, "{call}: {status}");
            assert!(error.to_string().starts_with(&format!("{call}: OpenAI answered {status}")), "{error}");
        }
    }
}

#[tokio::test]
async fn an_unreadable_answer_may_be_retried() {
    for body in ["<html>", "[]", "7", r#"{"id": "x_1","#, r#"{"data": 7}"#] {
        let client = client_of(move |_| answer(200, &[("x-request-id", "req_7")], body)).await;
        for call in CALLS.into_iter().filter(|call| *call != "download file" && !WITHOUT_ANSWER_BODY.contains(call)) {
            let error = fails(call, &client, soon()).await;
            assert_eq!((error.class(), error.status()), (ErrorClass::Retry, None), "{call}: {body:?}");
            assert_eq!(error.request_id(), Some("req_7"), "{call}");
        }
        for call in WITHOUT_ANSWER_BODY {
            assert!(make(call, &client, "x_1", soon()).await.is_ok(), "{call}: {body:?}");
        }
    }
}

#[tokio::test]
async fn unknown_fields_and_statuses_never_make_an_answer_unreadable() {
    let odd = json!({"id": "x_1", "status": "somersaulting", "shiny": {"new": [1]}, "created_at": "today", "model": 7,
        "error": 5, "usage": [], "metadata": "none", "data": [{"id": "y_1", "status": "dancing", "new": true}],
        "signing_secret": "whsec_1", "status_code": 200, "url": 7, "has_more": "yes"});
    let client = client_of_json(odd).await;
    for call in CALLS {
        let read = make(call, &client, "x_1", soon()).await;
        assert!(read.is_ok(), "{call}: {read:?}");
    }
}

#[tokio::test]
async fn odd_values_that_json_allows_never_make_an_answer_unreadable() {
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let odd =
        format!(r#""half": "\ud83d", "huge": [1e999, -1e-999], "deep": {deep}, "again": 1, "again": {{"again": 2}}"#);
    let body = format!(
        r#"{{{odd}, "id": "no", "id": "x_1", "status": "s\udc00", "signing_secret": "whsec_1", "status_code": 200, "has_more": true,
            "created_at": 1753.25, "metadata": {{{odd}}}, "error": {{}}, "data": [{{"id": "y_1", "status": "s", {odd}}}, {{{odd}}}]}}"#
    );
    let client = client_of(move |_| answer(200, &[], body.clone())).await;
    for call in CALLS {
        let read = make(call, &client, "x_1", soon()).await;
        assert!(read.is_ok(), "{call}: {read:?}");
    }
    let batch = client.batch("x_1", soon()).await.unwrap();
    assert_eq!((batch.id.as_str(), batch.status.as_str(), batch.time("created_at")), ("x_1", "s\u{fffd}", Some(1753)));
    let page = client.batches(None, 100, soon()).await.unwrap();
    assert_eq!((page.items.len(), page.unreadable, page.next.as_deref()), (1, 1, Some("y_1")));
}

#[tokio::test]
async fn a_refusal_is_read_whatever_its_body_has_besides() {
    let body = r#"{"x": 1e999, "error": {"message": "Invalid '\ud83d'.", "type": null, "code": "bad", "code": "insufficient_quota"}}"#;
    let cut_off = format!(
        r#"{{"error": {{"code": "insufficient_quota", "message": "Invalid '\ud83d'."}}, "trace": "{}"#,
        "x".repeat(70_000)
    );
    for body in [body.to_owned(), cut_off] {
        let client = client_of(move |_| answer(429, &[], body.clone())).await;
        let error = client.batch("batch_1", soon()).await.unwrap_err();
        assert_eq!((error.class(), error.code()), (ErrorClass::QuotaExhausted, Some("insufficient_quota")));
        assert!(error.to_string().ends_with("Invalid '\u{fffd}'."), "{error}");
    }
    for nothing in [r#"{"error": {}}"#, r#"{"error": {"code": null, "message": null}}"#, "[]", "{"] {
        let client = client_of(move |_| answer(500, &[], nothing)).await;
        let error = client.batch("batch_1", soon()).await.unwrap_err();
        assert_eq!(
            (error.code(), error.to_string().as_str()),
            (None, "retrieve batch: OpenAI answered 500"),
            "{nothing}"
        );
    }
}

#[tokio::test]
async fn a_cut_connection_may_be_retried() {
    for bytes in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 60\r\n\r\n{\"id\":"] {
        let client = client_of_bytes(bytes, true).await;
        for call in CALLS {
            assert_eq!(fails(call, &client, soon()).await.class(), ErrorClass::Retry, "{call}: {bytes:?}");
        }
    }
}

#[tokio::test]
async fn a_silent_server_is_given_up_at_the_deadline() {
    for bytes in ["", "HTTP/1.1 200 OK\r\ncontent-length: 60\r\n\r\n{\"id\":"] {
        let client = client_of_bytes(bytes, false).await;
        for call in CALLS {
            let error = fails(call, &client, Instant::now() + Duration::from_millis(100)).await;
            assert_eq!(error.class(), ErrorClass::Retry, "{call}: {bytes:?}");
            assert!(error.to_string().contains("timed out"), "{error}");
        }
    }
}

#[tokio::test]
async fn an_id_that_would_change_the_path_is_not_sent() {
    let client = client_of(|_| panic!("it was sent")).await;
    for call in CALLS.into_iter().filter(|call| !WITHOUT_ID.contains(call)) {
        for id in ["", "..", ".", ".a", ":", "a/b", "a?b", "a#b", "a%2fb", "a b", "\u{e4}", &"a".repeat(129)] {
            let error = make(call, &client, id, soon()).await.unwrap_err();
            assert_eq!((error.class(), error.status()), (ErrorClass::Permanent, None), "{call}: {id:?}");
        }
    }
}

#[test]
fn a_key_is_sent_over_tls_or_stays_on_this_machine() {
    for url in [
        "https://eu.api.openai.com/v1",
        "http://127.0.0.1:4010/v1",
        "http://[::1]:4010/v1",
        "http://localhost/v1",
        "http://host.docker.internal:4010/v1",
    ] {
        assert!(Client::without_key(url).is_ok(), "{url}");
    }
    for url in [
        "http://api.openai.com/v1",
        "http://10.0.0.1/v1",
        "http://127.0.0.1.example.com/v1",
        "http://localhost.example.com/v1",
        "http://localhost@example.com/v1",
        "http://example.com#@localhost/v1",
        "ftp://localhost/v1",
        "https://api.openai.com/v1?a=b",
    ] {
        assert!(Client::without_key(url).unwrap_err().contains("must be https"), "{url}");
    }
}
