//! Tests of the handler against a server that stands for OpenAI and Systems Manager.

use hooks_consumer::Severity;
use hooks_consumer::artifacts::Artifacts;
use hooks_testing::S3;
use serde_json::{Value, json};

use super::*;
use crate::fake_services::{FakeServices, Parameter, Reply, later};

const MAXIMUM_AGE: i64 = 25;
const CALLER: &str = "+4930123456789";
const CALLED: &str = "+498005550100";

struct Fixture {
    server: FakeServices,
    artifacts: Artifacts,
    handler: CallHandler,
}

impl Fixture {
    async fn without_policy() -> Self {
        let server = FakeServices::start().await;
        let (_, artifacts) = S3::start().await;
        let handler = CallHandler {
            openai: OpenAi::fixed(server.client()),
            policies: PolicyCache::new(server.source()),
            maximum_age: MAXIMUM_AGE * 1000,
            supervisors: server.supervisors(),
        };
        Self { server, artifacts, handler }
    }

    async fn with(answer_as: &str, action: &Value) -> Self {
        let fixture = Self::without_policy().await;
        fixture.server.store(&json!({"answer_as": answer_as, "default": action}));
        fixture
    }

    /// One that accepts calls of the Realtime API, with an OpenAI that answers like this.
    async fn replying(replies: &[Reply]) -> Self {
        let fixture = Self::with("realtime", &accept()).await;
        fixture.server.reply(replies.iter().copied());
        fixture
    }

    async fn handle(&self, event: &Event, attempt: u32) -> Result<Outcome, HandlerError> {
        self.handler.handle(event, &self.context(attempt)).await
    }

    fn context(&self, attempt: u32) -> Context {
        Context::new(Instant::now() + Duration::from_mins(1), attempt, 0, self.artifacts.clone())
    }

    /// The outcome of a fresh call, after an attempt that may have answered it or not.
    async fn answer_after(&self, acted: bool) -> Outcome {
        let mut context = self.context(1);
        context.acted = acted;
        self.handler.handle(&ringing("realtime", 0), &context).await.unwrap()
    }

    async fn answer(&self) -> Result<Outcome, HandlerError> {
        self.handle(&ringing("realtime", 0), 1).await
    }
}

fn accept() -> Value {
    json!({"accept": {"session": {"model": "gpt-realtime-2.1"}}})
}

/// A call that has been waiting for so many seconds.
fn ringing(api: &str, age: i64) -> Event {
    let headers = json!([
        {"name": "From", "value": format!("\"Anna {CALLER}\" <sip:{CALLER}@example.com>;tag=1")},
        {"name": "To", "value": format!("<sip:{CALLED}@example.com>")},
    ]);
    let (event_type, data) = match api {
        "realtime" => ("realtime.call.incoming", json!({"call_id": "rtc_1", "sip_headers": headers})),
        _ => ("live.transport.incoming", json!({"type": "sip", "session_id": "live_1", "sip_headers": headers})),
    };
    let created = clock::now_ms() / 1000 - age;
    let event = json!({"id": "evt_1", "type": event_type, "created_at": created, "data": data});
    Event::parse(&event.to_string()).unwrap()
}

fn no_number_in(text: &str) {
    for number in [CALLER, CALLED] {
        assert!(!text.contains(number.trim_start_matches('+')), "{text}");
    }
}

