//! Tests of the handler against a server that stands for OpenAI and S3.

use std::time::Duration;

use hooks_consumer::Severity;
use hooks_consumer::artifacts::Artifacts;
use hooks_testing::{Reply, Server};
use serde_json::json;
use tokio::time::Instant;

use super::*;

const CREATED: i64 = 1_795_219_200;

/// The status that stands for no answer at all.
const SILENCE: u16 = 0;

/// Handles an event, with OpenAI's status and body and S3's status as the answers.
async fn handle(attempt: u32, event: &Value, openai: (u16, Value), s3: u16) -> Result<Outcome, HandlerError> {
    handle_at(attempt, clock::now_ms() - LAST_ATTEMPT_AGE, event, openai, s3).await
}

async fn handle_at(
    attempt: u32,
    received_at: i64,
    event: &Value,
    openai: (u16, Value),
    s3: u16,
) -> Result<Outcome, HandlerError> {
    let (status, body) = openai;
    let server = Server::start(move |request| match (request.path.starts_with("/v1/"), status) {
        (true, SILENCE) => Reply::never(),
        (true, status) => Reply::new(status, body.to_string()),
        _ => Reply::status(s3),
    })
    .await;
    let artifacts = Artifacts::new(&server.aws(), "artifacts");
    let context = Context::new(Instant::now() + Duration::from_secs(3), attempt, received_at, artifacts);
    let event = Event::parse(&event.to_string()).unwrap();
    SafetyHandler { openai: OpenAi::fixed(server.openai()) }.handle(&event, &context).await
}

fn event(kind: &str, data: &Value) -> Value {
    json!({"id": "evt_1", "type": kind, "created_at": CREATED, "data": data})
}

fn refusal(code: &str) -> Value {
    json!({"error": {"message": "No.", "type": "invalid_request_error", "param": null, "code": code}})
}

fn alert_object() -> Value {
    json!({
        "id": "alert_1", "object": "safety.alert", "created_at": CREATED - 60, "model": "gpt-6-astra",
        "error_type": "potentially_unintended_destructive_activity", "request_id": "req_1", "response_id": "resp_1",
        "request_paused": true, "reason": "It deleted files.", "detailed_explanation": "rm -rf of somebody's home",
    })
}

fn alert_of(outcome: &Outcome) -> (&str, &str, Severity) {
    let alert = outcome.alert.as_ref().unwrap();
    (&alert.subject, &alert.message, alert.severity)
}

#[tokio::test]
async fn an_alert_says_what_happened_without_the_detailed_explanation() {
    let event = event("safety.alert.created", &json!({"id": "alert_1"}));
    let outcome = handle(1, &event, (200, alert_object()), 200).await.unwrap();
    assert_eq!((outcome.status.as_str(), outcome.terminal), ("created", true));
    assert_eq!(outcome.artifacts, ["safety/alert_1.json"]);
    assert_eq!(outcome.summary["request_paused"], true);
    assert!(!outcome.summary.contains_key("detailed_explanation"));
    let (subject, message, severity) = alert_of(&outcome);
    assert_eq!(subject, "Safety alert alert_1: potentially_unintended_destructive_activity");
    assert_eq!(severity, Severity::Critical);
    for words in [
        "may have deleted",
        "gpt-6-astra",
        "req_1",
        "resp_1",
        "It deleted files.",
        "does not prove",
        "/logs/resp_1",
        "2026-11-20T23:59:00Z",
        "s3://artifacts/safety/alert_1.json",
        "detailed explanation is stored",
    ] {
        assert!(message.contains(words), "{words} is not in {message}");
    }
    assert!(!message.contains("rm -rf"), "{message}");
}

#[tokio::test]
async fn an_object_with_hardly_a_field_still_makes_an_alert() {
    let warned = event("safety.warning_issued", &json!({"id": "C-1"}));
    let outcome = handle(1, &warned, (200, json!({"id": "C-1", "notice": 7, "reason": null})), 200).await.unwrap();
    assert_eq!(outcome.status, "warning");
    assert_eq!(alert_of(&outcome).0, "Safety warning, case C-1");
    let alerted = event("safety.alert.created", &json!({"id": "alert_1"}));
    let outcome = handle(1, &alerted, (200, json!({"id": "alert_1"})), 200).await.unwrap();
    assert!(alert_of(&outcome).1.contains("does not say whether it has blocked"));
}

