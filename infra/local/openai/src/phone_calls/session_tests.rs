//! Sessions, with the product's own client of sidebands.

use std::time::Duration;

use hooks_openai::{
    AttachError, CallApi, Client, ClientConfig, CloseReason, Command, Confirmation, EventKind, Item, ServerEvent, Side,
    Sideband, SidebandError,
};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::testing::Server;

const WITHIN: Duration = Duration::from_secs(10);
const BOTH: [CallApi; 2] = [CallApi::Live, CallApi::Realtime];

fn soon() -> Instant {
    Instant::now() + WITHIN
}

fn client(server: &Server) -> Client {
    let base_url = format!("http://{}/v1", server.address).parse().unwrap();
    Client::new(ClientConfig { base_url, api_key: "sk-test".parse().unwrap() }).unwrap()
}

/// A configuration with which the model calls tools.
fn config(api: CallApi) -> Value {
    match api {
        CallApi::Live => json!({"model": "gpt-live-1", "store": true,
            "delegation": {"type": "responses", "responses": {"model": "gpt-6-luna"}}}),
        CallApi::Realtime => json!({"model": "gpt-realtime-2.1"}),
    }
}

/// A call that rings, at a hundred times the speed of the clock unless its plan tells another: its id at this API.
async fn ringing(server: &Server, api: CallApi, mut plan: Value) -> String {
    if plan["speed"].is_null() {
        plan["speed"] = 100.into();
    }
    let answer = server.post("/_control/calls", json!({ "plan": plan })).await;
    let call = answer.json()["call"].clone();
    call[if api == CallApi::Live { "session_id" } else { "call_id" }].as_str().unwrap().to_owned()
}

async fn accept(server: &Server, api: CallApi, id: &str) {
    let session = config(api).as_object().unwrap().clone();
    client(server).accept_call(api, id, session, soon()).await.unwrap();
}

/// A call that was accepted and is controlled. Its script begins with the connection.
async fn controlled(server: &Server, api: CallApi, mut plan: Value) -> (String, Sideband) {
    let script = plan["script"].as_array_mut().unwrap();
    script.insert(0, json!({"await": "attach"}));
    let id = ringing(server, api, plan).await;
    accept(server, api, &id).await;
    let sideband = client(server).attach(api, &id, soon()).await.unwrap();
    (id, sideband)
}

async fn show(server: &Server, id: &str) -> Value {
    server.get(&format!("/_control/calls/{id}")).await.json()
}

/// The events up to the one that is wanted, which is the last.
async fn until(sideband: &mut Sideband, is_wanted: impl Fn(&EventKind) -> bool) -> Vec<ServerEvent> {
    let mut events = Vec::new();
    loop {
        let event = sideband.next().await.expect("the session goes on").unwrap();
        events.push(event);
        if is_wanted(&events.last().unwrap().kind) {
            return events;
        }
    }
}

/// The words of a side so far.
fn words(events: &[ServerEvent], side: Side) -> String {
    let words = events.iter().filter_map(|event| match &event.kind {
        EventKind::Transcript(transcript) if transcript.side == side && !transcript.done => Some(&*transcript.text),
        _ => None,
    });
    words.collect()
}

#[tokio::test]
async fn a_live_call_is_spoken_reflected_counted_and_closed() {
    let server = Server::start().await;
    let script = json!([{"caller": "Hello there"}, {"model": "Good morning to you"}, {"dtmf": "1#"}, {"wait": 20_000}, "hang_up"]);
    let (id, mut sideband) = controlled(&server, CallApi::Live, json!({"script": script})).await;
    let events = until(&mut sideband, |kind| matches!(kind, EventKind::Closed { .. })).await;
    assert!(matches!(&events[0].kind, EventKind::Started(state) if state.id.as_deref() == Some(&id)), "{events:?}");
    assert_eq!(words(&events, Side::Caller), "Hello there");
    assert_eq!(words(&events, Side::Model), "Good morning to you");
    let keys = events.iter().filter(|event| matches!(event.kind, EventKind::Dtmf(_))).count();
    let usage = events.iter().filter(|event| matches!(event.kind, EventKind::Usage { .. })).count();
    assert!(keys == 2 && usage >= 2, "{keys} {usage}");
    let EventKind::Closed { reason, seconds } = &events.last().unwrap().kind else { panic!() };
    assert_eq!(*reason, CloseReason::RemoteHangup);
    assert!(seconds.unwrap() >= 20, "{seconds:?}");
    assert!(sideband.next().await.is_none());
    assert!(sideband.skipped_audio().messages > 2);
    let shown = show(&server, &id).await;
    assert_eq!((&shown["state"], &shown["ended"]), (&"ended".into(), &"remote_hangup".into()));
    assert!(matches!(client(&server).attach(CallApi::Live, &id, soon()).await, Err(AttachError::NoSession(_))));

    let recording = server.get(&format!("/v1/live/sessions/{id}/content")).await;
    assert_eq!((recording.status.as_u16(), &recording.body[..4]), (200, &b"RIFF"[..]));
    assert_eq!(recording.body.len() as u64, 44 + 48_000 * shown["seconds"].as_u64().unwrap().min(60));
}