#[tokio::test]
async fn a_call_of_either_api_is_answered_by_the_policy() {
    let session = |api: &str| json!({"type": api, "model": "gpt-realtime-2.1"});
    let reject = json!({"reject": {"status_code": 486}});
    let refer = json!({"refer": {"target_uri": "tel:+498005550111"}});
    for (api, root) in [("realtime", "/v1/realtime/calls/rtc_1"), ("live", "/v1/live/sessions/live_1")] {
        let accepted = if api == "realtime" { session(api) } else { json!({"session": session(api)}) };
        for (action, word, status, body) in [
            (accept(), "accept", "accepted", accepted),
            (reject.clone(), "reject", "rejected", json!({"status_code": 486})),
            (refer.clone(), "refer", "referred", json!({"target_uri": "tel:+498005550111"})),
        ] {
            let fixture = Fixture::with(api, &action).await;
            let outcome = fixture.handle(&ringing(api, 0), 1).await.unwrap();
            assert_eq!((outcome.status.as_str(), outcome.terminal, &outcome.note), (status, true, &None));
            assert_eq!((&outcome.summary["kind"], &outcome.summary["action"]), (&json!(api), &json!(word)));
            assert_eq!(fixture.server.calls(), [(format!("{root}/{word}"), body)]);
        }
    }
}

#[tokio::test]
async fn an_event_of_the_other_api_is_ignored_at_any_age() {
    for (answers, other) in [("realtime", "live"), ("live", "realtime")] {
        for age in [0, 2 * MAXIMUM_AGE] {
            let fixture = Fixture::with(answers, &accept()).await;
            let outcome = fixture.handle(&ringing(other, age), 1).await.unwrap();
            assert_eq!((outcome.status.as_str(), &outcome.alert), ("left_to_the_other_kind", &None));
            assert_eq!(fixture.server.calls(), []);
        }
    }
}

#[tokio::test]
async fn a_call_that_waited_too_long_is_not_answered() {
    for (attempt, why) in [(1, "the delivery came late"), (3, "2 earlier attempts failed")] {
        let fixture = Fixture::replying(&[]).await;
        let outcome = fixture.handle(&ringing("realtime", MAXIMUM_AGE + 1), attempt).await.unwrap();
        assert_eq!((outcome.status.as_str(), outcome.terminal), ("too_old", true));
        let alert = outcome.alert.unwrap();
        assert_eq!(alert.severity, Severity::Warning);
        assert!(alert.message.contains(why), "{}", alert.message);
        no_number_in(&alert.message);
        assert_eq!(fixture.server.calls(), []);
    }
}

#[tokio::test]
async fn without_a_policy_no_call_is_answered_and_each_makes_an_alert() {
    let fixture = Fixture::without_policy().await;
    for _ in 0..2 {
        let outcome = fixture.answer().await.unwrap();
        assert_eq!((outcome.status.as_str(), outcome.terminal), ("unanswered", true));
        let alert = outcome.alert.unwrap();
        assert_eq!(alert.severity, Severity::Critical);
        assert!(alert.message.contains("from +49*********89 to +49********00"), "{}", alert.message);
        assert!(alert.message.contains("the parameter /stack/call-policy"), "{}", alert.message);
        no_number_in(&alert.message);
    }
    assert_eq!(fixture.server.calls(), []);
}

#[tokio::test]
async fn an_unreadable_policy_is_retried_while_the_caller_waits() {
    let fixture = Fixture::without_policy().await;
    fixture.server.set(Parameter::Denied);
    let failure = fixture.answer().await.unwrap_err();
    assert!(matches!(&failure, HandlerError::Retry { message, .. } if message.contains("AccessDenied")), "{failure:?}");

    let outcome = fixture.handle(&ringing("realtime", MAXIMUM_AGE + 1), 2).await.unwrap();
    assert_eq!(outcome.status, "unanswered");
    assert!(outcome.alert.unwrap().message.contains("AccessDenied"));
}

#[tokio::test]
async fn an_invalid_policy_is_told_until_people_were_told_while_calls_are_answered() {
    let fixture = Fixture::replying(&[]).await;
    fixture.answer().await.unwrap();
    fixture.server.set(Parameter::Text("{".to_owned()));
    later(31).await;
    for (alerted, taken) in [(true, false), (true, true), (false, true)] {
        let outcome = fixture.answer().await.unwrap();
        assert_eq!((outcome.status.as_str(), outcome.alert.is_some()), ("accepted", alerted));
        if let Some(alert) = outcome.alert.filter(|_| taken) {
            fixture.handler.alerted(&alert);
        }
    }
}