#[tokio::test]
async fn a_deactivation_is_critical_and_a_warning_is_not() {
    for (kind, notice, severity) in [
        ("safety.warning_issued", "warning", Severity::Warning),
        ("safety.deactivation_issued", "deactivation", Severity::Critical),
        ("safety.notice_changed", "deactivation", Severity::Critical),
    ] {
        let case = json!({"id": "C-1", "notice": {"type": notice}, "entity_identifier": "user_7", "reason": "Cyber."});
        let outcome = handle(1, &event(kind, &json!({"id": "C-1"})), (200, case), 200).await.unwrap();
        assert_eq!(outcome.status, notice);
        assert_eq!(outcome.summary["entity_identifier"], "user_7");
        let (subject, message, found) = alert_of(&outcome);
        assert_eq!((subject, found), (format!("Safety {notice}, case C-1").as_str(), severity), "{kind}");
        assert!(message.contains("safety identifier user_7") && message.contains("Cyber."), "{message}");
    }
}

#[tokio::test]
async fn a_blocked_identifier_needs_no_lookup_and_makes_no_job() {
    let data = json!({"safety_category": "bio", "safety_identifier": "user_7", "request_id": "req_1"});
    let outcome = handle(1, &event("safety_identifier.blocked", &data), (500, Value::Null), 500).await.unwrap();
    assert_eq!((outcome.status.as_str(), &outcome.object_id), ("blocked", &None));
    assert_eq!(outcome.summary["safety_identifier"], "user_7");
    let (subject, message, severity) = alert_of(&outcome);
    assert_eq!((subject, severity), ("A safety identifier was blocked (bio)", Severity::Warning));
    assert!(message.contains("user_7") && message.contains("req_1") && message.contains("model unknown"), "{message}");
}

#[tokio::test]
async fn every_permanent_refusal_is_alerted_at_once_with_its_reason() {
    let case = event("safety.deactivation_issued", &json!({"id": "C-1"}));
    for (status, code, name, words) in [
        (401, "invalid_api_key", "unauthorized", "store a valid one"),
        (403, "missing_scope", "forbidden", "api.safety.read"),
        (429, "insufficient_quota", "quota_exhausted", "billing"),
        (422, "odd", "refused", "OpenAI answered 422"),
        (400, "odd", "refused", "OpenAI answered 400"),
    ] {
        let outcome = handle(1, &case, (status, refusal(code)), 200).await.unwrap();
        assert_eq!((outcome.status.as_str(), outcome.terminal), (LOOKUP_FAILED, false), "{status}");
        assert_eq!(outcome.summary["lookup_error"], name);
        assert!(outcome.note.as_ref().unwrap().contains(words), "{:?}", outcome.note);
        let (subject, message, severity) = alert_of(&outcome);
        assert_eq!(subject, "Safety case C-1 (safety.deactivation_issued), details unknown");
        assert_eq!(severity, Severity::Critical);
        assert!(message.contains(words) && message.contains("Take this user's access away"), "{message}");
    }
}

#[tokio::test]
async fn each_subject_names_the_missing_permission() {
    for (kind, id, permission) in [
        ("safety.alert.created", "alert_1", "api.safety.alerts.read"),
        ("safety.org_alert.created", "alert_1", "api.chatgpt.com with an admin key"),
        ("safety.warning_issued", "C-1", "api.safety.read"),
    ] {
        let event = event(kind, &json!({"id": id}));
        let outcome = handle(1, &event, (403, refusal("missing_scope")), 200).await.unwrap();
        assert!(alert_of(&outcome).1.contains(permission), "{kind}: {}", alert_of(&outcome).1);
    }
}

