//! Agents and safety notices.

use serde_json::json;

use crate::server::{answer, client_of, client_of_json, soon};

#[tokio::test]
async fn each_call_has_its_path_and_agents_the_beta_header() {
    let client = client_of(|request| {
        let beta = request.header("openai-beta").unwrap_or("none");
        let id = format!("{} {beta}", request.target());
        answer(200, &[], json!({"id": id, "status": "s", "data": [{"id": id, "status": "s"}]}).to_string())
    })
    .await;
    let beta = "agents=v1";
    assert_eq!(client.agent_session("s_1", soon()).await.unwrap().id, format!("/v1/agents/sessions/s_1 {beta}"));
    assert_eq!(
        client.last_agent_turn("s_1", soon()).await.unwrap().unwrap().id,
        format!("/v1/agents/sessions/s_1/turns?order=desc&limit=1 {beta}")
    );
    assert_eq!(
        client.agent_environment("e_1", soon()).await.unwrap().id,
        format!("/v1/agents/environments/e_1 {beta}")
    );
    assert_eq!(client.safety_alert("alert_1", soon()).await.unwrap().id, "/v1/safety/alerts/alert_1 none");
    assert_eq!(client.safety_case("C-1", soon()).await.unwrap().id, "/v1/safety/cases/C-1 none");
}

#[tokio::test]
async fn a_session_with_unknown_fields_is_read() {
    let session = json!({
        "id": "sess_1", "status": "dreaming", "error": {"odd": 1}, "environment": {"type": "lunar", "id": 7},
        "required_actions": [{"type": "dance"}], "created_at": "x", "last_active_at": 1_795_219_200, "new": [{}],
    });
    let read = client_of_json(session.clone()).await.agent_session("sess_1", soon()).await.unwrap();
    assert_eq!((read.status.as_str(), &read.error, &read.environment_id), ("dreaming", &None, &None));
    assert_eq!((read.environment_type.as_deref(), read.created_at), (Some("lunar"), None));
    assert_eq!((read.required_actions().len(), read.last_active_at), (1, Some(1_795_219_200)));
    assert_eq!(read.required_actions()[0].value(), Some(json!({"type": "dance"})));
    assert_eq!(read.json, session.to_string());
    let bare =
        client_of_json(json!({"id": "sess_1", "status": "idle", "environment": 7, "required_actions": null})).await;
    assert!(bare.agent_session("sess_1", soon()).await.unwrap().required_actions().is_empty());
}

#[tokio::test]
async fn the_newest_turn_is_read_if_there_is_one() {
    let error = json!({"code": "sandbox_error", "message": "Oh."});
    let page =
        json!({"object": "list", "data": [{"id": "turn_2", "status": "failed", "error": error}], "has_more": true});
    let turn = client_of_json(page).await.last_agent_turn("sess_1", soon()).await.unwrap().unwrap();
    assert_eq!((turn.id.as_str(), turn.status.as_str()), ("turn_2", "failed"));
    assert_eq!(turn.error, Some((Some("sandbox_error".to_owned()), Some("Oh.".to_owned()))));
    let none = client_of_json(json!({"data": []})).await;
    assert!(none.last_agent_turn("sess_1", soon()).await.unwrap().is_none());
}

#[tokio::test]
async fn notices_with_missing_or_new_fields_are_read() {
    let alert =
        json!({"id": "alert_1", "error_type": "newer", "request_paused": "perhaps", "model": null, "reason": 7});
    let read = client_of_json(alert.clone()).await.safety_alert("alert_1", soon()).await.unwrap();
    assert_eq!(
        (read.error_type.as_deref(), read.request_paused, read.model, read.reason),
        (Some("newer"), None, None, None)
    );
    assert_eq!(read.json, alert.to_string());
    let case = json!({"id": "C-1", "notice": {"type": "banishment"}, "entity_identifier": "user_7", "created_at": 5});
    let read = client_of_json(case).await.safety_case("C-1", soon()).await.unwrap();
    assert_eq!((read.notice.as_deref(), read.entity_identifier.as_deref()), (Some("banishment"), Some("user_7")));
    let bare =
        client_of_json(json!({"id": "C-1", "notice": "warning"})).await.safety_case("C-1", soon()).await.unwrap();
    assert_eq!((bare.notice, bare.created_at), (None, None));
}
