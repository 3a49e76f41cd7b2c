//! Whole events: whatever Lambda hands over is answered by one of the outcomes, with its line and its metric.

use crate::stand::{BODY, PROJECT, Stand, pairs, signed};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hooks_testing_lambda::{Answer, http_event};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value, json};

/// Every reason in the table of answers.
const REASONS: [&str; 13] = [
    "accepted",
    "missing_header",
    "duplicate_header",
    "malformed_timestamp",
    "malformed_body",
    "timestamp_too_old",
    "timestamp_too_new",
    "no_matching_signature",
    "unknown_endpoint",
    "method_not_allowed",
    "body_too_large",
    "secret_unavailable",
    "queue_unavailable",
];

fn genuine() -> Value {
    http_event("/webhooks/project", &pairs(&signed(PROJECT, 0, BODY.as_bytes())), BODY, false)
}

/// The outcome of an event: the reason of its answer, which its line has too, or the type of its failure.
fn outcome(stand: &Stand, event: &[u8]) -> String {
    let outcome = match stand.function.invoke(event) {
        Answer::Response(answer) => {
            let answer: Value = serde_json::from_slice(&answer).unwrap();
            let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
            let reason = body["reason"].as_str().unwrap_or("accepted").to_owned();
            assert!(REASONS.contains(&reason.as_str()), "{reason}");
            reason
        }
        Answer::Error(error) => {
            let error: Value = serde_json::from_slice(&error).unwrap();
            assert!(error["errorMessage"].as_str().unwrap().contains("is not about an HTTP request"), "{error}");
            error["errorType"].as_str().unwrap().to_owned()
        }
        other @ Answer::InitError(_) => panic!("no answer, but {other:?}"),
    };
    let line = stand.line();
    assert_eq!((line["outcome"].as_str(), &line["Deliveries"]), (Some(outcome.as_str()), &json!(1)));
    outcome
}

fn with(change: impl FnOnce(&mut Value)) -> Value {
    let mut event = genuine();
    change(&mut event);
    event
}

#[test]
fn a_genuine_delivery_is_accepted_whatever_else_the_event_holds() {
    let stand = Stand::start();
    let odd = ["q=\"x\"", "a b", "\u{0}", "%zz", "\u{fffe}", "x=\u{e9}", "&&=&", "https, https", "99999", "\u{1b}[0m"];
    for text in odd {
        for place in [
            "/rawQueryString",
            "/headers/x-forwarded-proto",
            "/headers/x-forwarded-port",
            "/headers/host",
            "/headers/user-agent",
            "/headers/content-type",
            "/requestContext/domainName",
            "/rawPath",
            "/version",
        ] {
            let event = with(|event| *event.pointer_mut(place).unwrap() = text.into());
            assert_eq!(outcome(&stand, event.to_string().as_bytes()), "accepted", "{place}: {text:?}");
        }
        let event = with(|event| event["headers"][text] = text.into());
        assert_eq!(outcome(&stand, event.to_string().as_bytes()), "accepted", "{text:?}");
    }
    let base_path = with(|event| event["rawPath"] = "/hooks/webhooks/project".into());
    assert_eq!(outcome(&stand, base_path.to_string().as_bytes()), "accepted");
}

/// A REST API, a function URL, and a load balancer with and without multi-value headers.
#[test]
fn every_sender_is_answered_in_its_own_form() {
    let stand = Stand::start();
    let headers = signed(PROJECT, 0, BODY.as_bytes());
    let single: Map<String, Value> = headers.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    let lists: Map<String, Value> = headers.iter().map(|(name, value)| ((*name).to_owned(), json!([value]))).collect();
    let (method, path) = ("POST", "/webhooks/project");
    let encoded = STANDARD.encode(BODY);
    let elb = json!({"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:..."}});
    let events = [
        json!({"version": "1.0", "resource": "/webhooks/{endpoint}", "httpMethod": method, "path": path, "headers": single,
            "multiValueHeaders": lists, "pathParameters": {"endpoint": "project"}, "body": BODY, "isBase64Encoded": false,
            "requestContext": {"stage": "prod"}}),
        json!({"version": "1.0", "resource": "/{proxy+}", "httpMethod": method, "path": "/x/webhooks/project",
            "headers": single, "pathParameters": {"proxy": "webhooks/project"}, "body": encoded, "isBase64Encoded": true,
            "requestContext": {"stage": "prod"}}),
        json!({"version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "", "headers": single,
            "body": encoded, "isBase64Encoded": true, "requestContext": {"http": {"method": method, "path": path},
            "domainName": "abc.lambda-url.eu-central-1.on.aws", "stage": "$default"}}),
        json!({"httpMethod": method, "path": path, "headers": single, "body": BODY, "isBase64Encoded": false,
            "requestContext": elb}),
        json!({"httpMethod": method, "path": path, "multiValueHeaders": lists, "body": encoded, "isBase64Encoded": true,
            "requestContext": elb}),
    ];
    for event in &events {
        assert_eq!(outcome(&stand, event.to_string().as_bytes()), "accepted", "{event}");
    }
    let Answer::Response(answer) = stand.function.invoke(events[4].to_string().as_bytes()) else { panic!("no answer") };
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(answer["statusDescription"], "200 OK");
    assert_eq!(answer["multiValueHeaders"]["content-type"], json!(["application/json"]));
    assert_eq!(answer["headers"]["content-type"], "application/json");
}

