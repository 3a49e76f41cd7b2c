//! Invocations: signed, bounded, and told apart by what they mean.

use std::time::Duration;

use hooks_aws::functions::{FunctionAnswer, Functions, InvokeError, is_function};
use hooks_testing::{Reply, Server, aws_config};

#[tokio::test]
async fn a_function_is_started_with_its_event_and_a_signature() {
    let server = Server::start(|_| Reply::status(202)).await;
    let functions = Functions::new(&server.aws());
    functions.start("stack-supervisor", r#"{"id":"live_1"}"#).await.unwrap();
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].path, "/2015-03-31/functions/stack-supervisor/invocations");
    assert_eq!(requests[0].json()["id"], "live_1");
}

#[tokio::test]
async fn what_a_function_answers_is_bounded() {
    let server = Server::start(|_| Reply::new(200, "x".repeat(5000))).await;
    let functions = Functions::new(&server.aws());
    let time = Duration::from_secs(5);
    assert_eq!(functions.invoke("tool", "{}", 4999, time).await.unwrap(), FunctionAnswer::TooLarge);
    assert!(matches!(functions.invoke("tool", "{}", 5000, time).await, Ok(FunctionAnswer::Returned(_))));
}

#[tokio::test]
async fn a_refusal_is_told_from_a_failure_and_from_silence() {
    let time = Duration::from_secs(5);
    let answer = async |reply: fn() -> Reply| {
        let server = Server::start(move |_| reply()).await;
        Functions::new(&server.aws()).invoke("tool", "{}", 100, time).await
    };
    assert!(matches!(answer(|| Reply::status(404)).await, Err(InvokeError::Refused(_))));
    assert!(matches!(answer(|| Reply::status(429)).await, Err(InvokeError::Refused(_))));
    assert!(matches!(answer(|| Reply::status(500)).await, Err(InvokeError::Unanswered(_))));
    let failed = answer(|| Reply::new(200, "{}").header("x-amz-function-error", "Unhandled")).await;
    assert_eq!(failed.unwrap(), FunctionAnswer::Failed("Unhandled".to_owned()));
}

#[tokio::test]
async fn no_name_leads_to_another_path() {
    let functions = Functions::new(&aws_config("http://127.0.0.1:1"));
    for name in ["", "a/b", "../x", "a?b", "a b", "a#b", &"x".repeat(171)] {
        assert!(!is_function(name), "{name}");
        assert!(functions.start(name, "{}").await.is_err());
    }
    assert!(is_function("arn:aws:lambda:eu-central-1:123456789012:function:look-up:prod"));
}
