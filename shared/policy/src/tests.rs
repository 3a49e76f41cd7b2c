use std::fs;
use std::path::Path;

use hooks_webhook::{Event, SipInvite};
use serde_json::{Value, json};

use crate::*;

/// The policies that the JSON Schema is tested with too.
fn corpus(folder: &str) -> Vec<(String, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut folders = vec![root.join("tests/call_policies").join(folder)];
    if folder == "good" {
        folders.push(root.join("docs/call-policies"));
    }
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    assert!(!files.is_empty());
    files.into_iter().map(|file| (file.display().to_string(), fs::read(&file).unwrap())).collect()
}

#[test]
fn valid_policies_are_parsed_and_others_rejected() {
    for (name, json) in corpus("good") {
        Policy::parse(&json).unwrap_or_else(|errors| panic!("{name}: {errors:?}"));
    }
    for (name, json) in corpus("bad").into_iter().chain(corpus("bad_for_the_function")) {
        assert!(Policy::parse(&json).is_err(), "{name}");
    }
}

#[test]
fn all_errors_are_reported_with_their_paths() {
    let policy = json!({
        "answer_as": "phone", "extra": 1,
        "rules": [
            {"when": [{"header": "From", "exact": "a"}], "then": {"reject": {}}},
            {"when": [{"header": "From", "regex": "("}], "then": {"accept": {"session": {}}}},
        ],
    });
    let errors = Policy::parse(policy.to_string().as_bytes()).unwrap_err();
    let paths: Vec<_> = errors.iter().map(|error| error.split_once(": ").unwrap().0).collect();
    let expected =
        ["the policy", "answer_as", "rules[1].when[0].regex", "rules[1].then.accept.session.model", "default"];
    assert_eq!(paths, expected, "{errors:?}");
    assert_eq!(Policy::parse(b"{\n  nope").unwrap_err(), ["it is not JSON (line 2, column 3)"]);
}

fn event(headers: &Value) -> Event {
    let event = json!({"id": "evt_1", "type": "realtime.call.incoming", "created_at": 1, "data": {
        "call_id": "rtc_1", "sip_headers": headers}});
    Event::parse(&event.to_string()).unwrap()
}

fn decided(when: &Value, headers: &Value) -> Option<usize> {
    let policy = json!({"answer_as": "realtime", "default": {"reject": {}},
        "rules": [{"when": when, "then": {"refer": {"target_uri": "tel:+1"}}}]});
    let policy = Policy::parse(policy.to_string().as_bytes()).unwrap();
    policy.decide(Call::of(&event(headers)).unwrap().invite, 0).rule
}

#[test]
fn a_rule_matches_a_call_when_all_its_conditions_match() {
    let headers = json!([
        {"name": "FROM", "value": "\"Anna\" <sip:+4930123@example.com>;tag=1"}, {"name": "X-Line", "value": " sales "},
        {"name": "X-Queue", "value": "sales"}, {"name": "X-Queue", "value": "support"},
    ]);
    let cases = [
        (json!([{"header": "from", "part": "user", "exact": "+4930123"}]), true),
        (json!([{"header": "From", "exact": "+4930123"}]), false),
        (json!([{"header": "From", "part": "user", "prefix": "+49"}, {"header": "x-line", "exact": "sales"}]), true),
        (json!([{"header": "From", "part": "user", "prefix": "+49"}, {"header": "x-line", "exact": "other"}]), false),
        (json!([{"header": "X-Queue", "exact": "support"}]), false),
        (json!([{"header": "From", "regex": "@example\\.com>"}]), true),
        (json!([{"header": "From", "part": "user", "regex": "^\\d+$"}]), false),
        (json!([{"header": "To", "prefix": "s"}]), false),
    ];
    for (when, matches) in cases {
        assert_eq!(decided(&when, &headers).is_some(), matches, "{when}");
    }
    let short = json!([{"name": "f", "value": "<tel:+4930123>"}]);
    assert_eq!(decided(&json!([{"header": "From", "part": "user", "prefix": "+49"}]), &short), Some(0));
}

