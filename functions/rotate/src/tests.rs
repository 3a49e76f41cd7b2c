//! The four steps, whole, repeated and cut off anywhere.

use hooks_function::Deadline;
use serde_json::json;

use crate::fixture::{ENDPOINT, Fixture, OLD, OLD_VERSION, STEPS, VERSION, event, in_seconds, now};
use crate::request::Step;
use crate::rotator::Rotator;

#[tokio::test]
async fn a_rotation_puts_openais_newest_secret_into_use_and_shuts_nobody_out_on_the_way() {
    let fixture = Fixture::new().await;
    for step in STEPS {
        fixture.step(step).await.unwrap();
        assert!(fixture.state().openai_gets_through(), "after {step:?}");
    }
    fixture.assert_rotated();
    assert_eq!(fixture.state().rotations.len(), 1);
}

#[tokio::test]
async fn a_step_that_is_repeated_does_nothing_twice() {
    let fixture = Fixture::new().await;
    for step in STEPS {
        fixture.step(step).await.unwrap();
        fixture.step(step).await.unwrap();
    }
    fixture.rotate(VERSION).await;
    fixture.assert_rotated();
    assert_eq!(fixture.state().rotations.len(), 1);
}

#[tokio::test]
async fn wherever_the_process_dies_openai_gets_through_and_the_next_try_ends_it() {
    for (kind, step, rotations) in [
        ("lease", Step::Create, 1),
        ("read", Step::Create, 1),
        ("try writing", Step::Create, 1),
        ("rotate", Step::Create, 2),
        ("store", Step::Create, 1),
        ("end the lease", Step::Create, 1),
        ("deliver", Step::Test, 1),
        ("put into use", Step::Finish, 1),
    ] {
        let fixture = Fixture::new().await;
        for before in STEPS.into_iter().take_while(|before| *before != step) {
            fixture.step(before).await.unwrap();
        }
        fixture.die_after(kind, step).await;
        assert!(fixture.state().openai_gets_through(), "after {kind}");
        fixture.let_the_lease_end();
        fixture.rotate(VERSION).await;
        fixture.assert_rotated();
        assert_eq!(fixture.state().rotations.len(), rotations, "after {kind}");
    }
}

#[tokio::test]
async fn two_secrets_that_get_lost_in_a_row_shut_openai_out_until_the_next_is_stored() {
    let fixture = Fixture::new().await;
    for gets_through in [true, false] {
        fixture.die_after("rotate", Step::Create).await;
        assert_eq!(fixture.state().openai_gets_through(), gets_through);
        fixture.let_the_lease_end();
    }
    fixture.rotate(VERSION).await;
    fixture.assert_rotated();
}

#[tokio::test]
async fn of_two_tries_at_once_one_asks_openai() {
    let fixture = Fixture::new().await;
    fixture.die_after("rotate", Step::Create).await;
    // As far as anybody can tell, that one is still waiting for its answer.
    assert_eq!(fixture.reason(Step::Create).await, "busy");
    assert_eq!(fixture.state().rotations.len(), 1);
}

#[tokio::test]
async fn a_try_that_failed_leaves_the_next_one_to_begin_at_once() {
    let fixture = Fixture::new().await;
    fixture.refuse("rotate", 500, "");
    assert_eq!(fixture.reason(Step::Create).await, "openai");
    fixture.rotate(VERSION).await;
    fixture.assert_rotated();
}

#[tokio::test]
async fn a_secret_that_cannot_be_stored_is_not_asked_for() {
    let fixture = Fixture::new().await;
    fixture.refuse("try writing", 400, "AccessDeniedException");
    let error = fixture.step(Step::Create).await.unwrap_err();
    assert_eq!(error.reason(), "secret_not_writable");
    assert!(error.to_string().contains("AccessDeniedException"), "{error}");
    assert_eq!(fixture.state().rotations.len(), 0);
}

#[tokio::test]
async fn a_secret_that_got_lost_is_replaced_by_the_next_try() {
    let fixture = Fixture::new().await;
    fixture.refuse("store", 400, "AccessDeniedException");
    let error = fixture.step(Step::Create).await.unwrap_err();
    assert_eq!(error.reason(), "secret_lost");
    assert!(!error.to_string().contains("whsec_") && !format!("{error:?}").contains("whsec_"));
    assert!(fixture.state().openai_gets_through());
    fixture.rotate(VERSION).await;
    fixture.assert_rotated();
}

#[tokio::test]
async fn a_value_that_was_not_seen_in_time_gives_way_to_the_newer_one() {
    let fixture = Fixture::new().await;
    fixture.step(Step::Create).await.unwrap();
    fixture.refuse("read", 400, "ResourceNotFoundException");
    assert_eq!(fixture.reason(Step::Create).await, "superseded");
    assert!(fixture.state().openai_gets_through());
    assert_eq!(fixture.reason(Step::Finish).await, "not_pending");
    let newest = {
        let state = fixture.state();
        assert_eq!(state.rotations.len(), 2);
        let pending = state.versions.iter().find(|(_, stored)| stored.stages == ["AWSPENDING"]).unwrap();
        assert_eq!(pending.1.text.as_deref(), Some(state.signing[0].as_str()));
        pending.0.clone()
    };
    fixture.rotate(&newest).await;
    fixture.assert_rotated();
}

