//! Sidebands, with a WebSocket server that plays a session.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use hooks_openai::{
    AttachError, CallApi, CloseReason, Command, Confirmation, EventKind, Item, MAX_EVENT_BYTES, ServerEvent,
    SidebandError,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::{Message, protocol::CloseFrame};

use crate::server::{client_at, soon};
use crate::sideband_server::{Session, attached, refusal};

const WITHIN: Duration = Duration::from_secs(10);

fn said(text: &str) -> Value {
    json!({"type": "session.output_transcript.delta", "event_id": text, "delta": text, "start_ms": 0, "end_ms": 9})
}

fn words(event: &ServerEvent) -> &str {
    match &event.kind {
        EventKind::Transcript(transcript) => transcript.text.as_str(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn each_api_has_its_address_and_gets_the_key_and_no_beta_header() {
    for (api, target) in [
        (CallApi::Live, "/v1/live/sessions/live_1/attach?graceful_close=true"),
        (CallApi::Realtime, "/v1/realtime?call_id=rtc_1"),
    ] {
        let (_session, sideband, control) = attached(api).await;
        assert_eq!(control.target, target);
        assert_eq!(control.headers["authorization"], "Bearer sk-local");
        assert!(control.headers["user-agent"].to_str().unwrap().starts_with("openai-webhooks/"));
        assert!(!control.headers.contains_key("openai-beta"));
        assert_eq!((sideband.api(), sideband.id()), (api, if api == CallApi::Live { "live_1" } else { "rtc_1" }));
    }
}

#[tokio::test]
async fn each_refusal_has_its_name() {
    let session = Session::start().await;
    let attach = async |answer: String| {
        let (refused, ()) =
            tokio::join!(session.client.attach(CallApi::Live, "live_1", soon()), session.refuse(&answer));
        refused.unwrap_err()
    };
    let gone = r#"{"error": {"code": "session_id_not_found", "message": "No session."}}"#;
    let error = attach(refusal("404 Not Found", gone)).await;
    assert!(matches!(error, AttachError::NoSession(_)), "{error:?}");
    let shown = error.to_string();
    assert!(shown.contains("session_id_not_found: No session. (request req_7)"), "{shown}");
    assert!(matches!(attach(refusal("409 Conflict", "")).await, AttachError::Occupied(_)));
    assert!(matches!(attach(refusal("401 Unauthorized", "")).await, AttachError::Unauthorized(_)));
    assert!(matches!(attach(refusal("400 Bad Request", "")).await, AttachError::Refused(_)));
    for passing in
        [refusal("503 Unavailable", "<html>"), refusal("429 Too Many", ""), "nonsense".to_owned(), String::new()]
    {
        assert!(attach(passing.clone()).await.is_retryable(), "{passing:?}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_or_silent_is_a_network_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = client_at(listener.local_addr().unwrap().port());
    let hurry = soon() - WITHIN + Duration::from_millis(50);
    let silent = client.attach(CallApi::Live, "live_1", hurry).await.unwrap_err();
    assert!(silent.is_retryable() && silent.to_string().contains("timed out"), "{silent}");
    drop(listener);
    let absent = client.attach(CallApi::Live, "live_1", soon()).await.unwrap_err();
    assert!(absent.is_retryable(), "{absent}");
}

#[tokio::test]
async fn an_id_that_would_make_another_address_is_not_sent() {
    let client = client_at(1);
    for api in [CallApi::Live, CallApi::Realtime] {
        for id in ["", "../x", "a/b", "a?b", "a b", "a&model=x"] {
            let error = client.attach(api, id, soon()).await.unwrap_err();
            assert!(matches!(error, AttachError::Refused(_)), "{id:?}: {error}");
        }
    }
}

#[tokio::test]
async fn events_come_in_order_and_audio_is_only_counted() {
    let (_session, mut sideband, mut control) = attached(CallApi::Live).await;
    let audio = json!({"type": "session.input_audio.append", "audio": "UklG".repeat(2000)}).to_string();
    let reflected = json!({"audio": "UklG".repeat(2000), "type": "session.input_audio.append"}).to_string();
    control.send(said("one")).await;
    for _ in 0..50 {
        control.send_text(&audio).await;
        control.send_text(&reflected).await;
    }
    control.send(said("two")).await;
    let one = sideband.next().await.unwrap().unwrap();
    assert_eq!((words(&one), one.id.as_deref()), ("one", Some("one")));
    assert_eq!(words(&sideband.next().await.unwrap().unwrap()), "two");
    let skipped = sideband.skipped_audio();
    assert_eq!(skipped.messages, 100);
    assert_eq!(skipped.bytes, 50 * (audio.len() + reflected.len()) as u64);
}

#[tokio::test]
async fn a_request_waits_for_its_own_confirmation_and_keeps_what_comes_before() {
    let (_session, mut sideband, mut control) = attached(CallApi::Live).await;
    let server = tokio::spawn(async move {
        let event = control.receive().await;
        control.send(said("one")).await;
        let other = json!({"type": "session.commentary.appended", "event_id": "e", "client_event_id": "cmd_other"});
        control.send(other).await;
        let own = json!({"type": "session.commentary.appended", "event_id": "f", "client_event_id": event["event_id"]});
        control.send(own).await;
        control.send(said("two")).await;
        (control, event)
    });
    let confirmed = sideband.request(Command::Say("Hello!".into()), WITHIN).await.unwrap();
    let (_control, asked) = server.await.unwrap();
    assert_eq!(asked["type"], "session.commentary.append");
    let Confirmation::Confirmed(event) = confirmed else { panic!("{confirmed:?}") };
    assert_eq!(event.id.as_deref(), Some("f"));
    assert_eq!(words(&sideband.next().await.unwrap().unwrap()), "one");
    assert_eq!(sideband.next().await.unwrap().unwrap().answers.as_deref(), Some("cmd_other"));
    assert_eq!(words(&sideband.next().await.unwrap().unwrap()), "two");
}

#[tokio::test]
async fn a_refusal_is_found_by_the_id_of_its_command_in_both_apis() {
    for (api, member) in [(CallApi::Live, "client_event_id"), (CallApi::Realtime, "event_id")] {
        let (_session, mut sideband, mut control) = attached(api).await;
        let server = tokio::spawn(async move {
            let event = control.receive().await;
            let error =
                json!({"type": "invalid_request_error", "code": "bad", "message": "No sk-secret, no.", "param": "x"});
            let mut answer = json!({"type": "error", "event_id": "e", "error": error});
            answer["error"][member] = event["event_id"].clone();
            control.send(json!({"type": "error", "event_id": "d", "error": {"message": "Of nobody."}})).await;
            control.send(answer).await;
            control
        });
        let error = sideband.request(Command::Respond, WITHIN).await.unwrap_err();
        assert_eq!(error.to_string(), "OpenAI refused: bad: No sk-***, no. (x)");
        let _control = server.await.unwrap();
        let nobodys = sideband.next().await.unwrap().unwrap();
        assert!(matches!(nobodys.kind, EventKind::Error(_)) && nobodys.answers.is_none(), "{nobodys:?}");
    }
}

/// Realtime gives no id back; a confirmation is known by what the client chose, or by its kind.
#[tokio::test]
async fn realtime_confirms_by_what_the_client_chose_or_by_kind() {
    let (_session, mut sideband, mut control) = attached(CallApi::Realtime).await;
    let server = tokio::spawn(async move {
        let update = control.receive().await;
        assert_eq!(update["session"], json!({"type": "realtime", "instructions": "Be brief."}));
        control.send(json!({"type": "session.updated", "session": {"instructions": "Be brief."}})).await;

        let item = control.receive().await;
        control.send(json!({"type": "conversation.item.added", "item": {"id": "item_of_another"}})).await;
        control.send(json!({"type": "conversation.item.added", "item": {"id": item["item"]["id"]}})).await;

        let respond = control.receive().await;
        control.send(json!({"type": "response.created", "response": {"id": "resp_another", "metadata": null}})).await;
        let metadata = &respond["response"]["metadata"];
        control.send(json!({"type": "response.created", "response": {"id": "resp_own", "metadata": metadata}})).await;

        let _cancel = control.receive().await;
        control.send(json!({"type": "response.done", "response": {"status": "completed"}})).await;
        control.send(json!({"type": "response.done", "response": {"status": "cancelled"}})).await;

        for confirmed in ["input_audio_buffer.committed", "input_audio_buffer.cleared", "output_audio_buffer.cleared"] {
            let _ = control.receive().await;
            control.send(json!({"type": confirmed})).await;
        }
        control
    });
    let change = json!({"instructions": "Be brief."}).as_object().unwrap().clone();
    let result = Item::FunctionResult { call_id: "call_1".to_owned(), output: "{}".into() };
    let commands = [
        Command::Update(change),
        Command::Add(result),
        Command::Respond,
        Command::CancelResponse { response_id: None },
        Command::CommitAudio,
        Command::ClearAudio,
        Command::ClearOutput,
    ];
    for command in commands {
        let name = command.name();
        let Confirmation::Confirmed(event) = sideband.request(command, WITHIN).await.unwrap() else { panic!("{name}") };
        assert!(event.answers.is_some(), "{name}");
        if let EventKind::ResponseCreated { response_id, .. } = event.kind {
            assert_eq!(response_id.as_deref(), Some("resp_own"));
        }
    }
    let _control = server.await.unwrap();
    for _ in 0..3 {
        assert_eq!(sideband.next().await.unwrap().unwrap().answers, None, "the events of others are kept");
    }
}

#[tokio::test]
async fn a_command_without_confirmation_is_not_refused_or_unconfirmed() {
    let (_session, mut sideband, mut control) = attached(CallApi::Live).await;
    let result = Item::FunctionResult { call_id: "call_1".to_owned(), output: "{}".into() };
    let never = sideband.request(Command::Add(result), WITHIN).await.unwrap();
    assert_eq!(never, Confirmation::NotRefused);
    let late = sideband.request(Command::Mute, Duration::from_millis(20)).await.unwrap_err();
    assert!(matches!(late, SidebandError::Unconfirmed(_)), "{late}");
    // It comes after all, and says whose it is.
    assert_eq!(control.receive().await["type"], "response.item.create");
    control.confirm_as("session.input_audio.muted").await;
    assert!(sideband.next().await.unwrap().unwrap().answers.is_some());
}

#[tokio::test]
async fn a_flood_while_a_command_waits_is_bounded_and_not_lost() {
    let (_session, mut sideband, mut control) = attached(CallApi::Live).await;
    let server = tokio::spawn(async move {
        for number in 0..1100 {
            control.send(said(&number.to_string())).await;
        }
        control
    });
    let error = sideband.request(Command::Mute, WITHIN).await.unwrap_err();
    assert!(matches!(error, SidebandError::Unconfirmed(_)), "{error}");
    for number in 0..1100 {
        assert_eq!(words(&sideband.next().await.unwrap().unwrap()), number.to_string());
    }
    let _control = server.await.unwrap();
}

#[tokio::test]
async fn a_command_that_an_api_does_not_have_is_not_sent() {
    let (_session, mut sideband, mut control) = attached(CallApi::Realtime).await;
    let error = sideband.send(Command::Mute).await.unwrap_err();
    assert_eq!(error.to_string(), "the realtime API has no command to mute the caller");
    let huge = Command::Instruct("x".repeat(300_000).into());
    assert!(matches!(sideband.send(huge).await.unwrap_err(), SidebandError::TooLarge { .. }));
    let id = sideband.send(Command::ClearAudio).await.unwrap();
    assert_eq!(control.receive().await, json!({"type": "input_audio_buffer.clear", "event_id": id}));
}

#[tokio::test]
async fn hostile_messages_are_told_and_end_nothing() {
    let (_session, mut sideband, mut control) = attached(CallApi::Live).await;
    let deep = format!(r#"{{"type": "session.closed", "reason": {}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    control.socket.send(Message::Binary(vec![0, 1, 2].into())).await.unwrap();
    for text in ["", "null", "[]", "{", "{\"type\": 7}", "{}", r#"{"type": "shiny.new", "event_id": []}"#] {
        control.send_text(text).await;
    }
    control.send_text(r#"{"type": "session.usage.updated", "usage": {"seconds": "many"}}"#).await;
    control.send_text(r#"{"type": "session.delegation.created", "delegation": "d"}"#).await;
    control.send_text(&deep).await;
    let mut kinds = Vec::new();
    for _ in 0..10 {
        kinds.push(sideband.next().await.unwrap().unwrap().kind);
    }
    let unreadable = |bytes, reason| EventKind::Unreadable { bytes, reason };
    let other = |name: &str| EventKind::Other { name: name.to_owned() };
    let expected = [
        unreadable(3, "binary"),
        unreadable(0, "not JSON"),
        unreadable(4, "not an object"),
        unreadable(2, "not an object"),
        unreadable(1, "not JSON"),
        unreadable(11, "without a type"),
        unreadable(2, "without a type"),
        other("shiny.new"),
        EventKind::Usage { seconds: None, context_ratio: None },
        other("session.delegation.created"),
    ];
    assert_eq!(kinds, expected);
    let closed = sideband.next().await.unwrap().unwrap().kind;
    assert_eq!(closed, EventKind::Closed { reason: CloseReason::Other(String::new()), seconds: None });
}

#[tokio::test]
async fn what_makes_a_connection_unusable_is_an_error_and_the_next_connection_goes_on() {
    let huge = "x".repeat(MAX_EVENT_BYTES + 1);
    let text =
        |payload: &[u8], is_final| Message::Frame(Frame::message(payload.to_vec(), OpCode::Data(Data::Text), is_final));
    let more = |payload: &[u8]| Message::Frame(Frame::message(payload.to_vec(), OpCode::Data(Data::Continue), false));
    let endless: Vec<_> =
        std::iter::once(text(b"{", false)).chain((0..40).map(|_| more(&huge.as_bytes()[..65_536]))).collect();
    for (frames, reason) in [
        (vec![Message::text(huge.clone())], "longer than"),
        (endless, "longer than"),
        (vec![text(b"\"\xff\"", true)], "UTF-8"),
        (vec![more(b"{}")], "protocol error"),
    ] {
        let (session, mut sideband, mut control) = attached(CallApi::Live).await;
        let server = tokio::spawn(async move {
            for frame in frames {
                // The client may hang up before the last one.
                let _ = control.socket.send(frame).await;
            }
        });
        let error = sideband.next().await.unwrap().unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
        assert!(sideband.next().await.unwrap().is_err(), "the session goes on");
        server.await.unwrap();
        let (gap, mut control) = tokio::join!(sideband.reconnect(soon()), session.accept());
        gap.unwrap();
        control.send(said("on")).await;
        assert_eq!(words(&sideband.next().await.unwrap().unwrap()), "on");
    }
}

#[tokio::test]
async fn a_loss_that_a_command_noticed_does_not_end_the_session() {
    for api in [CallApi::Live, CallApi::Realtime] {
        let (session, mut sideband, mut control) = attached(api).await;
        control.socket.close(None).await.unwrap();
        let refused = sideband.request(Command::Say("Hello".into()), Duration::from_secs(3)).await;
        assert!(matches!(refused, Err(SidebandError::Disconnected(_))), "{refused:?}");
        assert!(matches!(sideband.next().await, Some(Err(SidebandError::Disconnected(_)))));
        let (gap, _control) = tokio::join!(sideband.reconnect(soon()), session.accept());
        gap.unwrap();
    }
}

#[tokio::test]
async fn a_live_session_ends_with_its_last_event_and_without_one_with_an_error() {
    let (_session, mut sideband, mut control) = attached(CallApi::Live).await;
    control.send(json!({"type": "session.closed", "reason": "remote_hangup", "usage": {"seconds": 61.0}})).await;
    control.socket.close(None).await.unwrap();
    let closed = sideband.next().await.unwrap().unwrap().kind;
    assert_eq!(closed, EventKind::Closed { reason: CloseReason::RemoteHangup, seconds: Some(61) });
    assert!(sideband.next().await.is_none());
    assert!(sideband.send(Command::Mute).await.is_err());

    let (session, mut sideband, mut control) = attached(CallApi::Realtime).await;
    let frame = CloseFrame { code: CloseCode::Normal, reason: "call over".into() };
    control.socket.close(Some(frame)).await.unwrap();
    let error = sideband.next().await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "the sideband is disconnected: closed with 1000 call over");
    let gone = refusal("404 Not Found", r#"{"error": {"code": "call_id_not_found"}}"#);
    let (ended, ()) = tokio::join!(sideband.reconnect(soon()), session.refuse(&gone));
    assert!(matches!(ended.unwrap_err(), AttachError::NoSession(_)));
}

#[tokio::test]
async fn a_gap_tells_what_may_be_missed_and_repeated_events_are_told_once() {
    let (session, mut sideband, mut control) = attached(CallApi::Live).await;
    control.send(said("one")).await;
    control.send(said("two")).await;
    assert_eq!(words(&sideband.next().await.unwrap().unwrap()), "one");
    assert_eq!(words(&sideband.next().await.unwrap().unwrap()), "two");
    let sent = sideband.send(Command::Mute).await.unwrap();
    drop(control);
    assert!(sideband.next().await.unwrap().is_err());
    let unavailable = refusal("503 Unavailable", "");
    let (gap, mut control) = tokio::join!(sideband.reconnect(soon()), async {
        session.refuse(&unavailable).await;
        session.accept().await
    });
    let gap = gap.unwrap();
    assert_eq!((gap.last_event.as_deref(), gap.unconfirmed, gap.attempts), (Some("two"), vec![sent], 2));
    for text in ["two", "three", "two"] {
        control.send(said(text)).await;
    }
    assert_eq!(words(&sideband.next().await.unwrap().unwrap()), "three");
    // Each is expected again once: an id that comes once more is another event.
    assert_eq!(words(&sideband.next().await.unwrap().unwrap()), "two");
}

#[tokio::test]
async fn reconnecting_ends_at_the_deadline() {
    let (session, mut sideband, control) = attached(CallApi::Live).await;
    drop((session, control));
    let hurry = soon() - WITHIN + Duration::from_millis(300);
    assert!(sideband.reconnect(hurry).await.unwrap_err().is_retryable());
}

#[tokio::test]
async fn a_server_that_falls_silent_is_noticed() {
    let (_session, mut sideband, _control) = attached(CallApi::Live).await;
    tokio::time::pause();
    let error = sideband.next().await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "the sideband is disconnected: the server is silent");
}

#[tokio::test]
async fn a_server_that_answers_pings_is_not_silent() {
    let (_session, mut sideband, mut control) = attached(CallApi::Live).await;
    let server = tokio::spawn(async move {
        for _ in 0..3 {
            while !matches!(control.socket.next().await.unwrap().unwrap(), Message::Ping(_)) {}
        }
        control.send(said("there")).await;
        control
    });
    tokio::time::pause();
    assert_eq!(words(&sideband.next().await.unwrap().unwrap()), "there");
    let _control = server.await.unwrap();
}

#[tokio::test]
async fn a_wait_that_is_dropped_loses_nothing() {
    let (_session, mut sideband, mut control) = attached(CallApi::Live).await;
    for number in 0..20 {
        let text = said(&number.to_string()).to_string();
        let (begin, end) = text.split_at(text.len() / 2);
        let part = |text: &str, code, is_final| {
            Message::Frame(Frame::message(text.as_bytes().to_vec(), OpCode::Data(code), is_final))
        };
        control.socket.send(part(begin, Data::Text, false)).await.unwrap();
        let dropped = tokio::time::timeout(Duration::from_millis(5), sideband.next()).await;
        assert!(dropped.is_err());
        control.socket.send(part(end, Data::Continue, true)).await.unwrap();
        assert_eq!(words(&sideband.next().await.unwrap().unwrap()), number.to_string());
    }
}

#[tokio::test]
async fn detaching_leaves_the_session_and_says_goodbye() {
    let (_session, sideband, mut control) = attached(CallApi::Live).await;
    sideband.detach().await;
    assert!(matches!(control.socket.next().await, Some(Ok(Message::Close(_)))));
}

#[tokio::test]
async fn nothing_that_was_said_is_shown_by_debug() {
    let (_session, mut sideband, mut control) = attached(CallApi::Live).await;
    control.send(json!({"type": "session.input_transcript.delta", "delta": "my card is 4711"})).await;
    control.send(json!({"type": "transport.dtmf.received", "event": "4711"})).await;
    let item = json!({"type": "function_call", "call_id": "c", "name": "pay", "arguments": "{\"card\": 4711}"});
    control.send(json!({"type": "response.event", "event": {"type": "response.output_item.done", "item": item}})).await;
    for _ in 0..3 {
        let shown = format!("{:?}", sideband.next().await.unwrap().unwrap());
        assert!(!shown.contains("4711"), "{shown}");
    }
    let command = Command::Add(Item::UserText("4711".into()));
    assert!(!format!("{command:?} {sideband:?}").contains("4711"));
    assert!(!format!("{:?}", Item::UserText("4711".into())).contains("4711"));
}
