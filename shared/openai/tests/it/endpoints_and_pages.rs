//! Webhook endpoints and pages of lists.

use hooks_openai::EndpointChange;
use serde_json::{Value, json};

use crate::server::{Asked, answer, client_and_asked, client_of, client_of_json, soon};

const ENDPOINT: &str = r#"{"id": "whe_1", "object": "webhook_endpoint", "name": "Orders", "url": "https://example.com/hook",
    "event_types": ["batch.completed"], "created_at": 1700000000, "updated_at": 1700000009,
    "signing_secret_hint": "whsec_...aYg=", "signing_secret": "whsec_c2VjcmV0"}"#;

/// Takes the one call that was made since the last time.
fn one(asked: &Asked) -> (String, String, Value) {
    let mut asked = std::mem::take(&mut *asked.lock().unwrap());
    assert_eq!(asked.len(), 1, "{asked:?}");
    asked.remove(0)
}

fn said(method: &str, path: &str, body: Value) -> (String, String, Value) {
    (method.to_owned(), path.to_owned(), body)
}

#[tokio::test]
async fn each_endpoint_call_has_its_method_path_and_body() {
    let (client, asked) = client_and_asked(ENDPOINT).await;
    let types = ["batch.completed".to_owned(), "batch.failed".to_owned()];

    client.webhook_endpoint("whe_1", soon()).await.unwrap();
    assert_eq!(one(&asked), said("GET", "/v1/webhook_endpoints/whe_1", Value::Null));

    client.create_webhook_endpoint("Orders", "https://example.com/hook", &types, soon()).await.unwrap();
    let body = json!({ "name": "Orders", "url": "https://example.com/hook", "event_types": types });
    assert_eq!(one(&asked), said("POST", "/v1/webhook_endpoints", body));

    client.delete_webhook_endpoint("whe_1", soon()).await.unwrap();
    assert_eq!(one(&asked), said("DELETE", "/v1/webhook_endpoints/whe_1", Value::Null));

    for keep_old in [false, true] {
        client.rotate_webhook_secret("whe_1", keep_old, soon()).await.unwrap();
        let body = json!({ "keep_old_secret_active_for_24_hours": keep_old });
        assert_eq!(one(&asked), said("POST", "/v1/webhook_endpoints/whe_1/rotate_secret", body));
    }
}

#[tokio::test]
async fn an_update_contains_only_the_changes() {
    let (client, asked) = client_and_asked(ENDPOINT).await;
    let types = ["batch.failed".to_owned()];
    let change = EndpointChange::default;
    let cases = [
        (EndpointChange { name: Some("New"), ..change() }, json!({ "name": "New" })),
        (EndpointChange { url: Some("https://new"), ..change() }, json!({ "url": "https://new" })),
        (EndpointChange { event_types: Some(&types), ..change() }, json!({ "event_types": types })),
        (
            EndpointChange { name: Some("New"), url: Some("https://new"), event_types: Some(&types) },
            json!({ "name": "New", "url": "https://new", "event_types": types }),
        ),
    ];
    for (change, body) in cases {
        client.update_webhook_endpoint("whe_1", change, soon()).await.unwrap();
        assert_eq!(one(&asked), said("POST", "/v1/webhook_endpoints/whe_1", body));
    }
}

#[tokio::test]
async fn an_endpoint_is_read_and_its_secret_is_never_printed() {
    let (client, _) = client_and_asked(ENDPOINT).await;
    let (endpoint, secret) = client.rotate_webhook_secret("whe_1", true, soon()).await.unwrap();
    assert_eq!(
        (endpoint.id.as_str(), endpoint.name.as_str(), endpoint.url.as_str()),
        ("whe_1", "Orders", "https://example.com/hook")
    );
    assert_eq!(endpoint.event_types, ["batch.completed"]);
    assert_eq!((endpoint.created_at, endpoint.updated_at), (Some(1_700_000_000), Some(1_700_000_009)));
    assert_eq!(endpoint.signing_secret_hint.as_deref(), Some("whsec_...aYg="));
    assert_eq!(secret.expose(), "whsec_c2VjcmV0");
    assert!(!format!("{endpoint:?} {secret:?}").contains("c2VjcmV0"));
}

#[tokio::test]
async fn an_answer_without_the_secret_may_be_retried() {
    let client = client_of_json(json!({ "id": "whe_1", "name": "Orders" })).await;
    let bare = client.webhook_endpoint("whe_1", soon()).await.unwrap();
    assert_eq!((bare.url.as_str(), bare.updated_at, bare.signing_secret_hint), ("", None, None));
    let error = client.rotate_webhook_secret("whe_1", false, soon()).await.unwrap_err();
    assert_eq!(error.to_string(), "rotate webhook secret: the answer is not a webhook endpoint with its secret");
}

