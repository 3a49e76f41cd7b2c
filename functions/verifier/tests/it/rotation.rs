//! Signing secrets change while the function runs.

use crate::stand::{BODY, LONG_AGO, PROJECT, Stand, pairs, signed};
use std::time::Duration;

const READ: &str = "secretsmanager.GetSecretValue";
const NEXT: &str = "whsec_bmV4dG5leHRuZXh0bmV4dG5l";
const FORGED: &str = "whsec_Zm9yZ2VkZm9yZ2VkZm9yZ2Vk";

fn deliver(stand: &Stand, secret: &str) -> u64 {
    stand.deliver(&pairs(&signed(secret, 0, BODY.as_bytes())), BODY).status
}

#[test]
fn a_new_secret_works_at_once_and_the_old_one_goes_on() {
    let stand = Stand::start();
    assert_eq!(deliver(&stand, PROJECT), 200);
    stand.aws.set_secret("arn:project", "AWSPREVIOUS", Some(PROJECT), LONG_AGO);
    stand.aws.set_secret("arn:project", "AWSCURRENT", Some(NEXT), Duration::ZERO);
    assert_eq!(deliver(&stand, NEXT), 200);
    assert_eq!(deliver(&stand, PROJECT), 200);
}

#[test]
fn a_pending_secret_is_accepted_while_it_exists() {
    let stand = Stand::start_with(|aws| aws.set_secret("arn:project", "AWSPENDING", Some(NEXT), Duration::ZERO));
    assert_eq!(deliver(&stand, NEXT), 200);
    assert_eq!(deliver(&stand, PROJECT), 200);
}

#[test]
fn the_old_secret_is_refused_a_day_after_the_new_one_was_made() {
    let nearly = Duration::from_secs(24 * 60 * 60 - 3);
    let stand = Stand::start_with(|aws| {
        aws.set_secret("arn:project", "AWSPREVIOUS", Some(PROJECT), LONG_AGO);
        aws.set_secret("arn:project", "AWSCURRENT", Some(NEXT), nearly);
    });
    assert_eq!(deliver(&stand, PROJECT), 200);
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(deliver(&stand, PROJECT), 401);
    assert_eq!(deliver(&stand, NEXT), 200);
}

#[test]
fn bad_traffic_cannot_drive_calls_to_secrets_manager() {
    let stand = Stand::start();
    assert_eq!(deliver(&stand, PROJECT), 200);
    let before = stand.aws.calls(READ);
    for _ in 0..50 {
        assert_eq!(deliver(&stand, FORGED), 401);
    }
    let calls = stand.aws.calls(READ) - before;
    assert!((1..=3).contains(&calls), "one read of at most three stages, but {calls} calls");
    assert_eq!(deliver(&stand, PROJECT), 200);
}