#[tokio::test]
async fn a_call_that_was_answered_before_counts_as_ours_only_after_a_request_that_may_have_done_it() {
    let conflict = Reply::Refused(409);
    for (replies, acted, status, note) in [
        (&[conflict][..], false, "answered_elsewhere", "another program answered"),
        (&[Reply::Refused(429), conflict], false, "answered_elsewhere", "another program answered"),
        (&[Reply::Refused(404), conflict], false, "answered_elsewhere", "another program answered"),
        (&[Reply::Refused(500), conflict], false, "accepted", "was answered before"),
        (&[Reply::Cut, conflict], false, "accepted", "was answered before"),
        (&[conflict], true, "accepted", "was answered before"),
    ] {
        let fixture = Fixture::replying(replies).await;
        let outcome = fixture.answer_after(acted).await;
        assert_eq!((outcome.status.as_str(), outcome.terminal), (status, true), "{replies:?}");
        assert!(outcome.note.unwrap().contains(note));
        assert_eq!(fixture.server.calls().len(), replies.len());
    }
}

#[tokio::test]
async fn a_call_that_is_not_found_counts_as_ended_only_after_a_request_that_may_have_ended_it() {
    let (gone, reject) = (Reply::Refused(404), json!({"reject": {"status_code": 486}}));
    for (replies, acted, accepting, rejecting) in [
        ([gone; 3], false, "not_found", "not_found"),
        ([Reply::Refused(429), gone, gone], false, "not_found", "not_found"),
        ([Reply::Refused(500), gone, gone], false, "not_found", "rejected"),
        ([Reply::Cut, gone, gone], false, "not_found", "rejected"),
        ([gone; 3], true, "not_found", "rejected"),
    ] {
        for (action, status) in [(accept(), accepting), (reject.clone(), rejecting)] {
            let fixture = Fixture::with("realtime", &action).await;
            fixture.server.reply(replies);
            let outcome = fixture.answer_after(acted).await;
            assert_eq!((outcome.status.as_str(), outcome.terminal), (status, status == "rejected"), "{replies:?}");
            assert!(outcome.note.unwrap().contains("OpenAI has no such call"));
            assert_eq!(outcome.alert, None);
            assert_eq!(fixture.server.calls().len(), 3);
        }
    }
}

#[tokio::test]
async fn an_escaped_number_is_compared_and_masked_as_the_number_itself() {
    let rule = json!({"when": [{"header": "From", "part": "user", "prefix": "+49"}], "then": accept()});
    let fixture = Fixture::without_policy().await;
    fixture.server.store(&json!({"answer_as": "realtime", "rules": [rule], "default": {"reject": {}}}));
    let escaped = CALLER.replace('+', "%2B");
    let event = ringing("realtime", 0).raw().get().replace(&format!("sip:{CALLER}"), &format!("sip:{escaped}"));
    let refusal = format!("Not for sip:{escaped}@example.com or {CALLER}.");
    fixture.server.reply([Reply::Because(400, "bad", refusal.leak())]);
    let event = Event::parse(&event).unwrap();
    let failure = fixture.handle(&event, 1).await.unwrap_err();
    no_number_in(&format!("{failure:?}"));
    let outcome = fixture.handle(&event, 2).await.unwrap();
    assert_eq!((outcome.status.as_str(), &outcome.summary["from"]), ("accepted", &json!("+49*********89")));
}

#[tokio::test]
async fn a_call_that_is_not_visible_yet_is_answered_while_its_caller_waits() {
    for acted in [false, true] {
        let fixture = Fixture::replying(&[Reply::Refused(404); 2]).await;
        assert_eq!(fixture.answer_after(acted).await.status, "accepted");
        assert_eq!(fixture.server.calls().len(), 3);
    }
}