#[test]
fn the_first_matching_rule_decides() {
    let rule = |name: &str, code: u16| json!({"name": name, "when": [{"header": "From", "prefix": "sip:"}], "then": {"reject": {"status_code": code}}});
    let policy = json!({"answer_as": "live", "rules": [rule("a", 486), rule("b", 480)], "default": {"reject": {}}});
    let policy = Policy::parse(policy.to_string().as_bytes()).unwrap();
    let from = event(&json!([{"name": "From", "value": "sip:a@b"}]));
    let decision = policy.decide(Call::of(&from).unwrap().invite, 0);
    assert_eq!((decision.rule, decision.name), (Some(0), Some("a")));
    assert_eq!(*decision.action, Action::Reject { status_code: 486 });
    let nobody = event(&json!([{"name": "From", "value": "tel:+1"}]));
    let decision = policy.decide(Call::of(&nobody).unwrap().invite, 0);
    assert_eq!((decision.rule, decision.name), (None, None));
    assert_eq!(*decision.action, Action::Reject { status_code: 603 });
}

#[test]
fn every_crafted_caller_meets_the_expected_rule() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/call_policies");
    let table: Value = serde_json::from_slice(&fs::read(folder.join("callers.json")).unwrap()).unwrap();
    let callers = table["callers"].as_array().unwrap();
    assert!(callers.len() >= 60);
    for caller in callers {
        let policy = table["policies"][caller["policy"].as_str().unwrap()].to_string();
        let policy = Policy::parse(policy.as_bytes()).unwrap();
        let headers = caller["headers"].as_array().unwrap().iter().flat_map(|header| {
            let times = header[2].as_u64().unwrap_or(1);
            (0..times).map(move |_| json!({"name": header[0], "value": header[1]}).to_string())
        });
        let headers = headers.collect::<Vec<_>>().join(",").replace("{pad}", &"x".repeat(5000));
        let data = format!(r#"{{"call_id":"rtc_1","sip_headers":[{}]}}"#, headers.replace("{broken}", r"\udce9"));
        let event = format!(r#"{{"id":"evt_1","type":"realtime.call.incoming","created_at":1,"data":{data}}}"#);
        let event = Event::parse(&event).unwrap();
        let invite = Call::of(&event).unwrap().invite;
        let decision = policy.decide(invite, 0);
        assert_eq!(decision.place(), caller["rule"], "{}", caller["name"]);
        let explained = policy.explain(invite, 0).iter().position(|rule| rule.decides);
        assert_eq!(explained, decision.rule, "{}", caller["name"]);
    }
}

#[test]
fn a_repeated_field_is_a_mistake_because_only_one_of_them_would_count() {
    let policy = r#"{"answer_as": "live", "rules": [{"when": [{"header": "From", "prefix": "a", "prefix": "b"}],
        "then": {"reject": {}}}], "default": {"reject": {}}, "rules": []}"#;
    let expected = ["rules[0].when[0]: the field prefix is there twice", "the policy: the field rules is there twice"];
    assert_eq!(Policy::parse(policy.as_bytes()).unwrap_err(), expected);
}

#[test]
fn a_newer_version_is_read_and_an_unknown_field_of_a_session_ignored_but_none_that_decides() {
    let policy = |rule: Value| {
        json!({"version": 3, "answer_as": "live", "rules": [rule], "default": {"accept": {"session": {"model": "m"},
            "supervise": {"limits": {"moods": 1}}}}})
    };
    let known = json!({"when": [{"header": "From", "prefix": "+"}], "then": {"reject": {}}});
    let parsed = Policy::parse(policy(known).to_string().as_bytes()).unwrap();
    assert_eq!(parsed.warnings.len(), 2, "{:?}", parsed.warnings);
    assert!(parsed.warnings[1].starts_with("default.accept.supervise.limits: the field moods is unknown and ignored"));
    let unknown = json!({"when": [{"header": "From", "prefix": "+", "unless": 1}], "then": {"reject": {}}});
    assert!(Policy::parse(policy(unknown).to_string().as_bytes()).unwrap_err()[0].contains("unless"));
}