#[tokio::test]
async fn a_realtime_call_is_spoken_and_ends_with_its_connection() {
    let server = Server::start().await;
    let script = json!([{"caller": "Hello there"}, {"model": "Good morning to you"}, {"dtmf": "1#"}, "hang_up"]);
    let (id, mut sideband) = controlled(&server, CallApi::Realtime, json!({"script": script})).await;
    let mut events = Vec::new();
    let error = loop {
        match sideband.next().await.unwrap() {
            Ok(event) => events.push(event),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, SidebandError::Disconnected(_)));
    assert!(matches!(sideband.reconnect(soon()).await.unwrap_err(), AttachError::NoSession(_)));
    assert!(matches!(&events[0].kind, EventKind::Started(state) if state.model.as_deref() == Some("gpt-realtime-2.1")));
    assert_eq!(words(&events, Side::Caller), "Hello there");
    assert_eq!(words(&events, Side::Model), "Good morning to you");
    let at = |wanted: fn(&EventKind) -> bool| events.iter().position(|event| wanted(&event.kind)).unwrap();
    let order = [
        at(|kind| matches!(kind, EventKind::SpeechStarted)),
        at(|kind| matches!(kind, EventKind::SpeechStopped)),
        at(|kind| matches!(kind, EventKind::ResponseCreated { .. })),
        at(|kind| matches!(kind, EventKind::OutputStarted)),
        at(|kind| matches!(kind, EventKind::ResponseDone(done) if done.status == "completed" && done.usage.is_some())),
        at(|kind| matches!(kind, EventKind::OutputStopped)),
        at(|kind| matches!(kind, EventKind::Dtmf(_))),
    ];
    assert!(order.is_sorted(), "{order:?}");
    assert_eq!(show(&server, &id).await["ended"], "remote_hangup");
}

#[tokio::test]
async fn a_tool_call_waits_for_its_result_and_a_response_in_both_apis() {
    let server = Server::start().await;
    for api in BOTH {
        let tool =
            json!({"name": "look_up", "arguments": {"id": 7}, "call_id": "call_7", "copies": 2, "then": "It is blue."});
        let script = json!([{"tool": tool}, "hang_up"]);
        let (id, mut sideband) = controlled(&server, api, json!({"script": script})).await;
        let events = until(&mut sideband, |kind| matches!(kind, EventKind::ResponseDone(_))).await;
        let calls: Vec<_> = events.iter().filter(|event| matches!(event.kind, EventKind::ToolCall(_))).collect();
        assert_eq!(calls.len(), 2, "{api}: {events:?}");
        let EventKind::ToolCall(call) = &calls[0].kind else { panic!() };
        assert_eq!((call.call_id.as_str(), call.name.as_str(), &*call.arguments), ("call_7", "look_up", "{\"id\":7}"));
        assert_eq!(events.iter().any(|event| matches!(event.kind, EventKind::Delegation(_))), api == CallApi::Live);

        let result = |call_id: &str| Item::FunctionResult { call_id: call_id.to_owned(), output: "\"blue\"".into() };
        let unknown = sideband.request(Command::Add(result("call_8")), WITHIN).await.unwrap_err();
        assert!(unknown.to_string().contains("invalid_tool_call_id"), "{unknown}");
        sideband.request(Command::Add(result("call_7")), WITHIN).await.unwrap();
        let confirmed = sideband.request(Command::Respond, WITHIN).await.unwrap();
        assert!(matches!(confirmed, Confirmation::Confirmed(_)), "{confirmed:?}");
        let events = until(&mut sideband, |kind| match kind {
            EventKind::Transcript(transcript) => transcript.text.contains("blue."),
            _ => false,
        });
        assert_eq!(words(&events.await, Side::Model), "It is blue.");
        let shown = show(&server, &id).await;
        assert_eq!(shown["commands"].as_array().unwrap().len(), 3, "{shown}");
    }
}

