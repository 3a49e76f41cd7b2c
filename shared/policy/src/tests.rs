use std::fs;
use std::path::Path;

use hooks_webhook::Event;
use serde_json::{Value, json};

use crate::*;

/// The policies that the JSON Schema is tested with too.
fn corpus(folder: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/call_policies").join(folder);
    let files: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(!files.is_empty());
    files.into_iter().map(|file| (file.display().to_string(), fs::read(&file).unwrap())).collect()
}

#[test]
fn valid_policies_are_parsed_and_others_rejected() {
    for (name, json) in corpus("good") {
        Policy::parse(&json).unwrap_or_else(|errors| panic!("{name}: {errors:?}"));
    }
    for (name, json) in corpus("bad").into_iter().chain(corpus("bad_pattern")) {
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
    policy.decide(&Call::of(&event(headers)).unwrap()).rule
}

#[test]
fn a_rule_matches_a_call_when_all_its_conditions_match() {
    let headers = json!([
        {"name": "FROM", "value": "\"Anna\" <sip:+4930123@example.com>;tag=1"}, {"name": "X-Queue", "value": " sales "},
        {"name": "X-Queue", "value": "support"},
    ]);
    let cases = [
        (json!([{"header": "from", "part": "user", "exact": "+4930123"}]), true),
        (json!([{"header": "From", "exact": "+4930123"}]), false),
        (json!([{"header": "From", "part": "user", "prefix": "+49"}, {"header": "x-queue", "exact": "sales"}]), true),
        (json!([{"header": "From", "part": "user", "prefix": "+49"}, {"header": "x-queue", "exact": "other"}]), false),
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
    let decision = policy.decide(&Call::of(&from).unwrap());
    assert_eq!((decision.rule, decision.name), (Some(0), Some("a")));
    assert_eq!(*decision.action, Action::Reject { status_code: 486 });
    let nobody = event(&json!([]));
    let decision = policy.decide(&Call::of(&nobody).unwrap());
    assert_eq!((decision.rule, decision.name), (None, None));
    assert_eq!(*decision.action, Action::Reject { status_code: 603 });
}
