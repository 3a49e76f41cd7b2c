//! Whole events as Lambda hands them over: everything is read, and what does not matter changes nothing.

use hooks_webhook::{Request, Scheme, Secret, verify};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

const NOW: u64 = 1_795_219_200;
const SECRET: &str = "whsec_cHJvamVjdHByb2plY3Rwcm9qZWN0";
const BODY: &str = r#"{"id":"evt_1","type":"batch.completed","data":{"id":"batch_1"}}"#;
/// HMAC-SHA256 of `wh_1.1795219200.` and the body under the secret.
fn signature() -> String {
    use base64::Engine;
    use hmac::{Hmac, KeyInit, Mac};
    let mac = Hmac::<sha2::Sha256>::new_from_slice(b"projectprojectproject").unwrap();
    let tag = mac.chain_update(format!("wh_1.{NOW}.{BODY}")).finalize().into_bytes();
    format!("v1,{}", base64::engine::general_purpose::STANDARD.encode(tag))
}

/// Any JSON value of some depth.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((key(), inner), 0..5).prop_map(|members| Value::from(Map::from_iter(members))),
        ]
    })
}

/// Mostly the names that are read.
fn key() -> impl Strategy<Value = String> {
    let known = [
        "requestContext",
        "httpMethod",
        "rawPath",
        "path",
        "pathParameters",
        "headers",
        "multiValueHeaders",
        "body",
        "isBase64Encoded",
        "http",
        "method",
        "stage",
        "elb",
        "endpoint",
        "proxy",
        "webhook-id",
        "Webhook-Signature",
    ];
    prop_oneof![4 => prop::sample::select(known.to_vec()).prop_map(str::to_owned), 1 => any::<String>()]
}

/// A genuine delivery in the form of each sender.
fn genuine(form: usize, is_base64: bool) -> Value {
    use base64::Engine;
    let headers = json!({"Webhook-Id": "wh_1", "webhook-timestamp": NOW.to_string(), "webhook-signature": signature()});
    let lists: Map<String, Value> =
        headers.as_object().unwrap().iter().map(|(name, value)| (name.clone(), json!([value]))).collect();
    let body = if is_base64 { base64::engine::general_purpose::STANDARD.encode(BODY) } else { BODY.to_owned() };
    let version_2 = json!({"version": "2.0", "rawPath": "/webhooks/project", "headers": headers, "body": body,
        "requestContext": {"http": {"method": "POST"}, "stage": "$default"}});
    let version_1 = json!({"version": "1.0", "httpMethod": "POST", "path": "/webhooks/project", "headers": headers,
        "multiValueHeaders": lists, "body": body, "requestContext": {"stage": "prod"}});
    let balancer = json!({"httpMethod": "POST", "path": "/webhooks/project", "multiValueHeaders": lists, "body": body,
        "requestContext": {"elb": {"targetGroupArn": "arn"}}});
    let mut event = [version_2, version_1, balancer][form % 3].clone();
    event["isBase64Encoded"] = is_base64.into();
    event
}

fn is_accepted(event: &Value) -> bool {
    let text = event.to_string();
    let request = Request::read(text.as_bytes()).unwrap();
    assert_eq!((request.method.as_ref(), request.endpoint.as_deref()), ("POST", Some("project")));
    assert_eq!(request.reject_joined_headers(Scheme::StandardWebhooks), Ok(()));
    let secrets = [Secret::parse(SECRET).unwrap()];
    verify(Scheme::StandardWebhooks, &secrets, &request.headers, &request.body, NOW).is_ok()
}

proptest! {
    #[test]
    fn every_json_is_read_or_is_no_request(value in any_json()) {
        let text = value.to_string();
        let _ = Request::read(text.as_bytes());
    }

    #[test]
    fn every_text_is_read_or_is_no_request(text in any::<Vec<u8>>()) {
        let _ = Request::read(&text);
    }

    /// Query, cookies, host, other headers, other context: any value of any type.
    #[test]
    fn what_does_not_matter_never_changes_the_answer(
        form in 0_usize..3,
        is_base64 in any::<bool>(),
        name in prop::sample::select(vec!["rawQueryString", "queryStringParameters", "cookies", "stageVariables", "version",
            "routeKey", "multiValueQueryStringParameters"]),
        other in any::<String>(),
        value in any_json(),
    ) {
        let mut event = genuine(form, is_base64);
        event[name] = value.clone();
        event["requestContext"]["domainName"] = value.clone();
        let headers = if event["headers"].is_object() { "headers" } else { "multiValueHeaders" };
        for header in ["host", "x-forwarded-proto", "x-forwarded-port", "cookie", &other] {
            if !["webhook-id", "webhook-timestamp", "webhook-signature"].contains(&header.to_lowercase().as_str()) {
                event[headers][header] = value.clone();
            }
        }
        prop_assert!(is_accepted(&event), "{}", event);
    }

    /// A path that a base path or a proxy changed: the path parameter counts.
    #[test]
    fn the_path_parameter_comes_before_the_path(form in 0_usize..3, path in any::<String>()) {
        let mut event = genuine(form, false);
        event["rawPath"] = path.clone().into();
        event["path"] = path.into();
        event["pathParameters"] = json!({"endpoint": "project"});
        prop_assert!(is_accepted(&event));
    }

    #[test]
    fn a_changed_body_or_header_is_never_accepted(form in 0_usize..3, at in 0_usize..60, with in any::<char>()) {
        let mut event = genuine(form, false);
        let changed: String = BODY.chars().enumerate().map(|(i, c)| if i == at { with } else { c }).collect();
        prop_assume!(changed != BODY);
        event["body"] = changed.into();
        prop_assert!(!is_accepted(&event));
    }
}

#[test]
fn a_genuine_delivery_of_every_sender_is_accepted() {
    for form in 0..3 {
        for is_base64 in [false, true] {
            assert!(is_accepted(&genuine(form, is_base64)), "{form} {is_base64}");
        }
    }
}

#[test]
fn a_header_that_is_there_twice_has_two_lines_in_every_form() {
    for (name, value) in [("headers", json!("wh_2")), ("multiValueHeaders", json!(["wh_2", "wh_3", "wh_4"]))] {
        let mut event = genuine(0, false);
        event[name]["WEBHOOK-ID"] = value;
        let text = event.to_string();
        let request = Request::read(text.as_bytes()).unwrap();
        assert_eq!(request.headers.get_all("webhook-id").iter().count(), 2, "{name}");
    }
}

#[test]
fn what_is_no_request_is_told_from_an_odd_one() {
    for event in ["{}", "[]", "null", "7", "\"x\"", r#"{"Records":[]}"#, r#"{"headers":{}}"#, r#"{"body":"x"}"#] {
        assert!(Request::read(event.as_bytes()).is_none(), "{event}");
    }
    for event in [r#"{"rawPath":7}"#, r#"{"httpMethod":null}"#, r#"{"requestContext":{"http":{"method":[]}}}"#] {
        let request = Request::read(event.as_bytes()).unwrap();
        assert_eq!((request.method.as_ref(), request.endpoint), ("", None), "{event}");
    }
}
