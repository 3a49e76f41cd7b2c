//! Every row of the table of answers, apart from the ones of unavailable services.

use crate::stand::{BODY, ID, PROJECT, RELAY, Stand, TEAM_2, now, pairs, queue_urls, run, sign, signed};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use hooks_testing_lambda::http_event;
use serde_json::json;
use sha2::Sha256;

/// Headers of a genuine delivery with one of them changed or, without a value, left out.
fn altered(name: &str, value: Option<&str>) -> Vec<(String, String)> {
    let mut headers: Vec<_> = signed(PROJECT, 0, BODY.as_bytes()).map(|(name, value)| (name.to_owned(), value)).into();
    match value {
        None => headers.retain(|(given, _)| given != name),
        Some(value) => headers.iter_mut().filter(|(given, _)| given == name).for_each(|(_, old)| value.clone_into(old)),
    }
    headers
}

fn summary_of(stand: &Stand, headers: &[(String, String)], body: &str) -> (u64, String) {
    let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let reply = stand.deliver(&headers, body);
    let (status, reason) = reply.summary();
    (status, reason.to_owned())
}

#[test]
fn a_genuine_delivery_is_queued_with_its_attributes_and_accepted() {
    let stand = Stand::start();
    let headers = signed(PROJECT, 0, BODY.as_bytes());
    assert_eq!(stand.deliver(&pairs(&headers), BODY).summary(), (200, "accepted"));

    let messages = stand.aws.messages();
    assert_eq!(messages.len(), 1);
    let message = &messages[0];
    assert_eq!(message["MessageBody"], BODY);
    assert!(message["QueueUrl"].as_str().unwrap().ends_with("/batch"));
    let attribute = |name: &str| {
        assert_eq!(message["MessageAttributes"][name]["DataType"], "String");
        message["MessageAttributes"][name]["StringValue"].as_str().unwrap()
    };
    assert_eq!(attribute("webhook-id"), ID);
    assert_eq!(attribute("webhook-timestamp"), headers[1].1);
    assert_eq!(attribute("endpoint"), "project");
    assert_eq!(attribute("event-type"), "batch.completed");
    assert_eq!(attribute("source"), "openai");
    assert!(attribute("received-at").parse::<u64>().unwrap().abs_diff(now() * 1_000) < 5_000);
}

#[test]
fn the_line_about_a_delivery_has_its_ids_and_its_metrics_and_nothing_of_its_content() {
    let stand = Stand::start();
    let headers = signed(PROJECT, 0, BODY.as_bytes());
    assert_eq!(stand.deliver(&pairs(&headers), BODY).status, 200);
    let line = stand.line();
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["webhook.id"], ID);
    assert_eq!(line["event.id"], "evt_685c059ae3a481909bdc86819b066fb6");
    assert_eq!(line["event.type"], "batch.completed");
    assert_eq!(line["object.id"], "batch_123");
    assert_eq!((&line["endpoint"], &line["outcome"]), (&json!("project"), &json!("accepted")));
    assert_eq!(line["Deliveries"], 1);
    assert!(line["VerifyTime"].is_u64() && line["EnqueueTime"].is_u64());

    assert_eq!(stand.deliver(&pairs(&signed(PROJECT, -301, BODY.as_bytes())), BODY).status, 401);
    assert_eq!(stand.line()["webhook.id"], serde_json::Value::Null, "an unproven id is anybody's text");

    let log = stand.function.stop().join("\n");
    for hidden in [PROJECT, &PROJECT["whsec_".len()..], headers[2].1.as_str(), "created_at", "\"object\""] {
        assert!(!log.contains(hidden), "{hidden} is in the log");
    }
}

#[test]
fn a_traced_request_hands_its_trace_to_the_consumer_and_an_untraced_one_hands_nothing() {
    let stand = Stand::start();
    let traced = "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1;Lineage=1:a87bd80c:0";
    let endless = format!("{traced}{}", "0".repeat(512));
    for (header, expected) in [(None, None), (Some(traced), Some(traced)), (Some(&endless), None), (Some(""), None)] {
        if let Some(header) = header {
            stand.function.trace(header);
        }
        assert_eq!(stand.deliver(&pairs(&signed(PROJECT, 0, BODY.as_bytes())), BODY).status, 200);
        let message = stand.aws.messages().pop().unwrap();
        let system = &message["MessageSystemAttributes"];
        assert_eq!(system["AWSTraceHeader"]["StringValue"].as_str(), expected, "{message}");
        assert_eq!(system["AWSTraceHeader"]["DataType"].as_str(), expected.map(|_| "String"));
        assert_eq!(system.is_object(), expected.is_some());
    }
}

