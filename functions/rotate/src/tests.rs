//! The four steps, whole, repeated and cut off anywhere.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;

use crate::failure::Failure;
use crate::loopback::{ENDPOINT, Fault, OLD, OLD_VERSION, Server, VERSION, now};
use crate::rotator::Rotator;
use crate::step::Step;

const STEPS: [Step; 4] = [Step::Create, Step::Set, Step::Test, Step::Finish];

/// More than is reserved for anything.
const TWO_MINUTES: u64 = 120;

/// Enough for one try of what is repeated.
const THREE_SECONDS: u64 = 3;

struct Bench {
    server: Server,
    rotator: Arc<Rotator>,
}

impl Bench {
    async fn new() -> Self {
        let server = Server::start().await;
        let rotator = Arc::new(server.rotator());
        Self { server, rotator }
    }

    async fn step(&self, step: Step) -> Result<(), Failure> {
        self.rotator.handle(event(step, VERSION), (now() + TWO_MINUTES) * 1000).await
    }

    async fn reason(&self, step: Step) -> &'static str {
        self.step(step).await.unwrap_err().reason()
    }

    async fn rotate(&self) {
        for step in STEPS {
            self.step(step).await.unwrap();
        }
    }

    /// Begins a step, and lets the process die once Secrets Manager, the ledger or OpenAI has done this for it.
    async fn die_after(&self, kind: &'static str, step: Step) {
        self.server.fault(kind, Fault::DoneWithoutAnswer);
        let rotator = Arc::clone(&self.rotator);
        let deadline = (now() + TWO_MINUTES) * 1000;
        let task = tokio::spawn(async move { rotator.handle(event(step, VERSION), deadline).await });
        timeout(Duration::from_secs(10), self.server.cut.notified()).await.expect("the step comes to that");
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
    }

    /// OpenAI's newest secret is in use, and the one before is still there.
    fn assert_rotated(&self) {
        let state = self.server.state();
        assert_eq!(state.in_use(), state.signing[0]);
        assert_eq!(state.versions[OLD_VERSION].stages, ["AWSPREVIOUS"]);
        assert!(state.openai_gets_through());
    }
}

fn event(step: Step, version: &str) -> Value {
    json!({"Step": step.as_str(), "SecretId": "arn:secret", "ClientRequestToken": version, "RotationToken": "token"})
}

#[tokio::test]
async fn a_rotation_puts_openais_newest_secret_into_use_and_shuts_nobody_out_on_the_way() {
    let bench = Bench::new().await;
    for step in STEPS {
        bench.step(step).await.unwrap();
        assert!(bench.server.state().openai_gets_through(), "after {step:?}");
    }
    bench.assert_rotated();
    assert_eq!(bench.server.state().rotations.len(), 1);
}

#[tokio::test]
async fn a_step_that_is_repeated_does_nothing_twice() {
    let bench = Bench::new().await;
    for step in STEPS {
        bench.step(step).await.unwrap();
        bench.step(step).await.unwrap();
    }
    bench.rotate().await;
    bench.assert_rotated();
    assert_eq!(bench.server.state().rotations.len(), 1);
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
        let bench = Bench::new().await;
        for before in STEPS.into_iter().take_while(|before| *before != step) {
            bench.step(before).await.unwrap();
        }
        bench.die_after(kind, step).await;
        assert!(bench.server.state().openai_gets_through(), "after {kind}");
        bench.server.let_the_lease_end();
        bench.rotate().await;
        bench.assert_rotated();
        assert_eq!(bench.server.state().rotations.len(), rotations, "after {kind}");
    }
}

#[tokio::test]
async fn two_secrets_that_get_lost_in_a_row_shut_openai_out_until_the_next_is_stored() {
    let bench = Bench::new().await;
    for gets_through in [true, false] {
        bench.die_after("rotate", Step::Create).await;
        assert_eq!(bench.server.state().openai_gets_through(), gets_through);
        bench.server.let_the_lease_end();
    }
    bench.rotate().await;
    bench.assert_rotated();
}

#[tokio::test]
async fn of_two_tries_at_once_one_asks_openai() {
    let bench = Bench::new().await;
    bench.die_after("rotate", Step::Create).await;
    // As far as anybody can tell, that one is still waiting for its answer.
    assert_eq!(bench.reason(Step::Create).await, "busy");
    assert_eq!(bench.server.state().rotations.len(), 1);
}

#[tokio::test]
async fn a_try_that_failed_leaves_the_next_one_to_begin_at_once() {
    let bench = Bench::new().await;
    bench.server.fault("rotate", Fault::Refuse(500, ""));
    assert_eq!(bench.reason(Step::Create).await, "openai");
    bench.rotate().await;
    bench.assert_rotated();
}

#[tokio::test]
async fn a_secret_that_cannot_be_stored_is_not_asked_for() {
    let bench = Bench::new().await;
    bench.server.fault("try writing", Fault::Refuse(400, "AccessDeniedException"));
    let failure = bench.step(Step::Create).await.unwrap_err();
    assert_eq!(failure.reason(), "secret_not_writable");
    assert!(failure.to_string().contains("AccessDeniedException"), "{failure}");
    assert_eq!(bench.server.state().rotations.len(), 0);
}

#[tokio::test]
async fn a_secret_that_got_lost_is_replaced_by_the_next_try() {
    let bench = Bench::new().await;
    bench.server.fault("store", Fault::Refuse(400, "AccessDeniedException"));
    let failure = bench.step(Step::Create).await.unwrap_err();
    assert_eq!(failure.reason(), "secret_lost");
    assert!(!failure.to_string().contains("whsec_") && !format!("{failure:?}").contains("whsec_"));
    assert!(bench.server.state().openai_gets_through());
    bench.rotate().await;
    bench.assert_rotated();
}