#[test]
fn the_settings_of_a_session_are_those_of_the_policy() {
    for (name, json) in corpus("good") {
        let value: Value = serde_json::from_slice(&json).unwrap();
        for (place, action) in Policy::parse(&json).unwrap().actions() {
            let Action::Accept { supervise: Some(supervise), .. } = action else { continue };
            let pointer = format!("/{}/accept/supervise", place.replace(['.', '['], "/").replace(']', ""));
            let written: Supervise = serde_json::from_value(value.pointer(&pointer).unwrap().clone()).unwrap();
            assert_eq!(**supervise, written, "{name} {place}");
            let handed_on = serde_json::to_value(supervise).unwrap();
            assert_eq!(serde_json::from_value::<Supervise>(handed_on).unwrap(), written, "{name} {place}");
        }
    }
}

#[test]
fn a_live_session_without_a_backend_that_calls_tools_gets_none() {
    let policy = |api: &str, session: Value, supervise: Value| {
        let session = json!({"session": session, "supervise": supervise});
        let policy = json!({"answer_as": api, "default": {"accept": session}});
        Policy::parse(policy.to_string().as_bytes()).map(drop)
    };
    let bare = json!({"model": "gpt-live-1"});
    let backend = json!({"model": "gpt-live-1", "delegation": {"responses": {"model": "gpt-6-luna"}}});
    let other = json!({"model": "gpt-live-1", "delegation": {"responses": true}});
    let tools = json!({"built_in": ["hang_up"]});
    assert_eq!(policy("live", bare.clone(), json!({"greeting": "Hello."})), Ok(()));
    assert_eq!(policy("live", backend, tools.clone()), Ok(()));
    assert_eq!(policy("realtime", bare.clone(), tools.clone()), Ok(()));
    for session in [bare, other] {
        let errors = policy("live", session, tools.clone()).unwrap_err();
        assert!(errors[0].starts_with("default.accept.session.delegation.responses: must be an object"), "{errors:?}");
    }
}

#[test]
fn a_time_can_be_a_condition() {
    let hours = json!({"zone": "Europe/Berlin", "open": [{"days": ["fri"], "from": "09:00", "to": "17:00"}]});
    let policy = json!({"answer_as": "live", "rules": [{"when": [{"hours": hours, "is": "closed"}],
        "then": {"reject": {"status_code": 480}}}], "default": {"accept": {"session": {"model": "m"}}}});
    let policy = Policy::parse(policy.to_string().as_bytes()).unwrap();
    let invite = SipInvite::default();
    // Friday, 5 June 2026: 08:59 and 09:00.
    assert_eq!(policy.decide(&invite, 1_780_642_799).rule, Some(0));
    assert_eq!(policy.decide(&invite, 1_780_642_800).rule, None);
}

#[test]
fn an_audio_format_is_refused_with_the_reason() {
    for pointer in ["audio.format", "audio.input.format", "audio.output.format", "output_audio_format"] {
        let session = pointer.split('.').rev().fold(json!({"type": "audio/pcmu"}), |value, name| json!({name: value}));
        let mut session = session.as_object().unwrap().clone();
        session.insert("model".to_owned(), "gpt-realtime-2.1".into());
        let policy = json!({"answer_as": "realtime", "default": {"accept": {"session": session}}});
        let errors = Policy::parse(policy.to_string().as_bytes()).unwrap_err();
        assert!(errors[0].starts_with(&format!("default.accept.session.{pointer}: must be absent: the phone network")));
    }
}
