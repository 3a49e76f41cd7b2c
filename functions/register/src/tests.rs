//! The function, against as much of OpenAI, of Secrets Manager and of CloudFormation as it calls.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::fixture::{Fault, Fixture, Order, SECRET, URL, properties, properties_with};

const CREATE: &str = "POST /v1/webhook_endpoints";

fn reason(answer: &Value) -> &str {
    assert_eq!(answer["Status"], "FAILED", "{answer}");
    answer["Reason"].as_str().unwrap()
}

fn succeeded(answer: &Value) -> &str {
    assert_eq!(answer["Status"], "SUCCESS", "{answer}");
    answer["PhysicalResourceId"].as_str().unwrap()
}

#[tokio::test]
async fn an_endpoint_is_created_with_the_default_event_types_and_its_secret_is_stored_and_shown_nowhere() {
    let fixture = Fixture::new().await;
    let answer = fixture.create().await;
    assert_eq!(succeeded(&answer), "whe_1");
    for (name, value) in
        [("StackId", "arn:stack"), ("RequestId", "request-1"), ("LogicalResourceId", "ProjectEndpoint")]
    {
        assert_eq!(answer[name], value);
    }
    let expected = json!({"name": "my-stack", "url": URL, "event_types": ["batch.completed", "batch.failed"]});
    assert_eq!(fixture.sent(CREATE), expected);
    let [(id, secret)] = fixture.state().stored.clone().try_into().unwrap();
    assert!(id == SECRET && secret.starts_with("whsec_hidden"));
    assert!(!answer.to_string().contains("hidden"), "{answer}");
}

#[tokio::test]
async fn event_types_that_were_chosen_are_not_asked_for() {
    let fixture = Fixture::new().await;
    let chosen = properties_with(&json!({"EventTypes": "file.processed"}));
    succeeded(&fixture.ask("Create", json!({ "ResourceProperties": chosen })).await);
    assert_eq!(fixture.sent(CREATE)["event_types"], json!(["file.processed"]));
    assert_eq!(fixture.server.count("GET /v1/webhook_event_types"), 0);
}

#[tokio::test]
async fn a_repeated_create_finds_its_endpoint_and_stores_a_new_secret() {
    let fixture = Fixture::new().await;
    let first = fixture.create().await;
    let second = fixture.create().await;
    assert_eq!(succeeded(&first), succeeded(&second));
    assert_eq!(fixture.server.count("POST /v1/webhook_endpoints/whe_1/rotate_secret"), 1);
    assert_eq!(fixture.sent("POST /v1/webhook_endpoints/whe_1"), json!({"keep_old_secret_active_for_24_hours": true}));
    let stored = fixture.state().stored.clone();
    assert!(stored.len() == 2 && stored[0] != stored[1]);
}

#[tokio::test]
async fn own_is_what_has_both_name_and_url_on_any_page() {
    let fixture = Fixture::new().await;
    let own = fixture.endpoint("my-stack", URL, &["batch.completed", "batch.failed"]);
    for number in 0..150 {
        fixture.endpoint("my-stack", &format!("{URL}/{number}"), &[]);
        fixture.endpoint(&format!("other-{number}"), URL, &[]);
    }
    assert_eq!(succeeded(&fixture.create().await), own);
    assert_eq!(fixture.server.count("GET /v1/webhook_endpoints"), 4);
}

#[tokio::test]
async fn a_list_without_an_end_is_given_up() {
    let fixture = Fixture::new().await;
    for number in 0..1001 {
        fixture.endpoint(&format!("other-{number}"), URL, &[]);
    }
    let answer = fixture.create().await;
    assert!(reason(&answer).contains("more webhook endpoints than can be searched"), "{answer}");
    assert_eq!(fixture.server.count(CREATE), 0);
}