#[tokio::test]
async fn commands_are_confirmed_or_refused_as_at_live() {
    let server = Server::start().await;
    let (_, mut sideband) = controlled(&server, CallApi::Live, json!({"script": []})).await;
    let object = |value: Value| value.as_object().unwrap().clone();
    let backend = json!({"delegation": {"type": "responses", "responses": {"instructions": "Be brief."}}});
    for command in [
        Command::Update(object(backend)),
        Command::Update(object(json!({"triggers": []}))),
        Command::Say("Hello!".into()),
        Command::Instruct("Be kind.".into()),
        Command::Think { text: "Hm.".into(), delegation_id: None },
        Command::Mute,
        Command::Unmute,
        Command::Respond,
        Command::Decide,
        Command::AddDecisionItem(object(json!({"type": "message", "role": "user"}))),
        Command::DeleteDecisionItem("item_1".to_owned()),
        Command::SendDtmf('#'),
        Command::Close,
    ] {
        let name = command.name();
        let confirmed = sideband.request(command, WITHIN).await.unwrap();
        assert!(matches!(confirmed, Confirmation::Confirmed(_)), "{name}: {confirmed:?}");
    }
    let (_, mut sideband) = controlled(&server, CallApi::Live, json!({"script": []})).await;
    for (command, code) in [
        (Command::Update(object(json!({"instructions": "Be brief."}))), "unknown_parameter"),
        (Command::Update(object(json!({"delegation": {"type": "client"}}))), "invalid_value"),
        (Command::Say(" ".into()), "missing_required_parameter"),
        (Command::Instruct("x".repeat(2_001).into()), "string_above_max_length"),
        (Command::Comment { text: "Done.".into(), delegation_id: Some("deleg_1".to_owned()) }, "invalid_value"),
    ] {
        let error = sideband.request(command, WITHIN).await.unwrap_err();
        assert!(error.to_string().contains(code), "{error}");
    }
}

#[tokio::test]
async fn commands_are_confirmed_or_refused_as_at_realtime() {
    let server = Server::start().await;
    let (_, mut sideband) = controlled(&server, CallApi::Realtime, json!({"script": []})).await;
    let object = |value: Value| value.as_object().unwrap().clone();
    let undetected = json!({"audio": {"input": {"turn_detection": null}}});
    for command in [
        Command::Update(object(json!({"instructions": "Be brief.", "tools": []}))),
        Command::Instruct("Be kind.".into()),
        Command::Add(Item::UserText("Hello?".into())),
        Command::Respond,
        Command::CancelResponse { response_id: None },
        Command::ClearAudio,
        Command::ClearOutput,
        Command::Update(object(undetected)),
    ] {
        let name = command.name();
        let confirmed = sideband.request(command, WITHIN).await.unwrap();
        assert!(matches!(confirmed, Confirmation::Confirmed(_)), "{name}: {confirmed:?}");
    }
    for (command, code) in [
        (Command::Update(object(json!({"model": "gpt-realtime"}))), "invalid_value"),
        (Command::CancelResponse { response_id: None }, "response_cancel_not_active"),
        (Command::CommitAudio, "input_audio_buffer_commit_empty"),
    ] {
        let error = sideband.request(command, WITHIN).await.unwrap_err();
        assert!(error.to_string().contains(code), "{error}");
    }
    let (id, mut sideband) = controlled(&server, CallApi::Realtime, json!({"script": [], "speed": 2})).await;
    let undetected = json!({"audio": {"input": {"turn_detection": null}}});
    sideband.request(Command::Update(object(undetected)), WITHIN).await.unwrap();
    server.post(&format!("/_control/calls/{id}/play"), json!([{"caller": "Hello"}])).await;
    until(&mut sideband, |kind| matches!(kind, EventKind::SpeechStopped)).await;
    let confirmed = sideband.request(Command::CommitAudio, WITHIN).await.unwrap();
    assert!(matches!(confirmed, Confirmation::Confirmed(_)), "{confirmed:?}");
    sideband.request(Command::Say("Hello!".into()), WITHIN).await.unwrap();
    let busy = sideband.request(Command::Respond, WITHIN).await.unwrap_err();
    assert!(busy.to_string().contains("conversation_already_has_active_response"), "{busy}");
    let events = until(&mut sideband, |kind| matches!(kind, EventKind::OutputStopped)).await;
    assert_eq!(words(&events, Side::Model), "Hello!");
    let voice = Command::Update(object(json!({"audio": {"output": {"voice": "cedar"}}})));
    let error = sideband.request(voice, WITHIN).await.unwrap_err();
    assert!(error.to_string().contains("cannot_update_voice"), "{error}");
}