#[tokio::test]
async fn a_temporary_failure_is_retried_twice_and_then_alerted() {
    let case = event("safety.warning_issued", &json!({"id": "C-1"}));
    for (status, body) in
        [(500, Value::Null), (429, refusal("rate_limit_exceeded")), (409, Value::Null), (200, json!([]))]
    {
        for attempt in [1, 2] {
            let failure = handle(attempt, &case, (status, body.clone()), 200).await.unwrap_err();
            // People must not wait for the delay that OpenAI asks for.
            assert!(matches!(failure, HandlerError::Retry { after: None, .. }), "{failure:?}");
        }
        let outcome = handle(3, &case, (status, body), 200).await.unwrap();
        assert_eq!((outcome.status.as_str(), &outcome.summary["lookup_error"]), (LOOKUP_FAILED, &"unreachable".into()));
        assert!(outcome.alert.is_some());
    }
}

#[tokio::test]
async fn copies_that_use_up_the_attempts_at_once_leave_time_to_recover() {
    let case = event("safety.warning_issued", &json!({"id": "C-1"}));
    let failure = handle_at(5, clock::now_ms(), &case, (500, Value::Null), 200).await.unwrap_err();
    assert!(matches!(failure, HandlerError::Retry { .. }), "{failure:?}");
}

#[tokio::test]
async fn an_object_that_cannot_be_stored_is_alerted_in_the_end() {
    let event = event("safety.alert.created", &json!({"id": "alert_1"}));
    assert!(matches!(handle(1, &event, (200, alert_object()), 403).await, Err(HandlerError::Retry { .. })));
    let outcome = handle(3, &event, (200, alert_object()), 403).await.unwrap();
    assert_eq!((outcome.status.as_str(), outcome.artifacts.len()), ("created", 0));
    assert!(outcome.note.as_ref().unwrap().contains("could not be stored"));
    assert!(alert_of(&outcome).1.contains("could not be stored"));
}

#[tokio::test]
async fn a_service_that_never_answers_does_not_prevent_the_alert() {
    let event = event("safety.alert.created", &json!({"id": "alert_1"}));
    for (openai, s3, status) in [(SILENCE, 200, LOOKUP_FAILED), (200, SILENCE, "created")] {
        let handled = handle(3, &event, (openai, alert_object()), s3);
        let outcome = tokio::time::timeout(Duration::from_secs(3), handled).await.unwrap().unwrap();
        assert_eq!(outcome.status, status);
        assert!(outcome.note.is_some() && outcome.alert.is_some());
    }
}

#[tokio::test]
async fn an_object_that_openai_does_not_have_is_probably_a_test() {
    let event = event("safety.deactivation_issued", &json!({"id": "C-1"}));
    let outcome = handle(1, &event, (404, refusal("not_found")), 200).await.unwrap();
    assert_eq!((outcome.status.as_str(), outcome.terminal), (Outcome::NOT_FOUND, false));
    let (subject, message, severity) = alert_of(&outcome);
    assert_eq!((subject, severity), ("Safety case C-1 is unknown to OpenAI, probably a test", Severity::Warning));
    assert!(message.contains("probably a test delivery") && message.contains("no permission was refused"), "{message}");
}

#[tokio::test]
async fn a_notice_without_a_usable_id_is_alerted_too() {
    let nameless = event("safety.warning_issued", &json!({}));
    let outcome = handle(1, &nameless, (500, Value::Null), 200).await.unwrap();
    assert_eq!((outcome.status.as_str(), &outcome.summary["lookup_error"]), (LOOKUP_FAILED, &"no_object".into()));
    let odd = event("safety.warning_issued", &json!({"id": "../../files"}));
    let outcome = handle(1, &odd, (200, json!({"id": "x"})), 200).await.unwrap();
    assert_eq!((outcome.status.as_str(), &outcome.summary["lookup_error"]), (LOOKUP_FAILED, &"refused".into()));
    let new = event("safety.limit_changed", &json!({"id": "lim_1"}));
    let outcome = handle(1, &new, (500, Value::Null), 200).await.unwrap();
    assert_eq!(outcome.status, "recorded");
    assert_eq!(alert_of(&outcome).0, "Unknown safety notice safety.limit_changed");
    let bare = event("safety_identifier.blocked", &json!({"safety_category": "bio"}));
    let outcome = handle(1, &bare, (500, Value::Null), 200).await.unwrap();
    assert_eq!(alert_of(&outcome).0, "Unknown safety notice safety_identifier.blocked");
}
