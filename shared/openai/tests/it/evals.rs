//! What is read of evals and their runs.

use hooks_openai::ErrorClass;

use crate::server::{client_and_asked, soon};

const RUN: &str = r#"{"id": "evalrun_1", "eval_id": "eval_1", "status": "completed", "created_at": 1700000000,
    "model": "gpt-6-luna", "name": "Nightly", "report_url": "https://platform.openai.com/evaluations/eval_1",
    "error": null, "result_counts": {"total": 3, "passed": 2, "failed": 1, "errored": 0}}"#;

#[tokio::test]
async fn a_run_is_read_and_kept_byte_for_byte() {
    let (client, asked) = client_and_asked(RUN).await;
    let run = client.eval_run("eval_1", "evalrun_1", soon()).await.unwrap();
    assert_eq!(asked.lock().unwrap()[0].1, "/v1/evals/eval_1/runs/evalrun_1");
    assert_eq!((run.id.as_str(), run.status.as_str(), run.is_terminal()), ("evalrun_1", "completed", true));
    assert_eq!((run.model.as_deref(), run.created_at, &run.error), (Some("gpt-6-luna"), Some(1_700_000_000), &None));
    assert_eq!(run.json, RUN);
}

#[tokio::test]
async fn what_is_unknown_or_of_another_kind_never_makes_a_run_unreadable() {
    let odd = r#"{"id": "evalrun_1", "status": "pondering", "model": 7, "error": {"code": 5, "message": "It broke."},
        "created_at": "today", "result_counts": [], "shiny": {"new": true}}"#;
    let (client, _) = client_and_asked(odd).await;
    let run = client.eval_run("eval_1", "evalrun_1", soon()).await.unwrap();
    assert_eq!((run.status.as_str(), run.is_terminal(), run.is_under_way()), ("pondering", false, false));
    assert_eq!((run.model, run.created_at), (None, None));
    assert_eq!(run.error, Some((None, Some("It broke.".to_owned()))));
    assert_eq!(run.raw["shiny"]["new"], true);
}

#[tokio::test]
async fn evals_come_in_pages_the_last_updated_ones_first() {
    let page =
        r#"{"object": "list", "data": [{"id": "eval_2"}, {"name": "no id"}, {"id": "eval_1"}], "has_more": true}"#;
    let (client, asked) = client_and_asked(page).await;
    let found = client.evals(None, 50, soon()).await.unwrap();
    assert_eq!((found.ids, found.has_more), (vec!["eval_2".to_owned(), "eval_1".to_owned()], true));
    client.evals(Some("eval_1"), 50, soon()).await.unwrap();
    let query = "/v1/evals?order_by=updated_at&order=desc&limit=50";
    let paths: Vec<_> = asked.lock().unwrap().iter().map(|(_, path, _)| path.clone()).collect();
    assert_eq!(paths, [query.to_owned(), format!("{query}&after=eval_1")]);

    let (client, _) = client_and_asked(r#"{"data": []}"#).await;
    let empty = client.evals(None, 50, soon()).await.unwrap();
    assert_eq!((empty.ids.len(), empty.has_more), (0, false));
}

#[tokio::test]
async fn an_id_that_would_change_the_path_is_not_sent() {
    let (client, asked) = client_and_asked(RUN).await;
    for (eval_id, run_id) in [("..", "evalrun_1"), ("eval_1", "a/b"), ("", "evalrun_1"), ("eval_1", "a?b")] {
        assert_eq!(client.eval_run(eval_id, run_id, soon()).await.unwrap_err().class(), ErrorClass::Permanent);
    }
    assert_eq!(*asked.lock().unwrap(), []);
}