#[tokio::test]
async fn a_caller_interrupts_the_model() {
    let server = Server::start().await;
    for api in BOTH {
        let barge_in = json!({"model": "I will now tell you a long story", "caller": "Stop it"});
        let (_, mut sideband) = controlled(&server, api, json!({"script": [{"barge_in": barge_in}]})).await;
        let events = until(&mut sideband, |kind| match kind {
            EventKind::Transcript(transcript) => transcript.side == Side::Caller && transcript.text.ends_with("it"),
            _ => false,
        });
        let events = events.await;
        assert_eq!(words(&events, Side::Model), "I will now tell");
        if api == CallApi::Realtime {
            let done = events.iter().find_map(|event| match &event.kind {
                EventKind::ResponseDone(done) => Some(done),
                _ => None,
            });
            let done = done.unwrap();
            assert_eq!((done.status.as_str(), done.reason.as_deref()), ("cancelled", Some("turn_detected")));
            assert!(events.iter().any(|event| event.kind == EventKind::OutputCleared));
        }
    }
}

#[tokio::test]
async fn a_session_ends_for_each_reason_and_may_say_nothing() {
    let server = Server::start().await;
    for reason in ["expired", "content", "connection_lost"] {
        let (_, mut sideband) = controlled(&server, CallApi::Live, json!({"script": [{"close": reason}]})).await;
        let events = until(&mut sideband, |kind| matches!(kind, EventKind::Closed { .. })).await;
        let EventKind::Closed { reason: read, .. } = &events.last().unwrap().kind else { panic!() };
        assert_eq!(read.as_str(), reason);
    }
    let plan = json!({"script": [], "expires_ms": 1_000});
    let (_, mut sideband) = controlled(&server, CallApi::Live, plan).await;
    let events = until(&mut sideband, |kind| matches!(kind, EventKind::Closed { .. })).await;
    assert!(matches!(&events.last().unwrap().kind, EventKind::Closed { reason: CloseReason::Expired, .. }));

    let plan = json!({"script": [], "last_event": false});
    let (id, mut sideband) = controlled(&server, CallApi::Live, plan).await;
    client(&server).hangup_call(CallApi::Live, &id, soon()).await.unwrap();
    let error = loop {
        if let Err(error) = sideband.next().await.unwrap() {
            break error;
        }
    };
    assert!(matches!(error, SidebandError::Disconnected(_)));
    assert_eq!(show(&server, &id).await["ended"], "close_requested");
}

#[tokio::test]
async fn a_late_connection_gets_the_last_events_again_and_an_early_one_the_first() {
    let server = Server::start().await;
    let plan = json!({"script": [{"model": "one"}, {"wait": 1_000_000}], "setup_ms": 0, "replay_ms": 500_000});
    let id = ringing(&server, CallApi::Live, plan).await;
    let early = client(&server).attach(CallApi::Live, &id, soon()).await;
    assert!(matches!(early, Err(AttachError::NoSession(_))), "it rings");
    accept(&server, CallApi::Live, &id).await;
    let mut first = client(&server).attach(CallApi::Live, &id, soon()).await.unwrap();
    let is_word = |kind: &EventKind| matches!(kind, EventKind::Transcript(_));
    until(&mut first, is_word).await;
    let mut second = client(&server).attach(CallApi::Live, &id, soon()).await.unwrap();
    assert_eq!(until(&mut second, is_word).await.len(), 2, "session.started, and the word");
    assert_eq!(show(&server, &id).await["connections"], 2);

    let plan = json!({"script": [{"model": "one"}, {"wait": 1_000_000}], "setup_ms": 0, "replay_ms": 0, "usage_every_ms": 100_000});
    let id = ringing(&server, CallApi::Live, plan).await;
    accept(&server, CallApi::Live, &id).await;
    while show(&server, &id).await["events"].as_array().unwrap().len() < 2 {}
    let mut late = client(&server).attach(CallApi::Live, &id, soon()).await.unwrap();
    let first = late.next().await.unwrap().unwrap();
    assert!(matches!(first.kind, EventKind::Usage { .. }), "{first:?}");
}

