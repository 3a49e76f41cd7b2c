//! Tests of the handler against servers that stand for OpenAI and S3.

use std::time::Duration;

use hooks_consumer::artifacts::Artifacts;
use hooks_consumer::{Category, Environment, Harness, Severity};
use hooks_testing::{Reply, S3, Server};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::*;

const ID: &str = "batch_1";
const CREATED: i64 = 1_795_230_915;

/// A handler with the servers that it calls.
struct Fixture {
    server: Server,
    s3: S3,
    artifacts: Artifacts,
    handler: BatchHandler,
}

impl Fixture {
    /// A fixture with one batch: a completed one, with `changes` applied.
    async fn with(changes: Value) -> Self {
        let server = Server::empty().await;
        let mut batch = json!({
            "id": ID, "object": "batch", "endpoint": "/v1/responses", "status": "completed", "model": null,
            "input_file_id": "file-in", "output_file_id": null, "error_file_id": null, "errors": null,
            "created_at": CREATED, "completed_at": CREATED + 60, "expires_at": CREATED + 86_400,
            "metadata": {"job": "nightly"}, "request_counts": {"total": 0, "completed": 0, "failed": 0},
        });
        batch.as_object_mut().unwrap().append(&mut changes.as_object().unwrap().clone());
        server.reply_at(&format!("/v1/batches/{ID}"), Reply::json(&batch));
        let (s3, artifacts) = S3::start().await;
        let handler =
            BatchHandler { openai: OpenAi::fixed(server.openai()), alert_failed_share: 0.1, deletes_files: false };
        Self { server, s3, artifacts, handler }
    }

    /// Adds a file with these lines.
    fn file(&self, id: &str, lines: &[Value]) {
        let text = lines.iter().map(Value::to_string).chain([String::new()]).collect::<Vec<_>>().join("\n");
        self.server.reply_at(&format!("/v1/files/{id}"), Reply::json(&json!({"id": id, "bytes": text.len()})));
        self.server.reply_at(&format!("/v1/files/{id}/content"), Reply::new(200, text));
    }

    async fn handle(&self, event_type: &str) -> Result<Outcome, HandlerError> {
        self.handle_event(&json!({"id": "evt_1", "type": event_type, "created_at": CREATED, "data": {"id": ID}})).await
    }

    async fn handle_event(&self, event: &Value) -> Result<Outcome, HandlerError> {
        let event = Event::parse(&event.to_string()).unwrap();
        let context = Context::new(Instant::now() + Duration::from_mins(1), 1, 0, self.artifacts.clone());
        self.handler.handle(&event, &context).await
    }

    /// Handles an event that was created a moment ago.
    async fn handle_young(&self) -> Result<Outcome, HandlerError> {
        let created_at = clock::now_ms() / 1000 - 5;
        let event = json!({"id": "evt_1", "type": "batch.completed", "created_at": created_at, "data": {"id": ID}});
        self.handle_event(&event).await
    }

    fn stored(&self, name: &str) -> Option<String> {
        let object = self.s3.object(&format!("batch/{ID}/{name}"))?;
        Some(String::from_utf8(object.bytes.to_vec()).unwrap())
    }

    fn summary(&self) -> Value {
        serde_json::from_str(&self.stored("summary.json").unwrap()).unwrap()
    }
}

fn success(custom_id: &str) -> Value {
    let body = json!({"model": "gpt-6-luna", "usage": {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}});
    json!({"id": "r", "custom_id": custom_id, "response": {"status_code": 200, "body": body}, "error": null})
}

fn refused(custom_id: &str) -> Value {
    let body = json!({"error": {"message": "Not like that.", "code": "bad_parameter"}});
    json!({"id": "r", "custom_id": custom_id, "response": {"status_code": 400, "body": body}, "error": null})
}

fn not_run(custom_id: &str, code: &str) -> Value {
    json!({"id": "r", "custom_id": custom_id, "response": null, "error": {"code": code, "message": "Too late."}})
}

fn retry(result: Result<Outcome, HandlerError>) -> (Option<Duration>, String) {
    match result {
        Err(HandlerError::Retry { after, message }) => (after, message),
        other => panic!("not a retry: {other:?}"),
    }
}

