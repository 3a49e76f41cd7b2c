//! The function, against as much of OpenAI, of Secrets Manager and of CloudFormation as it calls.

mod world;

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use self::world::{Fault, SECRET, URL, World, properties, properties_with};

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
async fn an_endpoint_is_created_with_all_that_is_offered_and_its_secret_is_stored_and_shown_nowhere() {
    let world = World::new().await;
    let answer = world.create().await;
    assert_eq!(succeeded(&answer), "whe_1");
    for (name, value) in
        [("StackId", "arn:stack"), ("RequestId", "request-1"), ("LogicalResourceId", "ProjectEndpoint")]
    {
        assert_eq!(answer[name], value);
    }
    let expected = json!({"name": "my-stack", "url": URL, "event_types": ["batch.completed", "batch.failed"]});
    assert_eq!(world.sent(CREATE), expected);
    let [(id, secret)] = world.facts().stored.clone().try_into().unwrap();
    assert!(id == SECRET && secret.starts_with("whsec_hidden"));
    assert!(!answer.to_string().contains("hidden"), "{answer}");
}

#[tokio::test]
async fn event_types_that_were_chosen_are_not_asked_for() {
    let world = World::new().await;
    let chosen = properties_with(&json!({"EventTypes": "file.processed"}));
    succeeded(&world.ask("Create", json!({ "ResourceProperties": chosen })).await);
    assert_eq!(world.sent(CREATE)["event_types"], json!(["file.processed"]));
    assert_eq!(world.count("GET /v1/webhook_event_types"), 0);
}

#[tokio::test]
async fn a_repeated_create_finds_its_endpoint_and_stores_a_new_secret() {
    let world = World::new().await;
    let first = world.create().await;
    let second = world.create().await;
    assert_eq!(succeeded(&first), succeeded(&second));
    assert_eq!(world.count("POST /v1/webhook_endpoints/whe_1/rotate_secret"), 1);
    assert_eq!(world.sent("POST /v1/webhook_endpoints/whe_1"), json!({"keep_old_secret_active_for_24_hours": true}));
    let stored = world.facts().stored.clone();
    assert!(stored.len() == 2 && stored[0] != stored[1]);
}

#[tokio::test]
async fn own_is_what_has_both_name_and_url_on_any_page() {
    let world = World::new().await;
    let own = world.endpoint("my-stack", URL, &["batch.completed", "batch.failed"]);
    for number in 0..150 {
        world.endpoint("my-stack", &format!("{URL}/{number}"), &[]);
        world.endpoint(&format!("other-{number}"), URL, &[]);
    }
    assert_eq!(succeeded(&world.create().await), own);
    assert_eq!(world.count("GET /v1/webhook_endpoints"), 4);
}

#[tokio::test]
async fn a_list_without_an_end_is_given_up() {
    let world = World::new().await;
    for number in 0..1001 {
        world.endpoint(&format!("other-{number}"), URL, &[]);
    }
    let answer = world.create().await;
    assert!(reason(&answer).contains("more webhook endpoints than can be looked through"), "{answer}");
    assert_eq!(world.count(CREATE), 0);
}

#[tokio::test]
async fn an_endpoint_that_is_found_gets_what_it_lacks_and_keeps_what_only_the_dashboard_can_add() {
    let world = World::new().await;
    let id = world.endpoint("my-stack", URL, &["live.call.incoming", "batch.failed"]);
    assert_eq!(succeeded(&world.create().await), id);
    let types = json!(["batch.completed", "batch.failed", "live.call.incoming"]);
    assert_eq!(world.facts().endpoints[0]["event_types"], types);
    let chosen = properties_with(&json!({"EventTypes": "batch.failed"}));
    assert_eq!(succeeded(&world.ask("Create", json!({ "ResourceProperties": chosen })).await), id);
    assert_eq!(world.facts().endpoints[0]["event_types"], json!(["batch.failed"]));
}

#[tokio::test]
async fn a_create_whose_answer_got_lost_makes_no_second_endpoint() {
    for (fault, times) in [(Fault::Lost, 1), (Fault::Refused(503), 2), (Fault::Refused(429), 1)] {
        let world = World::new().await;
        world.fail(CREATE, fault, times);
        succeeded(&world.create().await);
        assert_eq!(world.facts().endpoints.len(), 1);
        assert_eq!(world.facts().stored.len(), 1);
    }
}

