use hooks_consumer::artifacts::{JSON, Key};
use hooks_openai::CallApi;
use hooks_testing::S3;
use serde_json::{Value, json};

use std::sync::Arc;

use super::*;
use crate::fake_services::{FakeServices, Parameter, later};

fn policy(answer_as: &str) -> Value {
    json!({"answer_as": answer_as, "default": {"reject": {}}})
}

async fn start() -> (FakeServices, PolicyCache) {
    let server = FakeServices::start().await;
    let policies = PolicyCache::new(server.source());
    (server, policies)
}

fn answers_as(current: &CurrentPolicy) -> Option<CallApi> {
    current.value.as_ref().map(|policy| policy.answer_as)
}

#[tokio::test]
async fn a_policy_is_read_every_30_seconds_and_parsed_when_its_version_changed() {
    let (server, policies) = start().await;
    server.store(&policy("realtime"));
    let first = policies.current().await;
    later(29).await;
    policies.current().await;
    assert_eq!((answers_as(&first), server.look_ups()), (Some(CallApi::Realtime), 1));

    later(2).await;
    let same = policies.current().await;
    assert_eq!(server.look_ups(), 2);
    assert!(Arc::ptr_eq(&first.value.unwrap(), &same.value.unwrap()), "it was parsed again");

    server.store(&policy("live"));
    assert_eq!(answers_as(&policies.current().await), Some(CallApi::Realtime));
    later(31).await;
    assert_eq!(answers_as(&policies.current().await), Some(CallApi::Live));
}

#[tokio::test]
async fn concurrent_calls_share_one_read() {
    let (server, policies) = start().await;
    server.store(&policy("realtime"));
    let (one, other) = tokio::join!(policies.current(), policies.current());
    assert!(one.value.is_some() && other.value.is_some());
    assert_eq!(server.look_ups(), 1);
}

#[tokio::test]
async fn an_invalid_policy_leaves_the_last_valid_one_and_is_new_until_people_were_told_and_again_after_it_was_fixed() {
    let (server, policies) = start().await;
    let mut told = 0;
    for _ in 0..2 {
        server.store(&policy("realtime"));
        let valid = policies.current().await;
        assert_eq!((answers_as(&valid), valid.error), (Some(CallApi::Realtime), None));

        server.store(&policy("phone"));
        later(31).await;
        for is_new in [true, true, false] {
            let CurrentPolicy { value: policy, error: Some(error) } = policies.current().await else {
                panic!("no error")
            };
            assert_eq!(policy.unwrap().answer_as, CallApi::Realtime);
            assert_eq!(error.message, "answer_as: must be \"realtime\" or \"live\"");
            assert_eq!(policies.is_new(&error), is_new);
            later(6).await;
            told += 1;
            if told % 3 == 2 {
                policies.alerted(error);
            }
        }
    }
}

#[tokio::test]
async fn a_policy_that_cannot_be_read_leaves_the_last_valid_one_and_is_read_again_soon() {
    let (server, policies) = start().await;
    server.store(&policy("realtime"));
    policies.current().await;
    server.set(Parameter::Denied);
    later(31).await;
    let current = policies.current().await;
    assert_eq!(answers_as(&current), Some(CallApi::Realtime));
    let error = current.error.unwrap();
    assert!(error.message.contains("AccessDenied"), "{error:?}");
    assert!(!policies.is_new(&error), "it may recover by itself");

    server.store(&policy("live"));
    later(6).await;
    let current = policies.current().await;
    assert_eq!((answers_as(&current), current.error), (Some(CallApi::Live), None));
}

#[tokio::test]
async fn a_missing_policy_is_a_lasting_error() {
    let (server, policies) = start().await;
    for (parameter, message) in [
        (Parameter::Absent, "there is no such parameter"),
        (Parameter::Text(" unset\n".to_owned()), "no policy is stored yet"),
    ] {
        server.set(parameter);
        let current = policies.current().await;
        assert!(current.value.is_none());
        assert_eq!(current.error, Some(PolicyError { message: message.to_owned(), lasting: true }));
        later(6).await;
    }
}

#[tokio::test]
async fn an_object_is_parsed_when_its_etag_changed() {
    let (s3, bucket) = S3::start().await;
    let policies =
        PolicyCache::new(PolicySource::Object { bucket: bucket.clone(), key: "calls/policy.json".to_owned() });
    let key = Key::new(&["calls", "policy.json"]).unwrap();
    assert_eq!(policies.current().await.error.unwrap().message, "there is no such object");
    let put = async |text: String| {
        bucket.put(&key, JSON, text).await.unwrap();
        later(31).await;
        policies.current().await
    };

    let first = put(policy("realtime").to_string()).await;
    assert_eq!(answers_as(&first), Some(CallApi::Realtime));
    later(31).await;
    assert!(Arc::ptr_eq(&first.value.unwrap(), &policies.current().await.value.unwrap()), "it was parsed again");
    assert_eq!(answers_as(&put(policy("live").to_string()).await), Some(CallApi::Live));
    let large = put(" ".repeat(MAX_POLICY + 1)).await;
    assert_eq!(answers_as(&large), Some(CallApi::Live));
    assert_eq!(large.error.unwrap().message, "the object has more than 262144 bytes");
    assert_eq!(s3.requests().iter().filter(|kind| *kind == "get").count(), 5);
}