fn permanent(result: Result<Outcome, HandlerError>) -> (&'static str, String) {
    match result {
        Err(HandlerError::Permanent { reason, message }) => (reason, message),
        other => panic!("not permanent: {other:?}"),
    }
}

#[tokio::test]
async fn a_completed_batch_is_stored_completely() {
    let fixture = Fixture::with(json!({"output_file_id": "file-out", "error_file_id": "file-err",
        "request_counts": {"total": 12, "completed": 11, "failed": 1}, "usage": {"total_tokens": 77}}))
    .await;
    let successes: Vec<Value> = (0..11).map(|i| success(&format!("row-{i}"))).collect();
    fixture.file("file-out", &successes);
    fixture.file("file-err", &[refused("row-11")]);

    let outcome = fixture.handle("batch.completed").await.unwrap();

    assert_eq!(fixture.stored("output.jsonl").unwrap().lines().count(), 11);
    assert_eq!(fixture.stored("errors.jsonl").unwrap(), format!("{}\n", refused("row-11")));
    assert_eq!(
        outcome.artifacts,
        ["batch/batch_1/output.jsonl", "batch/batch_1/errors.jsonl", "batch/batch_1/summary.json"]
    );
    let stored: usize = fixture.s3.keys().iter().map(|key| fixture.s3.object(key).unwrap().bytes.len()).sum();
    assert_eq!(outcome.artifact_bytes, stored as u64);
    assert_eq!(
        (outcome.status.as_str(), outcome.terminal, outcome.object_id.as_deref()),
        ("completed", true, Some(ID))
    );
    assert_eq!(Value::Object(outcome.counts), json!({"total": 12, "completed": 11, "failed": 1}));
    assert_eq!(outcome.times["completed_at"], CREATED + 60);
    assert_eq!(outcome.summary["status_codes"], json!({"200": 11, "400": 1}));
    assert_eq!(outcome.summary["error_codes"], json!({"bad_parameter": 1}));
    assert_eq!(outcome.summary["tokens"]["gpt-6-luna"]["total"], 77);
    assert_eq!((outcome.alert, outcome.error, outcome.note), (None, None, None));
}

#[tokio::test]
async fn the_summary_is_written_for_people_and_programs() {
    let fixture = Fixture::with(json!({"output_file_id": "file-out", "error_file_id": "file-err",
        "request_counts": {"total": 2, "completed": 1, "failed": 1}, "usage": {"total_tokens": 7}}))
    .await;
    fixture.file("file-out", &[success("row-1")]);
    fixture.file("file-err", &[refused("row-2")]);
    fixture.handle("batch.completed").await.unwrap();

    let (output_bytes, error_bytes) = (success("row-1").to_string().len() + 1, refused("row-2").to_string().len() + 1);
    let tally = |bytes: usize, succeeded: u64, failed: u64| {
        json!({"bytes": bytes, "lines": succeeded + failed, "succeeded": succeeded, "failed": failed,
            "malformed": 0, "oversized": 0})
    };
    assert_eq!(
        fixture.summary(),
        json!({
            "version": 1,
            "batch_id": "batch_1",
            "status": "completed",
            "endpoint": "/v1/responses",
            "model": null,
            "metadata": {"job": "nightly"},
            "times": {"created_at": "2026-11-21T03:15:15Z", "completed_at": "2026-11-21T03:16:15Z",
                "expires_at": "2026-11-22T03:15:15Z", "seconds": 60},
            "request_counts": {"total": 2, "completed": 1, "failed": 1},
            "counts": {"total": 2, "succeeded": 1, "failed": 1, "unreadable": 0, "missing": 0},
            "lines": tally(output_bytes + error_bytes, 1, 1),
            "status_codes": {"200": 1, "400": 1},
            "errors": {"bad_parameter": {"count": 1, "first_custom_id": "row-2", "first_message": "Not like that."}},
            "tokens": {"gpt-6-luna": {"requests": 1, "input": 5, "cached": 0, "cache_write": 0, "output": 2, "reasoning": 0, "total": 7}},
            "usage": {"total_tokens": 7},
            "batch_errors": [],
            "batch_error_count": 0,
            "files": {
                "input": {"file_id": "file-in"},
                "output": {"file_id": "file-out", "key": "batch/batch_1/output.jsonl", "lines": tally(output_bytes, 1, 0)},
                "errors": {"file_id": "file-err", "key": "batch/batch_1/errors.jsonl", "lines": tally(error_bytes, 0, 1)},
            },
            "note": null,
        })
    );
    assert_eq!(fixture.s3.object("batch/batch_1/summary.json").unwrap().content_type, "application/json");
    assert_eq!(fixture.s3.object("batch/batch_1/output.jsonl").unwrap().content_type, "application/jsonl");
    let first = fixture.stored("summary.json");
    fixture.handle("batch.completed").await.unwrap();
    assert_eq!(fixture.stored("summary.json"), first, "the same batch gives the same summary");
}

