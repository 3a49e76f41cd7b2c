//! Every event type that OpenAI sends, and what becomes of those that it does not send yet.

use std::fs;
use std::path::Path;

use hooks_webhook::{Category, Event, EventData, MAX_SIP_HEADERS, MAX_SIP_NAME, MAX_SIP_VALUE};

fn event(event_type: &str, data: &str) -> Event {
    let body =
        format!(r#"{{"id":"evt_1","object":"event","created_at":1795219200,"type":"{event_type}","data":{data}}}"#);
    Event::parse(&body).unwrap()
}

fn key(event_type: &str, data: &str) -> String {
    event(event_type, data).idempotency_key().to_string()
}

fn call(event_type: &str, headers: &str) -> Event {
    event(event_type, &format!(r#"{{"call_id":"rtc_1","session_id":"live_1","type":"sip","sip_headers":[{headers}]}}"#))
}

const THIN: [&str; 27] = [
    "response.completed",
    "response.failed",
    "response.cancelled",
    "response.incomplete",
    "batch.completed",
    "batch.failed",
    "batch.expired",
    "batch.cancelled",
    "fine_tuning.job.succeeded",
    "fine_tuning.job.failed",
    "fine_tuning.job.cancelled",
    "eval.run.succeeded",
    "eval.run.failed",
    "eval.run.canceled",
    "agent.environment.ready",
    "agent.environment.failed",
    "agent.environment.suspended",
    "agent.environment.expired",
    "safety.alert.created",
    "safety.warning_issued",
    "safety.deactivation_issued",
    "safety.org_alert.created",
    "video.completed",
    "video.failed",
    // Not sent today, but named in older texts.
    "batch.in_progress",
    "file.processed",
    "fine_tune.completed",
];

#[test]
fn a_thin_event_names_its_object() {
    for event_type in THIN {
        let event = event(event_type, r#"{"id":"obj_1","more":[1,2,3]}"#);
        assert!(matches!(event.data, EventData::Object { .. }), "{event_type}");
        assert_eq!(event.object_id(), Some("obj_1"), "{event_type}");
        assert_eq!((event.id.as_str(), event.created_at), ("evt_1", 1_795_219_200));
        assert_eq!(event.category(), Category::of(event_type));
    }
}

#[test]
fn an_incoming_realtime_call_has_its_invite() {
    let event = call(
        "realtime.call.incoming",
        r#"{"name":"From","value":"sip:+1@example.com"},{"name":"X-Tag","value":"a"},{"name":"x-tag","value":"b"}"#,
    );
    let EventData::RealtimeCall { call_id, invite, .. } = &event.data else { panic!("{event:?}") };
    assert_eq!((call_id.as_str(), event.object_id()), ("rtc_1", Some("rtc_1")));
    assert_eq!(invite.header("from"), Some("sip:+1@example.com"));
    assert_eq!(invite.header("X-TAG"), Some("a"));
    assert_eq!((invite.headers.len(), invite.header("To"), &invite.media_security), (3, None, &None));
}

#[test]
fn a_live_session_says_how_it_came() {
    for (event_type, transport) in [("live.transport.incoming", Some("sip")), ("live.call.incoming", None)] {
        let kind = transport.map_or(String::new(), |transport| format!(r#""type":"{transport}","#));
        let event = event(
            event_type,
            &format!(r#"{{{kind}"session_id":"live_1","sip_headers":[],"sip_media_security":"srtp"}}"#),
        );
        let EventData::LiveTransport { session_id, transport: read, invite, .. } = &event.data else {
            panic!("{event:?}")
        };
        assert_eq!((session_id.as_str(), read.as_deref()), ("live_1", transport));
        assert_eq!(invite.media_security.as_deref(), Some("srtp"));
    }
    let connected = event("live.transport.connected", r#"{"session_id":"live_1","type":"webrtc"}"#);
    let EventData::LiveTransport { transport, invite, .. } = &connected.data else { panic!("{connected:?}") };
    assert_eq!((transport.as_deref(), invite.headers.len()), (Some("webrtc"), 0));
}

#[test]
fn an_agent_session_brings_what_its_type_has() {
    let data = r#"{"id":"sess_1","environment_type":"self_hosted","environment_id":"env_1","connect":{"remote_url":"https://x"}}"#;
    let created = event("agent.session.created", data);
    let EventData::AgentSession { id, environment_type, environment_id, remote_url, required_action, .. } =
        &created.data
    else {
        panic!("{created:?}")
    };
    assert_eq!((id.as_str(), environment_type.as_deref()), ("sess_1", Some("self_hosted")));
    assert_eq!((environment_id.as_deref(), remote_url.as_deref()), (Some("env_1"), Some("https://x")));
    assert_eq!(required_action.as_deref(), None);

    let waiting =
        event("agent.session.action_required", r#"{"id":"sess_1","required_action":{"type":"function_call"}}"#);
    let EventData::AgentSession { required_action, environment_type, .. } = &waiting.data else {
        panic!("{waiting:?}")
    };
    assert_eq!((required_action.as_deref(), environment_type.as_deref()), (Some("function_call"), None));

    for event_type in ["agent.session.in_progress", "agent.session.idle", "agent.session.failed", "agent.session.new"] {
        let event = event(event_type, r#"{"id":"sess_1","environment_type":"none"}"#);
        assert!(matches!(event.data, EventData::AgentSession { .. }), "{event_type}");
    }
}

#[test]
fn a_blocked_identifier_says_whose_and_why() {
    let data = r#"{"safety_category":"bio","safety_identifier":"user_1","model":"gpt-6-luna","project_id":null}"#;
    let event = event("safety_identifier.blocked", data);
    let EventData::SafetyIdentifier { safety_category, safety_identifier, model, project_id, request_id, .. } =
        &event.data
    else {
        panic!("{event:?}")
    };
    assert_eq!((safety_category.as_str(), safety_identifier.as_str()), ("bio", "user_1"));
    assert_eq!((model.as_deref(), project_id, request_id), (Some("gpt-6-luna"), &None, &None));
    assert_eq!((event.category(), event.object_id()), (Category::Safety, None));
}

#[test]
fn every_sample_event_is_read_as_what_it_is() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events/bodies");
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let event = Event::parse(&fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(path.file_stem().unwrap().to_str(), Some(event.event_type.as_str()));
        assert!(!matches!(event.data, EventData::Other(_)), "{event:?}");
        assert!(event.created_at > 0, "{event:?}");
        count += 1;
    }
    assert!(count >= 33, "only {count} samples");
}

#[test]
fn data_of_an_unexpected_shape_is_kept_as_it_came() {
    let types = THIN.into_iter().chain([
        "realtime.call.incoming",
        "live.transport.incoming",
        "agent.session.created",
        "safety_identifier.blocked",
        "quantum.leap",
    ]);
    for event_type in types {
        for data in [r#"{"id":7}"#, r#"{"id":"","call_id":"","session_id":""}"#, "[1, 2]", "null", "\"text\""] {
            let event = event(event_type, data);
            let EventData::Other(raw) = &event.data else { panic!("{event:?}") };
            assert_eq!((raw.get(), event.object_id()), (data, None), "{event_type}");
        }
    }
    let without = Event::parse(r#"{"id":"evt_1","type":"quantum.leap"}"#).unwrap();
    let EventData::Other(raw) = &without.data else { panic!("{without:?}") };
    assert_eq!((raw.get(), without.created_at), ("null", 0));
}

#[test]
fn an_optional_field_of_an_unexpected_shape_counts_as_absent() {
    let event = event("realtime.call.incoming", r#"{"call_id":"rtc_1","sip_headers":"none","sip_media_security":7}"#);
    let EventData::RealtimeCall { invite, .. } = &event.data else { panic!("{event:?}") };
    assert_eq!((invite.headers.len(), &invite.media_security), (0, &None));
}

#[test]
fn an_odd_value_loses_itself_alone() {
    let odd = r#""\ud83d","more":1e999,"deep":[[[]]],"deep":7"#;
    let headers =
        r#"{"name":"From","value":"\"A\ud83d\" <sip:+49@x>"},{"name":1e999},{"name":"To","name":"X","value":"y"}"#;
    let body = format!(
        r#"{{"id":"evt_1","type":"realtime.call.incoming","created_at":1795230915.75,"odd":{odd},
            "data":{{"call_id":"rtc_1","odd":{odd},"sip_headers":[{headers}]}}}}"#
    );
    let event = Event::parse(&body).unwrap();
    let EventData::RealtimeCall { call_id, invite, .. } = &event.data else { panic!("{event:?}") };
    assert_eq!((event.id.as_str(), event.created_at, call_id.as_str()), ("evt_1", 1_795_230_915, "rtc_1"));
    assert_eq!((invite.header("From"), invite.header("X")), (Some("\"A\u{fffd}\" <sip:+49@x>"), Some("y")));
    assert_eq!(invite.headers.len(), 2);
}

#[test]
fn the_whole_event_stays_readable() {
    let body = r#"{ "type":"quantum.leap.completed", "id":"evt_1", "new": {"deep":[1.50]}, "data":{"id":"q_1"} }"#;
    let event = Event::parse(body).unwrap();
    assert_eq!(event.raw().get(), body);
    assert_eq!((event.category(), event.object_id()), (Category::Archive, Some("q_1")));
}

#[test]
fn no_depth_of_nesting_exhausts_the_stack() {
    let depth = 120_000;
    let body = format!(r#"{{"id":"evt_1","type":"x","data":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
    assert_eq!(Event::parse(&body).unwrap().raw().get(), body);
}

#[test]
fn what_has_no_type_or_no_id_is_malformed() {
    for body in [
        "",
        "null",
        "[]",
        "{}",
        r#"{"id":"evt_1"}"#,
        r#"{"type":"x"}"#,
        r#"{"id":1,"type":"x"}"#,
        r#"{"id":"","type":"x"}"#,
        r#"{"id":"evt_1","id":"evt_2","type":"x"}"#,
        r#"{"id":"evt_1","type":"x","t\u0079pe":"y"}"#,
    ] {
        assert!(Event::parse(body).is_err(), "{body}");
    }
}

#[test]
fn debug_output_shows_no_data() {
    let event = call("realtime.call.incoming", r#"{"name":"From","value":"sip:+15550100@example.com"}"#);
    for shown in [format!("{event:?}"), format!("{:?}", event.data)] {
        assert!(shown.contains("rtc_1") && !shown.contains("15550100"), "{shown}");
    }
}

#[test]
fn an_objects_end_acts_once_for_each_type_and_object() {
    assert_eq!(key("batch.completed", r#"{"id":"batch_1"}"#), "batch.completed/batch_1");
    assert_eq!(key("response.incomplete", r#"{"id":"resp_1"}"#), "response.incomplete/resp_1");
    assert_eq!(key("fine_tuning.job.succeeded", r#"{"id":"ftjob_1"}"#), "fine_tuning.job.succeeded/ftjob_1");
}

#[test]
fn what_may_repeat_itself_acts_for_each_event() {
    for event_type in [
        "agent.session.failed",
        "agent.environment.expired",
        "safety.alert.created",
        "safety_identifier.blocked",
        "batch.in_progress",
        "realtime.call.ringing",
        // Types that nobody has seen yet, and such as are recorded alone.
        "deployment.failed",
        "response.tool.completed",
        "quantum.leap.succeeded",
        "eval.run.canceled",
    ] {
        assert_eq!(key(event_type, r#"{"id":"obj_1"}"#), "event/evt_1", "{event_type}");
    }
    assert_eq!(key("batch.completed", "{}"), "event/evt_1");
}

#[test]
fn one_call_acts_once_for_each_api_that_it_waits_for() {
    // A caller who tries again keeps the Call-ID, and is another call.
    let call_id = r#"{"name":"Call-ID","value":"abc@host"}"#;
    for (event_type, expected) in [
        ("realtime.call.incoming", "call/realtime/rtc_1"),
        ("live.transport.incoming", "call/live/live_1"),
        ("live.call.incoming", "call/live/live_1"),
    ] {
        assert_eq!(call(event_type, call_id).idempotency_key().to_string(), expected);
        assert_eq!(call(event_type, "").idempotency_key().to_string(), expected);
    }
}

#[test]
fn a_connected_session_is_not_a_call() {
    assert_eq!(key("live.transport.connected", r#"{"session_id":"live_1","type":"webrtc"}"#), "event/evt_1");
}

#[test]
fn a_caller_cannot_make_us_hold_more_than_the_bounds() {
    let line = |name: &str, value: &str| format!(r#"{{"name":"{name}","value":"{value}"}}"#);
    let long = "x".repeat(MAX_SIP_VALUE + 1);
    let mut lines =
        vec![line("Long", &long), line(&"n".repeat(MAX_SIP_NAME + 1), "x"), "7".to_owned(), line("Fits", &long[1..])];
    lines.extend((0..1_000).map(|number| line("X-Many", &number.to_string())));
    let event = call("realtime.call.incoming", &lines.join(","));
    let EventData::RealtimeCall { invite, .. } = &event.data else { panic!("{event:?}") };
    assert_eq!(invite.headers.len(), MAX_SIP_HEADERS);
    assert_eq!((invite.header("long"), invite.header("fits")), (None, Some(&long[1..])));
}

#[test]
fn a_long_key_is_hashed_and_stays_its_own() {
    let key =
        |length: usize, last: &str| key("batch.completed", &format!(r#"{{"id":"{}{last}"}}"#, "b".repeat(length)));
    assert_eq!(key(495, "a"), format!("batch.completed/{}a", "b".repeat(495)));
    assert!(key(497, "a").starts_with("sha256/"));
    assert!(key(100_000, "a").len() < 60);
    assert_ne!(key(100_000, "a"), key(100_000, "b"));
    assert_eq!(key(100_000, "a"), key(100_000, "a"));
}