#[tokio::test]
async fn a_create_of_which_nothing_is_known_at_the_end_is_cleaned_up_by_the_delete() {
    let world = World::new().await;
    world.fail(CREATE, Fault::Silence, 1);
    let answer = world.ask_within(4, "Create", json!({ "ResourceProperties": properties() })).await;
    assert!(reason(&answer).contains("could not be reached"), "{answer}");
    assert_eq!((answer["PhysicalResourceId"].as_str(), world.facts().endpoints.len()), (Some("perhaps-registered"), 1));
    let other = world.endpoint("other", URL, &[]);
    // Its own answer, and the id that CloudFormation makes up where none came.
    for id in ["perhaps-registered", "my-stack-ProjectEndpoint-1ABC"] {
        succeeded(&world.delete(id).await);
        assert_eq!(world.facts().endpoints.len(), 1);
        assert_eq!(world.facts().endpoints[0]["id"], other);
    }
}

#[tokio::test]
async fn a_create_that_was_refused_leaves_nothing_to_delete() {
    let world = World::new().await;
    world.fail(CREATE, Fault::Refused(400), 1);
    let answer = world.create().await;
    assert_eq!(answer["PhysicalResourceId"], "not-registered");
    world.endpoint("my-stack", URL, &[]);
    succeeded(&world.delete("not-registered").await);
    assert_eq!(world.facts().endpoints.len(), 1);
}

#[tokio::test]
async fn each_refusal_says_why_and_what_to_do() {
    for (status, words) in [
        (401, "does not accept the API key: store a valid one"),
        (403, "may not manage webhook endpoints: it needs the permission api.webhooks.write"),
        (400, "The name (EndpointName), the URL (WebhookBaseUrl) or an event type"),
        (404, "OpenAIBaseUrl"),
    ] {
        let world = World::new().await;
        world.fail(CREATE, Fault::Refused(status), 1);
        let answer = world.create().await;
        assert!(reason(&answer).contains(words), "{answer}");
        assert!(reason(&answer).starts_with("Registering the webhook endpoint at OpenAI failed: "), "{answer}");
        assert!(reason(&answer).contains(&format!("OpenAI answered {status} refused: No.")), "{answer}");
        assert_eq!(world.count(CREATE), 1);
    }
    for (key, words) in [("unset", "deploy with RegisterEndpoint=false first"), ("sk-se cret", "unusable")] {
        let world = World::new().await;
        world.facts().api_key = key.to_owned();
        let answer = world.create().await;
        assert!(reason(&answer).contains(words) && !reason(&answer).contains("sk-"), "{answer}");
        assert!(world.facts().calls.iter().all(|(call, _)| !call.contains("/v1/")));
    }
    let world = World::new().await;
    world.fail("GetSecretValue", Fault::Refused(400), 9);
    assert!(reason(&world.create().await).contains("deploy again. (AccessDeniedException: Not you.)"));
}

#[tokio::test]
async fn a_reason_is_short_enough_for_cloudformation() {
    let world = World::new().await;
    world.fail("PutSecretValue", Fault::Refused(400), 9);
    let properties = properties_with(&json!({"SigningSecretArn": "a".repeat(2000)}));
    let answer = world.ask("Create", json!({ "ResourceProperties": properties })).await;
    assert_eq!(reason(&answer).len(), 1000);
}

#[tokio::test]
async fn an_endpoint_whose_secret_cannot_be_stored_is_named_so_that_the_rollback_deletes_it() {
    let world = World::new().await;
    world.fail("PutSecretValue", Fault::Refused(400), 9);
    let answer = world.create().await;
    assert!(reason(&answer).contains("could not be stored") && !answer.to_string().contains("hidden"), "{answer}");
    succeeded(&world.delete(answer["PhysicalResourceId"].as_str().unwrap()).await);
    assert!(world.facts().endpoints.is_empty());
}

#[tokio::test]
async fn only_what_changed_is_sent_and_the_endpoint_stays_the_same() {
    let world = World::new().await;
    let id = world.endpoint("my-stack", URL, &["batch.failed", "live.call.incoming"]);
    let update = async |others: Value| {
        let properties = properties_with(&others);
        let old = self::properties();
        let more = json!({"PhysicalResourceId": id, "ResourceProperties": properties, "OldResourceProperties": old});
        assert_eq!(succeeded(&world.ask("Update", more).await), id);
    };
    update(json!({"Name": "other"})).await;
    assert_eq!(world.sent("POST "), json!({"name": "other"}));
    update(json!({"Url": "https://elsewhere.example.com"})).await;
    assert_eq!(world.sent("POST "), json!({"url": "https://elsewhere.example.com"}));
    update(json!({"EventTypes": "batch.failed,file.processed"})).await;
    assert_eq!(world.sent("POST "), json!({"event_types": ["batch.failed", "file.processed"]}));
    assert!(world.facts().stored.is_empty());
    update(json!({"SigningSecretArn": "arn:other"})).await;
    assert_eq!(world.sent("POST "), json!({"keep_old_secret_active_for_24_hours": true}));
    assert_eq!(world.facts().stored[0].0, "arn:other");
    let calls = world.count("POST ");
    update(json!({"ServiceToken": "arn:other"})).await;
    assert_eq!(world.count("POST "), calls);
}