#[tokio::test]
async fn an_endpoint_that_is_found_gets_what_it_lacks_and_keeps_what_only_the_dashboard_can_add() {
    let fixture = Fixture::new().await;
    let id = fixture.endpoint("my-stack", URL, &["live.call.incoming", "batch.failed"]);
    assert_eq!(succeeded(&fixture.create().await), id);
    let types = json!(["batch.completed", "batch.failed", "live.call.incoming"]);
    assert_eq!(fixture.state().endpoints[0]["event_types"], types);
    let chosen = properties_with(&json!({"EventTypes": "batch.failed"}));
    assert_eq!(succeeded(&fixture.ask("Create", json!({ "ResourceProperties": chosen })).await), id);
    assert_eq!(fixture.state().endpoints[0]["event_types"], json!(["batch.failed"]));
}

#[tokio::test]
async fn a_create_whose_answer_got_lost_makes_no_second_endpoint() {
    for (fault, times) in [(Fault::Lost, 1), (Fault::Refused(503), 2), (Fault::Refused(429), 1)] {
        let fixture = Fixture::new().await;
        fixture.fail(CREATE, fault, times);
        succeeded(&fixture.create().await);
        assert_eq!(fixture.state().endpoints.len(), 1);
        assert_eq!(fixture.state().stored.len(), 1);
    }
}

#[tokio::test]
async fn two_creates_at_once_make_one_endpoint_and_store_its_newest_secret() {
    let fixture = Fixture::new().await;
    let event = || fixture.event("Create", &json!({ "ResourceProperties": properties() }));
    let end = Instant::now() + Duration::from_mins(1);
    let (one, other) = tokio::join!(fixture.handle(event(), end), fixture.handle(event(), end));
    assert!(one.is_ok() && other.is_ok());
    let answers = fixture.state().answers.clone();
    assert_eq!(answers.iter().map(succeeded).collect::<Vec<_>>(), ["whe_1", "whe_1"]);
    assert_eq!(fixture.server.count(CREATE) - fixture.server.count("POST /v1/webhook_endpoints/"), 1);
    fixture.assert_one("whe_1");
}

#[tokio::test]
async fn an_endpoint_of_a_request_that_took_effect_late_is_told_from_the_one_that_stays() {
    for order in [Order::Before, Order::After] {
        let fixture = Fixture::new().await;
        fixture.state().rival = Some(order);
        assert_eq!(succeeded(&fixture.create().await), "whe_1", "{order:?}: the oldest stays");
        fixture.assert_one("whe_1");
    }
    let fixture = Fixture::new().await;
    for _ in 0..3 {
        fixture.endpoint("my-stack", URL, &["batch.completed"]);
    }
    assert_eq!(succeeded(&fixture.create().await), "whe_1");
    fixture.assert_one("whe_1");
}

#[tokio::test]
async fn wherever_the_process_dies_the_next_attempt_leaves_one_endpoint_with_its_newest_secret() {
    const LIST: &str = "GET /v1/webhook_endpoints";
    for (call, times, rival) in [
        ("GetSecretValue", 1, None),
        ("UpdateItem", 1, None),
        ("GET /v1/webhook_event_types", 1, None),
        (LIST, 1, None),
        (CREATE, 1, None),
        (CREATE, 1, Some(Order::Before)),
        (CREATE, 1, Some(Order::After)),
        (LIST, 2, None),
        (LIST, 2, Some(Order::Before)),
        (LIST, 2, Some(Order::After)),
        ("DELETE /v1/webhook_endpoints/whe_2", 1, Some(Order::Before)),
        ("DELETE /v1/webhook_endpoints/whe_2", 1, Some(Order::After)),
        ("POST /v1/webhook_endpoints/whe_1/rotate_secret", 1, Some(Order::Before)),
        ("PutSecretValue", 1, None),
        ("PutSecretValue", 1, Some(Order::Before)),
        ("UpdateItem", 2, None),
        ("PUT /answer", 1, None),
    ] {
        let fixture = Fixture::new().await;
        fixture.state().rival = rival;
        fixture.die_after(call, times).await;
        // It is over by the time Lambda repeats the invocation.
        fixture.state().lease = None;
        assert_eq!(succeeded(&fixture.create().await), "whe_1", "after {times} {call} with {rival:?}");
        fixture.assert_one("whe_1");
    }
}