#[test]
fn an_odd_signature_header_or_body_is_refused_and_never_a_failure() {
    let stand = Stand::start();
    let header = |name: &str, value: Value| with(|event| event["headers"][name] = value);
    for (event, expected) in [
        (header("webhook-id", "wh\u{0}".into()), "no_matching_signature"),
        (header("webhook-id", "wh_\u{e9}\u{1f600}".into()), "no_matching_signature"),
        (header("webhook-id", 7.into()), "missing_header"),
        (header("webhook-id", Value::Null), "missing_header"),
        (header("webhook-id", json!(["a", "b"])), "missing_header"),
        (header("webhook-timestamp", "1750861210\u{0}".into()), "malformed_timestamp"),
        (header("webhook-timestamp", "\u{661}\u{662}".into()), "malformed_timestamp"),
        (header("webhook-signature", "v1,\u{0}".into()), "no_matching_signature"),
        (header("WEBHOOK-SIGNATURE", "v1,AAAA".into()), "duplicate_header"),
        (with(|event| event["headers"] = Value::Null), "missing_header"),
        (with(|event| event["headers"] = json!([])), "missing_header"),
        (with(|event| event["body"] = Value::Null), "no_matching_signature"),
        (with(|event| event["body"] = json!({"id": "evt_1"})), "no_matching_signature"),
        (with(|event| event["isBase64Encoded"] = true.into()), "accepted"),
        (with(|event| event["isBase64Encoded"] = "true".into()), "accepted"),
        (with(|event| event["pathParameters"]["endpoint"] = "other".into()), "unknown_endpoint"),
        (with(|event| event["pathParameters"] = Value::Null), "accepted"),
        (with(|event| event["requestContext"]["http"]["method"] = "P\u{0}ST".into()), "method_not_allowed"),
        (with(|event| event["requestContext"] = json!({})), "method_not_allowed"),
        (with(|event| event["requestContext"]["http"] = 7.into()), "method_not_allowed"),
    ] {
        assert_eq!(outcome(&stand, event.to_string().as_bytes()), expected, "{event}");
    }
    let half = genuine().to_string().replace("batch_123", "batch_\\ud83d");
    assert_eq!(outcome(&stand, half.as_bytes()), "no_matching_signature");
}

#[test]
fn an_event_that_is_about_no_request_fails_by_name_and_is_counted() {
    let stand = Stand::start();
    let deep = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
    let others =
        [r#"{"Records":[{"body":"x"}]}"#, r#"{"source":"aws.events"}"#, "{}", "[]", "null", "7", "\"x\"", &deep];
    for event in others {
        assert_eq!(outcome(&stand, event.as_bytes()), "no_request", "{event:.40}");
    }
}

/// A genuine event with a few values of it, at any depth, replaced by anything.
#[test]
fn whatever_is_changed_in_an_event_it_is_answered() {
    let stand = Stand::start();
    let places = [
        "/version",
        "/routeKey",
        "/rawPath",
        "/rawQueryString",
        "/headers",
        "/requestContext",
        "/requestContext/http",
        "/requestContext/http/method",
        "/requestContext/http/path",
        "/requestContext/stage",
        "/pathParameters",
        "/pathParameters/endpoint",
        "/body",
        "/isBase64Encoded",
        "/headers/webhook-id",
        "/headers/webhook-timestamp",
        "/headers/webhook-signature",
        "/headers/host",
        "/headers/content-length",
    ];
    let value = prop_oneof![
        any::<String>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
        prop::collection::vec(any::<String>(), 0..4).prop_map(Value::from),
        prop::collection::hash_map(any::<String>(), any::<String>(), 0..4)
            .prop_map(|map| Value::from(map.into_iter().map(|(k, v)| (k, v.into())).collect::<Map<_, _>>())),
    ];
    let changes = prop::collection::vec((prop::sample::select(places.to_vec()), value), 1..4);
    let mut runner = TestRunner::new(Config { cases: 400, failure_persistence: None, ..Config::default() });
    let result = runner.run(&changes, |changes| {
        let mut event = genuine();
        for (place, value) in changes {
            if let Some(found) = event.pointer_mut(place) {
                *found = value;
            }
        }
        outcome(&stand, event.to_string().as_bytes());
        Ok(())
    });
    result.unwrap();
}

/// What no HTTP server passes on; the other hostile requests go to the deployed stack, in `tests/test_hostile_requests.py`.
#[test]
fn every_hostile_event_of_the_table_has_the_expected_outcome() {
    let stand = Stand::start();
    let table = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/hostile_requests.json");
    let table: Value = serde_json::from_slice(&std::fs::read(table).unwrap()).unwrap();
    let rows = table["events"].as_array().unwrap();
    assert!(rows.len() >= 60);
    for row in rows {
        let mut event = genuine();
        for (place, value) in row["set"].as_object().unwrap() {
            let (parent, name) = place.rsplit_once('/').unwrap();
            event.pointer_mut(parent).unwrap()[name] = value.clone();
        }
        assert_eq!(outcome(&stand, event.to_string().as_bytes()), row["outcome"], "{}", row["name"]);
    }
}