#[tokio::test]
async fn faults_of_the_connection_are_played() {
    let server = Server::start().await;
    for api in BOTH {
        let id = ringing(&server, api, json!({"not_found": 2, "second_attach": "refused"})).await;
        accept(&server, api, &id).await;
        for _ in 0..2 {
            let error = client(&server).attach(api, &id, soon()).await.unwrap_err();
            assert!(matches!(error, AttachError::NoSession(_)), "{error}");
        }
        let first = client(&server).attach(api, &id, soon()).await.unwrap();
        let error = client(&server).attach(api, &id, soon()).await.unwrap_err();
        assert!(matches!(error, AttachError::Occupied(_)), "{error}");
        first.detach().await;
        while show(&server, &id).await["connections"] != 0 {}
        client(&server).attach(api, &id, soon()).await.unwrap();

        let (id, mut first) = controlled(&server, api, json!({"script": [], "second_attach": "replaces"})).await;
        let _second = client(&server).attach(api, &id, soon()).await.unwrap();
        while first.next().await.unwrap().is_ok() {}

        let (gate, open) = match api {
            CallApi::Live => ("session.input_audio.mute", Command::Mute),
            CallApi::Realtime => ("input_audio_buffer.clear", Command::ClearAudio),
        };
        let script =
            json!([{"model": "one two three four"}, {"await": gate}, "drop", {"await": gate}, {"model": "five"}]);
        let (_, mut sideband) = controlled(&server, api, json!({"script": script, "drop_after": [3]})).await;
        let mut events = 0;
        while sideband.next().await.unwrap().is_ok() {
            events += 1;
        }
        assert_eq!(events, 3, "{api}");
        sideband.reconnect(soon()).await.unwrap();
        sideband.send(open.clone()).await.unwrap();
        while sideband.next().await.unwrap().is_ok() {}
        sideband.reconnect(soon()).await.unwrap();
        sideband.send(open).await.unwrap();
        until(&mut sideband, |kind| match kind {
            EventKind::Transcript(transcript) => &*transcript.text == "five",
            _ => false,
        })
        .await;
    }
}

#[tokio::test]
async fn faults_of_answers_are_played() {
    let server = Server::start().await;
    let plan =
        json!({"script": [], "refuse": ["session.update"], "ignore": ["session.input_audio.mute"], "answer_ms": 10});
    let (_, mut sideband) = controlled(&server, CallApi::Live, plan).await;
    let error = sideband.request(Command::Update(serde_json::Map::new()), WITHIN).await.unwrap_err();
    assert!(matches!(error, SidebandError::Refused(_)), "{error}");
    let error = sideband.request(Command::Mute, Duration::from_millis(100)).await.unwrap_err();
    assert!(matches!(error, SidebandError::Unconfirmed(_)), "{error}");
    sideband.request(Command::Unmute, WITHIN).await.unwrap();
}

#[tokio::test]
async fn hostile_messages_are_played() {
    let server = Server::start().await;
    let script = json!([{"text": "{"}, {"binary": 10}, {"event": {"type": 7}}, {"error": {"code": "oh", "message": "Oh."}},
        {"flood": {"event": {"type": "info", "code": "x"}, "count": 100}}, {"huge": 3_000_000}]);
    let (_, mut sideband) = controlled(&server, CallApi::Live, json!({"script": script})).await;
    let (mut unreadable, mut infos, mut errors) = (0, 0, 0);
    let end = loop {
        match sideband.next().await.unwrap().map(|event| event.kind) {
            Ok(EventKind::Unreadable { .. }) => unreadable += 1,
            Ok(EventKind::Info(_)) => infos += 1,
            Ok(EventKind::Error(_)) => errors += 1,
            Ok(_) => {}
            Err(end) => break end,
        }
    };
    assert_eq!((unreadable, infos, errors), (3, 100, 1));
    assert!(end.to_string().contains("longer than"), "{end}");
}