#[tokio::test]
async fn a_secret_is_not_made_while_a_rotation_holds_the_lease() {
    let fixture = Fixture::new().await;
    let id = fixture.endpoint("my-stack", URL, &["batch.completed", "batch.failed"]);
    fixture.state().lease = Some(("the rotation".to_owned(), i64::MAX));
    let properties = properties();
    let changed = json!({"PhysicalResourceId": id, "ResourceProperties": properties,
        "OldResourceProperties": properties_with(&json!({"SigningSecretArn": "arn:other"}))});
    for (kind, more) in [("Create", json!({ "ResourceProperties": properties })), ("Update", changed)] {
        let answer = fixture.ask_within(3, kind, more).await;
        assert!(reason(&answer).contains("or a rotation of the signing secret, is in progress"), "{answer}");
        assert_eq!(fixture.server.count("POST"), 0);
    }
    let ends = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(fixture.server.count("POST"), 0);
        fixture.state().lease = None;
    };
    let (answer, ()) = tokio::join!(fixture.create(), ends);
    assert_eq!(succeeded(&answer), id);
    fixture.assert_one(&id);
}

#[tokio::test]
async fn a_ledger_out_of_reach_is_named_and_nothing_is_created() {
    let fixture = Fixture::new().await;
    fixture.fail("UpdateItem", Fault::Refused(400), 9);
    let answer = fixture.create().await;
    assert!(reason(&answer).contains("needs dynamodb:UpdateItem on the ledger's table"), "{answer}");
    assert_eq!((fixture.server.count(CREATE), &answer["PhysicalResourceId"]), (0, &json!("perhaps-registered")));
}

#[tokio::test]
async fn a_create_of_which_nothing_is_known_at_the_end_is_cleaned_up_by_the_delete() {
    let fixture = Fixture::new().await;
    fixture.fail(CREATE, Fault::Silence, 1);
    let answer = fixture.ask_within(4, "Create", json!({ "ResourceProperties": properties() })).await;
    assert!(reason(&answer).contains("could not be reached"), "{answer}");
    assert_eq!(
        (answer["PhysicalResourceId"].as_str(), fixture.state().endpoints.len()),
        (Some("perhaps-registered"), 1)
    );
    let other = fixture.endpoint("other", URL, &[]);
    // Its own answer, and the id that CloudFormation makes up where none came.
    for id in ["perhaps-registered", "my-stack-ProjectEndpoint-1ABC"] {
        succeeded(&fixture.delete(id).await);
        assert_eq!(fixture.state().endpoints.len(), 1);
        assert_eq!(fixture.state().endpoints[0]["id"], other);
    }
}

#[tokio::test]
async fn a_create_that_was_refused_leaves_nothing_to_delete() {
    let fixture = Fixture::new().await;
    fixture.fail(CREATE, Fault::Refused(400), 1);
    let answer = fixture.create().await;
    assert_eq!(answer["PhysicalResourceId"], "not-registered");
    fixture.endpoint("my-stack", URL, &[]);
    succeeded(&fixture.delete("not-registered").await);
    assert_eq!(fixture.state().endpoints.len(), 1);
}

#[tokio::test]
async fn each_refusal_says_why_and_what_to_do() {
    for (status, words) in [
        (401, "does not accept the API key: store a valid one"),
        (403, "may not manage webhook endpoints: it needs the permission api.webhooks.write"),
        (400, "The name (EndpointName), the URL (WebhookBaseUrl) or an event type"),
        (404, "OpenAIBaseUrl"),
    ] {
        let fixture = Fixture::new().await;
        fixture.fail(CREATE, Fault::Refused(status), 1);
        let answer = fixture.create().await;
        assert!(reason(&answer).contains(words), "{answer}");
        assert!(reason(&answer).starts_with("Registering the webhook endpoint at OpenAI failed: "), "{answer}");
        assert!(reason(&answer).contains(&format!("OpenAI answered {status} refused: No.")), "{answer}");
        assert_eq!(fixture.server.count(CREATE), 1);
    }
    for (key, words) in [("unset", "deploy with RegisterEndpoint=false first"), ("sk-se cret", "unusable")] {
        let fixture = Fixture::new().await;
        fixture.state().api_key = key.to_owned();
        let answer = fixture.create().await;
        assert!(reason(&answer).contains(words) && !reason(&answer).contains("sk-"), "{answer}");
        assert!(fixture.server.requests().iter().all(|request| !request.path.contains("/v1/")));
    }
    let fixture = Fixture::new().await;
    fixture.fail("GetSecretValue", Fault::Refused(400), 9);
    assert!(reason(&fixture.create().await).contains("deploy again. (AccessDeniedException: Not you.)"));
}

