use serde_json::{Value, json};

use crate::testing::{Answer, Server};

async fn training_file(server: &Server) -> String {
    let form = [("purpose", "fine-tune"), ("file", "{\"messages\": []}\n")];
    server.request("POST", "/v1/files").form(&form).send().await.json()["id"].as_str().unwrap().to_owned()
}

async fn create(server: &Server, change: impl FnOnce(&mut Value)) -> Answer {
    let mut body =
        json!({ "model": "gpt-4.1-mini", "training_file": training_file(server).await, "suffix": "support" });
    change(&mut body);
    server.post("/v1/fine_tuning/jobs", body).await
}

async fn created(server: &Server) -> String {
    create(server, |_| ()).await.json()["id"].as_str().unwrap().to_owned()
}

async fn get(server: &Server, path: &str) -> Value {
    server.get(&format!("/v1/fine_tuning/jobs{path}")).await.json()
}

async fn finish(server: &Server, id: &str, command: Value) -> Answer {
    server.post(&format!("/_control/fine_tuning/{id}/finish"), command).await
}

async fn said(server: &Server, model: &Value) -> Value {
    server.post("/v1/responses", json!({ "model": model, "input": "Hi" })).await.json()["output"][0]["content"].clone()
}

#[tokio::test]
async fn a_new_job_is_shown_with_what_it_was_given() {
    let server = Server::start().await;
    let job = create(&server, |body| body["metadata"] = json!({ "alias": "a" })).await.json();
    assert_eq!((&job["status"], &job["fine_tuned_model"]), (&"validating_files".into(), &Value::Null));
    assert_eq!((&job["metadata"]["alias"], &job["method"]["type"]), (&"a".into(), &"supervised".into()));
    assert_eq!(get(&server, &format!("/{}", job["id"].as_str().unwrap())).await, job);
}

#[tokio::test]
async fn a_bad_parameter_is_refused_by_its_name() {
    let server = Server::start().await;
    let for_a_batch = server.upload("{}").await;
    for (param, value) in [
        ("model", Value::Null),
        ("model", json!(4)),
        ("training_file", Value::Null),
        ("training_file", json!("file-none")),
        ("training_file", json!(for_a_batch)),
        ("validation_file", json!(for_a_batch)),
        ("suffix", json!("x".repeat(65))),
        ("seed", json!(-1)),
        ("method", json!({ "type": "magic" })),
        ("metadata", json!({ "a": 1 })),
    ] {
        let answer = create(&server, |body| body[param] = value).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["error"]["param"]), (400, &param.into()));
    }
    let answer = server.request("POST", "/v1/fine_tuning/jobs").body("application/json", "{").send().await;
    assert_eq!(answer.status, 400);
}

#[tokio::test]
async fn a_job_that_succeeds_has_its_model_checkpoints_and_events() {
    let server = Server::start().await;
    server.register().await;
    let id = created(&server).await;
    let answer = finish(&server, &id, json!({ "status": "succeeded", "checkpoints": 12 })).await.json();
    assert_eq!(answer["deliveries"][0]["type"], "fine_tuning.job.succeeded");
    let job = get(&server, &format!("/{id}")).await;
    assert_eq!(job, answer["job"]);
    let model = job["fine_tuned_model"].as_str().unwrap();
    assert!(model.starts_with("ft:gpt-4.1-mini:local:support:"), "{model}");
    assert!(job["finished_at"].is_i64());

    let page = get(&server, &format!("/{id}/checkpoints")).await;
    assert_eq!((page["data"].as_array().unwrap().len(), &page["has_more"]), (10, &true.into()));
    assert_eq!(
        (&page["data"][0]["step_number"], &page["data"][0]["fine_tuned_model_checkpoint"]),
        (&json!(1200), &json!(model))
    );
    let rest = get(&server, &format!("/{id}/checkpoints?after={}", page["last_id"].as_str().unwrap())).await;
    assert_eq!((rest["data"].as_array().unwrap().len(), &rest["has_more"]), (2, &false.into()));
    let events = get(&server, &format!("/{id}/events?limit=100")).await;
    assert_eq!(events["data"][0]["message"], "The job has successfully completed");
    assert_eq!(events["data"].as_array().unwrap().len(), 14);
}

#[tokio::test]
async fn every_other_final_status_has_a_reason_and_is_final() {
    let server = Server::start().await;
    let id = created(&server).await;
    assert_eq!(finish(&server, &id, json!({ "status": "running" })).await.json()["deliveries"], json!([]));
    let error = json!({ "code": "c", "message": "m", "param": null });
    let failed = finish(&server, &id, json!({ "status": "failed", "error": error })).await.json();
    assert_eq!((&failed["job"]["error"], &failed["job"]["fine_tuned_model"]), (&error, &Value::Null));
    assert_eq!(finish(&server, &id, json!({ "status": "succeeded" })).await.status, 409);
    assert_eq!(server.post(&format!("/v1/fine_tuning/jobs/{id}/cancel"), json!({})).await.status, 400);
}

