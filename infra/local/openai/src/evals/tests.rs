use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::testing::Server;

/// Creates an eval with a run and gives back their ids.
async fn run(server: &Server) -> (String, String) {
    let grader = json!({ "type": "string_check", "name": "exact", "input": "a", "operation": "eq", "reference": "a" });
    let config = json!({ "type": "custom", "item_schema": { "type": "object" } });
    let eval = server.post("/v1/evals", json!({ "data_source_config": config, "testing_criteria": [grader] })).await;
    let eval_id = eval.json()["id"].as_str().unwrap().to_owned();
    let source = json!({ "type": "jsonl", "source": { "type": "file_id", "id": "file-1" } });
    let run = server.post(&format!("/v1/evals/{eval_id}/runs"), json!({ "data_source": source })).await;
    (eval_id, run.json()["id"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_run_is_only_found_under_its_eval() {
    let server = Server::start().await;
    let (eval_id, run_id) = run(&server).await;
    let (other, _) = run(&server).await;
    assert_eq!(server.get(&format!("/v1/evals/{eval_id}/runs/{run_id}")).await.json()["status"], "queued");
    assert_eq!(server.get(&format!("/v1/evals/{other}/runs/{run_id}")).await.status, StatusCode::NOT_FOUND);
    let finish = format!("/_control/evals/{other}/runs/{run_id}/finish");
    assert_eq!(server.post(&finish, json!({ "status": "completed" })).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_run_is_finished_once_with_its_results_by_grader() {
    let server = Server::start().await;
    let (eval_id, run_id) = run(&server).await;
    let finish = format!("/_control/evals/{eval_id}/runs/{run_id}/finish");
    let no_end = server.post(&finish, json!({ "status": "in_progress" })).await;
    assert_eq!(no_end.status, StatusCode::BAD_REQUEST);
    let answer = server.post(&finish, json!({ "status": "completed", "passed": 2, "failed": 1 })).await.json();
    assert_eq!(answer["run"]["result_counts"], json!({ "total": 3, "passed": 2, "failed": 1, "errored": 0 }));
    let results = json!([{ "testing_criteria": "exact", "passed": 2, "failed": 1 }]);
    assert_eq!((&answer["run"]["per_testing_criteria_results"], &answer["run"]["error"]), (&results, &Value::Null));
    assert_eq!(server.post(&finish, json!({ "status": "failed" })).await.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn what_is_malformed_is_refused() {
    let server = Server::start().await;
    let (eval_id, _) = run(&server).await;
    let config = json!({ "type": "custom", "item_schema": {} });
    let runs = format!("/v1/evals/{eval_id}/runs");
    for (path, body) in [
        ("/v1/evals", json!({ "testing_criteria": [] })),
        ("/v1/evals", json!({ "data_source_config": config })),
        ("/v1/evals", json!({ "data_source_config": { "type": "magic" }, "testing_criteria": [] })),
        ("/v1/evals", json!({ "data_source_config": config, "testing_criteria": ["text"] })),
        ("/v1/evals", json!({ "data_source_config": config, "testing_criteria": [], "name": 7 })),
        (&runs, json!({})),
        (&runs, json!({ "data_source": { "type": "magic" } })),
    ] {
        let answer = server.post(path, body.clone()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
        assert!(answer.json()["error"]["param"].is_string(), "{body}");
    }
}

#[tokio::test]
async fn everything_is_gone_once_the_api_has_ended() {
    let server = Server::start().await;
    let (eval_id, run_id) = run(&server).await;
    assert_eq!(server.post("/_control/evals/end", json!({ "status": 500 })).await.status, StatusCode::BAD_REQUEST);
    server.post("/_control/evals/end", json!({ "status": 410 })).await;
    for path in ["/v1/evals".to_owned(), format!("/v1/evals/{eval_id}"), format!("/v1/evals/{eval_id}/runs/{run_id}")] {
        assert_eq!(server.get(&path).await.status, StatusCode::GONE, "{path}");
    }
}