#[tokio::test]
async fn a_reason_is_short_enough_for_cloudformation() {
    let fixture = Fixture::new().await;
    fixture.fail("PutSecretValue", Fault::Refused(400), 9);
    let properties = properties_with(&json!({"SigningSecretArn": "a".repeat(2000)}));
    let answer = fixture.ask("Create", json!({ "ResourceProperties": properties })).await;
    assert_eq!(reason(&answer).len(), 1000);
}

#[tokio::test]
async fn an_endpoint_whose_secret_cannot_be_stored_is_named_so_that_the_rollback_deletes_it() {
    let fixture = Fixture::new().await;
    fixture.fail("PutSecretValue", Fault::Refused(400), 9);
    let answer = fixture.create().await;
    assert!(reason(&answer).contains("could not be stored") && !answer.to_string().contains("hidden"), "{answer}");
    succeeded(&fixture.delete(answer["PhysicalResourceId"].as_str().unwrap()).await);
    assert!(fixture.state().endpoints.is_empty());
}

#[tokio::test]
async fn only_what_changed_is_sent_and_the_endpoint_stays_the_same() {
    let fixture = Fixture::new().await;
    let id = fixture.endpoint("my-stack", URL, &["batch.failed", "live.call.incoming"]);
    let update = async |others: Value| {
        let properties = properties_with(&others);
        let old = self::properties();
        let more = json!({"PhysicalResourceId": id, "ResourceProperties": properties, "OldResourceProperties": old});
        assert_eq!(succeeded(&fixture.ask("Update", more).await), id);
    };
    update(json!({"Name": "other"})).await;
    assert_eq!(fixture.sent("POST "), json!({"name": "other"}));
    update(json!({"Url": "https://elsewhere.example.com"})).await;
    assert_eq!(fixture.sent("POST "), json!({"url": "https://elsewhere.example.com"}));
    update(json!({"EventTypes": "batch.failed,file.processed"})).await;
    assert_eq!(fixture.sent("POST "), json!({"event_types": ["batch.failed", "file.processed"]}));
    assert!(fixture.state().stored.is_empty());
    update(json!({"SigningSecretArn": "arn:other"})).await;
    assert_eq!(fixture.sent("POST "), json!({"keep_old_secret_active_for_24_hours": true}));
    assert_eq!(fixture.state().stored[0].0, "arn:other");
    let calls = fixture.server.count("POST ");
    update(json!({"ServiceToken": "arn:other"})).await;
    assert_eq!(fixture.server.count("POST "), calls);
}

#[tokio::test]
async fn an_endpoint_that_was_deleted_by_hand_is_created_anew_with_whatever_changed() {
    for others in [json!({}), json!({"Name": "other"}), json!({"SigningSecretArn": "arn:other"})] {
        let fixture = Fixture::new().await;
        let wanted = properties_with(&others);
        let more =
            json!({"PhysicalResourceId": "whe_0", "ResourceProperties": wanted, "OldResourceProperties": properties()});
        assert_eq!(succeeded(&fixture.ask("Update", more).await), "whe_1");
        assert_eq!(fixture.state().endpoints[0]["name"], wanted["Name"]);
        assert_eq!(wanted["SigningSecretArn"], fixture.state().stored[0].0);
        succeeded(&fixture.delete("whe_0").await);
        assert_eq!(fixture.state().endpoints.len(), 1);
    }
}

