"""Phone calls: answered by the policy, at once and only once."""

import json
import time
from typing import Any

import pytest

from infra.local.stack import Stack
from infra.local.stand_in import Json, StandIn
from infra.local.watch import Watch
from tests.batches import given_up, handled
from tests.conftest import MakeStack
from tests.waiting import stays, wait_until

POLICY: Json = {
    "answer_as": "realtime",
    "rules": [
        {
            "name": "Closed line",
            "when": [{"header": "to", "part": "user", "exact": "+498005550100"}],
            "then": {"reject": {"status_code": 486}},
        },
        {
            "when": [
                {"header": "From", "part": "user", "prefix": "+49"},
                {"header": "X-Queue", "regex": "^sales(-\\d+)?$"},
            ],
            "then": {"refer": {"target_uri": "tel:+498005550111"}},
        },
    ],
    "default": {"accept": {"session": {"model": "gpt-realtime-2.1", "instructions": "Be brief."}}},
}
LIVE: Json = {"answer_as": "live", "default": {"accept": {"session": {"model": "gpt-live-1"}}}}
BOTH = ["realtime.call.incoming", "live.transport.incoming"]
ACCEPT = "POST /v1/realtime/calls/{id}/accept"


def store(stack: Stack, policy: Json | str) -> None:
    """Store a policy, given as JSON or as text."""
    stack.set_call_policy(policy if isinstance(policy, str) else json.dumps(policy))


def ring(openai: StandIn, **options: Any) -> tuple[Json, list[Json]]:
    """Start a call and return it with the deliveries of its events."""
    answer = openai.call_in(**options)
    return answer["call"], answer["deliveries"]


def summary(stack: Stack, object_id: str) -> Json:
    job = stack.job("realtime", object_id)
    assert job is not None
    return job["summary"]


def test_a_call_is_accepted_with_the_session_of_the_policy(stack: Stack, openai: StandIn, watch: Watch) -> None:
    store(stack, POLICY)
    call, (delivery,) = ring(openai)

    event = handled(stack, delivery)

    assert event["outcome"]["status"] == "accepted"
    now = openai.call(call["call_id"])
    assert (now["state"], now["by"]) == ("accepted", "realtime")
    assert now["request"] == {"type": "realtime", "model": "gpt-realtime-2.1", "instructions": "Be brief."}
    (outcome,) = wait_until("the outcome is published", lambda: watch.outcomes("realtime.call.incoming"))
    assert outcome.detail["object_id"] == call["call_id"]
    found = outcome.detail["summary"]
    assert 0 <= found.pop("age_ms") < 25_000
    assert found == {
        "kind": "realtime",
        "action": "accept",
        "rule": "default",
        "model": "gpt-realtime-2.1",
        "from": "+14*******23",
        "to": "+18*******99",
    }
    assert watch.alerts() == []
    assert not any("4255550123" in line for line in stack.logs("realtime"))


def test_a_call_is_rejected_or_referred_by_the_first_matching_rule(stack: Stack, openai: StandIn) -> None:
    store(stack, POLICY)
    closed, (first,) = ring(openai, to="<sip:+498005550100@example.com>")
    sales, (second,) = ring(
        openai, **{"from": "sip:+4930123456@example.com"}, headers=[{"name": "x-queue", "value": "sales-2"}]
    )

    assert handled(stack, first)["outcome"]["status"] == "rejected"
    assert handled(stack, second)["outcome"]["status"] == "referred"

    assert openai.call(closed["call_id"])["request"] == {"status_code": 486}
    assert openai.call(sales["call_id"])["request"] == {"target_uri": "tel:+498005550111"}
    assert summary(stack, closed["call_id"])["rule_name"] == "Closed line"
    assert summary(stack, sales["call_id"])["rule"] == "rules[1]"


@pytest.mark.parametrize("order", [BOTH, BOTH[::-1]], ids=["realtime first", "live first"])
@pytest.mark.parametrize("answers", ["realtime", "live"])
def test_a_call_that_waits_for_both_apis_is_answered_by_one(
    stack: Stack, openai: StandIn, answers: str, order: list[str]
) -> None:
    store(stack, POLICY if answers == "realtime" else LIVE)
    call, deliveries = ring(openai, events=order)

    statuses = {delivery["type"]: handled(stack, delivery)["outcome"]["status"] for delivery in deliveries}

    expected = {kind: "accepted" if kind.startswith(answers) else "left_to_the_other_kind" for kind in BOTH}
    assert statuses == expected
    now = openai.call(call["call_id"])
    assert (now["state"], now["by"]) == ("accepted", answers)
    assert sum(r["count"] for r in openai.requests() if r["path"].endswith("/accept")) == 1


