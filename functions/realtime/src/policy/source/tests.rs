use hooks_consumer::artifacts::{JSON, Key};
use hooks_openai::CallApi;
use hooks_testing::S3;
use serde_json::{Value, json};

use super::*;
use crate::loopback::{Parameter, Server, later};

fn policy(answer_as: &str) -> Value {
    json!({"answer_as": answer_as, "default": {"reject": {}}})
}

async fn start() -> (Server, Policies) {
    let server = Server::start().await;
    let policies = Policies::new(server.source());
    (server, policies)
}

fn answers_as(current: &Current) -> Option<CallApi> {
    current.policy.as_ref().map(|policy| policy.answer_as)
}

#[tokio::test]
async fn a_policy_is_looked_up_once_in_a_while_and_read_when_it_is_another_one() {
    let (server, policies) = start().await;
    server.store(&policy("realtime"));
    let first = policies.current().await;
    later(29).await;
    policies.current().await;
    assert_eq!((answers_as(&first), server.look_ups()), (Some(CallApi::Realtime), 1));

    later(2).await;
    let same = policies.current().await;
    assert_eq!(server.look_ups(), 2);
    assert!(Arc::ptr_eq(&first.policy.unwrap(), &same.policy.unwrap()), "it was read again");

    server.store(&policy("live"));
    assert_eq!(answers_as(&policies.current().await), Some(CallApi::Realtime));
    later(31).await;
    assert_eq!(answers_as(&policies.current().await), Some(CallApi::Live));
}

#[tokio::test]
async fn calls_at_the_same_time_make_one_look_up() {
    let (server, policies) = start().await;
    server.store(&policy("realtime"));
    let (one, other) = tokio::join!(policies.current(), policies.current());
    assert!(one.policy.is_some() && other.policy.is_some());
    assert_eq!(server.look_ups(), 1);
}

#[tokio::test]
async fn a_broken_policy_leaves_the_last_good_one_and_is_news_once_until_it_is_put_right() {
    let (server, policies) = start().await;
    for _ in 0..2 {
        server.store(&policy("realtime"));
        let right = policies.current().await;
        assert_eq!((answers_as(&right), right.problem), (Some(CallApi::Realtime), None));

        server.store(&policy("phone"));
        later(31).await;
        for news in [true, false] {
            let Current { policy, problem: Some(problem) } = policies.current().await else { panic!("no problem") };
            assert_eq!(policy.unwrap().answer_as, CallApi::Realtime);
            assert_eq!(problem.message, "answer_as: must be \"realtime\" or \"live\"");
            assert_eq!(policies.is_news(&problem).await, news);
            later(6).await;
        }
    }
}

#[tokio::test]
async fn a_policy_that_cannot_be_read_leaves_the_last_good_one_and_is_looked_up_again_soon() {
    let (server, policies) = start().await;
    server.store(&policy("realtime"));
    policies.current().await;
    server.set(Parameter::Denied);
    later(31).await;
    let current = policies.current().await;
    assert_eq!(answers_as(&current), Some(CallApi::Realtime));
    let problem = current.problem.unwrap();
    assert!(problem.message.contains("AccessDenied"), "{problem:?}");
    assert!(!policies.is_news(&problem).await, "it may go away by itself");

    server.store(&policy("live"));
    later(6).await;
    let current = policies.current().await;
    assert_eq!((answers_as(&current), current.problem), (Some(CallApi::Live), None));
}

#[tokio::test]
async fn nothing_stored_is_a_problem_that_lasts() {
    let (server, policies) = start().await;
    for (parameter, message) in [
        (Parameter::Absent, "there is no such parameter"),
        (Parameter::Text(" unset\n".to_owned()), "nobody has stored a policy yet"),
    ] {
        server.set(parameter);
        let current = policies.current().await;
        assert!(current.policy.is_none());
        assert_eq!(current.problem, Some(Problem { message: message.to_owned(), lasting: true }));
        later(6).await;
    }
}

#[tokio::test]
async fn an_object_is_read_when_it_is_another_one() {
    let (s3, bucket) = S3::start().await;
    let policies = Policies::new(Source::Object { bucket: bucket.clone(), key: "calls/policy.json".to_owned() });
    let key = Key::new(&["calls", "policy.json"]).unwrap();
    assert_eq!(policies.current().await.problem.unwrap().message, "there is no such object");
    let put = async |text: String| {
        bucket.put(&key, JSON, text).await.unwrap();
        later(31).await;
        policies.current().await
    };

    let first = put(policy("realtime").to_string()).await;
    assert_eq!(answers_as(&first), Some(CallApi::Realtime));
    later(31).await;
    assert!(Arc::ptr_eq(&first.policy.unwrap(), &policies.current().await.policy.unwrap()), "it was read again");
    assert_eq!(answers_as(&put(policy("live").to_string()).await), Some(CallApi::Live));
    let large = put(" ".repeat(MAX_BYTES + 1)).await;
    assert_eq!(answers_as(&large), Some(CallApi::Live));
    assert_eq!(large.problem.unwrap().message, "it has more than 262144 bytes");
    assert_eq!(s3.requests().iter().filter(|kind| *kind == "get").count(), 5);
}