#[tokio::test]
async fn the_test_is_one_delivery_however_often_it_is_repeated() {
    let fixture = Fixture::new().await;
    fixture.step(Step::Create).await.unwrap();
    fixture.state().answers = vec![401];
    fixture.step(Step::Test).await.unwrap();
    let state = fixture.state();
    let ids: Vec<_> = state.deliveries.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(ids, ["wh_22222222-new", "wh_22222222-new"]);
    let (_, body) = &state.deliveries[1];
    assert_eq!(body["type"], "realtime.signing_secret.tested");
    assert_eq!((&body["id"], &body["data"]), (&json!("evt_22222222-new"), &json!({"id": VERSION})));
}

#[tokio::test]
async fn a_test_that_fails_for_good_leaves_the_old_secret_in_use_and_the_new_one_accepted() {
    let fixture = Fixture::new().await;
    fixture.step(Step::Create).await.unwrap();
    fixture.state().answers = vec![503];
    // Enough for one attempt of what is repeated.
    let error = fixture.rotator.handle(event(Step::Test, VERSION), in_seconds(3)).await.unwrap_err();
    assert_eq!(error.reason(), "not_accepted");
    assert!(error.to_string().contains("answered with 503"), "{error}");
    let mut state = fixture.state();
    assert_eq!(state.in_use(), OLD);
    // A day later.
    state.signing.truncate(1);
    assert!(state.openai_gets_through());
}

#[tokio::test]
async fn a_secret_that_was_put_into_use_meanwhile_stays_in_use() {
    let fixture = Fixture::new().await;
    fixture.step(Step::Create).await.unwrap();
    fixture.state().versions.get_mut(OLD_VERSION).unwrap().created_at = now() + 1;
    assert_eq!(fixture.reason(Step::Finish).await, "overtaken");
    assert_eq!(fixture.state().in_use(), OLD);
}

#[tokio::test]
async fn a_rotation_that_secrets_manager_does_not_ask_for_is_refused() {
    let fixture = Fixture::new().await;
    for event in [json!({}), json!({"Step": "x", "SecretId": "arn:secret", "ClientRequestToken": "1"}), json!(7)] {
        let error = fixture.rotator.handle(event, Deadline::at(0)).await.unwrap_err();
        assert_eq!(error.reason(), "unusable_event");
    }
    for step in STEPS {
        let error = fixture.rotator.handle(event(step, "another"), Deadline::at(0)).await.unwrap_err();
        assert_eq!(error.reason(), "unknown_version");
    }
    fixture.state().versions.get_mut(VERSION).unwrap().stages = vec!["OTHER".to_owned()];
    assert_eq!(fixture.reason(Step::Create).await, "not_pending");
    fixture.state().rotated = false;
    assert_eq!(fixture.reason(Step::Create).await, "rotation_off");
    assert_eq!(fixture.state().rotations.len(), 0);
}

#[tokio::test]
async fn a_version_without_a_value_has_nothing_to_test_and_is_not_put_into_use() {
    let fixture = Fixture::new().await;
    fixture.step(Step::Test).await.unwrap();
    assert!(fixture.state().deliveries.is_empty());
    assert_eq!(fixture.reason(Step::Finish).await, "no_value");
    assert_eq!(fixture.state().in_use(), OLD);
}

#[tokio::test]
async fn a_pending_value_that_is_not_a_signing_secret_is_not_tested() {
    let fixture = Fixture::new().await;
    fixture.state().versions.get_mut(VERSION).unwrap().text = Some("unset".to_owned());
    assert_eq!(fixture.reason(Step::Test).await, "unusable_secret");
}

#[tokio::test]
async fn without_the_endpoint_and_a_key_nothing_is_rotated() {
    let fixture = Fixture::new().await;
    fixture.refuse("rotate", 404, "not_found");
    let error = fixture.step(Step::Create).await.unwrap_err();
    assert_eq!(error.reason(), "no_endpoint");
    assert!(error.to_string().contains(ENDPOINT), "{error}");
    for (key, says) in [("unset", "is not set"), ("sk a", "is unusable")] {
        fixture.state().api_key = key;
        let error = fixture.step(Step::Create).await.unwrap_err();
        assert_eq!(error.reason(), "no_api_key");
        assert!(error.to_string().contains(says) && !error.to_string().contains("sk a"), "{error}");
    }
    assert_eq!(fixture.state().rotations.len(), 0);
}

#[test]
fn every_fault_of_the_settings_is_reported_together() {
    let environment = hooks_function::Environment::of([("WEBHOOK_URL", "ftp://example.com")]);
    let faults = Rotator::from_env(environment).map(drop).unwrap_err().to_string();
    for fault in [
        "TABLE_NAME is not set",
        "OPENAI_BASE_URL is not set",
        "OPENAI_API_KEY_SECRET is not set",
        "WEBHOOK_URL is not an http:// or https:// URL",
        "ENDPOINT_ID is not set",
    ] {
        assert!(faults.contains(fault), "{faults}");
    }
}