#[test]
fn each_category_has_its_own_queue() {
    let stand = Stand::start();
    for (event_type, category) in [
        ("response.completed", "response"),
        ("fine_tuning.job.succeeded", "fine-tuning"),
        ("eval.run.failed", "archive"),
        ("live.transport.incoming", "realtime"),
        ("agent.session.completed", "agent"),
        ("safety_identifier.blocked", "safety"),
        ("file.ready", "file"),
        ("brand.new", "archive"),
    ] {
        let body = json!({"id": "evt_1", "type": event_type, "data": {}}).to_string();
        assert_eq!(stand.deliver(&pairs(&signed(PROJECT, 0, body.as_bytes())), &body).status, 200);
        let url = stand.aws.messages().last().unwrap()["QueueUrl"].clone();
        assert!(url.as_str().unwrap().ends_with(&format!("/{category}")), "{event_type}: {url}");
    }
}

#[test]
fn a_base64_body_is_verified_and_queued_as_the_bytes_it_stands_for() {
    let stand = Stand::start();
    let headers = signed(PROJECT, 0, BODY.as_bytes());
    let event = http_event("/webhooks/project", &pairs(&headers), &STANDARD.encode(BODY), true);
    assert_eq!(stand.send(&event).summary(), (200, "accepted"));
    assert_eq!(stand.aws.messages()[0]["MessageBody"], BODY);
}

#[test]
fn a_body_with_code_points_that_sqs_refuses_gets_in_and_means_the_same() {
    let stand = Stand::start();
    let body = "{\"id\":\"evt_1\",\"type\":\"batch.completed\",\"data\":{\"id\":\"x\u{FFFE}\u{FFFF}\"}}";
    assert_eq!(stand.deliver(&pairs(&signed(PROJECT, 0, body.as_bytes())), body).status, 200);
    let queued = stand.aws.messages()[0]["MessageBody"].as_str().unwrap().to_owned();
    assert!(queued.is_ascii(), "{queued}");
    let (sent, queued): (serde_json::Value, serde_json::Value) =
        (serde_json::from_str(body).unwrap(), serde_json::from_str(&queued).unwrap());
    assert_eq!(sent, queued);
}

#[test]
fn a_missing_header_is_400() {
    let stand = Stand::start();
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        for value in [None, Some("")] {
            assert_eq!(summary_of(&stand, &altered(name, value), BODY), (400, "missing_header".into()), "{name}");
        }
    }
    assert_eq!(stand.aws.messages().len(), 0);
}

#[test]
fn a_repeated_header_is_400_even_though_api_gateway_joins_the_two() {
    let stand = Stand::start();
    let [_, (_, timestamp), (_, signature)] = signed(PROJECT, 0, BODY.as_bytes());
    // As an attacker would: the joined text is signed too, as a relay with the secret could be made to do.
    let ids = format!("{ID},wh_2");
    let signature_of_ids = sign(PROJECT, &ids, &timestamp, BODY.as_bytes());
    for (id, timestamp, signature) in [
        (ids.as_str(), timestamp.clone(), signature_of_ids),
        (ID, format!("{timestamp},{timestamp}"), signature.clone()),
        (ID, timestamp.clone(), format!("{signature},v1,AAAA")),
        (ID, timestamp.clone(), format!("v1,AAAA,{signature}")),
        (ID, timestamp.clone(), format!("{signature}, {signature}")),
    ] {
        let headers = [("webhook-id", id), ("webhook-timestamp", &timestamp), ("webhook-signature", &signature)];
        assert_eq!(stand.deliver(&headers, BODY).summary(), (400, "duplicate_header"), "{headers:?}");
    }
    assert_eq!(stand.aws.messages().len(), 0);
}

#[test]
fn several_signatures_in_one_header_are_not_a_duplicate() {
    let stand = Stand::start();
    let [.., (_, signature)] = signed(PROJECT, 0, BODY.as_bytes());
    let headers = altered("webhook-signature", Some(&format!("v1,AAAA v2,x {signature}")));
    assert_eq!(summary_of(&stand, &headers, BODY), (200, "accepted".into()));
}