#[tokio::test]
async fn a_call_may_be_dead_although_its_accept_is_answered_200() {
    let server = Server::start().await;
    let id = ringing(&server, CallApi::Realtime, json!({"accept": "dead"})).await;
    accept(&server, CallApi::Realtime, &id).await;
    let error = client(&server).attach(CallApi::Realtime, &id, soon()).await.unwrap_err();
    assert!(error.to_string().contains("call_id_not_found"), "{error}");

    let id = ringing(&server, CallApi::Live, json!({"accept": "lenient"})).await;
    let malformed = server.post(&format!("/v1/live/sessions/{id}/accept"), json!({"session": {"model": 7}})).await;
    assert_eq!(malformed.status, 200);
    let error = client(&server).attach(CallApi::Live, &id, soon()).await.unwrap_err();
    assert!(error.to_string().contains("session_id_not_found"), "{error}");
}

#[tokio::test]
async fn a_referred_call_leaves_or_stays() {
    let server = Server::start().await;
    let (id, mut sideband) = controlled(&server, CallApi::Live, json!({"script": []})).await;
    client(&server).refer_call(CallApi::Live, &id, "tel:+4930", soon()).await.unwrap();
    until(&mut sideband, |kind| matches!(kind, EventKind::Closed { .. })).await;
    assert_eq!(show(&server, &id).await["state"], "referred");

    let (id, mut sideband) = controlled(&server, CallApi::Live, json!({"script": [], "refer": "stays"})).await;
    client(&server).refer_call(CallApi::Live, &id, "tel:+4930", soon()).await.unwrap();
    sideband.request(Command::Mute, WITHIN).await.unwrap();
    assert_eq!(show(&server, &id).await["state"], "accepted");
}

#[tokio::test]
async fn sessions_are_created_for_browsers_and_for_calls_that_openai_makes() {
    let server = Server::start().await;
    let session = json!({"model": "gpt-live-1"});
    let webrtc = |sdp: &str| json!({"session": session, "transport": {"type": "webrtc", "sdp": sdp}});
    assert_eq!(server.post("/v1/live/sessions", webrtc("")).await.status, 400);
    let created = server.post("/v1/live/sessions", webrtc("v=0")).await.json();
    assert!(created["transport"]["sdp"].as_str().unwrap().starts_with("v=0"), "{created}");
    let id = created["session"]["id"].as_str().unwrap();
    client(&server).attach(CallApi::Live, id, soon()).await.unwrap();

    let trunk = json!({"provider_url": "sips:sip.example.com:5061", "caller_number": "+14155550100",
        "auth": {"type": "digest", "username": "u", "password": "p"}});
    let sip = json!({"session": session, "transport": {"type": "sip", "destination": "+14155550123", "trunk": trunk}});
    let refused = server.post("/v1/live/sessions", sip.clone()).await;
    assert_eq!((refused.status.as_u16(), &refused.json()["error"]["code"]), (403, &"outbound_sip_not_enabled".into()));
    let transport = |state: &str, code: Value| json!({"transport": {"state": state, "code": code}});
    let script = json!([{"await": "attach"}, transport("ringing", Value::Null), transport("answered", Value::Null),
        transport("failed", "busy".into())]);
    server.post("/_control/calls/next", json!({"outbound_sip": true, "script": script, "speed": 100})).await;
    let created = server.post("/v1/live/sessions", sip).await.json();
    let mut sideband =
        client(&server).attach(CallApi::Live, created["session"]["id"].as_str().unwrap(), soon()).await.unwrap();
    let events = until(&mut sideband, |kind| matches!(kind, EventKind::Failed(_))).await;
    assert!(events.iter().any(|event| event.kind == EventKind::Ringing));
    assert!(events.iter().any(|event| event.kind == EventKind::Answered));

    let secret =
        server.post("/v1/realtime/client_secrets", json!({"session": {"type": "realtime", "model": "m"}})).await.json();
    assert!(secret["value"].as_str().unwrap().starts_with("ek_"), "{secret}");
    assert_eq!(server.post("/v1/realtime/client_secrets", json!({"session": {"model": "m"}})).await.status, 400);
}