#[tokio::test]
async fn a_completed_batch_may_have_an_error_file_only() {
    let fixture = Fixture::with(json!({"output_file_id": "", "error_file_id": "file-err",
        "request_counts": {"total": 2, "completed": 0, "failed": 2}}))
    .await;
    fixture.file("file-err", &[refused("row-1"), refused("row-2")]);
    let outcome = fixture.handle("batch.completed").await.unwrap();
    assert_eq!(outcome.artifacts, ["batch/batch_1/errors.jsonl", "batch/batch_1/summary.json"]);
    assert_eq!(fixture.stored("output.jsonl"), None);
    assert_eq!(fixture.summary()["files"]["output"], Value::Null);
    assert_eq!(outcome.alert.unwrap().subject, "Batch batch_1 completed with many failures");
}

#[tokio::test]
async fn the_results_of_an_expired_batch_are_stored_and_people_are_alerted() {
    let fixture = Fixture::with(json!({"status": "expired", "completed_at": null, "expired_at": CREATED + 86_400,
        "output_file_id": "file-out", "error_file_id": "file-err",
        "request_counts": {"total": 3, "completed": 1, "failed": 2}}))
    .await;
    fixture.file("file-out", &[success("row-1")]);
    fixture.file("file-err", &[not_run("row-2", "batch_expired"), not_run("row-3", "batch_expired")]);
    let outcome = fixture.handle("batch.expired").await.unwrap();
    assert_eq!((outcome.status.as_str(), outcome.terminal, outcome.artifacts.len()), ("expired", true, 3));
    assert_eq!(outcome.summary["error_codes"], json!({"batch_expired": 2}));
    assert_eq!(outcome.error.as_deref(), Some("the batch expired before all its requests were run"));
    let alert = outcome.alert.unwrap();
    assert_eq!((alert.severity, alert.subject.as_str()), (Severity::Warning, "Batch batch_1 expired"));
    assert_eq!(
        alert.message,
        "\
Batch batch_1 expired: not all of its requests were run in time.

What   /v1/responses: 3 requests, 1 succeeded, 2 failed; input file file-in
       job: nightly
When   created 2026-11-21T03:15:15Z, expired 2026-11-22T03:15:15Z (1 d later)
Why    2 times batch_expired
To do  Results of requests that were run are stored and billed. Put the requests in the error file into a new batch.
Where  s3://artifacts/batch/batch_1/summary.json
       s3://artifacts/batch/batch_1/output.jsonl (1 lines)
       s3://artifacts/batch/batch_1/errors.jsonl (2 lines)
       https://platform.openai.com/batches/batch_1
"
    );
}

#[tokio::test]
async fn the_results_of_a_cancelled_batch_are_stored_without_an_alert() {
    let fixture = Fixture::with(json!({"status": "cancelled", "completed_at": null, "cancelled_at": CREATED + 30,
        "output_file_id": "file-out", "error_file_id": "",
        "request_counts": {"total": 9, "completed": 1, "failed": 8}}))
    .await;
    fixture.file("file-out", &[success("row-1")]);
    let outcome = fixture.handle("batch.cancelled").await.unwrap();
    assert_eq!((outcome.status.as_str(), outcome.terminal), ("cancelled", true));
    assert_eq!(outcome.artifacts, ["batch/batch_1/output.jsonl", "batch/batch_1/summary.json"]);
    assert_eq!((outcome.alert, outcome.error), (None, None));
}