#[tokio::test]
async fn an_endpoint_that_was_deleted_by_hand_is_created_anew_with_whatever_changed() {
    for others in [json!({}), json!({"Name": "other"}), json!({"SigningSecretArn": "arn:other"})] {
        let world = World::new().await;
        let wanted = properties_with(&others);
        let more =
            json!({"PhysicalResourceId": "whe_0", "ResourceProperties": wanted, "OldResourceProperties": properties()});
        assert_eq!(succeeded(&world.ask("Update", more).await), "whe_1");
        assert_eq!(world.facts().endpoints[0]["name"], wanted["Name"]);
        assert_eq!(wanted["SigningSecretArn"], world.facts().stored[0].0);
        succeeded(&world.delete("whe_0").await);
        assert_eq!(world.facts().endpoints.len(), 1);
    }
}

#[tokio::test]
async fn an_update_that_fails_keeps_the_endpoint_s_id() {
    let world = World::new().await;
    let id = world.endpoint("my-stack", URL, &[]);
    world.fail("POST /v1/webhook_endpoints/", Fault::Refused(400), 1);
    let wanted = properties_with(&json!({"Name": "other"}));
    let more = json!({"PhysicalResourceId": id, "ResourceProperties": wanted, "OldResourceProperties": properties()});
    let answer = world.ask("Update", more).await;
    assert!(reason(&answer).starts_with("Updating the webhook endpoint"), "{answer}");
    assert_eq!(answer["PhysicalResourceId"], id);
}

#[tokio::test]
async fn a_delete_is_done_when_the_endpoint_is_gone_and_repeated_when_openai_is_away() {
    let world = World::new().await;
    let id = world.endpoint("my-stack", URL, &[]);
    world.fail("DELETE", Fault::Refused(500), 1);
    world.fail("DELETE", Fault::Lost, 1);
    assert_eq!(succeeded(&world.delete(&id).await), id);
    assert!(world.facts().endpoints.is_empty());
    assert_eq!(succeeded(&world.delete(&id).await), id);
}

#[tokio::test]
async fn a_stack_can_be_deleted_without_a_key_and_not_while_openai_is_away() {
    let world = World::new().await;
    let id = world.endpoint("my-stack", URL, &[]);
    for status in [401, 403] {
        world.fail("DELETE", Fault::Refused(status), 1);
        assert_eq!(succeeded(&world.delete(&id).await), id);
    }
    world.facts().api_key = "unset".to_owned();
    let answer = world.delete(&id).await;
    assert_eq!(succeeded(&answer), id);
    assert!(answer["Reason"].as_str().unwrap().contains("is not set"), "{answer}");
    assert_eq!(world.facts().endpoints.len(), 1);
    world.facts().api_key = "sk-local".to_owned();
    world.fail("DELETE", Fault::Refused(500), 99);
    let more = json!({"PhysicalResourceId": id, "ResourceProperties": properties()});
    let answer = world.ask_within(4, "Delete", more).await;
    assert!(reason(&answer).contains("try again later"), "{answer}");
}

#[tokio::test]
async fn whatever_is_asked_is_answered() {
    let world = World::new().await;
    for (kind, more, words) in [
        ("Create", json!({}), "Name is missing"),
        ("Create", json!({"ResourceProperties": {"Name": "n", "Url": 7}}), "Url is missing"),
        ("Update", json!({}), "something other than"),
        ("Update", json!({"PhysicalResourceId": "whe_1"}), "Name is missing"),
        ("", json!({}), "something other than"),
    ] {
        let answer = world.ask(kind, more).await;
        assert!(reason(&answer).contains(words), "{answer}");
        assert_ne!(answer["PhysicalResourceId"], "");
    }
}

#[tokio::test]
async fn an_answer_is_handed_over_again_until_it_arrives() {
    let world = World::new().await;
    world.fail("PUT /answer", Fault::Refused(503), 2);
    world.fail("PUT /answer", Fault::Silence, 1);
    succeeded(&world.create().await);
    assert_eq!(world.count("PUT /answer"), 4);
    assert_eq!(world.count(CREATE), 1);
}

#[tokio::test]
async fn an_answer_that_cannot_be_handed_over_fails_the_invocation_without_its_url() {
    let world = World::new().await;
    let event = json!({"RequestType": "Delete", "PhysicalResourceId": "not-registered",
        "ResponseURL": "http://127.0.0.1:1/answer?signature=hidden"});
    let error = world.handle(event, Instant::now() + Duration::from_secs(2)).await.unwrap_err().to_string();
    assert!(error.contains("could not be handed to CloudFormation") && !error.contains("hidden"), "{error}");
    let error = world.handle(json!([]), Instant::now() + Duration::from_secs(2)).await.unwrap_err().to_string();
    assert!(error.contains("no ResponseURL"), "{error}");
}