#[tokio::test]
async fn a_value_that_was_not_seen_in_time_gives_way_to_the_newer_one() {
    let bench = Bench::new().await;
    bench.step(Step::Create).await.unwrap();
    bench.server.fault("read", Fault::Refuse(400, "ResourceNotFoundException"));
    assert_eq!(bench.reason(Step::Create).await, "superseded");
    assert!(bench.server.state().openai_gets_through());
    assert_eq!(bench.reason(Step::Finish).await, "not_pending");
    let newest = {
        let state = bench.server.state();
        assert_eq!(state.rotations.len(), 2);
        let pending = state.versions.iter().find(|(_, stored)| stored.stages == ["AWSPENDING"]).unwrap();
        assert_eq!(pending.1.text.as_deref(), Some(state.signing[0].as_str()));
        pending.0.clone()
    };
    for step in STEPS {
        bench.rotator.handle(event(step, &newest), (now() + TWO_MINUTES) * 1000).await.unwrap();
    }
    bench.assert_rotated();
}

#[tokio::test]
async fn the_test_is_one_delivery_however_often_it_is_repeated() {
    let bench = Bench::new().await;
    bench.step(Step::Create).await.unwrap();
    bench.server.state().answers = vec![401];
    bench.step(Step::Test).await.unwrap();
    let state = bench.server.state();
    let ids: Vec<_> = state.deliveries.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(ids, ["wh_22222222-new", "wh_22222222-new"]);
    let (_, body) = &state.deliveries[1];
    assert_eq!(body["type"], "realtime.signing_secret.tested");
    assert_eq!((&body["id"], &body["data"]), (&json!("evt_22222222-new"), &json!({"id": VERSION})));
}

#[tokio::test]
async fn a_test_that_fails_for_good_leaves_the_old_secret_in_use_and_the_new_one_accepted() {
    let bench = Bench::new().await;
    bench.step(Step::Create).await.unwrap();
    bench.server.state().answers = vec![503];
    let deadline = (now() + THREE_SECONDS) * 1000;
    let failure = bench.rotator.handle(event(Step::Test, VERSION), deadline).await.unwrap_err();
    assert_eq!(failure.reason(), "not_accepted");
    assert!(failure.to_string().contains("answered with 503"), "{failure}");
    let mut state = bench.server.state();
    assert_eq!(state.in_use(), OLD);
    // A day later.
    state.signing.truncate(1);
    assert!(state.openai_gets_through());
}

#[tokio::test]
async fn a_secret_that_was_put_into_use_meanwhile_stays_in_use() {
    let bench = Bench::new().await;
    bench.step(Step::Create).await.unwrap();
    bench.server.state().versions.get_mut(OLD_VERSION).unwrap().created_at = now() + 1;
    assert_eq!(bench.reason(Step::Finish).await, "overtaken");
    assert_eq!(bench.server.state().in_use(), OLD);
}

#[tokio::test]
async fn a_rotation_that_secrets_manager_does_not_ask_for_is_refused() {
    let bench = Bench::new().await;
    for event in [json!({}), json!({"Step": "x", "SecretId": "arn:secret", "ClientRequestToken": "1"}), json!(7)] {
        let failure = bench.rotator.handle(event, 0).await.unwrap_err();
        assert_eq!(failure.reason(), "unusable_event");
    }
    for step in STEPS {
        let failure = bench.rotator.handle(event(step, "another"), 0).await.unwrap_err();
        assert_eq!(failure.reason(), "unknown_version");
    }
    bench.server.state().versions.get_mut(VERSION).unwrap().stages = vec!["OTHER".to_owned()];
    assert_eq!(bench.reason(Step::Create).await, "not_pending");
    bench.server.state().rotated = false;
    assert_eq!(bench.reason(Step::Create).await, "rotation_off");
    assert_eq!(bench.server.state().rotations.len(), 0);
}

#[tokio::test]
async fn a_version_without_a_value_is_neither_tested_nor_put_into_use() {
    let bench = Bench::new().await;
    assert_eq!(bench.reason(Step::Test).await, "no_value");
    assert_eq!(bench.reason(Step::Finish).await, "no_value");
    assert_eq!(bench.server.state().in_use(), OLD);
}

#[tokio::test]
async fn a_pending_value_that_is_no_signing_secret_is_not_tested() {
    let bench = Bench::new().await;
    bench.server.state().versions.get_mut(VERSION).unwrap().text = Some("unset".to_owned());
    assert_eq!(bench.reason(Step::Test).await, "unusable_secret");
}

#[tokio::test]
async fn without_the_endpoint_and_a_key_nothing_is_rotated() {
    let bench = Bench::new().await;
    bench.server.fault("rotate", Fault::Refuse(404, "not_found"));
    let failure = bench.step(Step::Create).await.unwrap_err();
    assert_eq!(failure.reason(), "no_endpoint");
    assert!(failure.to_string().contains(ENDPOINT), "{failure}");
    for (key, says) in [("unset", "was never set"), ("sk a", "outside ASCII")] {
        bench.server.state().api_key = key;
        let failure = bench.step(Step::Create).await.unwrap_err();
        assert_eq!(failure.reason(), "no_api_key");
        assert!(failure.to_string().contains(says) && !failure.to_string().contains("sk a"), "{failure}");
    }
    assert_eq!(bench.server.state().rotations.len(), 0);
}

#[test]
fn every_fault_of_the_settings_is_reported_together() {
    let environment = hooks_aws::Environment::of([("WEBHOOK_URL", "ftp://example.com")]);
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