#[tokio::test]
async fn a_failed_batch_says_why() {
    let error = |line: u32| json!({"code": "invalid_json_line", "message": "No JSON.", "param": null, "line": line});
    let fixture = Fixture::with(json!({"status": "failed", "completed_at": null, "failed_at": CREATED + 5,
        "errors": {"object": "list", "data": [error(3), error(8)]}}))
    .await;
    let outcome = fixture.handle("batch.failed").await.unwrap();
    assert_eq!((outcome.status.as_str(), outcome.terminal), ("failed", true));
    assert_eq!(outcome.artifacts, ["batch/batch_1/summary.json"]);
    assert_eq!(outcome.error.as_deref(), Some("invalid_json_line in line 3: No JSON. (and 1 more)"));
    assert_eq!(fixture.summary()["batch_errors"], json!([error(3), error(8)]));
    let alert = outcome.alert.unwrap();
    assert_eq!(alert.severity, Severity::Critical);
    assert_eq!(
        alert.message,
        "\
Batch batch_1 failed: OpenAI rejected its input, and none of its requests was run.

What   /v1/responses; input file file-in
       job: nightly
When   created 2026-11-21T03:15:15Z, failed 2026-11-21T03:15:20Z (5 s later)
Why    invalid_json_line in line 3: No JSON.
       invalid_json_line in line 8: No JSON.
To do  Correct the input file, upload it again and create a new batch.
Where  s3://artifacts/batch/batch_1/summary.json
       https://platform.openai.com/batches/batch_1
"
    );
}

#[tokio::test]
async fn a_share_of_failures_is_alerted_only_beyond_the_limit() {
    for (failed, alerts) in [(0, false), (1, false), (2, true)] {
        let fixture = Fixture::with(json!({"output_file_id": "file-out", "error_file_id": "file-err",
            "request_counts": {"total": 10, "completed": 10 - failed, "failed": failed}}))
        .await;
        fixture.file("file-out", &vec![success("row-1"); 10 - failed]);
        fixture.file("file-err", &vec![refused("row-2"); failed]);
        let outcome = fixture.handle("batch.completed").await.unwrap();
        assert_eq!(outcome.alert.is_some(), alerts, "{failed} of 10");
    }
}

