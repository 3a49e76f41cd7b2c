"""Safety notices: every one alerts people."""

import json
import time

import pytest

from infra.local.stack import Stack
from infra.local.stand_in import API_KEY, Json, StandIn
from infra.local.watch import Alert, Outcome, Watch
from tests.batches import handled, of_age, tried
from tests.waiting import stays, wait_until

IDENTIFIER = "user_04f8996da763b7a9"
COOLDOWN_SECONDS = 31
"""Minimum time between two reads of a refused key."""


def alerted(watch: Watch) -> Alert:
    (alert,) = wait_until("people are alerted", watch.alerts)
    return alert


def published(watch: Watch, event_type: str) -> Outcome:
    (outcome,) = wait_until("the outcome is published", lambda: watch.outcomes(event_type))
    return outcome


def delivery_of(answer: Json) -> Json:
    (delivery,) = answer["deliveries"]
    return delivery


@pytest.mark.parametrize("workspace", [False, True])
def test_an_alert_is_stored_and_alerts_people(stack: Stack, openai: StandIn, watch: Watch, *, workspace: bool) -> None:
    answer = openai.safety_alert(
        workspace=workspace,
        error_type="potentially_unintended_destructive_activity",
        reason="Files were deleted.",
        detailed_explanation="All of them.",
    )
    raised = answer["alert"]

    event = handled(stack, delivery_of(answer))

    assert event["outcome"]["status"] == "created"
    outcome = published(watch, "safety.org_alert.created" if workspace else "safety.alert.created")
    assert outcome.detail["artifacts"] == [f"safety/{raised['id']}.json"]
    assert outcome.detail["summary"]["response_id"] == raised["response_id"]
    stored = json.loads(stack.artifact(f"safety/{raised['id']}.json") or b"")
    assert stored["detailed_explanation"] == "All of them."
    alert = alerted(watch)
    assert alert.attributes["severity"] == "critical"
    for words in ("may have deleted", raised["request_id"], raised["model"], "Files were deleted.", "NOT blocked"):
        assert words in alert.message
    assert "All of them." not in alert.message


@pytest.mark.parametrize(("notice", "severity"), [("warning", "warning"), ("deactivation", "critical")])
def test_the_identifier_of_a_case_is_in_the_alert_and_in_no_log(
    stack: Stack, openai: StandIn, watch: Watch, notice: str, severity: str
) -> None:
    answer = openai.safety_case(notice, reason="Cyber.")
    id = answer["case"]["id"]

    handled(stack, delivery_of(answer))

    outcome = published(watch, f"safety.{notice}_issued")
    assert (outcome.detail["status"], outcome.detail["endpoint"]) == (notice, "organization")
    assert outcome.detail["summary"] == {"entity_identifier": IDENTIFIER, "reason": "Cyber."}
    alert = alerted(watch)
    assert (alert.subject, alert.attributes["severity"]) == (f"Safety {notice}, case {id}", severity)
    assert IDENTIFIER in alert.message
    assert not [line for line in stack.logs("safety") if IDENTIFIER in line]


def test_a_blocked_identifier_alerts_once_without_a_lookup(stack: Stack, openai: StandIn, watch: Watch) -> None:
    data = {"safety_category": "cyber", "safety_identifier": IDENTIFIER, "request_id": "req_1"}
    deliveries = openai.deliver("safety_identifier.blocked", data, copies=5)

    handled(stack, deliveries[0])

    assert published(watch, "safety_identifier.blocked").detail["summary"] == data
    alert = alerted(watch)
    assert alert.subject == "A safety identifier was blocked (cyber)"
    assert IDENTIFIER in alert.message
    stays("there is one alert", lambda: len(watch.alerts()) == 1 == len(watch.outcomes()), seconds=1)
    assert (openai.requests(), stack.ledger("job")) == ([], [])
    assert not [line for line in stack.logs("safety") if IDENTIFIER in line]


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [(403, "forbidden", "api.safety.read"), (401, "unauthorized", "store a valid one"), (422, "refused", "422")],
)
def test_a_notice_that_may_not_be_read_alerts_all_the_same(
    stack: Stack, openai: StandIn, watch: Watch, status: int, error: str, words: str
) -> None:
    openai.fault("GET /v1/safety/cases/{id}", "status", status=status)
    answer = openai.safety_case("deactivation")

    event = handled(stack, delivery_of(answer))

    assert event["attempts"] == 1
    detail = published(watch, "safety.deactivation_issued").detail
    assert (detail["status"], detail["summary"]) == ("lookup_failed", {"lookup_error": error})
    assert words in detail["note"]
    alert = alerted(watch)
    assert alert.attributes["severity"] == "critical"
    assert answer["case"]["id"] in alert.subject
    assert words in alert.message
    assert stack.dead_letters("safety") == []


def test_the_alert_does_not_wait_for_openai_to_recover(stack: Stack, openai: StandIn, watch: Watch) -> None:
    openai.fault("GET /v1/safety/alerts/{id}", "rate_limit", retry_after=3600)
    answer = openai.safety_alert()
    delivery = delivery_of(answer)

    tried(stack, delivery)
    event = handled(stack, delivery, timeout=90)

    assert (event["attempts"], event["outcome"]["status"]) == (3, "lookup_failed")
    assert published(watch, "safety.alert.created").detail["summary"] == {"lookup_error": "unreachable"}
    assert "429" in alerted(watch).message


def test_a_rotated_key_is_used_at_once(stack: Stack, openai: StandIn, watch: Watch) -> None:
    stack.set_secret("api-key", "sk-rotated-away")
    first = handled(stack, delivery_of(openai.safety_case("warning")))
    assert first["outcome"]["status"] == "lookup_failed"
    stack.set_secret("api-key", API_KEY)
    time.sleep(COOLDOWN_SECONDS)

    second = handled(stack, delivery_of(openai.safety_case("warning")))

    assert (second["attempts"], second["outcome"]["status"]) == (1, "warning")


@pytest.mark.parametrize(
    ("event_type", "id"), [("safety.alert.created", "alert_1"), ("safety.deactivation_issued", "C-1")]
)
def test_a_test_delivery_is_recognised(stack: Stack, openai: StandIn, watch: Watch, event_type: str, id: str) -> None:
    (delivery,) = openai.deliver(event_type, {"id": id}, created_at=of_age())

    event = handled(stack, delivery)

    assert event["outcome"]["status"] == "not_found"
    assert published(watch, event_type).detail["object_id"] == id
    alert = alerted(watch)
    assert alert.subject.endswith("probably a test")
    assert (alert.attributes["severity"], "no permission was refused" in alert.message) == ("warning", True)
    assert stack.artifacts("safety/") == {}


def test_a_notice_of_an_unknown_type_alerts_people(stack: Stack, openai: StandIn, watch: Watch) -> None:
    (delivery,) = openai.deliver("safety.limit_changed", {"id": "lim_1"})

    assert handled(stack, delivery)["outcome"]["status"] == "recorded"
    assert alerted(watch).subject == "Unknown safety notice safety.limit_changed"
