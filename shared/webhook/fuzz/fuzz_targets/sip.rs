//! Invariant: no SIP headers make the policy for calls panic, and a call that carries the blocked number in readable or
//! unreadable form is never let in by somebody else's rule: what cannot be read is rejected, and the decision is the one
//! that is explained.
//!
//! The input is a list of header lines, `Name: value`; a byte that is not UTF-8 stands for half of a surrogate pair.

#![no_main]

use std::sync::LazyLock;

use hooks_policy::{Action, Call, Policy, Verdict};
use hooks_webhook::Event;
use libfuzzer_sys::fuzz_target;
use serde_json::json;

const POLICY: &str = r#"{"answer_as": "realtime", "rules": [
    {"when": [{"header": "From", "part": "user", "exact": "+15550100"}], "then": {"reject": {"status_code": 603}}},
    {"when": [{"header": "From", "part": "user", "is": "unreadable"}], "then": {"reject": {"status_code": 433}}},
    {"when": [{"header": "X-Queue", "regex": "^sales"}, {"header": "To", "prefix": "<"}], "then": {"refer": {"target_uri": "tel:+1"}}}],
    "default": {"accept": {"session": {"model": "m"}}}}"#;

static PARSED: LazyLock<Policy> = LazyLock::new(|| Policy::parse(POLICY.as_bytes()).unwrap());

fuzz_target!(|input: &[u8]| {
    let text = String::from_utf8_lossy(input);
    let headers: Vec<_> = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect();
    let data = json!({"call_id": "rtc_1", "sip_headers": headers}).to_string().replace('\u{fffd}', "\\ud83d");
    let event = format!(r#"{{"id":"evt_1","type":"realtime.call.incoming","created_at":1,"data":{data}}}"#);
    let event = Event::parse(&event).unwrap();
    let call = Call::of(&event).unwrap();
    let policy = &*PARSED;

    let decision = policy.decide(call.invite, 0);
    let explained = policy.explain(call.invite, 0);
    assert_eq!(explained.iter().position(|rule| rule.decides), decision.rule);
    let blocked = explained[0].conditions[0].verdict;
    if !matches!(decision.action, Action::Reject { .. }) {
        assert_eq!(blocked, Verdict::Differs, "a caller that may be the blocked one got in");
        assert!(call.invite.header("From").is_some(), "a call without a caller got in");
    }
    for line in [call.masked("From"), call.masked("To")].into_iter().flatten() {
        assert!(line.chars().all(|c| c.is_ascii_graphic()), "a mask shows a control character");
    }
    let _ = call.mask_numbers(&text);
});