#[tokio::test]
async fn a_job_is_cancelled_and_delivered() {
    let server = Server::start().await;
    server.register().await;
    let id = created(&server).await;
    let cancelled = server.post(&format!("/v1/fine_tuning/jobs/{id}/cancel"), json!({})).await.json();
    assert_eq!(cancelled["status"], "cancelled");
    let deliveries = server.get("/_control/deliveries").await.json();
    assert_eq!(deliveries["deliveries"][0]["type"], "fine_tuning.job.cancelled");
}

#[tokio::test]
async fn a_model_answers_what_the_command_says() {
    let server = Server::start().await;
    let finished = async |command: Value| {
        finish(&server, &created(&server).await, command).await.json()["job"]["fine_tuned_model"].clone()
    };
    let talkative = finished(json!({ "status": "succeeded", "says": "At your service." })).await;
    let silent = finished(json!({ "status": "succeeded", "says": null })).await;
    assert_eq!(said(&server, &talkative).await[0]["text"], "At your service.");
    assert_eq!(said(&server, &silent).await, json!([]));
    assert_eq!(said(&server, &json!("gpt-6-luna")).await[0]["text"], "Hello!");
}

#[tokio::test]
async fn a_model_ends_with_its_base_model_unless_the_command_says_otherwise() {
    let server = Server::start().await;
    let ends = async |model: &str| server.get(&format!("/v1/models/{model}")).await.json()["shutdown_date"].clone();
    let tuned = async |base: &str, command: Value| {
        let id = create(&server, |body| body["model"] = base.into()).await.json()["id"].as_str().unwrap().to_owned();
        finish(&server, &id, command).await.json()["job"]["fine_tuned_model"].as_str().unwrap().to_owned()
    };
    let succeeded = || json!({ "status": "succeeded" });
    for (model, date) in [
        ("gpt-4.1-mini".to_owned(), json!("2027-01-14")),
        ("gpt-4o-2024-08-06".to_owned(), json!("2027-01-14")),
        ("gpt-4.1-nano".to_owned(), Value::Null),
        (tuned("gpt-4.1-mini-2025-04-14", succeeded()).await, json!("2027-01-14")),
        (tuned("gpt-6-luna", succeeded()).await, Value::Null),
        (
            tuned("gpt-6-luna", json!({ "status": "succeeded", "shutdown_date": "2028-02-29" })).await,
            json!("2028-02-29"),
        ),
    ] {
        assert_eq!(ends(&model).await, date, "{model}");
    }
    let unknown = server.get("/v1/models/ft:gpt-6-luna:local::x").await;
    assert_eq!((unknown.status.as_u16(), &unknown.json()["error"]["code"]), (404, &"model_not_found".into()));
}

#[tokio::test]
async fn jobs_are_listed_newest_first_and_by_metadata() {
    let server = Server::start().await;
    let plain = created(&server).await;
    let job = create(&server, |body| body["metadata"] = json!({ "team": "a b", "alias": "x" })).await.json();
    let ids = async |query: &str| {
        let page = get(&server, query).await;
        page["data"].as_array().unwrap().iter().map(|job| job["id"].clone()).collect::<Vec<_>>()
    };
    let (plain, named) = ([Value::from(plain)], [job["id"].clone()]);
    assert_eq!(ids("").await, [&named[..], &plain].concat());
    assert_eq!(ids("?metadata[team]=a+b&metadata%5Balias%5D=x").await, named);
    assert_eq!(ids("?metadata[team]=b").await, Vec::<Value>::new());
    assert_eq!(ids("?metadata=null").await, plain);
    assert_eq!(ids(&format!("?limit=1&after={}", named[0].as_str().unwrap())).await, plain);
}

#[tokio::test]
async fn unknown_jobs_are_not_found_and_limits_are_checked() {
    let server = Server::start().await;
    for path in ["/ftjob-1", "/ftjob-1/events", "/ftjob-1/checkpoints", "?after=ftjob-1"] {
        let answer = server.get(&format!("/v1/fine_tuning/jobs{path}")).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["error"]["code"]), (404, &"fine_tune_not_found".into()));
    }
    assert_eq!(server.post("/v1/fine_tuning/jobs/ftjob-1/cancel", json!({})).await.status, 404);
    assert_eq!(finish(&server, "ftjob-1", json!({ "status": "failed" })).await.status, 404);
    for limit in ["0", "101", "x"] {
        assert_eq!(server.get(&format!("/v1/fine_tuning/jobs?limit={limit}")).await.status, 400, "{limit}");
    }
}