#[test]
fn a_malformed_timestamp_is_400() {
    let stand = Stand::start();
    for timestamp in ["-1", "1e9", "+1750861210", "1750861210.5", "now"] {
        let headers = altered("webhook-timestamp", Some(timestamp));
        assert_eq!(summary_of(&stand, &headers, BODY), (400, "malformed_timestamp".into()), "{timestamp}");
    }
}

#[test]
fn a_delivery_outside_the_window_is_401_however_well_it_is_signed() {
    let stand = Stand::start();
    for (seconds, expected) in [
        (-298, (200, "accepted")),
        (298, (200, "accepted")),
        (-303, (401, "timestamp_too_old")),
        (305, (401, "timestamp_too_new")),
    ] {
        let reply = stand.deliver(&pairs(&signed(PROJECT, seconds, BODY.as_bytes())), BODY);
        assert_eq!(reply.summary(), expected, "{seconds}");
    }
    let huge = "9".repeat(400);
    let headers = altered("webhook-timestamp", Some(&huge));
    assert_eq!(summary_of(&stand, &headers, BODY), (401, "timestamp_too_new".into()));
}

#[test]
fn a_forged_signature_or_body_is_401() {
    let stand = Stand::start();
    let other = "whsec_b3RoZXJvdGhlcm90aGVyb3RoZXI=";
    assert_eq!(
        stand.deliver(&pairs(&signed(other, 0, BODY.as_bytes())), BODY).summary(),
        (401, "no_matching_signature")
    );
    let changed = BODY.replace("batch_123", "batch_124");
    assert_eq!(
        stand.deliver(&pairs(&signed(PROJECT, 0, BODY.as_bytes())), &changed).summary(),
        (401, "no_matching_signature")
    );
    assert_eq!(stand.aws.messages().len(), 0);
}

#[test]
fn a_long_id_is_verified_like_any() {
    let stand = Stand::start();
    let (id, timestamp) = ("wh_".to_owned() + &"a".repeat(4_000), now().to_string());
    let signature = sign(PROJECT, &id, &timestamp, BODY.as_bytes());
    let headers = [("webhook-id", id.as_str()), ("webhook-timestamp", &timestamp), ("webhook-signature", &signature)];
    assert_eq!(stand.deliver(&headers, BODY).summary(), (200, "accepted"));
}

#[test]
fn a_signed_body_that_is_not_an_event_is_400() {
    let stand = Stand::start();
    for body in ["", "no json", "[]", "{\"type\":\"batch.completed\"}", "{\"id\":\"evt_1\",\"type\":7}"] {
        let reply = stand.deliver(&pairs(&signed(PROJECT, 0, body.as_bytes())), body);
        assert_eq!(reply.summary(), (400, "malformed_body"), "{body}");
        assert_eq!(stand.line()["webhook.id"], ID, "what is signed may be named");
    }
    let bytes = b"{\"id\":\"evt_1\",\"type\":\"\xFF\"}";
    let headers = signed(PROJECT, 0, bytes);
    let event = http_event("/webhooks/project", &pairs(&headers), &STANDARD.encode(bytes), true);
    assert_eq!(stand.send(&event).summary(), (400, "malformed_body"));
}

#[test]
fn a_body_over_the_limit_is_413_and_one_at_the_limit_is_not() {
    let stand = Stand::start();
    let body = |length: usize| {
        let start = "{\"id\":\"evt_1\",\"type\":\"batch.completed\",\"data\":\"";
        format!("{start}{}\"}}", "x".repeat(length - start.len() - 2))
    };
    let (largest, larger) = (body(256 * 1024), body(256 * 1024 + 1));
    let deliver = |body: &str| stand.deliver(&pairs(&signed(PROJECT, 0, body.as_bytes())), body).status;
    assert_eq!(deliver(&largest), 200);
    assert_eq!(deliver(&larger), 413);
    assert_eq!(stand.line()["outcome"], "body_too_large");
}

#[test]
fn a_path_that_is_not_an_endpoint_is_404_and_leaves_no_name_in_the_metrics() {
    let stand = Stand::start();
    let headers = signed(PROJECT, 0, BODY.as_bytes());
    for path in ["/webhooks/other", "/webhooks/", "/webhooks", "/", "/webhooks/project/x", "/webhooks/PROJECT"] {
        let reply = stand.send(&http_event(path, &pairs(&headers), BODY, false));
        assert_eq!(reply.summary(), (404, "unknown_endpoint"), "{path}");
        assert_eq!(stand.line()["endpoint"], "unknown");
    }
}