def test_both_events_of_the_live_api_and_five_deliveries_of_each_answer_once(stack: Stack, openai: StandIn) -> None:
    store(stack, LIVE)
    call, deliveries = ring(openai, events=["live.call.incoming", "live.transport.incoming"], sip_call_id="abc@host")
    headers = [{"name": "Call-ID", "value": "abc@host"}]
    again = {"type": "sip", "session_id": call["session_id"], "sip_headers": headers}
    for _ in range(5):
        deliveries += openai.deliver("live.transport.incoming", again, id="evt_again")

    wait_until(
        "every delivery has ended",
        lambda: all(
            (event := stack.event(delivery["webhook_id"])) and event["state"] == "completed" for delivery in deliveries
        ),
        timeout=60,
    )

    assert openai.call(call["call_id"])["state"] == "accepted"
    assert openai.calls("POST", f"/v1/live/sessions/{call['session_id']}/accept") == 1


def test_without_a_policy_no_call_is_answered_and_people_are_alerted(
    stack: Stack, openai: StandIn, watch: Watch
) -> None:
    call, (delivery,) = ring(openai)

    event = handled(stack, delivery)

    assert event["outcome"]["status"] == "unanswered"
    assert openai.call(call["call_id"])["state"] == "ringing"
    (alert,) = wait_until("people are alerted", watch.alerts)
    assert alert.subject == "A call was not answered: there is no policy"
    assert alert.attributes["severity"] == "critical"
    assert "no policy is stored yet" in alert.message
    assert f"/{stack.name}/call-policy" in alert.message
    assert "+14*******23" in alert.message


def test_an_invalid_policy_leaves_the_last_valid_one_in_use_and_makes_one_alert(
    stack: Stack, openai: StandIn, watch: Watch
) -> None:
    store(stack, POLICY)
    handled(stack, ring(openai)[1][0])
    store(stack, {**POLICY, "default": {"accept": {"session": {}}}})
    # A policy is used for half a minute.
    time.sleep(31)

    for _ in range(2):
        call, (delivery,) = ring(openai)
        assert handled(stack, delivery)["outcome"]["status"] == "accepted"
        assert openai.call(call["call_id"])["state"] == "accepted"

    (alert,) = wait_until("people are alerted", watch.alerts)
    assert alert.subject == "The policy for calls cannot be used"
    assert "default.accept.session.model: must be the name of a model" in alert.message


def test_a_call_that_has_waited_too_long_is_not_answered(stack: Stack, openai: StandIn, watch: Watch) -> None:
    store(stack, POLICY)
    call, (delivery,) = ring(openai, age_seconds=60)

    assert handled(stack, delivery)["outcome"]["status"] == "too_old"

    assert openai.call(call["call_id"])["state"] == "ringing"
    (alert,) = wait_until("people are alerted", watch.alerts)
    assert alert.subject == "A call was not answered: it came too late"
    assert "it had waited for 1 min" in alert.message


def test_a_call_that_is_gone_is_recorded_and_nobody_is_alerted(stack: Stack, openai: StandIn, watch: Watch) -> None:
    store(stack, POLICY)
    headers = [{"name": "From", "value": "sip:+14255550123@example.com"}]
    (delivery,) = openai.deliver("realtime.call.incoming", {"call_id": "rtc_gone", "sip_headers": headers})

    event = handled(stack, delivery)

    assert event["outcome"]["status"] == "not_found"
    assert openai.calls("POST", "/v1/realtime/calls/rtc_gone/accept") == 3, "it may not be visible yet"
    stays("nobody is alerted", lambda: watch.alerts() == [], seconds=0.3)


def test_a_temporary_failure_is_retried_while_the_caller_waits(stack: Stack, openai: StandIn) -> None:
    openai.fault(ACCEPT, "status", times=2, status=500)
    store(stack, POLICY)
    call, (delivery,) = ring(openai)

    event = handled(stack, delivery)

    assert (event["attempts"], event["outcome"]["status"]) == (1, "accepted")
    assert openai.call(call["call_id"])["state"] == "accepted"
    assert openai.calls("POST", f"/v1/realtime/calls/{call['call_id']}/accept") == 3