#[tokio::test]
async fn an_update_that_fails_keeps_the_endpoint_s_id() {
    let fixture = Fixture::new().await;
    let id = fixture.endpoint("my-stack", URL, &[]);
    fixture.fail("POST /v1/webhook_endpoints/", Fault::Refused(400), 1);
    let wanted = properties_with(&json!({"Name": "other"}));
    let more = json!({"PhysicalResourceId": id, "ResourceProperties": wanted, "OldResourceProperties": properties()});
    let answer = fixture.ask("Update", more).await;
    assert!(reason(&answer).starts_with("Updating the webhook endpoint"), "{answer}");
    assert_eq!(answer["PhysicalResourceId"], id);
}

#[tokio::test]
async fn a_delete_is_done_when_the_endpoint_is_gone_and_repeated_when_openai_is_away() {
    let fixture = Fixture::new().await;
    let id = fixture.endpoint("my-stack", URL, &[]);
    fixture.fail("DELETE", Fault::Refused(500), 1);
    fixture.fail("DELETE", Fault::Lost, 1);
    assert_eq!(succeeded(&fixture.delete(&id).await), id);
    assert!(fixture.state().endpoints.is_empty());
    assert_eq!(succeeded(&fixture.delete(&id).await), id);
}

#[tokio::test]
async fn a_stack_can_be_deleted_without_a_key_and_not_while_openai_is_away() {
    let fixture = Fixture::new().await;
    let id = fixture.endpoint("my-stack", URL, &[]);
    for status in [401, 403] {
        fixture.fail("DELETE", Fault::Refused(status), 1);
        assert_eq!(succeeded(&fixture.delete(&id).await), id);
    }
    fixture.state().api_key = "unset".to_owned();
    let answer = fixture.delete(&id).await;
    assert_eq!(succeeded(&answer), id);
    assert!(answer["Reason"].as_str().unwrap().contains("is not set"), "{answer}");
    assert_eq!(fixture.state().endpoints.len(), 1);
    fixture.state().api_key = "sk-local".to_owned();
    fixture.fail("DELETE", Fault::Refused(500), 99);
    let more = json!({"PhysicalResourceId": id, "ResourceProperties": properties()});
    let answer = fixture.ask_within(4, "Delete", more).await;
    assert!(reason(&answer).contains("try again later"), "{answer}");
}

#[tokio::test]
async fn whatever_is_asked_is_answered() {
    let fixture = Fixture::new().await;
    for (kind, more, words) in [
        ("Create", json!({}), "Name is missing"),
        ("Create", json!({"ResourceProperties": {"Name": "n", "Url": 7}}), "Url is missing"),
        ("Update", json!({}), "something other than"),
        ("Update", json!({"PhysicalResourceId": "whe_1"}), "Name is missing"),
        ("", json!({}), "something other than"),
    ] {
        let answer = fixture.ask(kind, more).await;
        assert!(reason(&answer).contains(words), "{answer}");
        assert_ne!(answer["PhysicalResourceId"], "");
    }
}

#[tokio::test]
async fn an_answer_is_handed_over_again_until_it_arrives() {
    let fixture = Fixture::new().await;
    fixture.fail("PUT /answer", Fault::Refused(503), 2);
    fixture.fail("PUT /answer", Fault::Silence, 1);
    succeeded(&fixture.create().await);
    assert_eq!(fixture.server.count("PUT /answer"), 4);
    assert_eq!(fixture.server.count(CREATE), 1);
}

#[tokio::test]
async fn an_answer_that_cannot_be_handed_over_fails_the_invocation_without_its_url() {
    let fixture = Fixture::new().await;
    let event = json!({"RequestType": "Delete", "PhysicalResourceId": "not-registered",
        "ResponseURL": "http://127.0.0.1:1/answer?signature=hidden"});
    let error = fixture.handle(event, Instant::now() + Duration::from_secs(2)).await.unwrap_err().to_string();
    assert!(error.contains("could not be delivered to CloudFormation") && !error.contains("hidden"), "{error}");
    let error = fixture.handle(json!([]), Instant::now() + Duration::from_secs(2)).await.unwrap_err().to_string();
    assert!(error.contains("no ResponseURL"), "{error}");
}