#[tokio::test]
async fn a_test_delivery_says_what_the_endpoint_answered() {
    let (client, asked) = client_and_asked(r#"{"object": "webhook_endpoint.test", "status_code": 503}"#).await;
    assert_eq!(client.test_webhook_endpoint("whe_1", "batch.completed", soon()).await.unwrap(), 503);
    let body = json!({ "event_type": "batch.completed" });
    assert_eq!(one(&asked), said("POST", "/v1/webhook_endpoints/whe_1/test", body));
}

#[tokio::test]
async fn unknown_event_types_are_read() {
    let (client, asked) = client_and_asked(r#"{"object": "list", "data": ["batch.completed", "new.kind", 7]}"#).await;
    assert_eq!(client.webhook_event_types(soon()).await.unwrap(), ["batch.completed", "new.kind"]);
    assert_eq!(one(&asked), said("GET", "/v1/webhook_event_types", Value::Null));
}

#[tokio::test]
async fn each_list_has_its_path_and_agents_the_beta_header() {
    let client = client_of(|request| {
        let beta = request.header("openai-beta").unwrap_or("none");
        let id = format!("{} {} {beta}", request.method, request.target());
        let page = json!({ "data": [{ "id": id, "status": "s" }], "has_more": true });
        answer(200, &[], page.to_string())
    })
    .await;
    let first = client.batches(None, 100, soon()).await.unwrap();
    assert_eq!(first.items[0].id, "GET /v1/batches?limit=100 none");
    let batches = client.batches(Some("batch_9"), 1, soon()).await.unwrap();
    assert_eq!(batches.items[0].id, "GET /v1/batches?limit=1&after=batch_9 none");
    let jobs = client.fine_tuning_jobs(Some("ftjob-9"), 20, soon()).await.unwrap();
    assert_eq!(jobs.items[0].id, "GET /v1/fine_tuning/jobs?limit=20&after=ftjob-9 none");
    let sessions = client.agent_sessions(Some("sess_9"), 20, soon()).await.unwrap();
    assert_eq!(sessions.items[0].id, "GET /v1/agents/sessions?limit=20&after=sess_9 agents=v1");
    let endpoints = client.webhook_endpoints(Some("whe_9"), 20, soon()).await.unwrap();
    assert_eq!(endpoints.items[0].id, "GET /v1/webhook_endpoints?limit=20&after=whe_9 none");
}

#[tokio::test]
async fn a_page_that_is_too_large_is_asked_for_with_fewer_entries() {
    let client = client_of(|request| {
        let limit: usize = request.parameter("limit").unwrap().parse().unwrap();
        let entry = json!({ "id": "batch_1", "status": "failed", "errors": "x".repeat(4 * 1024 * 1024) });
        answer(200, &[], json!({ "data": vec![entry; limit.min(12)], "has_more": true }).to_string())
    })
    .await;
    let page = client.batches(None, 100, soon()).await.unwrap();
    assert_eq!((page.items.len(), page.next.as_deref()), (1, Some("batch_1")));
}

#[tokio::test]
async fn the_next_page_begins_after_the_last_entry() {
    let page = |has_more: bool| json!({ "data": [{ "id": "batch_2", "status": "failed" }, { "id": "odd_1" }], "has_more": has_more });
    let more = client_of_json(page(true)).await.batches(None, 2, soon()).await.unwrap();
    assert_eq!((more.items.len(), more.next.as_deref()), (1, Some("odd_1")));
    let last = client_of_json(page(false)).await.batches(None, 2, soon()).await.unwrap();
    assert_eq!((last.items.len(), last.next), (1, None));
    let no_id = json!({ "data": [{ "id": "batch_2", "status": "failed" }, {}, 7], "has_more": true });
    let page = client_of_json(no_id).await.batches(None, 3, soon()).await.unwrap();
    assert_eq!((page.items.len(), page.unreadable, page.next.as_deref()), (1, 2, Some("batch_2")));
    let endless = json!({ "data": vec![json!({ "id": "batch_1", "status": "failed" }); 101], "has_more": false });
    let page = client_of_json(endless).await.batches(None, 100, soon()).await.unwrap();
    assert_eq!((page.items.len(), page.next.as_deref()), (100, Some("batch_1")));
    let empty = client_of_json(json!({ "data": [], "has_more": false })).await;
    assert!(empty.webhook_endpoints(None, 100, soon()).await.unwrap().items.is_empty());
}
