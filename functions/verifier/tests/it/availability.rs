//! Answers while AWS fails: the sender is told to try again, after the verifier has tried.

use crate::stand::{BODY, LONG_AGO, PROJECT, Stand, pairs, signed};
use hooks_testing_lambda::{Fault, http_event};
use std::time::{Duration, Instant};

const SEND: &str = "AmazonSQS.SendMessage";
const READ: &str = "secretsmanager.GetSecretValue";

fn deliver(stand: &Stand) -> (u64, String) {
    let reply = stand.deliver(&pairs(&signed(PROJECT, 0, BODY.as_bytes())), BODY);
    let (status, reason) = reply.summary();
    if status == 503 {
        assert!(reply.headers["retry-after"].as_str().unwrap().parse::<u32>().is_ok());
    }
    (status, reason.to_owned())
}

#[test]
fn a_secret_that_nobody_has_set_is_503_and_the_log_says_how_to_set_it() {
    let stand = Stand::start();
    let headers = signed(PROJECT, 0, BODY.as_bytes());
    let reply = stand.send(&http_event("/webhooks/organization", &pairs(&headers), BODY, false));
    assert_eq!(reply.summary(), (503, "secret_unavailable"));
    assert!(reply.headers["retry-after"].is_string());
    let log = stand.function.stop().join("\n");
    assert!(log.contains("aws secretsmanager put-secret-value --secret-id arn:organization"), "{log}");
}

#[test]
fn a_malformed_secret_is_503_and_the_log_names_the_endpoint_but_not_the_value() {
    let stand = Stand::start_with(|aws| aws.set_secret("arn:project", "AWSCURRENT", Some("whsek_oops"), LONG_AGO));
    assert_eq!(deliver(&stand), (503, "secret_unavailable".into()));
    let log = stand.function.stop().join("\n");
    assert!(log.contains("\"endpoint\":\"project\"") && log.contains("unusable"), "{log}");
    assert!(!log.contains("whsek_oops"), "{log}");
}

/// Each of the four endpoints reads its secret at init.
#[test]
fn a_secret_that_cannot_be_read_at_init_is_503_until_it_can() {
    let stand = Stand::start_with(|aws| aws.fail(READ, Fault::Answer(400, "AccessDeniedException"), 4));
    assert_eq!(deliver(&stand), (503, "secret_unavailable".into()));
    let deadline = Instant::now() + Duration::from_secs(15);
    while deliver(&stand) != (200, "accepted".into()) {
        assert!(Instant::now() < deadline, "it never recovers");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_queue_that_fails_for_a_moment_is_tried_again() {
    let faults = [Fault::Answer(500, "InternalFailure"), Fault::Answer(400, "ThrottlingException"), Fault::Cut];
    for fault in faults {
        let stand = Stand::start();
        stand.aws.fail(SEND, fault.clone(), 2);
        assert_eq!(deliver(&stand), (200, "accepted".into()), "{fault:?}");
        assert_eq!(stand.aws.messages().len(), 1);
        assert_eq!(stand.aws.calls(SEND), 3);
    }
}

#[test]
fn a_connection_that_died_while_the_process_was_frozen_costs_a_moment_and_no_event() {
    let stand = Stand::start();
    stand.aws.fail(SEND, Fault::Silence(Duration::from_secs(30)), 1);
    assert_eq!(deliver(&stand), (200, "accepted".into()));
}

#[test]
fn a_queue_that_stays_down_is_503_within_seconds() {
    let faults = [Fault::Answer(503, "ServiceUnavailable"), Fault::Cut, Fault::Silence(Duration::from_secs(30))];
    for fault in faults {
        let stand = Stand::start();
        stand.aws.fail(SEND, fault.clone(), usize::MAX);
        let started = Instant::now();
        assert_eq!(deliver(&stand), (503, "queue_unavailable".into()), "{fault:?}");
        assert!(started.elapsed() < Duration::from_millis(3_500), "{fault:?}: {:?}", started.elapsed());
    }
}

#[test]
fn a_queue_that_says_no_is_503_at_once_and_the_log_says_why() {
    let stand = Stand::start();
    stand.aws.fail(SEND, Fault::Answer(400, "QueueDoesNotExist"), usize::MAX);
    assert_eq!(deliver(&stand), (503, "queue_unavailable".into()));
    assert_eq!(stand.aws.calls(SEND), 1, "asking again would not help");
    let log = stand.function.stop().join("\n");
    assert!(log.contains("QueueDoesNotExist"), "{log}");
}