#[tokio::test]
async fn progress_is_recorded_and_no_file_retrieved() {
    for status in ["validating", "in_progress", "finalizing", "cancelling"] {
        let fixture = Fixture::with(json!({"status": status, "completed_at": null,
            "request_counts": {"total": 9, "completed": 4, "failed": 1}}))
        .await;
        let outcome = fixture.handle("batch.in_progress").await.unwrap();
        assert_eq!((outcome.status.as_str(), outcome.terminal), (status, false));
        assert_eq!(Value::Object(outcome.counts), json!({"total": 9, "completed": 4, "failed": 1}));
        assert_eq!((outcome.artifacts, outcome.alert), (vec![], None));
        assert_eq!(fixture.s3.keys(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn the_status_of_the_batch_decides_and_not_the_event_type() {
    let fixture = Fixture::with(json!({"output_file_id": "file-out"})).await;
    fixture.file("file-out", &[success("row-1")]);
    let outcome = fixture.handle("batch.in_progress").await.unwrap();
    assert_eq!((outcome.status.as_str(), outcome.terminal, outcome.artifacts.len()), ("completed", true, 2));
}

#[tokio::test]
async fn an_announced_end_that_openai_does_not_show_yet_is_waited_for() {
    let fixture = Fixture::with(json!({"status": "finalizing"})).await;
    let (_, message) = retry(fixture.handle("batch.completed").await);
    assert_eq!(message, "batch.completed was announced, but the batch is still finalizing");
}

#[tokio::test]
async fn a_missing_file_is_waited_for_while_the_batch_is_young_and_then_told() {
    let no_file = "the batch is completed, but has neither an output file nor an error file";
    for (completed, failed, output, missing) in [
        (1, 0, None, "1 requests succeeded, but the batch has no output file"),
        (1, 2, Some("file-out"), "2 requests failed, but the batch has no error file"),
        (0, 2, None, "2 requests failed, but the batch has no error file"),
        (0, 0, None, no_file),
    ] {
        let just_ended = clock::now_ms() / 1000 - 10;
        let changes = |ended| {
            let counts = json!({"total": completed + failed, "completed": completed, "failed": failed});
            json!({"request_counts": counts, "output_file_id": output, "created_at": ended - 60, "completed_at": ended})
        };
        let fixture = Fixture::with(changes(just_ended)).await;
        fixture.file("file-out", &[success("row-1")]);
        assert_eq!(retry(fixture.handle_young().await).1, missing);
        assert_eq!(fixture.s3.keys(), Vec::<String>::new());

        let outcome = fixture.handle("batch.completed").await.unwrap();
        assert!(outcome.note.as_deref().unwrap().starts_with(missing), "{:?}", outcome.note);
        assert_eq!(fixture.summary()["note"], json!(outcome.note));

        let fixture = Fixture::with(changes(just_ended - 600)).await;
        fixture.file("file-out", &[success("row-1")]);
        assert!(fixture.handle_young().await.unwrap().note.unwrap().starts_with(missing));
    }
}

#[tokio::test]
async fn a_batch_that_was_not_run_needs_no_files() {
    for status in ["failed", "cancelled"] {
        let ended = clock::now_ms() / 1000 - 10;
        let fixture =
            Fixture::with(json!({"status": status, "completed_at": null, format!("{status}_at"): ended})).await;
        assert_eq!(fixture.handle_young().await.unwrap().note, None, "{status}");
    }
}

#[tokio::test]
async fn a_file_of_a_young_batch_that_openai_does_not_have_yet_is_waited_for() {
    let ended = clock::now_ms() / 1000 - 10;
    let fixture =
        Fixture::with(json!({"output_file_id": "file-out", "error_file_id": "file-err", "completed_at": ended})).await;
    fixture.file("file-err", &[refused("row-1")]);
    let (_, message) = retry(fixture.handle_young().await);
    assert_eq!(message, "the batch is completed, but OpenAI has no file file-out (for batch/batch_1/output.jsonl) yet");
    assert_eq!(permanent(fixture.handle("batch.completed").await).0, "file_gone", "its event is old");
    fixture.file("file-out", &[success("row-1")]);
    assert_eq!(fixture.handle_young().await.unwrap().artifacts.len(), 3);
    // The file is known, and its content not yet.
    fixture.server.reply_at("/v1/files/file-out/content", Reply::status(404));
    retry(fixture.handle_young().await);
}

#[tokio::test]
async fn lines_are_believed_over_openai_s_counts_and_a_difference_is_told() {
    let odd = json!("not a result");
    let cases = [
        (vec![success("1"), success("2")], vec![refused("3")], json!({"total": 3, "completed": 2, "failed": 1})),
        (vec![success("1")], vec![], json!({"total": 3, "completed": 1, "failed": 0, "missing": 2})),
        (
            vec![success("1"), odd],
            vec![],
            json!({"total": 3, "completed": 1, "failed": 0, "unreadable": 1, "missing": 1}),
        ),
        (vec![success("1"); 4], vec![], json!({"total": 4, "completed": 4, "failed": 0})),
    ];
    for (output, errors, counts) in cases {
        let fixture = Fixture::with(json!({"output_file_id": "file-out", "error_file_id": "file-err",
            "request_counts": {"total": 3, "completed": 3, "failed": 0}}))
        .await;
        fixture.file("file-out", &output);
        fixture.file("file-err", &errors);
        let outcome = fixture.handle("batch.completed").await.unwrap();
        assert_eq!(Value::Object(outcome.counts), counts);
        let note = outcome.note.unwrap();
        assert!(note.starts_with("OpenAI counts 3 requests that succeeded and 0 that failed; of the lines "), "{note}");
        assert_eq!((&fixture.summary()["note"], &outcome.summary["disagreement"]), (&json!(note), &json!(note)));
        match outcome.alert {
            Some(alert) => assert!(alert.message.contains(&format!("\nNote   {note}\n")), "{}", alert.message),
            None => assert_eq!(counts["completed"], 4),
        }
    }
}

#[tokio::test]
async fn a_batch_with_an_error_for_each_of_50_000_lines_is_told() {
    let message =
        "This custom_id was used by an earlier request. Each request of a batch needs one of its own. ".repeat(2);
    let errors: Vec<Value> =
        (1..=50_000).map(|line| json!({"code": "duplicate_custom_id", "message": message, "line": line})).collect();
    let fixture =
        Fixture::with(json!({"status": "failed", "completed_at": null, "errors": {"object": "list", "data": errors}}))
            .await;
    let outcome = fixture.handle("batch.failed").await.unwrap();
    assert!(outcome.error.unwrap().ends_with("(and 49999 more)"));
    assert!(outcome.alert.unwrap().message.contains("\n       and 49995 more\n"));
    let summary = fixture.summary();
    assert_eq!(
        (summary["batch_errors"].as_array().unwrap().len(), &summary["batch_error_count"]),
        (100, &json!(50_000))
    );
}

#[tokio::test]
async fn a_batch_that_is_too_large_was_not_refused() {
    let fixture = Fixture::with(json!({"shiny": "x".repeat(33 * 1024 * 1024)})).await;
    let (reason, message) = permanent(fixture.handle("batch.completed").await);
    assert_eq!(
        (reason, message.as_str()),
        (HandlerError::TOO_LARGE, "retrieve batch: the answer is longer than 33554432 bytes")
    );
}

#[tokio::test]
async fn the_files_of_a_batch_with_an_unknown_status_are_stored() {
    let fixture = Fixture::with(json!({"status": "half_done", "output_file_id": "file-out"})).await;
    fixture.file("file-out", &[success("row-1")]);
    let outcome = fixture.handle("batch.half_done").await.unwrap();
    assert_eq!((outcome.status.as_str(), outcome.terminal, outcome.artifacts.len()), ("half_done", false, 2));
    assert!(fixture.handle("batch.completed").await.unwrap().terminal, "the event says that it is over");
}

#[tokio::test]
async fn an_unknown_batch_is_a_normal_outcome() {
    let fixture = Fixture::with(json!({})).await;
    fixture.server.reply_at(&format!("/v1/batches/{ID}"), Reply::status(404));
    let outcome = fixture.handle("batch.completed").await.unwrap();
    assert_eq!((outcome.status.as_str(), outcome.terminal, outcome.alert), ("not_found", false, None));
    assert_eq!(fixture.s3.keys(), Vec::<String>::new());
}

#[tokio::test]
async fn a_refusal_by_openai_is_a_failure_of_its_class() {
    let fixture = Fixture::with(json!({"output_file_id": "file-out"})).await;
    fixture.file("file-out", &[success("row-1")]);
    for path in ["/v1/batches/batch_1", "/v1/files/file-out", "/v1/files/file-out/content"] {
        let before = fixture.server.reply_at(path, Reply::status(429).header("retry-after", "7")).unwrap();
        assert_eq!(retry(fixture.handle("batch.completed").await).0, Some(Duration::from_secs(7)), "{path}");
        fixture.server.reply_at(path, Reply::status(401));
        assert_eq!(permanent(fixture.handle("batch.completed").await).0, HandlerError::UNAUTHORIZED, "{path}");
        fixture.server.reply_at(path, before);
    }
    assert_eq!(fixture.s3.keys(), Vec::<String>::new());
    fixture.handle("batch.completed").await.unwrap();
}

#[tokio::test]
async fn a_download_that_breaks_off_changes_nothing() {
    let fixture = Fixture::with(json!({"output_file_id": "file-out"})).await;
    fixture.file("file-out", &[success("row-1")]);
    fixture.handle("batch.completed").await.unwrap();
    let before = (fixture.stored("output.jsonl"), fixture.stored("summary.json"));

    // 20 MiB are two complete parts, which are at S3 when the connection breaks.
    let long = vec![b'x'; 20 * 1024 * 1024];
    fixture.server.reply_at("/v1/files/file-out", Reply::json(&json!({"id": "file-out", "bytes": long.len() + 1})));
    fixture.server.reply_at("/v1/files/file-out/content", Reply::cut(long));
    let (_, message) = retry(fixture.handle("batch.completed").await);
    assert!(message.contains("broke off"), "{message}");
    assert_eq!((fixture.stored("output.jsonl"), fixture.stored("summary.json")), before);
    assert!(fixture.s3.requests().iter().any(|request| request == "part"));
    assert!(fixture.s3.most_parts_under_way() <= 2);
    assert_eq!(fixture.s3.open_uploads(), 0);
}

#[tokio::test]
async fn a_file_of_another_length_than_announced_is_not_stored() {
    for announced in [0, 5, 1_000_000] {
        let fixture = Fixture::with(json!({"output_file_id": "file-out"})).await;
        fixture.file("file-out", &[success("row-1")]);
        fixture.server.reply_at("/v1/files/file-out", Reply::json(&json!({"id": "file-out", "bytes": announced})));
        let (_, message) = retry(fixture.handle("batch.completed").await);
        assert!(message.contains(&format!("has {announced} bytes, but")), "{message}");
        assert_eq!(fixture.s3.keys(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_file_without_an_announced_length_is_stored() {
    let fixture = Fixture::with(json!({"output_file_id": "file-out"})).await;
    fixture.file("file-out", &[success("row-1")]);
    fixture.server.reply_at("/v1/files/file-out", Reply::json(&json!({"id": "file-out"})));
    assert_eq!(fixture.handle("batch.completed").await.unwrap().artifacts.len(), 2);
}

#[tokio::test]
async fn a_file_that_is_gone_is_permanent_and_the_other_is_stored() {
    let fixture = Fixture::with(json!({"output_file_id": "file-out", "error_file_id": "file-err"})).await;
    fixture.file("file-err", &[refused("row-1")]);
    let (reason, message) = permanent(fixture.handle("batch.completed").await);
    assert_eq!(reason, "file_gone");
    assert!(message.contains("no file file-out (for batch/batch_1/output.jsonl) any more"), "{message}");
    assert_eq!(fixture.s3.keys(), ["batch/batch_1/errors.jsonl"]);
}

#[tokio::test]
async fn a_refusal_by_s3_is_retried() {
    for kind in ["put", "begin"] {
        let fixture = Fixture::with(json!({"output_file_id": "file-out"})).await;
        fixture.file("file-out", &[success("row-1")]);
        if kind == "begin" {
            let long = vec![b'x'; 20 * 1024 * 1024];
            fixture.server.reply_at("/v1/files/file-out", Reply::json(&json!({"id": "file-out", "bytes": long.len()})));
            fixture.server.reply_at("/v1/files/file-out/content", Reply::new(200, long));
        }
        fixture.s3.refuse(kind, 403, "AccessDenied");
        let (_, message) = retry(fixture.handle("batch.completed").await);
        assert!(message.contains("AccessDenied"), "{message}");
    }
}

#[tokio::test]
async fn lines_that_are_not_json_are_stored_and_counted() {
    let fixture = Fixture::with(json!({"output_file_id": "file-out"})).await;
    let text = format!("{}\n{{\"id\": \"r\", \"cust\n\u{fffd}\n{}", success("row-1"), success("row-2"));
    fixture.server.reply_at("/v1/files/file-out", Reply::json(&json!({"id": "file-out", "bytes": text.len()})));
    fixture.server.reply_at("/v1/files/file-out/content", Reply::new(200, text.clone()));
    let outcome = fixture.handle("batch.completed").await.unwrap();
    assert_eq!(fixture.stored("output.jsonl").unwrap(), text);
    let lines = &outcome.summary["lines"];
    assert_eq!((&lines["lines"], &lines["succeeded"], &lines["malformed"]), (&json!(4), &json!(2), &json!(2)));
}

#[tokio::test]
async fn an_event_without_a_usable_id_is_permanent() {
    let fixture = Fixture::with(json!({})).await;
    let event = |data: Value| json!({"id": "evt_1", "type": "batch.completed", "data": data});
    assert_eq!(permanent(fixture.handle_event(&event(json!({}))).await).0, "no_object");
    for id in ["../secrets", "a/b", "."] {
        assert_eq!(permanent(fixture.handle_event(&event(json!({"id": id}))).await).0, "unusable_id", "{id}");
    }
    assert_eq!(fixture.server.requests().len(), 0);
}

#[test]
fn every_fault_of_the_environment_is_reported() {
    let environment = Environment::of([("ALERT_FAILED_SHARE", "1.5")]);
    let faults = Harness::new(Category::Batch, environment, BatchHandler::from_setup).err().unwrap().to_string();
    for fault in
        ["ALERT_FAILED_SHARE is not a number from 0 to 1", "BUCKET_NAME is not set", "OPENAI_BASE_URL is not set"]
    {
        assert!(faults.contains(fault), "{faults}");
    }
}
