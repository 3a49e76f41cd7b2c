//! Fine-tuning jobs, and a response of a model.

use hooks_openai::NewResponse;
use serde_json::{Value, json};

use crate::server::{client_and_asked, soon};

#[tokio::test]
async fn each_call_has_openai_s_path() {
    let body = r#"{"id": "x", "status": "shelved", "data": [], "new": 1}"#;
    let (client, asked) = client_and_asked(body).await;
    client.fine_tuning_job("ftjob-1", soon()).await.unwrap();
    client.fine_tuning_checkpoints("ftjob-1", soon()).await.unwrap();
    client.fine_tuning_events("ftjob-1", soon()).await.unwrap();
    let question = NewResponse { model: "ft:gpt:acme::1", input: "Say hello.", max_output_tokens: 64 };
    client.create_response(question, soon()).await.unwrap();
    let question = json!({"model": "ft:gpt:acme::1", "input": "Say hello.", "max_output_tokens": 64, "store": false});
    let expected = [
        ("GET", "/v1/fine_tuning/jobs/ftjob-1", Value::Null),
        ("GET", "/v1/fine_tuning/jobs/ftjob-1/checkpoints?limit=100", Value::Null),
        ("GET", "/v1/fine_tuning/jobs/ftjob-1/events?limit=100", Value::Null),
        ("POST", "/v1/responses", question),
    ];
    let expected = expected.map(|(method, path, body)| (method.to_owned(), path.to_owned(), body));
    assert_eq!(*asked.lock().unwrap(), expected);
}

#[tokio::test]
async fn answers_are_kept_byte_for_byte() {
    let body = "{ \"id\":\"ftjob-1\", \"status\": \"succeeded\",\n\"data\": [{\"shiny\": 1.50}, 2] }";
    let (client, _) = client_and_asked(body).await;
    let job = client.fine_tuning_job("ftjob-1", soon()).await.unwrap();
    assert_eq!((job.id.as_str(), &job.json[..]), ("ftjob-1", body.as_bytes()));
    let list = client.fine_tuning_events("ftjob-1", soon()).await.unwrap();
    assert_eq!((list.count, &list.json[..]), (2, body.as_bytes()));
}