#[tokio::test]
async fn a_temporary_failure_is_tried_three_times() {
    for failing in [Reply::Refused(408), Reply::Refused(429), Reply::Refused(500), Reply::Refused(503), Reply::Cut] {
        let fixture = Fixture::replying(&[failing; 2]).await;
        assert_eq!(fixture.answer().await.unwrap().status, "accepted", "{failing:?}");
        assert_eq!(fixture.server.calls().len(), 3);

        let fixture = Fixture::replying(&[failing; 3]).await;
        assert!(matches!(fixture.answer().await, Err(HandlerError::Retry { .. })), "{failing:?}");
        assert_eq!(fixture.server.calls().len(), 3);
    }
}

#[tokio::test]
async fn no_attempt_is_made_after_the_maximum_age() {
    let fixture = Fixture::replying(&[Reply::Refused(500); 3]).await;
    // At most a second is left, which is too short for the second delay.
    let event = ringing("realtime", MAXIMUM_AGE - 1);
    let result = fixture.handle(&event, 1).await;
    let calls = fixture.server.calls().len();
    // On a slow machine the second is over before the first attempt.
    assert!(calls == 0 || (calls < 3 && matches!(result, Err(HandlerError::Retry { .. }))), "{calls}");
    for seconds in ["60", "1e18"] {
        let fixture = Fixture::replying(&[Reply::RetryAfter(seconds)]).await;
        let Err(HandlerError::Retry { after: Some(after), .. }) = fixture.answer().await else { panic!("not a retry") };
        assert!(after >= Duration::from_mins(1));
        assert_eq!(fixture.server.calls().len(), 1);
    }
}

#[tokio::test]
async fn a_permanent_refusal_is_given_up_with_its_numbers_masked() {
    const QUOTED: &str = "Not for sip:+4930123456789@example.com, 4930123456789 or +498005550100.";
    for (status, code, expected) in [
        (401, "invalid_api_key", HandlerError::UNAUTHORIZED),
        (403, "forbidden", HandlerError::UNAUTHORIZED),
        (400, "bad", HandlerError::REFUSED),
        (422, "invalid_session", HandlerError::REFUSED),
        (429, "insufficient_quota", HandlerError::QUOTA_EXHAUSTED),
    ] {
        let fixture = Fixture::replying(&[Reply::Because(status, code, QUOTED)]).await;
        let failure = fixture.answer().await.unwrap_err();
        no_number_in(&format!("{failure:?}"));
        let HandlerError::Permanent { reason, message } = failure else { panic!("{failure:?}") };
        assert_eq!(reason, expected);
        assert!(message.contains("Not for sip:+493********89@example.com"), "{message}");
        assert_eq!(fixture.server.calls().len(), 1);
    }
}

#[tokio::test]
async fn the_status_of_a_response_counts_and_not_its_body() {
    for body in ["", "null", "{}", "<html>", "{\"error\""] {
        let fixture = Fixture::replying(&[Reply::Done(body)]).await;
        assert_eq!(fixture.answer().await.unwrap().status, "accepted", "{body}");
        assert_eq!(fixture.server.calls().len(), 1);
    }
}

#[tokio::test]
async fn no_number_is_shown_in_full() {
    let fixture = Fixture::replying(&[]).await;
    let event = ringing("realtime", 0);
    no_number_in(&format!("{event:?}"));
    let outcome = fixture.handle(&event, 1).await.unwrap();
    no_number_in(&format!("{outcome:?}"));
    assert_eq!((&outcome.summary["from"], &outcome.summary["to"]), (&json!("+49*********89"), &json!("+49********00")));
}

