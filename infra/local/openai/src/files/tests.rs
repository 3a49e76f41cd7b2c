use serde_json::json;

use crate::testing::Server;

async fn upload(server: &Server, fields: &[(&str, &str)]) -> crate::testing::Answer {
    server.request("POST", "/v1/files").form(fields).send().await
}

#[tokio::test]
async fn an_uploaded_file_can_be_read_again() {
    let server = Server::start().await;
    let file = upload(&server, &[("purpose", "batch"), ("file", "one\ntwo\n")]).await.json();
    assert_eq!(
        (&file["object"], &file["bytes"], &file["filename"]),
        (&"file".into(), &8.into(), &"input.jsonl".into())
    );
    let id = file["id"].as_str().unwrap();
    assert_eq!(server.get(&format!("/v1/files/{id}")).await.json(), file);
    let content = server.get(&format!("/v1/files/{id}/content")).await;
    assert_eq!(content.body, "one\ntwo\n");
    assert_eq!(content.headers["content-length"], "8");
}

#[tokio::test]
async fn batch_files_expire_after_30_days_and_others_never() {
    let server = Server::start().await;
    let life = async |purpose| {
        let file = upload(&server, &[("purpose", purpose), ("file", "x")]).await.json();
        file["expires_at"].as_i64().map(|at| at - file["created_at"].as_i64().unwrap())
    };
    assert_eq!(life("batch").await, Some(30 * 24 * 3600));
    assert_eq!(life("user_data").await, None);
}

#[tokio::test]
async fn a_file_lives_as_long_as_asked_for() {
    let server = Server::start().await;
    let ask = async |seconds| {
        upload(&server, &[("purpose", "evals"), ("expires_after[seconds]", seconds), ("file", "x")]).await
    };
    let file = ask("3600").await.json();
    assert_eq!(file["expires_at"].as_i64().unwrap() - file["created_at"].as_i64().unwrap(), 3600);
    assert_eq!(ask("3599").await.status, 400);
}

#[tokio::test]
async fn an_upload_without_a_known_purpose_is_refused() {
    let server = Server::start().await;
    let missing = upload(&server, &[("file", "x")]).await;
    assert_eq!(
        (missing.status.as_u16(), &missing.json()["error"]["code"]),
        (400, &"missing_required_parameter".into())
    );
    let unknown = upload(&server, &[("purpose", "fun"), ("file", "x")]).await;
    assert_eq!((unknown.status.as_u16(), &unknown.json()["error"]["param"]), (400, &"purpose".into()));
}

#[tokio::test]
async fn a_deleted_file_is_gone() {
    let server = Server::start().await;
    let path = format!("/v1/files/{}", server.upload("x").await);
    assert_eq!(server.delete(&path).await.json()["deleted"], true);
    for path in [&path, &format!("{path}/content")] {
        assert_eq!(server.get(path).await.status, 404);
    }
}

#[tokio::test]
async fn files_are_listed_newest_first_by_purpose_and_in_pages() {
    let server = Server::start().await;
    let (first, second) = (server.upload("1").await, server.upload("2").await);
    upload(&server, &[("purpose", "evals"), ("file", "x")]).await;
    let page = server.get("/v1/files?purpose=batch&limit=1").await.json();
    assert_eq!((&page["data"][0]["id"], &page["has_more"]), (&second.clone().into(), &true.into()));
    let page = server.get(&format!("/v1/files?purpose=batch&after={second}")).await.json();
    assert_eq!((&page["first_id"], &page["has_more"]), (&first.into(), &false.into()));
    assert_eq!(server.get("/v1/files?limit=0").await.status, 400);
}

#[tokio::test]
async fn a_registered_file_holds_its_text() {
    let server = Server::start().await;
    let file = server.post("/_control/files", json!({ "text": "a\n" })).await.json();
    assert_eq!(file["purpose"], "batch_output");
    assert_eq!(server.get(&format!("/v1/files/{}/content", file["id"].as_str().unwrap())).await.body, "a\n");
}

#[tokio::test]
async fn a_generated_file_announces_and_serves_all_its_bytes() {
    let server = Server::start().await;
    let file = server.post("/_control/files", json!({ "line": "0123456", "lines": 50_000 })).await.json();
    assert_eq!(file["bytes"], 400_000);
    let content = server.get(&format!("/v1/files/{}/content", file["id"].as_str().unwrap())).await;
    assert_eq!((content.headers["content-length"].to_str().unwrap(), content.body.len()), ("400000", 400_000));
}

#[tokio::test]
async fn a_registration_with_half_its_fields_says_what_is_needed() {
    let server = Server::start().await;
    let answer = server.post("/_control/files", json!({ "line": "x" })).await;
    assert_eq!(answer.status, 400);
    assert!(answer.json()["error"].as_str().unwrap().contains("\"lines\""));
}