#[test]
fn another_method_is_405_and_is_told_the_right_one() {
    let stand = Stand::start();
    for method in ["GET", "PUT", "DELETE", "HEAD", "OPTIONS"] {
        let mut event = http_event("/webhooks/project", &[], "", false);
        event["requestContext"]["http"]["method"] = method.into();
        let reply = stand.send(&event);
        assert_eq!(reply.summary(), (405, "method_not_allowed"), "{method}");
        assert_eq!(reply.headers["allow"], "POST");
    }
}

#[test]
fn an_additional_endpoint_accepts_deliveries_under_its_own_secret_and_its_own_name() {
    let stand = Stand::start();
    let headers = signed(TEAM_2, 0, BODY.as_bytes());
    let reply = stand.send(&http_event("/webhooks/team-2", &pairs(&headers), BODY, false));
    assert_eq!(reply.summary(), (200, "accepted"));
    assert_eq!(stand.aws.messages()[0]["MessageAttributes"]["endpoint"]["StringValue"], "team-2");
    assert_eq!(stand.line()["endpoint"], "team-2");
    let others = signed(PROJECT, 0, BODY.as_bytes());
    let reply = stand.send(&http_event("/webhooks/team-2", &pairs(&others), BODY, false));
    assert_eq!(reply.summary(), (401, "no_matching_signature"));
    assert_eq!(stand.deliver(&pairs(&headers), BODY).summary(), (401, "no_matching_signature"));
}

#[test]
fn an_endpoint_of_the_legacy_scheme_accepts_that_and_nothing_else() {
    let stand = Stand::start();
    let timestamp = now().to_string();
    let mac = Hmac::<Sha256>::new_from_slice(RELAY.as_bytes()).unwrap();
    let tag = mac.chain_update(&timestamp).chain_update(".").chain_update(BODY).finalize().into_bytes();
    let hex = tag.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    let legacy = [("x-openai-timestamp", timestamp.as_str()), ("x-openai-signature", &hex)];

    let reply = stand.send(&http_event("/webhooks/relay", &legacy, BODY, false));
    assert_eq!(reply.summary(), (200, "accepted"));
    assert_eq!(
        stand.aws.messages()[0]["MessageAttributes"]["webhook-id"]["StringValue"],
        "evt_685c059ae3a481909bdc86819b066fb6",
        "the scheme has no id of its own, so the event's stands in"
    );
    let joined = [("x-openai-timestamp", timestamp.as_str()), ("x-openai-signature", &format!("{hex},{hex}"))];
    let reply = stand.send(&http_event("/webhooks/relay", &joined, BODY, false));
    assert_eq!(reply.summary(), (400, "duplicate_header"));
    let standard = signed(PROJECT, 0, BODY.as_bytes());
    let reply = stand.send(&http_event("/webhooks/relay", &pairs(&standard), BODY, false));
    assert_eq!(reply.summary(), (400, "missing_header"));
    assert_eq!(stand.deliver(&legacy, BODY).summary(), (400, "missing_header"));
}

#[test]
fn every_configuration_fault_is_named_before_the_function_gives_up() {
    let function = run(&[
        ("SIGNING_SECRETS", "{}"),
        ("ADDITIONAL_ENDPOINTS", r#"{"relay": {"secret": "arn:relay", "scheme": "md5"}, "Team": "arn:team"}"#),
        ("QUEUE_URLS", &queue_urls("ftp://q")),
        ("AWS_REGION", ""),
    ]);
    let log = loop {
        let log = function.log().join("\n");
        if log.contains("ERROR") {
            break log;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    };
    for fault in [
        "AWS_REGION is not set",
        "SIGNING_SECRETS is an empty map",
        "ADDITIONAL_ENDPOINTS has a wrong scheme at the endpoint `relay`: `md5` is not a signature scheme",
        "ADDITIONAL_ENDPOINTS names the endpoint `Team`",
        "QUEUE_URLS has no URL for the category batch",
        "QUEUE_URLS has no URL for the category archive",
    ] {
        assert!(log.contains(fault), "{fault}: {log}");
    }
}