#[tokio::test]
async fn an_event_without_a_call_is_recorded() {
    let fixture = Fixture::without_policy().await;
    for event_type in ["live.transport.connected", "realtime.call.new"] {
        let event = json!({"id": "evt_1", "type": event_type, "created_at": 1, "data": {"session_id": "live_1"}});
        let outcome = fixture.handle(&Event::parse(&event.to_string()).unwrap(), 1).await.unwrap();
        assert_eq!((outcome.status.as_str(), &outcome.alert), ("recorded", &None));
    }
    // A session that was connected may have to be supervised.
    assert_eq!((fixture.server.look_ups(), fixture.server.calls().len()), (1, 0));
}

// Supervision ----------------------------------------------------------------------------------------------------------

fn supervised() -> Value {
    let supervise = json!({"greeting": "Hello", "built_in": ["hang_up"]});
    let delegation = json!({"type": "responses", "responses": {"model": "gpt-6-luna"}});
    json!({"accept": {"session": {"model": "gpt-realtime-2.1", "delegation": delegation}, "supervise": supervise}})
}

const ACCEPT: &str = "POST /v1/realtime/calls/rtc_1/accept";
const INVOKE: &str = "POST /2015-03-31/functions/stack-supervisor/invocations";

#[tokio::test]
async fn a_supervised_call_is_recorded_before_it_is_accepted_and_its_supervisor_started_after() {
    let fixture = Fixture::with("realtime", &supervised()).await;
    let outcome = fixture.answer().await.unwrap();
    assert_eq!((outcome.status.as_str(), outcome.terminal), ("accepted", false));
    assert_eq!(fixture.server.asked(), ["UpdateItem", "SendMessage", ACCEPT, INVOKE]);
    let (_, session) = &fixture.server.calls()[0];
    assert_eq!(session["tools"][0]["name"], "hang_up");
}

#[tokio::test]
async fn a_call_that_was_accepted_before_gets_its_supervisor() {
    let fixture = Fixture::with("realtime", &supervised()).await;
    fixture.server.reply([Reply::Refused(409)]);
    let outcome = fixture.answer_after(true).await;
    assert_eq!(outcome.status, "accepted");
    assert_eq!(fixture.server.asked(), ["UpdateItem", "SendMessage", ACCEPT, INVOKE]);
}

#[tokio::test]
async fn a_call_that_is_not_there_gets_no_supervisor() {
    let fixture = Fixture::with("realtime", &supervised()).await;
    fixture.server.reply([Reply::Refused(404), Reply::Refused(404), Reply::Refused(404)]);
    assert_eq!(fixture.answer().await.unwrap().status, "not_found");
    let asked = fixture.server.asked();
    assert_eq!((asked.last().unwrap().as_str(), asked.len()), ("UpdateItem", 6));
}

#[tokio::test]
async fn a_session_that_cannot_be_recorded_is_accepted_and_tried_again() {
    let fixture = Fixture::with("realtime", &supervised()).await;
    fixture.server.refuse("UpdateItem", 400);
    assert!(matches!(fixture.answer().await, Err(HandlerError::Retry { .. })));
    assert_eq!(fixture.server.calls().len(), 1, "the call is accepted");
}

#[tokio::test]
async fn a_supervisor_that_cannot_be_started_is_left_to_the_watchdog() {
    let fixture = Fixture::with("realtime", &supervised()).await;
    fixture.server.refuse(INVOKE, 403);
    assert_eq!(fixture.answer().await.unwrap().status, "accepted");
}

#[tokio::test]
async fn a_connected_session_is_supervised_as_the_policy_says() {
    for (answer_as, expected) in [("live", "connected"), ("realtime", "recorded")] {
        let fixture = Fixture::with(answer_as, &supervised()).await;
        let event = json!({
            "id": "evt_1", "type": "live.transport.connected", "created_at": clock::now_ms() / 1000,
            "data": {"type": "webrtc", "session_id": "live_1"},
        });
        let event = Event::parse(&event.to_string()).unwrap();
        assert_eq!(fixture.handle(&event, 1).await.unwrap().status, expected);
        let started = fixture.server.asked().contains(&INVOKE.to_owned());
        assert_eq!(started, expected == "connected");
    }
}