def test_an_answer_whose_response_is_lost_counts(stack: Stack, openai: StandIn) -> None:
    openai.fault(ACCEPT, "stall", times=1, milliseconds=4500)
    store(stack, POLICY)
    call, (delivery,) = ring(openai)

    event = handled(stack, delivery)

    assert event["outcome"]["status"] == "accepted"
    assert openai.call(call["call_id"])["state"] == "accepted"


@pytest.mark.stack(CallMaximumAge="1")
def test_a_call_that_openai_does_not_take_in_time_ends_as_too_old(stack: Stack, openai: StandIn, watch: Watch) -> None:
    openai.fault(ACCEPT, "status", status=500)
    store(stack, POLICY)
    _, (delivery,) = ring(openai)

    event = handled(stack, delivery, timeout=90)

    assert event["outcome"]["status"] == "too_old"
    assert len(watch.alerts()) == 1


def test_a_refused_key_is_given_up(stack: Stack, openai: StandIn) -> None:
    openai.fault(ACCEPT, "status", status=401)
    store(stack, POLICY)
    _, (delivery,) = ring(openai)

    assert given_up(stack, delivery)["error"]["reason"] == "unauthorized"


@pytest.mark.parametrize("event_type", ["live.transport.connected", "realtime.call.new"])
def test_an_event_without_a_call_is_recorded(stack: Stack, openai: StandIn, watch: Watch, event_type: str) -> None:
    data = {"session_id": "live_1", "type": "webrtc", "number": "+14255550123"}
    (delivery,) = openai.deliver(event_type, data)

    assert handled(stack, delivery)["outcome"]["status"] == "recorded"

    (outcome,) = wait_until("the outcome is published", lambda: watch.outcomes(event_type))
    assert outcome.detail["summary"] == {}
    assert openai.requests() == []


def test_the_policy_may_be_an_object_in_s3(make_stack: MakeStack, openai: StandIn) -> None:
    stack = make_stack(CallPolicyS3Uri="s3://call-policies/prod/policy.json")
    s3 = stack.emulator.client("s3")
    s3.create_bucket(Bucket="call-policies")
    s3.put_object(Bucket="call-policies", Key="prod/policy.json", Body=json.dumps(POLICY))
    call, (delivery,) = ring(openai)

    assert handled(stack, delivery)["outcome"]["status"] == "accepted"
    assert openai.call(call["call_id"])["state"] == "accepted"


def test_a_caller_stays_whole_for_a_day_and_masked_after_it(stack: Stack, openai: StandIn) -> None:
    store(stack, POLICY)
    _, (delivery,) = ring(openai)
    handled(stack, delivery)
    openai.fault(ACCEPT, "status", status=401)
    _, (lost,) = ring(openai)
    given_up(stack, lost)

    whole = [item for item in stack.ledger() if "4255550123" in json.dumps(item, default=str)]
    assert {item["sk"] for item in whole} == {"body"}
    assert all(item["expires_at"] <= time.time() + 86_400 for item in whole)
    event = stack.event(delivery["webhook_id"])
    assert event is not None
    headers = json.loads(event["body"])["data"]["sip_headers"]
    assert ({"name": "From", "value": "***"} in headers, event["masked"]) == (True, True)
    (letter,) = stack.dead_letters("realtime")
    assert "4255550123" not in letter.body


@pytest.mark.stack(MaskCallers="false")
def test_a_caller_stays_whole_if_that_is_chosen(stack: Stack, openai: StandIn) -> None:
    store(stack, POLICY)
    _, (delivery,) = ring(openai)

    assert "4255550123" in handled(stack, delivery)["body"]


def test_a_caller_who_hides_from_a_rule_is_rejected(stack: Stack, openai: StandIn) -> None:
    """A display name with an unterminated quote, and the blocked number behind escapes and separators."""
    blocked = {"header": "From", "part": "user", "exact": "+4930123456"}
    store(stack, {**POLICY, "rules": [{"name": "Blocked", "when": [blocked], "then": {"reject": {}}}]})
    for caller in ['"Ann <sip:+4930123456@example.com>', "<sip:%2B49-30-12%33456@example.com>", ""]:
        call, (delivery,) = ring(openai, **{"from": caller})
        assert handled(stack, delivery)["outcome"]["status"] == "rejected", caller
        assert summary(stack, call["call_id"])["rule_name"] == "Blocked"
